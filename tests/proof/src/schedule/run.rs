//! One schedule: one actor takes one statement at a time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crate::schedule::choices::Choices;
use crate::schedule::gates::{Gates, Lanes, Span, Stage};
use crate::schedule::swaps::{Step, can_be_swapped, is_end, is_writing};
use crate::schedule::watch::Watch;

/// How many statements of an actor can be ordered; after these it runs to its end.
pub const MOST_STOPS: u32 = 26;

/// Orders the statements of actors.
#[derive(Debug)]
pub struct Scheduler<'a> {
    /// Sees who waits.
    pub watch: &'a mut dyn Watch,
    /// Whether a statement can wait for another actor.
    pub blocks: bool,
    /// How long somebody is seen waiting before others go on: longer than an engine takes to find a
    /// deadlock.
    pub second_look: Duration,
    /// The gates of the actors.
    pub gates: Gates,
    /// By what the server calls the session of each actor.
    pub sessions: Vec<i64>,
    /// How the statements of each actor are to others; none if all orders are taken.
    pub manners: Option<Vec<Manners>>,
    /// How often an actor took more statements than are ordered.
    pub bound_met: u64,
    /// How often somebody was seen waiting for a lock.
    pub waits: u64,
    /// The order that was taken, for reports.
    pub trace: Vec<String>,
}

/// How the statements of an actor are to others.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "these are all")]
pub struct Manners {
    /// Whether it is in a transaction of a host's.
    pub in_transaction: bool,
    /// Whether its readings lock.
    pub reads_lock: bool,
}

impl Scheduler<'_> {
    /// Runs all actors to their ends, in the order that is chosen; what came of each, and from when
    /// to when it was at it.
    pub fn run<'env, R: Send + 'env>(
        &mut self,
        choices: &mut Choices,
        actors: Vec<Box<dyn FnOnce() -> R + Send + 'env>>,
    ) -> Vec<(R, Span)> {
        self.trace.clear();
        self.gates.close();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, actor) in actors.into_iter().enumerate() {
                let gates = self.gates.clone();
                threads.push(scope.spawn(move || {
                    let result = catch_unwind(AssertUnwindSafe(actor));
                    gates.end(number);
                    result
                }));
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.order(choices))) {
                self.gates.open();
                resume_unwind(panic);
            }
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            let results: Vec<R> =
                results.map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect();
            results.into_iter().zip(self.gates.spans()).collect()
        })
    }

    fn order(&mut self, choices: &mut Choices) {
        let count = self.sessions.len();
        // Who was refused as busy, and would be again until somebody else has set a lock free.
        let mut in_vain = vec![false; count];
        let mut locks = vec![false; count];
        let mut last: Option<(usize, String)> = None;
        let mut blocked_since = vec![None; count];
        let mut over = vec![false; count];
        // Whose next statement was taken here before, with nothing after it that would be different.
        let mut is_taken = vec![false; count];
        loop {
            self.settle(&mut blocked_since);
            if let Some((actor, statement)) = last.take()
                && self.gates.lanes().actors[actor].failed.as_ref() != Some(&statement)
            {
                locks[actor] |= is_writing(&statement);
                if locks[actor] && is_end(&statement) {
                    let own = in_vain[actor];
                    in_vain.fill(false);
                    in_vain[actor] = own;
                    locks[actor] = false;
                }
            }
            let parked: Vec<usize> = {
                let lanes = self.gates.lanes();
                if lanes.actors.iter().all(|lane| lane.stage == Stage::Ended) {
                    return;
                }
                for (lane, over) in lanes.actors.iter().zip(&mut over) {
                    if lane.stops > MOST_STOPS && !*over {
                        *over = true;
                        self.bound_met += 1;
                    }
                }
                (0..count).filter(|actor| lanes.actors[*actor].stage == Stage::Parked).collect()
            };
            if parked.is_empty() {
                self.wait_for_the_engine();
                continue;
            }
            let asleep = |actor: &usize| {
                let lanes = self.gates.lanes();
                let lane = &lanes.actors[*actor];
                !self.blocks && in_vain[*actor] && lane.failed.as_ref() == Some(&lane.statement)
            };
            let mut options: Vec<usize> =
                parked.iter().copied().filter(|actor| !asleep(actor)).collect();
            if options.is_empty() {
                options = parked;
            }
            let awake: Vec<usize> =
                options.iter().copied().filter(|actor| !is_taken[*actor]).collect();
            let (chosen, before) = match options.iter().find(|actor| over[**actor]) {
                Some(free) => (*free, &[][..]),
                // All that follows was met in another order: it only has to come to its end.
                None if awake.is_empty() => (options[0], &[][..]),
                None => choices.choose(&awake),
            };
            for actor in before {
                is_taken[*actor] = true;
            }
            for (actor, is_taken) in is_taken.iter_mut().enumerate() {
                *is_taken &= actor != chosen && self.can_swap(actor, chosen);
            }
            self.note(chosen);
            in_vain[chosen] = true;
            last = Some((chosen, self.gates.lanes().actors[chosen].statement.clone()));
            self.gates.let_go(chosen);
        }
    }

    fn can_swap(&self, one: usize, other: usize) -> bool {
        let Some(manners) = &self.manners else { return false };
        let lanes = self.gates.lanes();
        let step = |actor: usize| Step {
            statement: &lanes.actors[actor].statement,
            in_transaction: manners[actor].in_transaction,
            reads_lock: manners[actor].reads_lock,
            is_first: lanes.actors[actor].is_at_its_first(),
        };
        can_be_swapped(step(one), step(other))
    }

    /// Waits until everybody is parked, at the end, or waits for a lock of somebody who is parked.
    fn settle(&mut self, blocked_since: &mut [Option<Instant>]) {
        let runs = |lanes: &Lanes, actor: usize| lanes.actors[actor].stage == Stage::Running;
        let until = Instant::now() + PATIENCE;
        loop {
            let known: Vec<bool> = blocked_since.iter().map(Option::is_some).collect();
            self.gates.wait_while(FIRST_LOOK, |lanes| {
                (0..known.len()).any(|actor| runs(lanes, actor) && !known[actor])
            });
            let events = self.gates.lanes().events;
            let running: Vec<usize> = {
                let lanes = self.gates.lanes();
                (0..known.len()).filter(|actor| runs(&lanes, *actor)).collect()
            };
            if running.is_empty() {
                blocked_since.fill(None);
                return;
            }
            assert!(Instant::now() < until, "an actor neither moves nor waits: {:?}", self.trace);
            let waiting = self.watch.waiting();
            let mut all_blocked = self.blocks;
            for (actor, since) in blocked_since.iter_mut().enumerate() {
                let runs = running.contains(&actor);
                if !runs || !waiting.contains(&self.sessions[actor]) {
                    *since = None;
                    all_blocked &= !runs;
                    continue;
                }
                if since.is_none() {
                    self.waits += 1;
                    self.trace.push(format!("{actor} waits"));
                }
                all_blocked &= since.get_or_insert_with(Instant::now).elapsed() >= self.second_look;
            }
            // What was looked at is true only if nobody has moved meanwhile.
            if all_blocked && self.gates.lanes().events == events {
                return;
            }
            if blocked_since.iter().any(Option::is_some) {
                let changed = |lanes: &Lanes| lanes.events == events;
                self.gates.wait_while(BETWEEN_LOOKS, changed);
            }
        }
    }

    /// Everybody waits for everybody, which the engine finds out.
    fn wait_for_the_engine(&mut self) {
        let events = self.gates.lanes().events;
        self.gates.wait_while(PATIENCE, |lanes| lanes.events == events);
        let moved = self.gates.lanes().events != events;
        assert!(moved, "all actors wait for each other: {:?}", self.trace);
    }

    fn note(&mut self, actor: usize) {
        let lanes = self.gates.lanes();
        let words = lanes.actors[actor].statement.split_whitespace().take(3);
        let statement = words.collect::<Vec<_>>().join(" ");
        drop(lanes);
        self.trace.push(format!("{actor}: {statement}"));
    }
}

/// Most statements have come to their end by then.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Longer than an engine takes to find a deadlock, on a machine that is not too busy.
pub(super) const SECOND_LOOK: Duration = Duration::from_millis(4);
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);
/// Longer than the time-outs of the connections: an error is better than a hung test.
const PATIENCE: Duration = Duration::from_secs(40);
