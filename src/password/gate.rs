//! The one place through which every hash goes: a bounded number at a time, first in, first out.
//!
//! Permits are counted in memory, so that a dear hash takes the place of several. Creations and
//! sign-ins queue apart and are served in turn: a flood of the one cannot starve the other. Whoever
//! is at the head of the queue in turn is waited for, whatever it needs: nobody overtakes a dear
//! hash for ever.
//!
//! The order is kept by handing a permit over from one to the next. A mutex and a condition
//! variable alone are unfair: under load the slowest waits several times as long as the median.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::Argon2Engine;
use crate::error::{Error, HashingFailure, Result};
use crate::observe::{self, Queued};

/// What a hash is wanted for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// A new password.
    Set,
    /// A submitted password is compared.
    Verify,
}

/// Lets a bounded number of hashes run at once.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    prototype: Arc<dyn Argon2Engine>,
    limits: Limits,
}

/// What the gate lets through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The memory of all hashes that run at once, in KiB.
    pub(crate) budget_kib: u64,
    /// What every hash is counted as at least, in KiB; the engine of one that needs more is not
    /// kept.
    pub(crate) usual_kib: u64,
    /// The engine of a hash that took more memory is not kept.
    pub(crate) kept_kib: u64,
    /// How many may wait for one purpose.
    pub(crate) queue_length: usize,
    /// How long one may wait.
    pub(crate) longest_wait: Duration,
    /// How long memory is kept for the next hash.
    pub(crate) kept_for: Duration,
}

impl Gate {
    pub(crate) fn new(limits: Limits, prototype: Arc<dyn Argon2Engine>) -> Self {
        let state = State {
            free_kib: limits.budget_kib,
            entering: 0,
            queues: [VecDeque::new(), VecDeque::new()],
            verify_first: true,
            idle: Vec::new(),
            keeper_runs: false,
            closed: false,
            mean: Duration::ZERO,
        };
        let shared = Shared { state: Mutex::new(state), given_back: Condvar::new() };
        Self { shared: Arc::new(shared), prototype, limits }
    }

    /// Waits for room for a hash of so much memory. A cheaper one than all new hashes counts as one
    /// of those: the engine that it gets may have their memory.
    pub(crate) fn enter(&self, purpose: Purpose, memory_kib: u64) -> Result<Permit<'_>> {
        let memory_kib = memory_kib.max(self.limits.usual_kib);
        if memory_kib > self.limits.budget_kib {
            return Err(Error::Hashing(HashingFailure::OverBudget));
        }
        let mut queued = None;
        let mut state = self.shared.lock();
        if !state.has_room(memory_kib) {
            // The recorder is the host's, and not called under the lock.
            drop(state);
            queued = Some(Queued::new());
            state = self.shared.lock();
        }
        match state.has_room(memory_kib) {
            true => state.grant(memory_kib),
            false => {
                let waited = self.wait(state, purpose, memory_kib);
                state = waited.inspect_err(|_| observe::hash_rejected())?;
            }
        }
        // From here on the permit gives back what was taken.
        let mut permit = Permit {
            gate: self,
            memory_kib,
            engine_kib: memory_kib,
            engine: None,
            since: Instant::now(),
        };
        state.entering -= 1;
        permit.engine = state.idle.pop().map(|kept| kept.engine);
        // What is kept beside the hashes that run must fit into the budget too.
        let room = usize::try_from(state.free_kib / self.limits.usual_kib.max(1));
        let room = room.unwrap_or(usize::MAX).saturating_add(state.entering);
        let surplus = state.idle.len().saturating_sub(room);
        let given_back: Vec<Kept> = state.idle.drain(..surplus).collect();
        drop(state);
        drop((given_back, queued));
        Ok(permit)
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        purpose: Purpose,
        memory_kib: u64,
    ) -> Result<MutexGuard<'a, State>> {
        let queued = state.queue(purpose).len();
        if queued >= self.limits.queue_length {
            return Err(self.busy(&state, queued));
        }
        let ticket = Arc::new(Ticket {
            memory_kib,
            granted: AtomicBool::new(false),
            called: Condvar::new(),
        });
        state.queue(purpose).push_back(Arc::clone(&ticket));
        let until = Instant::now() + self.limits.longest_wait;
        while !ticket.granted.load(Ordering::Relaxed) {
            let remaining = until.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                state.queue(purpose).retain(|other| !Arc::ptr_eq(other, &ticket));
                // It may have kept others waiting who need less.
                state.call();
                return Err(self.busy(&state, queued));
            }
            let woken = ticket.called.wait_timeout(state, remaining);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(state)
    }

    /// What somebody hears who is kept from entering behind so many.
    #[cfg(feature = "tokio")]
    pub(crate) fn busy_behind(&self, queued: usize) -> Error {
        self.busy(&self.shared.lock(), queued)
    }

    /// How long it takes until those who wait now have been served.
    fn busy(&self, state: &State, queued: usize) -> Error {
        let at_once = (self.limits.budget_kib / self.limits.usual_kib.max(1)).max(1);
        let rounds = (u64::try_from(queued).unwrap_or(u64::MAX) / at_once).saturating_add(1);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        let retry_after = state.mean.saturating_mul(rounds);
        Error::HashingBusy { retry_after: retry_after.clamp(SHORTEST_HINT, LONGEST_HINT) }
    }

    /// Sees to it that memory nobody uses is given back after a while.
    fn keep_for_a_while(&self, mut state: MutexGuard<'_, State>) {
        if state.keeper_runs || self.limits.usual_kib < WORTH_A_THREAD_KIB {
            return;
        }
        state.keeper_runs = true;
        drop(state);
        let (shared, kept_for) = (Arc::clone(&self.shared), self.limits.kept_for);
        let keeper = thread::Builder::new()
            .name("diesel-accounts-memory".to_owned())
            .spawn(move || shared.give_back_what_is_idle(kept_for));
        if keeper.is_err() {
            self.shared.lock().keeper_runs = false;
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.given_back.notify_all();
    }
}

/// The right to hash, and an engine to do it with.
pub(crate) struct Permit<'a> {
    gate: &'a Gate,
    memory_kib: u64,
    engine_kib: u64,
    engine: Option<Box<dyn Argon2Engine>>,
    since: Instant,
}

impl Permit<'_> {
    /// How much of the memory is the engine's.
    pub(crate) fn engine_takes(&mut self, kib: u64) {
        self.engine_kib = kib;
    }

    pub(crate) fn engine(&mut self) -> &mut dyn Argon2Engine {
        &mut **self.engine.get_or_insert_with(|| self.gate.prototype.another())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let held = self.since.elapsed();
        // An engine that panicked may be in any state, one that served a dear hash has too much
        // memory.
        let is_usual = self.engine_kib <= self.gate.limits.kept_kib;
        let keep = is_usual && !thread::panicking();
        let (kept, given_back) = match self.engine.take() {
            Some(engine) if keep => (Some(engine), None),
            engine => (None, engine),
        };
        // Its memory is gone before others are let in to take as much.
        drop(given_back);
        let mut state = self.gate.shared.lock();
        if let Some(engine) = kept {
            state.idle.push(Kept { engine, since: Instant::now() });
        }
        state.free_kib += self.memory_kib;
        state.mean = match state.mean {
            Duration::ZERO => held,
            mean => (mean * 7 + held) / 8,
        };
        state.call();
        self.gate.keep_for_a_while(state);
        observe::hashed(held);
    }
}

struct Shared {
    state: Mutex<State>,
    /// Told when the gate is gone.
    given_back: Condvar,
}

impl Shared {
    /// Nothing that is done under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back_what_is_idle(&self, kept_for: Duration) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let (idle, kept) = std::mem::take(&mut state.idle)
                .into_iter()
                .partition(|kept| now.duration_since(kept.since) >= kept_for);
            state.idle = kept;
            // Giving back 19 MiB takes a while.
            drop(state);
            drop::<Vec<Kept>>(idle);
            state = self.lock();
            let Some(oldest) = state.idle.iter().map(|kept| kept.since).min() else {
                state.keeper_runs = false;
                return;
            };
            if state.closed {
                return;
            }
            let rest = (oldest + kept_for).saturating_duration_since(Instant::now());
            let woken = self.given_back.wait_timeout(state, rest);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            if state.closed {
                return;
            }
        }
    }
}

struct State {
    free_kib: u64,
    /// How many were let in and have not fetched their engines yet.
    entering: usize,
    /// One for each purpose.
    queues: [VecDeque<Arc<Ticket>>; 2],
    /// Whose turn it is.
    verify_first: bool,
    /// Engines with their memory; the last was used last.
    idle: Vec<Kept>,
    /// Whether somebody sees to `idle`.
    keeper_runs: bool,
    closed: bool,
    /// How long a permit is held, about.
    mean: Duration,
}

impl State {
    fn queue(&mut self, purpose: Purpose) -> &mut VecDeque<Arc<Ticket>> {
        let [set, verify] = &mut self.queues;
        match purpose {
            Purpose::Set => set,
            Purpose::Verify => verify,
        }
    }

    /// Whether nobody waits and there is enough for one more.
    fn has_room(&self, memory_kib: u64) -> bool {
        self.free_kib >= memory_kib && self.queues.iter().all(VecDeque::is_empty)
    }

    fn grant(&mut self, memory_kib: u64) {
        self.free_kib -= memory_kib;
        self.entering += 1;
    }

    /// Hands what is free to those who wait.
    fn call(&mut self) {
        loop {
            let turns = match self.verify_first {
                true => [Purpose::Verify, Purpose::Set],
                false => [Purpose::Set, Purpose::Verify],
            };
            let Some((purpose, wanted)) = turns.into_iter().find_map(|purpose| {
                self.queue(purpose).front().map(|ticket| (purpose, ticket.memory_kib))
            }) else {
                return;
            };
            if wanted > self.free_kib {
                return;
            }
            self.grant(wanted);
            self.verify_first = purpose == Purpose::Set;
            if let Some(ticket) = self.queue(purpose).pop_front() {
                ticket.granted.store(true, Ordering::Relaxed);
                ticket.called.notify_one();
            }
        }
    }
}

/// A place in the queue.
struct Ticket {
    memory_kib: u64,
    /// Set under the lock.
    granted: AtomicBool,
    called: Condvar,
}

/// An engine that waits to be used again.
struct Kept {
    engine: Box<dyn Argon2Engine>,
    since: Instant,
}

/// Less memory than this is not worth a thread that sees to it.
const WORTH_A_THREAD_KIB: u64 = 1024;

const SHORTEST_HINT: Duration = Duration::from_millis(100);
const LONGEST_HINT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
