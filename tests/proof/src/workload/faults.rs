//! Faults, one after another, for as long as a phase lasts.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel_accounts::Engine;
use fastrand::Rng;

use super::manager::Manager;
use super::server::WorkloadConnection;
use super::{mild, record, record_mild, record_stops, record_time_outs};
use crate::database::Database;
use crate::history::Fault as Recorded;
use crate::proxy::{Fault, Place, Proxy};

/// Tells how far the load is. Faults come after so many calls, not after so much time: otherwise a
/// busy machine would do little but faults, and a fast one hardly any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace<'a> {
    pub(super) done: &'a AtomicU64,
    pub(super) is_over: &'a AtomicBool,
}

impl Pace<'_> {
    pub(super) fn is_over(self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits until so many more calls were made, or all were; tells whether it has lost patience
    /// before, as no call at all came to an end.
    pub(super) fn wait(self, chance: &mut Rng, calls: Range<u64>) -> bool {
        let (mut done, mut since) = (self.done.load(Ordering::Relaxed), Instant::now());
        let until = done + chance.u64(calls);
        while done < until && !self.is_over() {
            thread::sleep(Duration::from_millis(2));
            let now = self.done.load(Ordering::Relaxed);
            if now != done {
                (done, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                return true;
            }
        }
        false
    }
}

/// Does harm to the connections of one manager.
pub(super) struct Faults<'a, 'm, C: WorkloadConnection> {
    pub(super) database: &'m Database<C>,
    pub(super) manager: &'m Manager<'a, C>,
    pub(super) chance: Rng,
}

impl<C: WorkloadConnection> Faults<'_, '_, C> {
    pub(super) fn run(mut self, pace: Pace<'_>) {
        let (settings, recorder) = (&self.manager.settings, self.manager.recorder);
        let began = recorder.now();
        if let Some(proxy) = &self.manager.proxy {
            let mut conn = self.database.connect();
            while !pace.is_over() {
                match self.chance.u8(0..10) {
                    0..6 => self.disturb(proxy),
                    6 => self.end_sessions(&mut conn),
                    7 => self.stop_statements(&mut conn),
                    _ => {}
                }
                if pace.wait(&mut self.chance, 8..60) {
                    self.free(proxy);
                }
            }
            proxy.set_fault(Fault::None);
        }
        // What the connections are set to holds to the end.
        while !pace.is_over() {
            pace.wait(&mut self.chance, 8..60);
        }
        if settings.stops_statements {
            record_time_outs(recorder, C::ENGINE, settings.number, began);
        }
        if !settings.set_up.is_empty() {
            record_mild(recorder, "short time-outs", settings.number, began, false);
        }
        if settings.limits_pages && C::ENGINE == Engine::Sqlite {
            record_mild(recorder, "database that may not grow", settings.number, began, true);
        }
    }

    /// Does something to the connections on their way.
    fn disturb(&mut self, proxy: &Proxy) {
        let from = self.manager.recorder.now();
        let (kind, millis) = match self.chance.u8(0..24) {
            0 => {
                proxy.set_fault(Fault::Refuse);
                ("connection refused", 10..60)
            }
            1 => {
                proxy.set_fault(Fault::HangUp);
                ("connection hung up on", 10..40)
            }
            2 => {
                proxy.set_fault(Fault::Reset);
                ("connection reset", 5..30)
            }
            3 => {
                proxy.cut_all();
                ("all connections cut", 0..1)
            }
            4 => {
                proxy.reset_all();
                ("all connections reset", 0..1)
            }
            5 => {
                proxy.set_fault(Fault::BlackHole);
                ("everything swallowed, then the connections ended", 20..200)
            }
            _ => {
                let mut places = Place::IN_ORDER.to_vec();
                // What is lost after the server has done it is the worst. (What the server is still at,
                // the checker could not tell from a row that comes back.)
                places.extend([Place::BeforeByReset, Place::After, Place::After]);
                let (seed, per_mille) = (self.chance.u64(..), self.chance.u32(5..60));
                proxy.set_fault(Fault::Random { seed, per_mille, places });
                ("connection cut at a message", 60..300)
            }
        };
        pause(&mut self.chance, millis);
        let counted = proxy.set_fault(Fault::None);
        let strikes = counted.strikes.max(u64::from(!kind.ends_with("message")));
        record(self.manager.recorder, kind, Some(self.manager.settings.number), from, strikes);
    }

    /// Ends all connections, so that a call that hangs has an answer, and its record tells.
    fn free(&self, proxy: &Proxy) {
        let from = self.manager.recorder.now();
        proxy.reset_all();
        let number = Some(self.manager.settings.number);
        record(self.manager.recorder, "hanging connections reset", number, from, 1);
    }

    fn end_sessions(&mut self, conn: &mut C) {
        let from = self.manager.recorder.now();
        let sessions = conn.sessions(&self.manager.session).unwrap();
        let mut ended = 0;
        for number in sessions.iter().filter(|_| self.chance.bool()) {
            ended += u64::from(conn.end_session(*number).is_ok());
        }
        let number = Some(self.manager.settings.number);
        record(self.manager.recorder, "session ended by the server", number, from, ended);
    }

    fn stop_statements(&mut self, conn: &mut C) {
        let from = self.manager.recorder.now();
        let mut stopped = 0;
        for _ in 0..self.chance.u8(1..20) {
            for number in conn.sessions(&self.manager.session).unwrap() {
                stopped += u64::from(conn.stop_statement(number).is_ok());
            }
        }
        let number = self.manager.settings.number;
        record_stops(self.manager.recorder, C::ENGINE, number, from, stopped);
    }
}

/// Holds locks that everybody waits for, in transactions that change nothing in the end.
pub(super) fn hold_locks<C: WorkloadConnection>(
    database: &Database<C>,
    manager: &Manager<'_, C>,
    mut chance: Rng,
    pace: Pace<'_>,
) {
    let mut conn = database.connect();
    while !pace.is_over() {
        let (isolation, _) = C::ISOLATIONS[chance.usize(0..C::ISOLATIONS.len())];
        let from = manager.recorder.now();
        if conn.begin(isolation).is_ok() {
            let count = u64::from(conn.batch_execute(C::LOCK_ACCOUNTS).is_ok());
            match chance.u8(0..25) {
                0 => pause(&mut chance, 500..1300),
                _ => pause(&mut chance, 5..60),
            }
            let (kind, to) = ("accounts locked".to_owned(), manager.recorder.now());
            manager.recorder.fault(Recorded { kind, from, to, count, ..mild() });
        }
        if AnsiTransactionManager::rollback_transaction(&mut conn).is_err() {
            conn = database.connect();
        }
        pace.wait(&mut chance, 8..60);
    }
}

fn pause(chance: &mut Rng, millis: Range<u64>) {
    thread::sleep(Duration::from_millis(chance.u64(millis)));
}

/// Longer than any call may take: what is ended only then is a broken promise.
const PATIENCE: Duration = Duration::from_secs(200);
