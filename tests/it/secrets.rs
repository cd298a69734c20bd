//! No password, no hash and no text of a driver in anything that can reach a log.

use std::error::Error as StdError;

use diesel_accounts::{Creation, Error, NewUser, Password};

use crate::support::{
    QueryLog, TestConnection, TestDb, assert_matches, debug_of, on_each_engine, texts_of,
};

on_each_engine!(
    no_secret_is_in_the_query_log,
    no_secret_and_nothing_personal_is_in_any_error,
    nothing_personal_is_in_the_debug_of_any_value,
    debug_tells_what_is_at_fault_and_whose_rules_hold,
);

/// Words that stand nowhere else.
const PASSWORD: &str = "canary-password-4711";
const USERNAME: &str = "canary-name-4711";
const EMAIL: &str = "canary-mail-4711@example.org";

fn no_secret_is_in_the_query_log<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let prepared = db.users.prepare(canary()).unwrap();
    assert!(db.users.on(&mut conn).create_user(&prepared).unwrap().is_created());
    assert!(!db.users.on(&mut conn).create_user(&prepared).unwrap().is_created());
    let again = conn.transaction(|conn| db.users.on(conn).create_user(&prepared));
    assert!(!again.unwrap().is_created());
    let mut accounts = db.users.on(&mut conn);
    accounts.user_by_login(EMAIL).unwrap();
    accounts.disable_user(prepared.id()).unwrap();
    accounts.reserve_user(prepared.id()).unwrap();
    let log = log.take().join("\n");
    // What is searched for can be found: the log does hold the other bound values.
    assert!(log.contains(USERNAME) && log.contains("INSERT"), "{log}");
    assert_no_secret(&log);
}

fn no_secret_and_nothing_personal_is_in_any_error<C: TestConnection>(db: TestDb<C>) {
    let mut errors = Vec::new();
    db.create(canary());
    let other = NewUser::new("other", "other@example.org", PASSWORD);
    db.create(other);
    // Taken by two, invalid, id reused.
    let both = || NewUser::new(USERNAME, "other@example.org", PASSWORD);
    errors.push(db.users.create_user(both()).unwrap_err());
    errors
        .push(db.users.create_user(NewUser::new("canary name 4711", EMAIL, PASSWORD)).unwrap_err());
    let id = db.users.user_by_username(USERNAME).unwrap().unwrap().id();
    errors.push(db.users.create_user(both().with_id(id)).unwrap_err());
    // A driver that quotes the row, or the values of the key.
    let mut conn = db.connect();
    let copy = "INSERT INTO account_users SELECT * FROM account_users";
    errors.push(Error::from(conn.batch_execute(copy).unwrap_err()));
    let prepared =
        db.users.prepare(NewUser::new("canary-name-4711-b", "b@example.org", PASSWORD)).unwrap();
    let nulls = "INSERT INTO account_users (id, username, email, created_at, updated_at) \
                 SELECT id, username, 'canary-mail-4711', NULL, NULL FROM account_users";
    errors.push(Error::from(conn.batch_execute(nulls).unwrap_err()));
    // Missing table, in and out of a transaction.
    conn.batch_execute("DROP TABLE account_users").unwrap();
    errors.push(db.users.create_prepared_user(&prepared).unwrap_err());
    errors.push(db.users.user_by_username(USERNAME).unwrap_err());
    errors.push(conn.transaction(|conn| db.users.on(conn).create_user(&prepared)).unwrap_err());
    // A pool without a server.
    errors.push(TestDb::<C>::unreachable().create_user(canary()).unwrap_err());
    for error in &errors {
        let texts = texts_of(error);
        assert_no_secret(&texts);
        assert!(!texts.contains("canary"), "{texts}");
        assert!(error.source().is_none(), "{texts}");
    }
    // The cause is there for whoever asks for it.
    let failure = assert_matches!(&errors[3], Error::Database(failure) => failure);
    assert!(!failure.diesel_error().to_string().is_empty());
}

fn nothing_personal_is_in_the_debug_of_any_value<C: TestConnection>(db: TestDb<C>) {
    let prepared = db.users.prepare(canary()).unwrap();
    let created = db.users.create_prepared_user(&prepared).unwrap();
    let existing = db.users.create_user(canary()).unwrap();
    assert_matches!(existing, Creation::Existing(_));
    let mut conn = db.connect();
    for text in [
        debug_of(&canary()),
        debug_of(&prepared),
        debug_of(&created),
        debug_of(&existing),
        debug_of(&Password::from(PASSWORD)),
        debug_of(&db.users),
        debug_of(&db.users.on(&mut conn)),
        debug_of(&db.users.list_users(None, 10).unwrap()),
    ] {
        assert!(!text.is_empty() && !text.contains("canary"), "{text}");
        assert_no_secret(&text);
    }
}

fn canary() -> NewUser {
    NewUser::new(USERNAME, EMAIL, PASSWORD)
}

fn assert_no_secret(text: &str) {
    assert!(!text.contains("canary-password") && !text.contains("argon2id$"), "{text}");
}

fn debug_tells_what_is_at_fault_and_whose_rules_hold<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let accounts = format!("{:?}", db.users.on(&mut conn));
    assert!(accounts.starts_with("Accounts { policy: Policy"), "{accounts}");
    let users = format!("{:?}", db.users);
    assert!(users.starts_with("UserManager { policy: Policy"), "{users}");
    let refused = db.users.create_user(NewUser::new("a b", "alice@example.org", PASSWORD));
    let invalid = assert_matches!(refused, Err(Error::Invalid(invalid)) => invalid);
    assert_eq!(format!("{invalid:?}"), format!("{:?}", invalid.errors()));
    assert!(format!("{invalid:?}").starts_with("[FieldError { field: Username"), "{invalid:?}");
}
