//! Instances whose clocks differ, and clocks that were wrong.

use std::time::Duration;

use diesel_accounts::{DatabaseLimiter, RateLimiter};
use diesel_accounts_proof::database::ProofConnection;

use crate::support::{
    DAY, HOUR, MICRO, MINUTE, SetClock, Stage, admitted, client, on_each_engine, quota,
};

on_each_engine!(
    an_instance_that_is_ahead_lets_so_much_more_in_and_once,
    an_instance_that_is_behind_waits_longer_and_lets_nothing_more_in,
    a_time_a_day_beyond_what_the_quota_allows_is_believed,
    a_time_further_away_is_that_of_a_clock_that_was_wrong,
    whatever_time_is_stored_somebody_is_admitted,
);

fn an_instance_that_is_ahead_lets_so_much_more_in_and_once<C: ProofConnection>(stage: Stage<C>) {
    let quota = quota(10, HOUR);
    for (ahead, more) in [(0_u32, 0_u32), (5, 0), (6, 1), (13, 2), (30, 5)] {
        let key = client(&stage.users, &format!("{ahead} minutes"));
        let there = DatabaseLimiter::new(&stage.instance(&stage.clock.ahead(ahead * MINUTE)));
        assert_eq!(admitted(&stage.limiter, key, quota, 12), 10);
        for more in [more, 0, 0] {
            assert_eq!(admitted(&there, key, quota, 10), more, "{ahead} minutes ahead");
            assert_eq!(admitted(&stage.limiter, key, quota, 3), 0, "{ahead} minutes ahead");
        }
        let wait = (more + 1) * 6 * MINUTE;
        assert_eq!(stage.check(key, quota), Some(wait));
        let refused = there.check(key, quota).unwrap().refused();
        assert_eq!(refused, Some(wait - ahead * MINUTE));
    }
}

fn an_instance_that_is_behind_waits_longer_and_lets_nothing_more_in<C: ProofConnection>(
    stage: Stage<C>,
) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(10, HOUR));
    let clock = stage.clock.behind(5 * MINUTE);
    let there = DatabaseLimiter::new(&stage.instance(&clock));
    // They take in turns.
    for _ in 0..4 {
        assert_eq!(stage.check(key, quota), None);
        assert_eq!(admitted(&there, key, quota, 1), 1);
    }
    // The times are ahead of the slower clock by 5 minutes, nearly one of those that were left.
    assert_eq!(admitted(&there, key, quota, 3), 1);
    assert_eq!(admitted(&stage.limiter, key, quota, 3), 1);
    assert_eq!(stage.check(key, quota), Some(6 * MINUTE));
    assert_eq!(there.check(key, quota).unwrap().refused(), Some(11 * MINUTE));
    clock.advance(11 * MINUTE - MICRO);
    assert_eq!(there.check(key, quota).unwrap().refused(), Some(MICRO));
    clock.advance(MICRO);
    assert_eq!(admitted(&there, key, quota, 3), 1);
}

fn a_time_a_day_beyond_what_the_quota_allows_is_believed<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(6, HOUR));
    assert_eq!(take_all_on(&stage, &stage.clock.ahead(DAY)), 6);
    assert_eq!(stage.check(key, quota), Some(DAY + 10 * MINUTE));
    stage.clock.advance(DAY);
    assert_eq!(stage.check(key, quota), Some(10 * MINUTE));
}

/// Whose was set back since, by a microsecond more than that or by years.
fn a_time_further_away_is_that_of_a_clock_that_was_wrong<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(6, HOUR));
    for too_far in [DAY + MICRO, DAY + HOUR, 5 * 365 * DAY] {
        assert_eq!(take_all_on(&stage, &stage.clock.ahead(too_far)), 6, "{too_far:?}");
        assert_is_as_new(&stage, too_far);
        // What the wrong clock left is gone: the next answers are of the right one alone.
        stage.clock.advance(10 * MINUTE);
        assert_eq!(admitted(&stage.limiter, key, quota, 3), 1, "{too_far:?}");
    }
}

fn whatever_time_is_stored_somebody_is_admitted<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(6, HOUR));
    assert_eq!(stage.check(key, quota), None);
    for micros in [i64::MAX, i64::MAX - 1, 0, -1, i64::MIN + 1] {
        stage.execute(&format!("UPDATE account_limits SET theoretical_arrival = {micros}"));
        assert_is_as_new(&stage, micros);
    }
}

/// Takes as many as there are on an instance with this clock.
fn take_all_on<C: ProofConnection>(stage: &Stage<C>, clock: &SetClock) -> u32 {
    let there = stage.instance(clock);
    let key = client(&there, "203.0.113.7");
    admitted(&DatabaseLimiter::new(&there), key, quota(6, HOUR), 8)
}

fn assert_is_as_new<C: ProofConnection>(stage: &Stage<C>, why: impl std::fmt::Debug) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(6, HOUR));
    assert_eq!(admitted(&stage.limiter, key, quota, 8), 6, "{why:?}");
    let interval: Duration = 10 * MINUTE;
    assert_eq!(stage.check(key, quota), Some(interval), "{why:?}");
}
