//! Whether something begins, or is given up: one of the two, and never both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// For whoever does it, and for whoever waits for it.
pub(super) fn undecided() -> (Begins, GivenUp) {
    let state = Arc::new(AtomicU8::new(WAITING));
    (Begins(Arc::clone(&state)), GivenUp(state))
}

pub(super) struct Begins(Arc<AtomicU8>);

impl Begins {
    /// Whether it still may.
    pub(super) fn now(self) -> bool {
        is_decided_now(&self.0, BEGUN)
    }
}

/// It is given up when this is dropped, if it has not begun.
pub(super) struct GivenUp(Arc<AtomicU8>);

impl GivenUp {
    /// Whether it never begins.
    pub(super) fn now(&self) -> bool {
        is_decided_now(&self.0, GIVEN_UP)
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.now();
    }
}

fn is_decided_now(state: &AtomicU8, decision: u8) -> bool {
    // Nothing else is handed over by it.
    state.compare_exchange(WAITING, decision, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;
