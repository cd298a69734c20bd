//! What only MariaDB and MySQL can do wrong.

use std::time::Duration;

use diesel::MysqlConnection;
use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_accounts::{
    Accounts, Engine, Error, SchemaFailure, SchemaProblem, UserManager, migrations,
};

use super::{assert_sound, has_table, ledger_entries, problems, versions};
use crate::support::{LoadNumber, TestDb, alice, assert_matches, cheap_policy, server_url};

#[test]
fn a_migration_that_was_cut_short_is_completed() {
    let statements: Vec<_> = migrations(Engine::Mysql)
        .iter()
        .flat_map(|migration| migration.sql().split(";\n"))
        .filter(|statement| !statement.trim().is_empty())
        .collect();
    for done in 1..=statements.len() {
        let db = TestDb::<MysqlConnection>::empty();
        db.connect().batch_execute(&statements[..done].join(";\n")).unwrap();
        assert_eq!(has_table(&db, "account_users"), done >= 2);
        db.users.migrate().unwrap();
        assert_sound(&db.users.check().unwrap());
        assert_eq!(ledger_entries(&db), versions::<MysqlConnection>());
        db.create(alice());
    }
}

#[test]
fn migrating_in_a_session_that_does_not_commit_is_committed() {
    let db = TestDb::<MysqlConnection>::empty();
    let mut conn = db.connect();
    conn.batch_execute("SET SESSION autocommit = 0").unwrap();
    db.users.on(&mut conn).migrate().unwrap();
    assert_sound(&db.users.check().unwrap());
    assert_eq!(ledger_entries(&db), versions::<MysqlConnection>());
}

#[test]
fn a_connection_without_a_database_is_told() {
    let url = server_url("ACCOUNTS_TEST_MYSQL_URL").replace("/accounts?", "/?");
    let mut conn = MysqlConnection::establish(&url).unwrap();
    let policy = cheap_policy().build().unwrap();
    let migrated = Accounts::new(&policy, &mut conn).migrate();
    assert_matches!(migrated, Err(Error::Schema(SchemaFailure::NoDatabase)));
}

#[test]
fn a_failed_migration_leaves_no_transaction_open_with_autocommit_off() {
    let db = TestDb::<MysqlConnection>::empty();
    let mut conn = db.connect();
    conn.batch_execute("CREATE TABLE account_users (id INT); SET SESSION autocommit = 0").unwrap();
    for _ in 0..2 {
        let refused = db.users.on(&mut conn).migrate();
        assert_matches!(refused, Err(Error::Schema(SchemaFailure::ForeignTable)));
    }
}

#[test]
fn a_session_that_is_not_strict_is_found() {
    assert_session("SET SESSION sql_mode = ''", SchemaProblem::NotStrict, "sql_mode");
}

#[test]
fn a_session_that_does_not_commit_is_found() {
    let off = "SET SESSION autocommit = 0";
    assert_session(off, SchemaProblem::AutocommitOff, "autocommit");
}

#[test]
fn a_session_that_reads_what_is_not_committed_is_found() {
    let level = "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED";
    assert_session(level, SchemaProblem::ReadUncommitted, "transaction_isolation");
}

fn assert_session(statement: &str, problem: SchemaProblem, subject: &str) {
    let db = TestDb::<MysqlConnection>::new();
    let mut conn = db.connect();
    assert_sound(&db.users.on(&mut conn).check().unwrap());
    conn.batch_execute(statement).unwrap();
    let report = db.users.on(&mut conn).check().unwrap();
    assert_eq!(problems(&report), [(problem, subject)]);
    assert!(!report.is_sound());
}

/// What it leaves behind, others would meet: its patience, and the lock that keeps them from
/// migrating.
#[test]
fn a_connection_on_which_a_migration_could_not_clean_up_is_not_used_again() {
    let db = TestDb::<MysqlConnection>::empty();
    let users = whose_connection_is_killed_at(&db, "RELEASE_LOCK");
    users.migrate().unwrap();
    assert!(users.user_by_username("alice").unwrap().is_none());
}

/// Nor one that does not know whether it has the lock.
#[test]
fn a_connection_lost_while_a_migration_asks_for_its_lock_is_not_used_again() {
    let db = TestDb::<MysqlConnection>::empty();
    let users = whose_connection_is_killed_at(&db, "SELECT CAST(GET_LOCK");
    assert_matches!(users.migrate(), Err(Error::Database(_)));
    users.migrate().unwrap();
}

/// Whose only connection is killed before a statement of a kind, and then not tried by the pool.
fn whose_connection_is_killed_at(
    db: &TestDb<MysqlConnection>,
    statement: &'static str,
) -> UserManager<MysqlConnection> {
    let pool = Pool::builder()
        .max_size(1)
        .test_on_check_out(false)
        .build(ConnectionManager::<MysqlConnection>::new(&db.url))
        .unwrap();
    let mut conn = pool.get().unwrap();
    let id = conn.number("SELECT CAST(CONNECTION_ID() AS SIGNED) AS number");
    let mut killer = db.connect();
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let InstrumentationEvent::StartQuery { query, .. } = event else { return };
        if query.to_string().contains(statement) {
            let _ = killer.batch_execute(&format!("KILL {id}"));
        }
    });
    drop(conn);
    UserManager::with_policy(pool, db.users.policy().clone())
}

/// MariaDB answers a wait for a named lock that is stopped with NULL, as if there were no database.
#[test]
fn a_migration_that_waits_for_another_is_busy_whatever_time_its_statements_have() {
    let db = TestDb::<MysqlConnection>::empty();
    let mut other = db.connect();
    other.batch_execute("DO GET_LOCK(CONCAT('diesel-accounts ', MD5(DATABASE())), 0)").unwrap();
    let mut conn = db.connect();
    conn.batch_execute("SET SESSION max_statement_time = 0.1").unwrap();
    let users = db.users_with(cheap_policy().deadline(Duration::from_millis(300)));
    assert_matches!(users.on(&mut conn).migrate(), Err(Error::Busy));
    drop(other);
    db.users.migrate().unwrap();
}
