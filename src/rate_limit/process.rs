//! Limits in the memory of one process.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota as Pace};

use super::{LimitAnswer, LimitKey, Quota, RateLimiter};
use crate::error::Result;

/// Limits in the memory of one process: each instance of a service has its own, and a restart
/// forgets them. What has not been seen for as long as its quota takes to fill up is forgotten too.
///
/// See [`RateLimiter`] for an example.
#[derive(Default)]
pub struct ProcessLimiter {
    by_quota: RwLock<HashMap<Quota, Arc<Counts>>>,
}

impl ProcessLimiter {
    /// A limiter that has seen nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn counts(&self, quota: Quota) -> Arc<Counts> {
        let known = self.by_quota.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.get(&quota) {
            return Arc::clone(counts);
        }
        drop(known);
        let mut known = self.by_quota.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(quota).or_insert_with(|| Arc::new(Counts::new(quota))))
    }
}

impl RateLimiter for ProcessLimiter {
    fn check(&self, key: LimitKey, quota: Quota) -> Result<LimitAnswer> {
        Ok(self.counts(quota).check(key))
    }
}

impl fmt::Debug for ProcessLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessLimiter(..)")
    }
}

/// What is counted under one quota.
struct Counts {
    limiter: DefaultKeyedRateLimiter<LimitKey>,
    checks: AtomicU32,
}

impl Counts {
    fn new(quota: Quota) -> Self {
        let interval = u64::try_from(quota.interval_micros).unwrap_or(u64::MAX);
        let pace = Pace::with_period(Duration::from_micros(interval))
            .unwrap_or(Pace::per_second(NonZeroU32::MIN));
        let limiter = DefaultKeyedRateLimiter::keyed(pace.allow_burst(quota.burst));
        Self { limiter, checks: AtomicU32::new(0) }
    }

    fn check(&self, key: LimitKey) -> LimitAnswer {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_FOR_A_SWEEP == 0 {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&key) {
            Ok(()) => LimitAnswer::Admitted,
            Err(until) => {
                let retry_after = until.wait_time_from(DefaultClock::default().now());
                LimitAnswer::Refused { retry_after: retry_after.max(Duration::from_micros(1)) }
            }
        }
    }
}

/// Whoever makes so many checks pays for a look at all that is kept.
const CHECKS_FOR_A_SWEEP: u32 = 4096;
