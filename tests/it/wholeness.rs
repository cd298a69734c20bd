//! What an act that fails leaves as it was.

use diesel_accounts::{
    Accounts, Engine, Error, PasswordChange, RealmId, RefusalReason, UserManager,
};

use crate::support::{PASSWORD, TestConnection, TestDb, alice, assert_matches, on_each_engine};

on_each_engine!(
    an_act_in_another_realm_forgets_no_wrong_password,
    a_change_of_the_password_that_comes_too_late_forgets_no_wrong_password,
    an_account_is_deleted_together_with_its_wrong_passwords_or_not,
    a_change_that_is_half_done_in_a_transaction_says_to_roll_back,
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

/// Where there are no savepoints, the first of two statements stays when the second is refused.
fn a_change_that_is_half_done_in_a_transaction_says_to_roll_back<C: TestConnection>(db: TestDb<C>) {
    let user = db.create(alice());
    fail_to_sign_in(&db.users);
    let mut conn = db.connect();
    conn.batch_execute("CREATE TABLE refusals (number INT NOT NULL)").unwrap();
    conn.batch_execute(match C::ENGINE {
        Engine::Mysql => {
            "CREATE TRIGGER refuse BEFORE DELETE ON account_attempts FOR EACH ROW \
             INSERT INTO refusals VALUES (NULL)"
        }
        Engine::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO refusals VALUES (NULL); RETURN OLD; END $$; \
             CREATE TRIGGER refuse BEFORE DELETE ON account_attempts \
             FOR EACH ROW EXECUTE FUNCTION refuse()"
        }
        _ => {
            "CREATE TRIGGER refuse BEFORE DELETE ON account_attempts BEGIN \
             INSERT INTO refusals VALUES (NULL); END"
        }
    })
    .unwrap();
    let password = db.users.policy().prepare_password(&user, "battery staple").unwrap();
    let changes: [Change<'_, C>; 4] = [
        &|mut accounts| accounts.delete_user(user.id()),
        &|mut accounts| accounts.reserve_user(user.id()),
        &|mut accounts| accounts.set_password(user.id(), &password),
        &|mut accounts| accounts.set_unusable_password(user.id()),
    ];
    for change in changes {
        let answer = conn.transaction(|conn| change(db.users.on(conn)));
        match C::ENGINE {
            Engine::Postgres => assert_matches!(answer, Err(Error::Database(_))),
            _ => assert_matches!(answer, Err(Error::HostMustRollBack(Some(_)))),
        }
        // Whoever goes on after the former has changed nothing.
        let went_on = conn.transaction(|conn| {
            let answer = change(db.users.on(conn));
            match answer {
                Err(Error::Database(_)) => Ok(()),
                answer => answer,
            }
        });
        assert_eq!(went_on.is_ok(), C::ENGINE == Engine::Postgres);
        assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user.clone()));
    }
    // What is done by the library alone is undone by it.
    assert_matches!(db.users.delete_user(user.id()), Err(Error::Database(_)));
    assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user));
}

type Change<'c, C> = &'c dyn Fn(Accounts<'_, C>) -> Result<(), Error>;

fn fail_to_sign_in<C: TestConnection>(users: &UserManager<C>) {
    assert!(!users.authenticate("alice", "wrong horse").unwrap().is_accepted());
}
