//! What an act that fails leaves as it was.

use diesel_accounts::{Error, PasswordChange, RealmId, RefusalReason, UserManager};

use crate::support::{PASSWORD, TestConnection, TestDb, alice, assert_matches, on_each_engine};

on_each_engine!(
    an_act_in_another_realm_forgets_no_wrong_password,
    a_change_of_the_password_that_comes_too_late_forgets_no_wrong_password,
    an_account_is_deleted_together_with_its_wrong_passwords_or_not,
);

fn an_act_in_another_realm_forgets_no_wrong_password<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    fail_to_sign_in(&db.users);
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    assert_matches!(elsewhere.delete_user(id), Err(Error::UserNotFound));
    assert_matches!(elsewhere.reserve_user(id), Err(Error::UserNotFound));
    assert_matches!(elsewhere.set_password(id, "battery staple"), Err(Error::UserNotFound));
    assert_matches!(elsewhere.set_unusable_password(id), Err(Error::UserNotFound));
    assert_eq!(db.users.failed_attempts(id).unwrap().count(), 1);
    assert!(db.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
}

fn a_change_of_the_password_that_comes_too_late_forgets_no_wrong_password<C: TestConnection>(
    db: TestDb<C>,
) {
    let id = db.create(alice()).id();
    let mut conn = db.connect();
    let begun = db.users.on(&mut conn).begin_password_change(id, "battery staple").unwrap();
    let verified = db.users.policy().verify_password_change(begun, PASSWORD);
    db.users.set_password(id, "other horse").unwrap();
    fail_to_sign_in(&db.users);
    let late = db.users.on(&mut conn).finish_password_change(verified).unwrap();
    let refusal = assert_matches!(late, PasswordChange::Refused(refusal) => refusal);
    assert_eq!(refusal.reason_for_audit(), RefusalReason::Superseded);
    assert_eq!(db.users.failed_attempts(id).unwrap().count(), 1);
}

fn an_account_is_deleted_together_with_its_wrong_passwords_or_not<C: TestConnection>(
    db: TestDb<C>,
) {
    let before = db.create(alice());
    let mut conn = db.connect();
    conn.batch_execute("ALTER TABLE account_attempts RENAME TO elsewhere").unwrap();
    assert_matches!(db.users.delete_user(before.id()), Err(Error::Database(_)));
    assert_matches!(db.users.reserve_user(before.id()), Err(Error::Database(_)));
    assert_matches!(db.users.set_password(before.id(), "battery staple"), Err(Error::Database(_)));
    assert_eq!(db.users.user_by_id(before.id()).unwrap(), Some(before));
}

fn fail_to_sign_in<C: TestConnection>(users: &UserManager<C>) {
    assert!(!users.authenticate("alice", "wrong horse").unwrap().is_accepted());
}
