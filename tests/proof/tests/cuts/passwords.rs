//! Passwords: the old one or the new one, and everything that belongs to it.

use diesel_accounts::{PasswordChange, RefusalReason, User};
use diesel_accounts_proof::database::ProofConnection;

use crate::on_each_server;
use crate::scene::{PASSWORD, PLACES, Scene, counts, expect_lost};

on_each_server!(
    a_change_is_made_with_all_that_belongs_to_it,
    a_change_with_a_wrong_password_changes_nothing,
    a_password_is_set_with_all_that_belongs_to_it,
    a_password_is_taken_away_with_all_that_belongs_to_it,
    a_change_is_required_with_all_that_belongs_to_it,
);

fn a_change_is_made_with_all_that_belongs_to_it<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        user_with_one_failure,
        |scene, user| scene.users.change_password(user.id(), PASSWORD, NEW_PASSWORD),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let (is_changed, counts) = (generation(scene, user) == 1, counts(scene, name));
            match answer {
                Ok(PasswordChange::Changed(changed)) => {
                    assert!(is_changed);
                    let stored = scene.direct.user_by_id(user.id()).unwrap();
                    assert_eq!(stored.as_ref(), Some(&*changed));
                }
                Err(error) => expect_lost(&error, cut),
                _ => panic!("the password is right"),
            }
            match is_changed {
                true => assert_eq!(counts, [0, 0], "the count belongs to the old password"),
                false => assert!(counts.iter().all(|count| [1, 2].contains(count)), "{counts:?}"),
            }
            expect_password(scene, user, is_changed);
            if !is_changed {
                let again = scene.users.change_password(user.id(), PASSWORD, NEW_PASSWORD).unwrap();
                assert!(again.is_changed());
                expect_password(scene, user, true);
            }
        },
    );
}

fn a_change_with_a_wrong_password_changes_nothing<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        user_with_one_failure,
        |scene, user| scene.users.change_password(user.id(), "also wrong", NEW_PASSWORD),
        |scene, user, answer, cut| {
            let counts = counts(scene, user.username().unwrap());
            match answer {
                Ok(PasswordChange::Refused(refusal)) => {
                    assert_eq!(refusal.reason_for_audit(), RefusalReason::WrongPassword);
                    assert_eq!(counts, [2, 2]);
                }
                Err(error) => {
                    expect_lost(&error, cut);
                    assert!(counts.iter().all(|count| [1, 2].contains(count)), "{counts:?}");
                }
                _ => panic!("the password is wrong"),
            }
            expect_password(scene, user, false);
        },
    );
}

fn a_password_is_set_with_all_that_belongs_to_it<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        user_with_one_failure,
        |scene, user| scene.users.set_password(user.id(), NEW_PASSWORD),
        |scene, user, answer, cut| {
            let is_set = generation(scene, user) == 1;
            match answer {
                Ok(()) => assert!(is_set),
                Err(error) => expect_lost(&error, cut),
            }
            expect_forgotten(scene, user, is_set);
            expect_password(scene, user, is_set);
            scene.users.set_password(user.id(), NEW_PASSWORD).unwrap();
            assert!(scene.is_password(user.username().unwrap(), NEW_PASSWORD));
        },
    );
}

fn a_password_is_taken_away_with_all_that_belongs_to_it<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        user_with_one_failure,
        |scene, user| scene.users.set_unusable_password(user.id()),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let has_none =
                scene.accounts(&format!("username_key = '{name}' AND password_hash IS NULL")) == 1;
            match answer {
                Ok(()) => assert!(has_none),
                Err(error) => expect_lost(&error, cut),
            }
            assert_eq!(generation(scene, user), i64::from(has_none));
            expect_forgotten(scene, user, has_none);
            assert_eq!(scene.is_password(name, PASSWORD), !has_none);
            scene.users.set_unusable_password(user.id()).unwrap();
            assert!(!scene.is_password(name, PASSWORD));
        },
    );
}

fn a_change_is_required_with_all_that_belongs_to_it<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.require_password_change(user.id()),
        |scene, user, answer, cut| {
            let is_required = generation(scene, user) == 1;
            match answer {
                Ok(()) => assert!(is_required),
                Err(error) => expect_lost(&error, cut),
            }
            let stored = scene.direct.user_by_id(user.id()).unwrap().unwrap();
            assert_eq!(stored.must_change_password(), is_required);
            scene.users.require_password_change(user.id()).unwrap();
            assert!(scene.is_password(user.username().unwrap(), PASSWORD));
        },
    );
}

fn user_with_one_failure<C: ProofConnection>(scene: &mut Scene<C>) -> User {
    let user = scene.fresh_user();
    assert!(!scene.is_password(user.username().unwrap(), "wrong"));
    user
}

fn generation<C: ProofConnection>(scene: &Scene<C>, user: &User) -> i64 {
    scene.direct.user_by_id(user.id()).unwrap().unwrap().session_generation()
}

/// A new password begins with no failures; the old one keeps its own.
fn expect_forgotten<C: ProofConnection>(scene: &mut Scene<C>, user: &User, is_new: bool) {
    let counts = counts(scene, user.username().unwrap());
    match is_new {
        true => assert!(counts.is_empty(), "{counts:?}"),
        false => assert_eq!(counts, [1, 1]),
    }
}

/// The right one is accepted, and the other one is not.
fn expect_password<C: ProofConnection>(scene: &Scene<C>, user: &User, is_new: bool) {
    let name = user.username().unwrap();
    assert_eq!(generation(scene, user), i64::from(is_new));
    assert_eq!(scene.is_password(name, NEW_PASSWORD), is_new);
    assert_eq!(scene.is_password(name, PASSWORD), !is_new);
}

const NEW_PASSWORD: &str = "battery staple";
