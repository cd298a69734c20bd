//! Waiting between tries.

use std::thread;
use std::time::{Duration, Instant};

/// Waits with growing, random pauses until a deadline.
#[derive(Debug)]
pub(crate) struct Backoff {
    until: Instant,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn until(until: Instant) -> Self {
        Self { until, longest: FIRST_PAUSE }
    }

    /// Waits a little; `false`, at once, if the deadline has passed.
    pub(crate) fn pause(&mut self) -> bool {
        let remaining = self.until.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return false;
        }
        // "Full jitter": those who collided once must not come back at the same moment.
        thread::sleep(self.longest.mul_f64(fastrand::f64()).min(remaining));
        self.longest = (self.longest * 2).min(LONGEST_PAUSE);
        true
    }
}

/// How often an answer that makes no sense is asked for.
pub(crate) const MOST_TRIES: u32 = 3;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
