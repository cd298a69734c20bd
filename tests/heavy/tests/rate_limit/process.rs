//! The limiter of one process. Its clock is the machine's: nothing here depends on how fast it is.

use std::time::{Duration, Instant};

use diesel_accounts::{
    LimitAnswer, LimitKey, LimitedBy, Policy, ProcessLimiter, RateLimiter, RealmId,
};
use diesel_accounts_proof::wait::wait_until;

use crate::support::{DAY, HOUR, MICRO, admitted, at_once, quota};

#[test]
fn threads_together_are_admitted_exactly_the_burst() {
    let (limiter, quota) = (ProcessLimiter::new(), quota(50, 30 * DAY));
    for round in 0..5 {
        let key = key_of(&format!("round {round}"));
        let counts = at_once(8, |_| admitted(&limiter, key, quota, 100));
        assert_eq!(counts.iter().sum::<u32>(), 50, "{counts:?}");
    }
}

#[test]
fn one_in_the_longest_period_is_admitted_and_then_waits_for_it() {
    let limiter = ProcessLimiter::new();
    let (key, quota) = (key_of("203.0.113.7"), quota(1, 30 * DAY));
    let started = Instant::now();
    assert_eq!(limiter.check(key, quota).unwrap(), LimitAnswer::Admitted);
    for _ in 0..10 {
        let wait = limiter.check(key, quota).unwrap().refused().unwrap();
        assert!(wait <= 30 * DAY && wait >= 30 * DAY - started.elapsed(), "{wait:?}");
    }
}

#[test]
fn a_wait_is_never_none_and_no_longer_than_the_interval() {
    let limiter = ProcessLimiter::new();
    // The shorter ones are over while they are asked for.
    let cases = [(1, MICRO), (3, 10 * MICRO), (10, 1000 * MICRO), (7, HOUR), (u32::MAX, DAY)];
    for (burst, period) in cases {
        let (key, quota) = (key_of("203.0.113.7"), quota(burst, period));
        let interval = MICRO * u32::try_from(period.as_micros().div_ceil(burst.into())).unwrap();
        let mut admitted = 0;
        for _ in 0..5000 {
            match limiter.check(key, quota).unwrap().refused() {
                None => admitted += 1,
                Some(wait) => {
                    assert!(wait > Duration::ZERO && wait <= interval, "{wait:?} of {quota:?}");
                }
            }
        }
        assert!(admitted >= burst.min(5000), "{admitted} of {quota:?}");
    }
}

/// What is refused costs nothing, however often it is: it would never be let in again.
#[test]
fn somebody_who_keeps_asking_is_admitted_in_the_end() {
    let limiter = ProcessLimiter::new();
    let (key, quota) = (key_of("203.0.113.7"), quota(2, Duration::from_millis(40)));
    for _ in 0..5 {
        let mut refused = 0_u32;
        wait_until("one is let in", || {
            (0..100).any(|_| {
                let is_admitted = limiter.check(key, quota).unwrap() == LimitAnswer::Admitted;
                refused += u32::from(!is_admitted);
                is_admitted && refused > 0
            })
        });
    }
}

#[test]
fn who_is_waiting_is_not_forgotten_among_many_others() {
    let limiter = ProcessLimiter::new();
    let (key, once) = (key_of("203.0.113.7"), quota(1, 30 * DAY));
    assert_eq!(limiter.check(key, once).unwrap(), LimitAnswer::Admitted);
    // A look at all that is kept comes with each 4096.
    for number in 0..10_000 {
        let other = limiter.check(key_of(&format!("{number}")), once).unwrap();
        assert_eq!(other, LimitAnswer::Admitted, "{number}");
    }
    assert!(limiter.check(key, once).unwrap().refused().is_some());
}

#[test]
fn each_limiter_of_a_process_has_counts_of_its_own() {
    let (key, once) = (key_of("203.0.113.7"), quota(1, HOUR));
    for limiter in [ProcessLimiter::new(), ProcessLimiter::default()] {
        assert_eq!(admitted(&limiter, key, once, 3), 1);
    }
}

fn key_of(client: &str) -> LimitKey {
    Policy::default().limit_key(RealmId::NIL, "register", LimitedBy::Client(client))
}
