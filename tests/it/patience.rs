//! What acts beside creations do about locks, and about look-ups that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::{InstrumentationEvent, TransactionManager};
use diesel_accounts::{Accounts, Error, Timestamp, UserId, UserManager, UserState};

use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, before_statement,
    cheap_policy, impatient, on_each_engine, pool_of,
};

on_each_engine!(
    a_change_that_meets_a_lock_is_busy,
    a_change_waits_for_a_lock_that_is_let_go_in_time,
    a_deletion_waits_for_a_lock_that_is_let_go_in_time,
    a_look_up_that_fails_leaves_the_decision_to_the_insertion,
    a_look_up_that_fails_in_a_transaction_ends_it,
    an_attempt_that_is_being_counted_is_of_now,
);

fn a_change_that_meets_a_lock_is_busy<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let _holder = holder_of(&db, id);
    let mut conn = db.connect();
    impatient(&mut conn);
    let policy = cheap_policy().deadline(Duration::from_millis(100)).build().unwrap();
    let mut accounts = Accounts::new(&policy, &mut conn);
    assert_matches!(accounts.enable_user(id), Err(Error::Busy));
    assert_matches!(accounts.delete_user(id), Err(Error::Busy));
}

fn a_change_waits_for_a_lock_that_is_let_go_in_time<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let mut conn = let_go_in_time(&db, id, "UPDATE");
    db.users.on(&mut conn).disable_user(id).unwrap();
    let there = db.users.user_by_id(id).unwrap().unwrap();
    assert_eq!(there.state(), UserState::Disabled);
}

fn a_deletion_waits_for_a_lock_that_is_let_go_in_time<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let mut conn = let_go_in_time(&db, id, "DELETE");
    db.users.on(&mut conn).delete_user(id).unwrap();
    assert_eq!(db.count(), 0);
}

/// And the connection, which was not lost, stays in the pool.
fn a_look_up_that_fails_leaves_the_decision_to_the_insertion<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    db.connect().batch_execute("ALTER TABLE account_users RENAME TO elsewhere").unwrap();
    pool.get().unwrap().batch_execute("CREATE TEMPORARY TABLE witness (number INT)").unwrap();
    assert_matches!(users.create_user(alice()), Err(Error::NotCreated(_)));
    let witnesses = "SELECT COUNT(*) AS number FROM witness";
    assert_eq!(pool.get().unwrap().number(witnesses), 0, "it is the same connection");
}

/// Whatever was written after it would be written on its own.
fn a_look_up_that_fails_in_a_transaction_ends_it<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    db.connect().batch_execute("ALTER TABLE account_users RENAME TO elsewhere").unwrap();
    let log = {
        let mut conn = pool.get().unwrap();
        conn.begin_test_transaction().unwrap();
        QueryLog::of(&mut *conn)
    };
    // The pool takes a connection back that has a transaction of a test's open.
    assert_matches!(users.create_user(alice()), Err(Error::HostMustRollBack(Some(_))));
    assert_eq!((log.count_of("SELECT") > 0, log.count_of("INSERT")), (true, 0));
}

/// So that it is forgotten in time, whatever happens to whoever is counting.
fn an_attempt_that_is_being_counted_is_of_now<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let mut conn = db.connect();
    let mut other = db.connect();
    let looked = Arc::new(AtomicBool::new(false));
    let has_looked = looked.clone();
    before_statement(&mut conn, "UPDATE", move || {
        looked.store(true, Ordering::Relaxed);
        let latest = other.number("SELECT MAX(last_at) AS number FROM account_attempts");
        let now = Timestamp::now().as_micros();
        assert!((latest - now).abs() < 3_600_000_000, "{latest} is not about {now}");
    });
    let mut accounts = db.users.on(&mut conn);
    let attempt = accounts.begin_sign_in("alice").unwrap();
    let verified = db.users.policy().verify(attempt, PASSWORD);
    assert!(accounts.finish_sign_in(verified).unwrap().is_accepted());
    assert!(has_looked.load(Ordering::Relaxed));
}

/// A connection that does not wait for locks, of which there is one on an account until a statement
/// is sent for the second time.
fn let_go_in_time<C: TestConnection>(db: &TestDb<C>, id: UserId, statement: &'static str) -> C {
    let mut holder = Some(holder_of(db, id));
    let mut conn = db.connect();
    impatient(&mut conn);
    let mut sent = 0;
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let InstrumentationEvent::StartQuery { query, .. } = event else { return };
        sent += u32::from(query.to_string().starts_with(statement));
        if let Some(mut holder) = holder.take_if(|_| sent == 2) {
            C::TransactionManager::rollback_transaction(&mut holder).unwrap();
        }
    });
    conn
}

/// A connection in whose transaction an account was changed.
fn holder_of<C: TestConnection>(db: &TestDb<C>, id: UserId) -> C {
    let mut holder = db.connect();
    C::TransactionManager::begin_transaction(&mut holder).unwrap();
    db.users.on(&mut holder).disable_user(id).unwrap();
    holder
}
