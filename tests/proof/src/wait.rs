//! Waiting for what must come.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until something is so; it must be so within a minute.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
