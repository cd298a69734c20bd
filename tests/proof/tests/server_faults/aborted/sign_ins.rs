//! Sign-ins: no password is looked at that is not counted, and whoever knows it gets in.

use diesel_accounts_proof::acts::{Act, NEW, OLD, id_of};
use diesel_accounts_proof::workload::Connection;

use super::{Scene, UNTOUCHED, Victim, literal_of};
use crate::support::{number, on_each_engine};

on_each_engine!(
    a_right_password_whose_client_dies_anywhere_is_counted_until_it_is_recorded,
    a_wrong_password_whose_client_dies_anywhere_is_counted_once,
    a_failure_whose_client_dies_anywhere_brings_its_wait_with_it,
);

fn a_right_password_whose_client_dies_anywhere_is_counted_until_it_is_recorded<C: Connection>() {
    let scene = Scene::<C>::new();
    for earlier in EARLIER_FAILURES {
        let given = |name: &str| scene.make_with_failures(name, earlier);
        let look = |name: &str, victim: &Victim| {
            let counts = scene.counts(name);
            let is_recorded = scene.is_so(name, RECORDED);
            assert_ne!(is_recorded, scene.is_so(name, UNTOUCHED), "one without the other");
            let is_cleared = is_recorded && counts == [0, 0];
            if !is_cleared {
                expect_counted(&counts, earlier, victim);
            }
            assert!(victim.has_looked || !is_recorded);
            expect_whole(&scene, name);
            is_cleared
        };
        assert!(scene.die_everywhere(Act::SignIn, given, look) > 4);
    }
}

fn a_wrong_password_whose_client_dies_anywhere_is_counted_once<C: Connection>() {
    let scene = Scene::<C>::new();
    for earlier in EARLIER_FAILURES {
        let given = |name: &str| scene.make_with_failures(name, earlier);
        let look = |name: &str, victim: &Victim| {
            let counts = scene.counts(name);
            expect_counted(&counts, earlier, victim);
            assert!(scene.is_so(name, UNTOUCHED));
            expect_whole(&scene, name);
            counts == [earlier + 1; 2]
        };
        assert!(scene.die_everywhere(Act::SignInWrongly, given, look) > 2);
    }
}

/// The fifth failure of a client is the first that brings a wait.
fn a_failure_whose_client_dies_anywhere_brings_its_wait_with_it<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| scene.make_with_failures(name, 4);
    let look = |name: &str, victim: &Victim| {
        let counts = scene.counts(name);
        expect_counted(&counts, 4, victim);
        let waits = format!(
            "account_attempts WHERE subject = {} AND blocked_until > 0",
            literal_of::<C>(name)
        );
        let waits = number(&mut scene.database.connect(), &waits);
        assert_eq!(waits, i64::from(counts[1] == 5));
        assert_eq!(scene.accepts(name, OLD), waits == 0, "whoever waits is not looked at");
        scene.users.unlock_user(id_of(name)).unwrap();
        expect_whole(&scene, name);
        counts == [5, 5]
    };
    assert!(scene.die_everywhere(Act::SignInWrongly, given, look) > 2);
}

/// Each count is what it was or one more; it is one more, and both are, if a password was looked at.
fn expect_counted(counts: &[i64], earlier: i64, victim: &Victim) {
    match victim.has_looked {
        true => assert_eq!(counts, [earlier + 1; 2], "looked at and not counted"),
        false => {
            let possible = [earlier, earlier + 1];
            assert!(counts.iter().all(|count| possible.contains(count)), "{counts:?}");
            assert!(counts.len() == 2 || earlier == 0, "{counts:?}");
        }
    }
}

/// Whoever knows the password gets in, which takes all counts back, and nobody else does.
fn expect_whole<C: Connection>(scene: &Scene<C>, name: &str) {
    assert!(scene.accepts(name, OLD));
    assert_eq!(scene.counts(name), [0, 0]);
    assert!(!scene.accepts(name, NEW));
    assert_eq!(scene.counts(name), [1, 1]);
    assert!(scene.is_so(name, RECORDED), "no session has ended");
}

/// With rows to count in, and without.
const EARLIER_FAILURES: [i64; 2] = [2, 0];

/// What is so of an account that was signed in to: the time, and a hash of the dearer kind.
const RECORDED: &str = "state = 0 AND session_generation = 0 AND password_hash LIKE '%m=16,%' \
    AND username IS NOT NULL AND email IS NOT NULL AND updated_at = created_at \
    AND password_changed_at = created_at AND last_sign_in_at > 0";
