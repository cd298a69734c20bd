//! Where threads are counted and held.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel_accounts::{Argon2Engine, Argon2Input, Hashing, HashingFailure};

/// Counts who is inside, and keeps them there while it is shut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turnstile(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_shut: bool,
    let_out: usize,
    inside: usize,
    most: usize,
    names: Vec<String>,
}

impl Turnstile {
    pub(crate) fn new_shut() -> Self {
        let turnstile = Self::default();
        turnstile.shut();
        turnstile
    }

    pub(crate) fn shut(&self) {
        self.lock().is_shut = true;
    }

    pub(crate) fn open(&self) {
        self.lock().is_shut = false;
        self.0.1.notify_all();
    }

    /// Lets one out that is held, or will be.
    pub(crate) fn let_one_out(&self) {
        self.lock().let_out += 1;
        self.0.1.notify_all();
    }

    /// Goes in, does something when it is let out, and is gone.
    pub(crate) fn pass<T>(&self, name: &str, act: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        state.names.push(name.to_owned());
        state.inside += 1;
        state.most = state.most.max(state.inside);
        self.0.1.notify_all();
        let mut state = self.wait(state, |state| !state.is_shut || state.let_out > 0);
        state.let_out = state.let_out.saturating_sub(1);
        drop(state);
        let done = act();
        self.lock().inside -= 1;
        self.0.1.notify_all();
        done
    }

    /// Returns when so many are inside at once.
    pub(crate) fn wait_until_inside(&self, count: usize) {
        drop(self.wait(self.lock(), |state| state.inside == count));
    }

    /// Returns when so many have come in.
    pub(crate) fn wait_until_came(&self, count: usize) {
        drop(self.wait(self.lock(), |state| state.names.len() >= count));
    }

    /// How many are inside.
    pub(crate) fn inside(&self) -> usize {
        self.lock().inside
    }

    /// How many have come in.
    pub(crate) fn came(&self) -> usize {
        self.lock().names.len()
    }

    /// How many were inside at once, at most.
    pub(crate) fn most(&self) -> usize {
        self.lock().most
    }

    /// How often one of this name has come in.
    pub(crate) fn came_as(&self, name: &str) -> usize {
        self.lock().names.iter().filter(|other| *other == name).count()
    }

    /// The engine of a host whose hashes go through here, by their passwords.
    pub(crate) fn engine(&self) -> HeldEngine {
        HeldEngine { inner: Hashing::default_engine(), turnstile: self.clone() }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        is_so: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let (state, waited) = self
            .0
            .1
            .wait_timeout_while(state, PATIENCE, |state| !is_so(state))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "what was waited for did not happen");
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The usual engine, behind a turnstile. It panics at [`CURSED`].
pub(crate) struct HeldEngine {
    inner: Box<dyn Argon2Engine>,
    turnstile: Turnstile,
}

impl Argon2Engine for HeldEngine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self { inner: self.inner.another(), turnstile: self.turnstile.clone() })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        let password = String::from_utf8_lossy(input.password);
        if password == CURSED {
            std::panic::panic_any(CURSED);
        }
        self.turnstile.pass(&password, || self.inner.compute(input, tag))
    }
}

impl fmt::Debug for HeldEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldEngine")
    }
}

pub(crate) const CURSED: &str = "a cursed horse battery";

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
