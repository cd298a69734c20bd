//! Rounds on one engine, several at the same time: most of a round is waiting.

use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts_proof::verdict::{Verdict, write_and_judge};
use diesel_accounts_proof::workload::{Plan, run};
use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::Arguments;
use crate::state::State;

/// The rounds that are still to be done on an engine.
pub(crate) struct Rounds<'a> {
    arguments: &'a Arguments,
    engine: &'a str,
    state: &'a Mutex<State>,
    bar: ProgressBar,
    /// How many calls the rounds that are under way are to make.
    under_way: AtomicU64,
    /// A round has panicked: no other is begun.
    is_broken: AtomicBool,
    /// From when on the time was not added to the total yet.
    since: Mutex<Instant>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(arguments: &'a Arguments, engine: &'a str, state: &'a Mutex<State>) -> Self {
        let bar = ProgressBar::new(arguments.operations);
        let style = ProgressStyle::with_template("{prefix:8} {bar:40} {pos}/{len} {per_sec} {eta}");
        bar.set_style(style.expect("the template is sound"));
        bar.set_prefix(engine.to_owned());
        let (under_way, is_broken) = (AtomicU64::new(0), AtomicBool::new(false));
        let since = Mutex::new(Instant::now());
        Self { arguments, engine, state, bar, under_way, is_broken, since }
    }

    pub(crate) fn run(&self) {
        let done = self.state().total(self.engine).counts.count("operations");
        self.bar.set_position(done);
        self.bar.reset_eta();
        thread::scope(|scope| {
            for _ in 0..self.arguments.lanes_on(self.engine) {
                scope.spawn(|| self.lane());
            }
        });
        self.bar.finish_and_clear();
    }

    fn lane(&self) {
        let _alarm = Alarm(&self.is_broken);
        while let Some(plan) = self.begin() {
            let progress = |more| self.bar.inc(more);
            let history = match self.engine {
                "sqlite" => run::<SqliteConnection>(&plan, &progress),
                "postgres" => run::<PgConnection>(&plan, &progress),
                _ => run::<MysqlConnection>(&plan, &progress),
            };
            let judged = write_and_judge(&history, &self.arguments.folder);
            let (path, verdict) = judged.expect("the record can be written");
            match verdict.violations.is_empty() {
                true => std::fs::remove_file(&path).expect("it was written"),
                false => self.bar.suspend(|| self.report(&plan, &path, &verdict)),
            }
            self.end(&plan, &verdict);
        }
    }

    /// What the next round is to be, if one is missing.
    fn begin(&self) -> Option<Plan> {
        let mut state = self.state();
        let seed = state.seed;
        let total = state.total_mut(self.engine);
        let under_way = self.under_way.load(Ordering::Relaxed);
        let missing =
            self.arguments.operations.saturating_sub(total.counts.count("operations") + under_way);
        if missing == 0 || self.is_broken.load(Ordering::Relaxed) {
            return None;
        }
        let operations = self.arguments.round.min(missing);
        let seed = Rng::with_seed(seed ^ total.begun).u64(..);
        total.begun += 1;
        self.under_way.fetch_add(operations, Ordering::Relaxed);
        state.write();
        let victim = std::env::current_exe().expect("the program has a path");
        Some(Plan { seed, operations, victim })
    }

    fn end(&self, plan: &Plan, verdict: &Verdict) {
        let mut state = self.state();
        self.under_way.fetch_sub(plan.operations, Ordering::Relaxed);
        let passed = {
            let mut since = self.since.lock().expect("it is only read and set");
            let before = std::mem::replace(&mut *since, Instant::now());
            since.duration_since(before)
        };
        let total = state.total_mut(self.engine);
        total.milliseconds += u64::try_from(passed.as_millis()).expect("nobody waits so long");
        total.counts.add_all(&verdict.counts);
        total.counts.add("rounds", 1);
        let done = total.counts.count("operations");
        state.write();
        if !stderr().is_terminal() {
            eprintln!("{}: {done} of {}", self.engine, self.arguments.operations);
        }
    }

    fn report(&self, plan: &Plan, path: &Path, verdict: &Verdict) {
        println!("{}, seed {}, record {}:", self.engine, plan.seed, path.display());
        verdict.violations.iter().take(10).for_each(|violation| println!("VIOLATION: {violation}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no round has panicked while it changed the state")
    }
}

/// Stops all other lanes when one panics.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
