//! What only PostgreSQL can do wrong.

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_accounts::{Error, Identifiers, NewUser, SchemaProblem};

use super::{has_table, problems};
use crate::support::{
    PASSWORD, TestDb, assert_matches, cheap_policy, postgres_url_of, server_url, unique_name,
};

#[test]
fn a_database_of_another_encoding_is_found() {
    let name = unique_name();
    PgConnection::establish(&server_url("ACCOUNTS_TEST_POSTGRES_URL"))
        .unwrap()
        .batch_execute(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        ))
        .unwrap();
    let db = TestDb::<PgConnection>::at(postgres_url_of(&name));
    db.users.migrate().unwrap();
    let report = db.users.check().unwrap();
    assert_eq!(problems(&report), [(SchemaProblem::NotUnicode, "server_encoding")]);
    assert!(!report.is_sound());
}

/// With `NULLS NOT DISTINCT` only one account of a realm can go without a username.
#[test]
fn an_index_that_takes_absent_names_for_equal_is_found() {
    let db = TestDb::<PgConnection>::new();
    db.connect()
        .batch_execute(
            "DROP INDEX account_users_username_key; CREATE UNIQUE INDEX i \
             ON account_users (realm, username_key) NULLS NOT DISTINCT",
        )
        .unwrap();
    let users = db.users_with(cheap_policy().identifiers(Identifiers::EmailRequired));
    let first = users.create_user(NewUser::with_email("a@example.org", PASSWORD));
    assert!(first.unwrap().is_created());
    users.create_user(NewUser::with_email("b@example.org", PASSWORD)).unwrap_err();
    assert!(!db.users.check().unwrap().is_sound());
}

#[test]
fn migrating_does_not_depend_on_the_isolation_that_the_host_defaults_to() {
    let db = TestDb::<PgConnection>::empty();
    let mut conn = db.connect();
    conn.batch_execute("SET default_transaction_isolation = 'serializable'").unwrap();
    db.users.on(&mut conn).migrate().unwrap();
    assert!(db.users.check().unwrap().findings().is_empty());
}

#[test]
fn a_session_that_must_not_write_does_not_but_finds_nothing_to_do() {
    let db = TestDb::<PgConnection>::empty();
    let mut conn = db.connect();
    conn.batch_execute("SET default_transaction_read_only = on").unwrap();
    assert_matches!(db.users.on(&mut conn).migrate(), Err(Error::Database(_)));
    assert!(!has_table(&db, "account_users") && !has_table(&db, "account_migrations"));
    db.users.migrate().unwrap();
    db.users.on(&mut conn).migrate().unwrap();
}
