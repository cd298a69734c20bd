//! Changes of state, and deletions: the account is as before, or as it is to be.

use diesel_accounts::{Error, NewUser, Result, UserId, UserManager};
use diesel_accounts_proof::acts::{Act, NEW, OLD, email_of, id_of, person};
use diesel_accounts_proof::workload::Connection;

use super::{Scene, UNTOUCHED};
use crate::support::{assert_matches, on_each_engine};

on_each_engine!(
    a_person_whose_disabling_dies_anywhere_is_disabled_or_not,
    a_person_whose_enabling_dies_anywhere_is_enabled_or_not,
    a_person_whose_deletion_dies_anywhere_is_gone_or_as_before,
    a_person_who_is_reserved_by_one_that_dies_anywhere_is_so_or_as_before,
);

fn a_person_whose_disabling_dies_anywhere_is_disabled_or_not<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| scene.make_with_failures(name, 2);
    let look = |name: &str, _: &_| {
        let was_made = scene.is_so(name, DISABLED);
        assert_ne!(was_made, scene.is_so(name, UNTOUCHED), "one without the other");
        assert_eq!(scene.counts(name), [2, 2]);
        assert_eq!(scene.accepts(name, OLD), !was_made);
        scene.act(Act::Disable, name);
        assert!(!scene.accepts(name, OLD));
        scene.act(Act::Enable, name);
        assert!(scene.accepts(name, OLD));
        was_made
    };
    assert!(scene.die_everywhere(Act::Disable, given, look) > 0);
}

fn a_person_whose_enabling_dies_anywhere_is_enabled_or_not<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| {
        scene.make_with_failures(name, 2);
        scene.users.disable_user(id_of(name)).unwrap();
    };
    let look = |name: &str, _: &_| {
        let was_made = scene.is_so(name, "state = 0 AND session_generation = 1");
        assert_ne!(was_made, scene.is_so(name, DISABLED), "one without the other");
        assert_eq!(scene.counts(name), [2, 2]);
        assert_eq!(scene.accepts(name, OLD), was_made);
        scene.act(Act::Enable, name);
        assert!(scene.accepts(name, OLD));
        assert!(scene.is_so(name, "state = 0 AND session_generation = 1"), "no session has ended");
        was_made
    };
    assert!(scene.die_everywhere(Act::Enable, given, look) > 0);
}

fn a_person_whose_deletion_dies_anywhere_is_gone_or_as_before<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| scene.make_with_failures(name, 2);
    let look = |name: &str, _: &_| {
        let was_made = !scene.is_so(name, "1 = 1");
        expect_gone_or_as_before(&scene, name, was_made);
        expect_done_once(&scene, name, was_made, UserManager::delete_user);
        assert!(!scene.is_so(name, "1 = 1") && scene.counts(name).is_empty());
        assert!(scene.users.create_user(person(name)).unwrap().is_created());
        assert!(scene.accepts(name, OLD) && !scene.accepts(name, NEW));
        assert_eq!(scene.counts(name), [1, 1]);
        was_made
    };
    assert!(scene.die_everywhere(Act::Delete, given, look) > 3);
}

fn a_person_who_is_reserved_by_one_that_dies_anywhere_is_so_or_as_before<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| scene.make_with_failures(name, 2);
    let look = |name: &str, _: &_| {
        let was_made = scene.is_so(name, RESERVED);
        expect_gone_or_as_before(&scene, name, was_made);
        expect_done_once(&scene, name, was_made, UserManager::reserve_user);
        assert!(scene.is_so(name, RESERVED) && scene.counts(name).is_empty());
        let another = NewUser::new(name, email_of(name), OLD);
        assert_matches!(scene.users.create_user(another), Err(Error::Taken(_)));
        was_made
    };
    assert!(scene.die_everywhere(Act::Reserve, given, look) > 3);
}

/// Nobody finds the account, and no attempt is left of it; or all is as it was.
fn expect_gone_or_as_before<C: Connection>(scene: &Scene<C>, name: &str, is_gone: bool) {
    assert_ne!(is_gone, scene.is_so(name, UNTOUCHED), "neither the one nor the other");
    assert_eq!(scene.counts(name), if is_gone { &[][..] } else { &[2, 2] });
    assert_eq!(scene.users.user_by_id(id_of(name)).unwrap().is_none(), is_gone);
    assert_eq!(scene.users.user_by_email(&email_of(name)).unwrap().is_none(), is_gone);
    assert_eq!(scene.accepts(name, OLD), !is_gone);
}

/// There is nobody left to do it to again.
fn expect_done_once<C: Connection>(
    scene: &Scene<C>,
    name: &str,
    was_made: bool,
    act: fn(&UserManager<C>, UserId) -> Result<()>,
) {
    match act(&scene.users, id_of(name)) {
        Ok(()) => assert!(!was_made),
        Err(error) => assert!(was_made && matches!(error, Error::UserNotFound), "{error:?}"),
    }
}

const DISABLED: &str = "state = 1 AND session_generation = 1 AND password_hash LIKE '%m=8,%' \
    AND username IS NOT NULL AND email IS NOT NULL AND last_sign_in_at IS NULL";

const RESERVED: &str = "state = 2 AND session_generation = 1 AND password_hash IS NULL \
    AND username IS NULL AND email IS NULL AND username_key IS NOT NULL AND email_key IS NOT NULL";
