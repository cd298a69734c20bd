//! Imports that meet locks.

use std::time::Duration;

use diesel::connection::{InstrumentationEvent, TransactionManager};
use diesel_accounts::{Accounts, Engine, Error, ImportOutcome, NewUser, Policy, UserManager};

use super::together::prepared;
use super::{import_policy, importing, told};
use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, assert_matches, impatient, on_each_engine,
};

on_each_engine!(
    whoever_has_to_wait_for_too_long_spoils_it_for_nobody_else,
    a_lock_that_is_let_go_in_time_costs_a_wait,
    after_trouble_in_a_transaction_nothing_more_is_sent,
);

fn whoever_has_to_wait_for_too_long_spoils_it_for_nobody_else<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch = prepared(&users, 0..3);
    let _holder = holder_of_user1(&db, &users);
    let mut conn = db.connect();
    impatient(&mut conn);
    let policy = policy_until(Duration::from_millis(300));
    let outcomes = Accounts::new(&policy, &mut conn).import_users(&batch).unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        // SQLite has one lock for all.
        match C::ENGINE == Engine::Sqlite || number == 1 {
            true => assert_matches!(outcome, ImportOutcome::Failed(Error::Busy)),
            false => assert_eq!(told(outcome), "created"),
        }
    }
    assert_eq!(db.count(), if C::ENGINE == Engine::Sqlite { 0 } else { 2 });
}

/// Two of whom the first waits for as long as it may, and all others together for as long again.
#[cfg(feature = "sqlite")]
#[test]
fn whoever_comes_after_a_wait_in_vain_is_not_tried_for_ever() {
    let db = TestDb::<diesel::SqliteConnection>::new();
    let users = importing(&db);
    let batch = prepared(&users, 0..200);
    let _holder = holder_of_user1(&db, &users);
    let mut conn = db.connect();
    impatient(&mut conn);
    let log = QueryLog::of(&mut conn);
    let policy = policy_until(Duration::from_millis(100));
    let outcomes = Accounts::new(&policy, &mut conn).import_users(&batch).unwrap();
    for outcome in &outcomes {
        assert_matches!(outcome, ImportOutcome::Failed(Error::Busy));
    }
    // Each is looked for; the first are in the statement that had to wait, and are tried.
    let sent = log.take();
    let tries_of = |name: &str| sent.iter().filter(|sent| sent.contains(name)).count();
    assert_eq!(tries_of("user199@"), 1);
    assert!(tries_of("user0@") > 2);
    assert!(tries_of("user1@") > 2);
}

/// The statement for all meets it, and then a statement for one.
fn a_lock_that_is_let_go_in_time_costs_a_wait<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch = prepared(&users, 1..4);
    let mut holder = Some(holder_of_user1(&db, &users));
    let mut conn = db.connect();
    impatient(&mut conn);
    let mut insertions = 0;
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let InstrumentationEvent::StartQuery { query, .. } = event else { return };
        insertions += u32::from(query.to_string().starts_with("INSERT"));
        if let Some(mut holder) = holder.take_if(|_| insertions == 3) {
            C::TransactionManager::rollback_transaction(&mut holder).unwrap();
        }
    });
    let policy = policy_until(Duration::from_secs(60));
    let outcomes = Accounts::new(&policy, &mut conn).import_users(&batch).unwrap();
    assert!(outcomes.iter().all(|outcome| told(outcome) == "created"), "{outcomes:?}");
    assert_eq!(db.count(), 3);
}

fn after_trouble_in_a_transaction_nothing_more_is_sent<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch = prepared(&users, 0..3);
    let _holder = holder_of_user1(&db, &users);
    let mut conn = db.connect();
    impatient(&mut conn);
    let log = QueryLog::of(&mut conn);
    let answer = conn.transaction(|conn| {
        log.take();
        users.on(conn).import_users(&batch)
    });
    assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    let sent = log.take();
    assert_eq!(sent.iter().filter(|sent| sent.starts_with("INSERT")).count(), 1, "{sent:?}");
    assert_eq!(db.count(), 0);
}

/// A connection in whose transaction somebody is created who has a name of the import's.
fn holder_of_user1<C: TestConnection>(db: &TestDb<C>, users: &UserManager<C>) -> C {
    let mut holder = db.connect();
    C::TransactionManager::begin_transaction(&mut holder).unwrap();
    let other = users.prepare(NewUser::new("user1", "else@example.org", PASSWORD)).unwrap();
    assert!(users.on(&mut holder).create_user(&other).unwrap().is_created());
    holder
}

fn policy_until(deadline: Duration) -> Policy {
    import_policy().deadline(deadline).build().unwrap()
}
