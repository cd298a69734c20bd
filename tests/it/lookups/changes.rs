//! What changes of an account do to those who look for it.

use diesel_accounts::{Error, NewUser, RealmId, TakenReason, UserId, UserState};

use crate::support::{
    PASSWORD, TestConnection, TestDb, alice, assert_matches, bob, on_each_engine,
};

on_each_engine!(
    a_disabled_user_is_found_and_its_sessions_end,
    a_reserved_user_is_found_nowhere_and_holds_its_names,
    a_deleted_user_sets_its_names_free,
    nobody_can_be_changed_who_is_not_there,
);

fn a_disabled_user_is_found_and_its_sessions_end<C: TestConnection>(db: TestDb<C>) {
    let active = db.create(alice());
    let other = db.create(bob());
    assert_eq!((active.state(), active.session_generation()), (UserState::Active, 0));
    db.users.disable_user(active.id()).unwrap();
    let disabled = db.users.user_by_username("alice").unwrap().unwrap();
    assert_eq!((disabled.id(), disabled.state()), (active.id(), UserState::Disabled));
    assert!(!disabled.is_active());
    assert_eq!(disabled.session_generation(), 1);
    assert!(disabled.updated_at() >= active.updated_at());
    assert_eq!(disabled.created_at(), active.created_at());
    assert_eq!(db.users.list_users(None, 9).unwrap(), [disabled, other.clone()]);

    db.users.disable_user(active.id()).unwrap();
    db.users.enable_user(active.id()).unwrap();
    db.users.enable_user(active.id()).unwrap();
    let enabled = db.users.user_by_email("alice@example.org").unwrap().unwrap();
    assert_eq!((enabled.id(), enabled.state()), (active.id(), UserState::Active));
    // What ended stays ended.
    assert!(enabled.session_generation() >= 1);
    assert_eq!(enabled.username(), active.username());
    assert_eq!(enabled.password_changed_at(), active.password_changed_at());
    assert_eq!(db.users.user_by_id(other.id()).unwrap(), Some(other));
}

fn a_reserved_user_is_found_nowhere_and_holds_its_names<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let other = db.create(bob());
    db.users.reserve_user(id).unwrap();
    assert_eq!(db.users.user_by_id(id).unwrap(), None);
    assert_eq!(db.users.user_by_username("alice").unwrap(), None);
    assert_eq!(db.users.user_by_email("alice@example.org").unwrap(), None);
    assert_eq!(db.users.user_by_login("alice").unwrap(), None);
    assert_eq!(db.users.users_by_username_prefix("a", None, 9).unwrap(), []);
    assert_eq!(db.users.users_by_email_prefix("a", None, 9).unwrap(), []);
    assert_eq!(db.users.list_users(None, 9).unwrap(), [other]);
    let erased = "SELECT COUNT(*) AS number FROM account_users \
                  WHERE state = 2 AND username IS NULL AND email IS NULL \
                  AND password_hash IS NULL AND password_changed_at IS NULL \
                  AND username_key = 'alice' AND email_key = 'alice@example.org'";
    assert_eq!(db.connect().number(erased), 1);
    for act in [db.users.reserve_user(id), db.users.enable_user(id), db.users.disable_user(id)] {
        assert_matches!(act, Err(Error::UserNotFound));
    }
    let by_name = NewUser::new("ALICE", "new@example.org", PASSWORD);
    let by_email = NewUser::new("new", "Alice@Example.org", PASSWORD);
    for (new_user, held) in [(by_name, (Some(id), None)), (by_email, (None, Some(id)))] {
        let refused = db.users.create_user(new_user);
        let taken = assert_matches!(refused, Err(Error::Taken(taken)) => taken);
        assert_eq!((taken.username_holder(), taken.email_holder()), held);
        assert_eq!(taken.reason(), TakenReason::Reserved);
    }
    db.users.delete_user(id).unwrap();
    let again = db.create(alice());
    assert_ne!(again.id(), id);
}

fn a_deleted_user_sets_its_names_free<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let other = db.create(bob());
    db.users.delete_user(id).unwrap();
    assert_eq!(db.users.user_by_id(id).unwrap(), None);
    assert_eq!(db.users.user_by_login("alice").unwrap(), None);
    assert_eq!(db.count(), 1);
    let again = db.create(NewUser::new("ALICE", "ALICE@example.org", PASSWORD));
    assert_ne!(again.id(), id);
    assert_eq!(again.session_generation(), 0);
    assert_eq!(db.users.user_by_id(other.id()).unwrap(), Some(other));
}

fn nobody_can_be_changed_who_is_not_there<C: TestConnection>(db: TestDb<C>) {
    let user = db.create(alice());
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    for (users, id) in [(&db.users, UserId::new()), (&elsewhere, user.id())] {
        for act in [
            users.enable_user(id),
            users.disable_user(id),
            users.reserve_user(id),
            users.delete_user(id),
        ] {
            assert_matches!(act, Err(Error::UserNotFound));
        }
    }
    assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user));
}
