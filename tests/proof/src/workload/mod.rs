//! Load: many threads do everything at once to a few people, while connections are cut, sessions
//! ended, statements stopped, locks held and processes killed; and all of it is recorded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel_accounts::Engine;
use fastrand::Rng;

use self::faults::Pace;
use self::manager::{Manager, Settings};
use self::people::People;
use self::server::WorkloadConnection;
use self::worker::Worker;
use crate::database::Database;
use crate::history::{Fault, Head, History, PoolState, Recorder};

mod acts;
mod aftermath;
mod faults;
mod host;
mod manager;
mod people;
pub mod secrets;
mod server;
pub mod victim;
mod worker;

pub use self::server::WorkloadConnection as Connection;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What all random choices are made from, as far as threads allow.
    pub seed: u64,
    /// How many calls there are to be, about.
    pub operations: u64,
    /// The program that is killed in the middle of its transactions: it calls [`victim::run`].
    pub victim: PathBuf,
}

/// Carries out a plan on a database of its own, and tells how many calls were made, whenever some more were.
#[must_use]
pub fn run<C: WorkloadConnection>(plan: &Plan, progress: &(dyn Fn(u64) + Sync)) -> History {
    let database = Database::<C>::new();
    host::make_tables(&mut database.connect());
    let recorder = Recorder::new();
    let done = AtomicU64::new(0);
    let mut people = People::new();
    let mut pools = Vec::new();
    let phases = plan.operations.div_ceil(OPERATIONS_OF_A_PHASE);
    for number in 0..phases {
        let phase = Phase {
            plan,
            number: u32::try_from(number).unwrap(),
            database: &database,
            recorder: &recorder,
            done: &done,
            until: plan.operations.min((number + 1) * OPERATIONS_OF_A_PHASE),
            progress,
        };
        let (later, states) = phase.run(people);
        people = later;
        pools.extend(states);
    }
    let (rows, host_rows) = aftermath::read(&mut database.connect(), &people);
    let mut history = recorder.into_history();
    history.head = head::<C>(plan, &mut database.connect());
    (history.rows, history.host_rows, history.pools) = (rows, host_rows, pools);
    history
}

/// Some operations with the same managers and the same kinds of faults.
struct Phase<'a, C: WorkloadConnection> {
    plan: &'a Plan,
    number: u32,
    database: &'a Database<C>,
    recorder: &'a Recorder,
    done: &'a AtomicU64,
    until: u64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<C: WorkloadConnection> Phase<'_, C> {
    fn run(&self, mut people: People) -> (People, Vec<PoolState>) {
        let mut chance = Rng::with_seed(self.plan.seed ^ (u64::from(self.number) << 32));
        people.begin_phase(self.number);
        // One phase in four is without faults, so that they are not to blame for everything.
        let is_calm = self.number % 4 == 3;
        let managers: Vec<Manager<C>> = Settings::of_phase(C::ENGINE, is_calm, &mut chance)
            .into_iter()
            .map(|settings| Manager::new(self.database, settings, self.recorder))
            .collect();
        let (people, began) = (Mutex::new(people), self.recorder.now());
        let is_over = AtomicBool::new(false);
        self.make_anchors(&managers, &people, &mut chance);
        thread::scope(|scope| {
            let (managers, people) = (&managers[..], &people);
            let pace = Pace { done: self.done, is_over: &is_over };
            let mut disturbers = Vec::new();
            if !is_calm {
                for manager in managers {
                    let chance = chance.fork();
                    let faults = faults::Faults { database: self.database, manager, chance };
                    disturbers.push(scope.spawn(move || faults.run(pace)));
                }
                let (victims, locks) = (chance.fork(), chance.fork());
                disturbers.push(scope.spawn(move || {
                    victim::torment(self.plan, self.database, managers, people, victims, pace);
                }));
                disturbers.push(scope.spawn(move || {
                    faults::hold_locks(self.database, &managers[0], locks, pace);
                }));
            }
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let worker = Worker::new(thread, managers, people, chance.fork());
                    scope.spawn(move || self.work(worker))
                })
                .collect();
            for worker in workers {
                worker.join().expect("a worker answers whatever happens");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        self.settle(&managers, &people, &mut chance);
        let states = managers.iter().map(|manager| aftermath::pool_state(manager, began)).collect();
        (people.into_inner().unwrap(), states)
    }

    fn work(&self, mut worker: Worker<'_, '_, C>) {
        while self.done.load(Ordering::Relaxed) < self.until {
            let calls = worker.step();
            self.done.fetch_add(calls, Ordering::Relaxed);
            (self.progress)(calls);
        }
    }

    /// Accounts that nobody deletes, for creations that reuse an id.
    fn make_anchors(&self, managers: &[Manager<C>], people: &Mutex<People>, chance: &mut Rng) {
        Worker::new(THREADS, managers, people, chance.fork()).make_anchors();
    }

    /// Asks again for everything that is undetermined, now that no fault is at work.
    fn settle(&self, managers: &[Manager<C>], people: &Mutex<People>, chance: &mut Rng) {
        for manager in managers {
            manager.mend();
        }
        Worker::new(THREADS, managers, people, chance.fork()).settle();
    }
}

fn head<C: WorkloadConnection>(plan: &Plan, conn: &mut C) -> Head {
    let versions = BTreeMap::from([
        ("server".to_owned(), conn.version().unwrap()),
        ("diesel-accounts-proof".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let settings = BTreeMap::from([
        ("operations".to_owned(), plan.operations.to_string()),
        ("threads".to_owned(), THREADS.to_string()),
        ("pools".to_owned(), "8, 2, 1".to_owned()),
        ("deadlines".to_owned(), format!("{DEADLINE:?}, {DEADLINE:?}, {SHORT_DEADLINE:?}")),
    ]);
    Head { seed: plan.seed, engine: format!("{:?}", C::ENGINE).to_lowercase(), versions, settings }
}

fn execute(conn: &mut impl SimpleConnection, sql: &str) {
    conn.batch_execute(sql).unwrap();
}

/// Records a fault that was at work from a moment until now, and a little longer.
fn record(recorder: &Recorder, kind: &str, manager: Option<u16>, from: u64, count: u64) {
    recorder.fault(Fault { count, ..lasting(recorder, kind, manager, from, severing()) });
}

/// Statements that somebody stopped.
fn record_stops(recorder: &Recorder, engine: Engine, manager: u16, from: u64, count: u64) {
    let kind = "statement stopped by the server";
    let stops = stopping(engine);
    recorder.fault(Fault { count, ..lasting(recorder, kind, Some(manager), from, stops) });
}

/// Statements of a manager's that are stopped, which of them only the server knows, but none before
/// its time.
fn record_time_outs(recorder: &Recorder, engine: Engine, manager: u16, from: u64) {
    let kind = "short statement time-out".to_owned();
    let (manager, to) = (Some(manager), recorder.now());
    let slows = u64::try_from(manager::STOPPED_AFTER.as_nanos()).unwrap();
    recorder.fault(Fault { kind, manager, from, to, slows, ..stopping(engine) });
}

/// Something that takes no connection away. How often it struck, only the database knows.
fn record_mild(recorder: &Recorder, kind: &str, manager: u16, from: u64, refuses: bool) {
    let (kind, manager, to) = (kind.to_owned(), Some(manager), recorder.now());
    recorder.fault(Fault { kind, manager, from, to, refuses, ..mild() });
}

/// From a moment until now, and a little longer.
fn lasting(recorder: &Recorder, kind: &str, manager: Option<u16>, from: u64, harm: Fault) -> Fault {
    let to = recorder.now() + u64::try_from(AFTERMATH.as_nanos()).unwrap();
    Fault { kind: kind.to_owned(), manager, from, to, ..harm }
}

/// MariaDB may go on to say nothing after a statement was stopped, until the session ends.
fn stopping(engine: Engine) -> Fault {
    Fault { stops: true, severs: engine == Engine::Mysql, ..mild() }
}

fn severing() -> Fault {
    Fault { severs: true, ..mild() }
}

/// One that only takes time.
fn mild() -> Fault {
    Fault {
        kind: String::new(),
        manager: None,
        from: 0,
        to: 0,
        count: 1,
        severs: false,
        stops: false,
        refuses: false,
        slows: 0,
    }
}

const THREADS: u16 = 32;
/// Each phase begins with connections of its own, which cost the servers more than calls do.
const OPERATIONS_OF_A_PHASE: u64 = 5000;

/// What [`Manager`]s are set to.
const DEADLINE: Duration = Duration::from_secs(10);
/// So short that what is undetermined stays so now and then.
const SHORT_DEADLINE: Duration = Duration::from_millis(80);
/// What the server or the driver sets.
const LONGEST_STATEMENT: Duration = Duration::from_secs(20);
/// For a machine on which other things are done.
const HEADROOM: Duration = Duration::from_secs(10);
/// A connection that was cut after a message ends when the server has answered it.
const AFTERMATH: Duration = Duration::from_millis(1200);
