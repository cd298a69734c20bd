//! Creations: exactly one account, and an answer that is true.

use std::collections::BTreeSet;

use diesel_accounts::{
    Accounts, Creation, Error, Existing, Matched, NewUser, PreparedUser, TakenReason, User,
};
use diesel_accounts_proof::database::ProofConnection;

use crate::on_each_server;
use crate::scene::{Cut, PASSWORD, PLACES, Scene, email_of, new_user};

on_each_server!(
    a_creation_on_the_pool_is_created,
    a_creation_on_a_cold_pool_is_created,
    a_prepared_creation_is_created_once_however_often_it_is_sent,
    a_duplicate_on_the_pool_is_existing,
    a_name_taken_by_two_is_taken,
    a_creation_on_a_lent_connection_is_created_or_undetermined,
    a_duplicate_on_a_lent_connection_is_existing_or_undetermined,
);

fn a_creation_on_the_pool_is_created<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_name,
        |scene, name| scene.users.create_user(new_user(name)),
        |scene, name, answer, _| {
            let Ok(Creation::Created(user)) = answer else { panic!("it is not created") };
            expect_created(scene, name, &user);
        },
    );
}

/// The connection is made during the creation, and cut then.
fn a_creation_on_a_cold_pool_is_created<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_name,
        |scene, name| scene.cold_users().create_user(new_user(name)),
        |scene, name, answer, _| {
            let Ok(Creation::Created(user)) = answer else { panic!("it is not created") };
            expect_created(scene, name, &user);
        },
    );
}

fn a_prepared_creation_is_created_once_however_often_it_is_sent<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let name = scene.fresh_name();
            (scene.users.prepare(new_user(&name)).unwrap(), name)
        },
        |scene, (prepared, _)| {
            let first = scene.users.create_prepared_user(prepared);
            (first, scene.users.create_prepared_user(prepared))
        },
        |scene, (prepared, name), (first, second), _| {
            let Ok(Creation::Created(user)) = first else { panic!("it is not created") };
            assert_eq!(user.id(), prepared.id());
            let Ok(Creation::Existing(existing)) = second else { panic!("it does not exist") };
            assert!(existing.is_same_creation());
            assert_eq!(existing.user_id(), user.id());
            expect_created(scene, name, &user);
        },
    );
}

fn a_duplicate_on_the_pool_is_existing<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.create_user(new_user(user.username().unwrap())),
        |scene, user, answer, _| {
            let Ok(Creation::Existing(existing)) = answer else { panic!("it does not exist") };
            expect_existing(scene, user, &existing);
        },
    );
    // Without the look-up that comes first.
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            (scene.users.prepare(new_user(user.username().unwrap())).unwrap(), user)
        },
        |scene, (prepared, _)| scene.users.create_prepared_user(prepared),
        |scene, (prepared, user), answer, cut| {
            let answer = or_asked_again(scene, prepared, answer, cut);
            let Ok(Creation::Existing(existing)) = answer else { panic!("it does not exist") };
            expect_existing(scene, user, &existing);
        },
    );
}

fn a_name_taken_by_two_is_taken<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let (first, second) = (scene.fresh_user(), scene.fresh_user());
            let email = second.email().unwrap();
            let both = NewUser::new(first.username().unwrap(), email, PASSWORD);
            (scene.users.prepare(both).unwrap(), first, second)
        },
        |scene, (both, ..)| scene.users.create_prepared_user(both),
        |scene, (both, first, second), answer, cut| {
            let answer = or_asked_again(scene, both, answer, cut);
            let Err(Error::Taken(taken)) = answer else { panic!("it is not taken") };
            assert_eq!(taken.reason(), TakenReason::ByTwoAccounts);
            let holders = (taken.username_holder(), taken.email_holder());
            assert_eq!(holders, (Some(first.id()), Some(second.id())));
            assert_eq!(scene.direct.user_by_id(both.id()).unwrap(), None);
        },
    );
}

/// Whoever is in the way settles nothing as long as an insertion of the same call is unanswered.
fn or_asked_again<C: ProofConnection>(
    scene: &Scene<C>,
    prepared: &PreparedUser,
    answer: diesel_accounts::Result<Creation>,
    cut: Cut,
) -> diesel_accounts::Result<Creation> {
    match answer {
        Err(Error::Undetermined { id, .. }) if cut.has_happened => {
            assert_eq!(id, prepared.id());
            scene.direct.create_prepared_user(prepared)
        }
        answer => answer,
    }
}

fn a_creation_on_a_lent_connection_is_created_or_undetermined<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    let mut undetermined = BTreeSet::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let name = scene.fresh_name();
            (scene.connect(), scene.users.prepare(new_user(&name)).unwrap(), name)
        },
        |scene, (conn, prepared, _)| Accounts::new(scene.policy(), conn).create_user(prepared),
        |scene, (_, prepared, name), answer, cut| {
            let user = match answer {
                Ok(Creation::Created(user)) => user,
                Err(Error::Undetermined { id, .. }) if cut.has_happened => {
                    assert_eq!(id, prepared.id());
                    let was_there = scene.accounts_named(name) == 1;
                    undetermined.insert(was_there);
                    match scene.direct.create_prepared_user(prepared).unwrap() {
                        Creation::Created(user) if !was_there => user,
                        Creation::Existing(existing) if existing.is_same_creation() => {
                            existing.into_unauthenticated_user()
                        }
                        other => panic!("it was there: {was_there}; and then {other:?}"),
                    }
                }
                _ => panic!("it is neither created nor undetermined"),
            };
            assert_eq!(user.id(), prepared.id());
            expect_created(scene, name, &user);
        },
    );
    assert_eq!(undetermined.len(), 2, "both were behind it: a row, and none");
}

fn a_duplicate_on_a_lent_connection_is_existing_or_undetermined<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            let again = scene.users.prepare(new_user(user.username().unwrap())).unwrap();
            (scene.connect(), again, user)
        },
        |scene, (conn, prepared, _)| Accounts::new(scene.policy(), conn).create_user(prepared),
        |scene, (_, prepared, user), answer, cut| match answer {
            Ok(Creation::Existing(existing)) => expect_existing(scene, user, &existing),
            Err(Error::Undetermined { .. }) if cut.has_happened => {
                let again = scene.direct.create_prepared_user(prepared);
                let Ok(Creation::Existing(existing)) = again else { panic!("{again:?}") };
                expect_existing(scene, user, &existing);
            }
            _ => panic!("it is neither existing nor undetermined"),
        },
    );
}

/// There is one account, as it was asked for, and as it was told.
fn expect_created<C: ProofConnection>(scene: &mut Scene<C>, name: &str, user: &User) {
    assert_eq!(scene.accounts_named(name), 1);
    assert_eq!(scene.accounts(&format!("email_key = '{}'", email_of(name))), 1);
    let stored = scene.direct.user_by_username(name).unwrap();
    assert_eq!(stored.as_ref(), Some(user));
    assert_eq!(user.username(), Some(name));
    assert_eq!(user.email(), Some(email_of(name).as_str()));
    assert!(user.is_active() && user.session_generation() == 0);
    assert!(scene.is_password(name, PASSWORD));
}

/// There is one account still, the one that was there.
fn expect_existing<C: ProofConnection>(scene: &mut Scene<C>, user: &User, existing: &Existing) {
    assert_eq!(existing.user_id(), user.id());
    assert_eq!(existing.matched(), Matched::Both);
    assert!(!existing.is_same_creation());
    assert_eq!(scene.accounts_named(user.username().unwrap()), 1);
    assert_eq!(scene.direct.user_by_id(user.id()).unwrap().as_ref(), Some(user));
}
