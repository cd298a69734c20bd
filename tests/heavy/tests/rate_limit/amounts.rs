//! How many are admitted, when the next one is, and what has a count of its own.

use diesel_accounts::{LimitKey, LimitedBy, Policy, ProcessLimiter, RateLimiter, RealmId};
use diesel_accounts_proof::database::ProofConnection;

use crate::support::{
    DAY, HOUR, MICRO, MINUTE, Stage, admitted, client, micros, on_each_engine, quota,
};

on_each_engine!(
    the_burst_is_admitted_at_one_moment_and_the_next_an_interval_later,
    what_is_refused_costs_nothing,
    a_key_that_rests_gets_its_burst_again_and_no_more,
    quotas_keys_and_realms_have_counts_of_their_own_in_each_limiter,
    spellings_of_one_name_share_a_count,
);

fn the_burst_is_admitted_at_one_moment_and_the_next_an_interval_later<C: ProofConnection>(
    stage: Stage<C>,
) {
    // The interval of the last but one is a rounded one: 7 microseconds do not divide by 3.
    let cases = [
        (1, 30 * DAY, 30 * DAY),
        (3, 30 * MINUTE, 10 * MINUTE),
        (60, HOUR, MINUTE),
        (3, 7 * MICRO, 3 * MICRO),
        (1, 2 * MICRO, 2 * MICRO),
    ];
    for (burst, period, interval) in cases {
        let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(burst, period));
        for number in 0..burst {
            assert_eq!(stage.check(key, quota), None, "{number} of {burst}");
        }
        assert_eq!(stage.check(key, quota), Some(interval));
        stage.clock.advance(interval - MICRO);
        assert_eq!(stage.check(key, quota), Some(MICRO));
        stage.clock.advance(MICRO);
        assert_eq!(stage.check(key, quota), None);
        assert_eq!(stage.check(key, quota), Some(interval));
    }
}

fn what_is_refused_costs_nothing<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(2, HOUR));
    assert_eq!(admitted(&stage.limiter, key, quota, 2), 2);
    let before = stage.arrivals();
    assert_eq!(before, [stage.clock.micros() + micros(HOUR)]);
    for _ in 0..20 {
        assert_eq!(stage.check(key, quota), Some(30 * MINUTE));
    }
    assert_eq!(stage.arrivals(), before);
    stage.clock.advance(30 * MINUTE);
    assert_eq!(stage.check(key, quota), None);
}

fn a_key_that_rests_gets_its_burst_again_and_no_more<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = (client(&stage.users, "203.0.113.7"), quota(4, HOUR));
    assert_eq!(admitted(&stage.limiter, key, quota, 6), 4);
    for (rest, expected) in [(15 * MINUTE, 1), (30 * MINUTE, 2), (44 * MINUTE, 2), (MINUTE, 1)] {
        stage.clock.advance(rest);
        assert_eq!(admitted(&stage.limiter, key, quota, 6), expected, "after {rest:?}");
    }
    for rest in [HOUR, HOUR + MINUTE, DAY, 400 * DAY] {
        stage.clock.advance(rest);
        assert_eq!(admitted(&stage.limiter, key, quota, 6), 4, "after {rest:?}");
    }
}

fn quotas_keys_and_realms_have_counts_of_their_own_in_each_limiter<C: ProofConnection>(
    stage: Stage<C>,
) {
    let limiters: [Box<dyn RateLimiter>; 2] =
        [Box::new(ProcessLimiter::new()), Box::new(stage.limiter)];
    let keys = keys(stage.users.policy());
    // The second and the third have the interval in common, and the first and the second the burst.
    let quotas = [quota(2, HOUR), quota(2, DAY), quota(4, 2 * DAY)];
    for limiter in limiters {
        for (burst, quota) in [2, 2, 4].into_iter().zip(quotas) {
            for key in keys {
                assert_eq!(admitted(&*limiter, key, quota, burst), burst, "{limiter:?}");
            }
        }
        // And what others took, before and after, has changed none.
        for quota in quotas {
            assert!(keys.iter().all(|key| admitted(&*limiter, *key, quota, 1) == 0), "{limiter:?}");
        }
    }
}

/// All that make one key another.
fn keys(policy: &Policy) -> [LimitKey; 5] {
    let elsewhere = RealmId::from_bytes([7; 16]);
    [
        policy.limit_key(RealmId::NIL, "register", LimitedBy::Client("203.0.113.7")),
        policy.limit_key(RealmId::NIL, "register", LimitedBy::Client("203.0.113.8")),
        policy.limit_key(RealmId::NIL, "reset", LimitedBy::Client("203.0.113.7")),
        policy.limit_key(RealmId::NIL, "register", LimitedBy::Username("203.0.113.7")),
        policy.limit_key(elsewhere, "register", LimitedBy::Client("203.0.113.7")),
    ]
}

/// And so does a manager in another realm, with the same name.
fn spellings_of_one_name_share_a_count<C: ProofConnection>(stage: Stage<C>) {
    let quota = quota(3, HOUR);
    for realm in [RealmId::NIL, RealmId::from_bytes([7; 16])] {
        let users = stage.users.in_realm(realm);
        for name in ["alice", "ALICE", " Alice "] {
            let key = users.limit_key("register", LimitedBy::Username(name));
            assert_eq!(stage.check(key, quota), None, "{name}");
        }
        let key = users.limit_key("register", LimitedBy::Username("aLiCe"));
        assert_eq!(stage.check(key, quota), Some(20 * MINUTE));
    }
}
