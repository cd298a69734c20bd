//! Sign-ins: an error or the true answer, and counts that tell what happened.

use diesel_accounts::{Argon2Cost, Error, Hashing, RefusalReason, SignIn, User};
use diesel_accounts_proof::database::{ProofConnection, policy};
use diesel_accounts_proof::proxy::{Fault, Place};

use crate::on_each_server;
use crate::scene::{PASSWORD, PLACES, Run, Scene, counts, expect_lost};

on_each_server!(
    a_first_sign_in_is_recorded_and_hashed_anew_or_neither,
    a_right_password_brings_no_wait,
    a_right_password_that_is_cut_four_times_brings_no_wait,
    a_wrong_password_is_counted_once_at_most,
    an_unknown_login_is_refused,
);

/// The sign-in that writes: its time, and a hash of the present cost.
fn a_first_sign_in_is_recorded_and_hashed_anew_or_neither<C: ProofConnection>() {
    let dearer = Hashing::new().cost(Argon2Cost::new(16, 1, 1).unwrap());
    let mut scene = Scene::<C>::with_policy(policy().hashing(dearer));
    let before = |name: &str| {
        format!(
            "username_key = '{name}' AND password_hash LIKE '%m=8,%' AND last_sign_in_at IS NULL"
        )
    };
    let after = |name: &str| {
        format!("username_key = '{name}' AND password_hash LIKE '%m=16,%' AND last_sign_in_at > 0")
    };
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.authenticate(user.username().unwrap(), PASSWORD),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let is_recorded = scene.accounts(&after(name));
            assert_eq!(is_recorded + scene.accounts(&before(name)), 1, "one without the other");
            let counts = counts(scene, name);
            match answer {
                Ok(SignIn::Accepted(accepted)) => {
                    assert_eq!(accepted.user().id(), user.id());
                    assert_eq!((is_recorded, counts), (1, vec![0, 0]));
                }
                Err(error) => {
                    expect_lost(&error, cut);
                    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
                }
                _ => panic!("the password is right"),
            }
            expect_right_password_clears(scene, user);
        },
    );
}

/// Nobody waits for having been cut, and the next sign-in takes the count back.
fn a_right_password_brings_no_wait<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            let name = user.username().unwrap();
            assert!(!scene.is_password(name, "wrong"));
            assert_eq!(counts(scene, name), [1, 1]);
            user
        },
        |scene, user| scene.users.authenticate(user.email().unwrap(), PASSWORD),
        |scene, user, answer, cut| {
            let counts = counts(scene, user.username().unwrap());
            match answer {
                Ok(SignIn::Accepted(_)) => assert_eq!(counts, [0, 0]),
                Err(error) => {
                    expect_lost(&error, cut);
                    // The one before, and this one unless it had not begun or was taken back.
                    let is_cleared = counts == [0, 0];
                    assert!(is_cleared || counts.iter().all(|count| [1, 2].contains(count)));
                }
                _ => panic!("the password is right"),
            }
            expect_right_password_clears(scene, user);
        },
    );
}

/// The fifth failure is the first that brings a wait.
fn a_right_password_that_is_cut_four_times_brings_no_wait<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    for at in 1.. {
        let _run = Run::new(format!("four cuts after message {at} on {:?}", C::ENGINE));
        let user = scene.fresh_user();
        let mut cuts = 0;
        for _ in 0..4 {
            scene.warm_up();
            scene.proxy.set_fault(Fault::Cut { at, place: Place::After });
            match scene.users.authenticate(user.username().unwrap(), PASSWORD) {
                Ok(answer) => assert!(answer.is_accepted()),
                Err(error) => assert!(matches!(error, Error::Database(_)), "{error:?}"),
            }
            cuts += scene.proxy.set_fault(Fault::None).strikes;
        }
        expect_right_password_clears(&mut scene, &user);
        if cuts == 0 {
            assert!(at > 1, "something was sent");
            return;
        }
    }
}

fn a_wrong_password_is_counted_once_at_most<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            let name = user.username().unwrap();
            assert!(!scene.is_password(name, "wrong"));
            user
        },
        |scene, user| scene.users.authenticate(user.username().unwrap(), "also wrong"),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let counts = counts(scene, name);
            match answer {
                Ok(SignIn::Refused(refusal)) => {
                    assert_eq!(refusal.reason_for_audit(), RefusalReason::WrongPassword);
                    assert_eq!(counts, [2, 2]);
                }
                Err(error) => {
                    expect_lost(&error, cut);
                    assert!(counts.iter().all(|count| [1, 2].contains(count)), "{counts:?}");
                }
                _ => panic!("the password is wrong"),
            }
            expect_right_password_clears(scene, user);
        },
    );
}

fn an_unknown_login_is_refused<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    let rows = "SELECT COUNT(*) AS number FROM account_attempts";
    let mut before = 0;
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_name,
        |scene, name| scene.users.authenticate(name, PASSWORD),
        |scene, name, answer, cut| {
            let all = scene.numbers(rows)[0];
            let made = all - before;
            before = all;
            match answer {
                Ok(SignIn::Refused(refusal)) => {
                    assert_eq!(refusal.reason_for_audit(), RefusalReason::UnknownLogin);
                    assert_eq!(made, 2);
                }
                Err(error) => {
                    expect_lost(&error, cut);
                    assert!((0..=2).contains(&made));
                }
                _ => panic!("nobody has the login"),
            }
            assert_eq!(scene.accounts_named(name), 0);
        },
    );
}

fn expect_right_password_clears<C: ProofConnection>(scene: &mut Scene<C>, user: &User) {
    let name = user.username().unwrap();
    assert!(scene.is_password(name, PASSWORD), "nobody waits");
    assert_eq!(counts(scene, name), [0, 0]);
    let generation = scene.direct.user_by_id(user.id()).unwrap().unwrap().session_generation();
    assert_eq!(generation, user.session_generation(), "no session has ended");
}
