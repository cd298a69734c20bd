//! How many statements each act sends, and that no connection is held while hashing.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diesel_accounts::{Argon2Cost, Engine, Error, Hashing, UserManager};

use crate::doubles::HeldEngine;
use crate::support::{
    QueryLog, TestConnection, TestDb, alice, bob, cheap_policy, id_of, on_each_engine, pool_of,
};

on_each_engine!(
    creating_a_prepared_user_is_one_statement_if_fresh_and_two_if_not,
    in_a_transaction_only_the_savepoint_is_added,
    a_sequential_duplicate_is_one_statement_and_no_hash,
    a_fresh_creation_is_a_look_up_and_an_insertion,
    each_look_up_and_each_change_is_one_statement_and_one_more_forgets_attempts,
    no_connection_is_held_while_hashing,
    a_pool_of_one_suffices_for_everything,
);

fn creating_a_prepared_user_is_one_statement_if_fresh_and_two_if_not<C: TestConnection>(
    db: TestDb<C>,
) {
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let fresh = db.users.prepare(alice()).unwrap();
    assert!(db.users.on(&mut conn).create_user(&fresh).unwrap().is_created());
    assert_kinds(&log, &["INSERT"]);
    let duplicate = db.users.prepare(alice()).unwrap();
    assert!(!db.users.on(&mut conn).create_user(&duplicate).unwrap().is_created());
    assert_kinds(&log, &["INSERT", "SELECT"]);
}

fn in_a_transaction_only_the_savepoint_is_added<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let fresh = db.users.prepare(alice()).unwrap();
    let duplicate = db.users.prepare(alice()).unwrap();
    let mut sent = Vec::new();
    conn.transaction::<_, Error, _>(|conn| {
        for prepared in [&fresh, &duplicate] {
            log.take_all();
            let _ = db.users.on(conn).create_user(prepared)?;
            let statements = log.take_all().into_iter().filter(|entry| {
                !["begin ", "commit "].iter().any(|event| entry.starts_with(event))
            });
            sent.push(kinds(statements));
        }
        Ok(())
    })
    .unwrap();
    let (fresh, duplicate): (&[&str], &[&str]) = match C::ENGINE {
        Engine::Postgres => {
            (&["SAVEPOINT", "INSERT", "RELEASE"], &["SAVEPOINT", "INSERT", "RELEASE", "SELECT"])
        }
        Engine::Mysql => (&["INSERT"], &["INSERT", "SELECT", "SELECT", "SELECT"]),
        _ => (&["INSERT"], &["INSERT", "SELECT"]),
    };
    assert_eq!(sent, [fresh, duplicate]);
}

fn a_sequential_duplicate_is_one_statement_and_no_hash<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let pool = pool_of::<C>(&db.url, 1);
    // One hash at this cost takes hours.
    let endless = Hashing::new().cost(Argon2Cost::new(8, u32::MAX, 1).unwrap());
    let policy = cheap_policy().hashing(endless).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    let log = QueryLog::of(&mut *pool.get().unwrap());
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || {
        let _ = answer.send(users.create_user(alice()));
    });
    let answer = answered.recv_timeout(Duration::from_secs(60)).expect("an answer without a hash");
    assert!(!answer.unwrap().is_created());
    // The pool may ask each connection for a sign of life.
    let statements = log.take().into_iter().filter(|query| query.contains("account_users"));
    assert_eq!(kinds(statements), ["SELECT"]);
}

fn a_fresh_creation_is_a_look_up_and_an_insertion<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    let log = QueryLog::of(&mut *pool.get().unwrap());
    assert!(users.create_user(alice()).unwrap().is_created());
    let statements = log.take().into_iter().filter(|query| query.contains("account_users"));
    assert_eq!(kinds(statements), ["SELECT", "INSERT"]);
}

fn each_look_up_and_each_change_is_one_statement_and_one_more_forgets_attempts<
    C: TestConnection,
>(
    db: TestDb<C>,
) {
    let id = db.create(alice()).id();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let mut accounts = db.users.on(&mut conn);
    accounts.user_by_id(id).unwrap();
    accounts.user_by_username("alice").unwrap();
    accounts.user_by_email("alice@example.org").unwrap();
    accounts.user_by_login("alice").unwrap();
    accounts.list_users(None, 10).unwrap();
    accounts.users_by_username_prefix("al", None, 10).unwrap();
    accounts.users_by_email_prefix("al", None, 10).unwrap();
    assert_kinds(&log, &["SELECT"; 7]);
    let mut accounts = db.users.on(&mut conn);
    accounts.disable_user(id).unwrap();
    accounts.enable_user(id).unwrap();
    assert_kinds(&log, &["UPDATE", "UPDATE"]);
    // MariaDB is asked whether it has done what it says.
    let forget: &[&str] = match C::ENGINE {
        Engine::Mysql => &["DELETE", "SELECT"],
        _ => &["DELETE"],
    };
    let mut accounts = db.users.on(&mut conn);
    accounts.reserve_user(id).unwrap();
    assert_kinds(&log, &[&["UPDATE"], forget].concat());
    db.users.on(&mut conn).delete_user(id).unwrap();
    assert_kinds(&log, &[&["DELETE"], forget].concat());
}

/// Between the look-up before the hash and the insertion after it, the only connection can be had:
/// the time of the creation is asked for behind the hash, and the answer waits for this thread.
fn no_connection_is_held_while_hashing<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let (engine, hold) = HeldEngine::new();
    let hashing = Hashing::new().cost(Argon2Cost::new(8, 1, 1).unwrap()).engine(engine);
    let policy = cheap_policy().hashing(hashing).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    let log = QueryLog::of(&mut *pool.get().unwrap());
    // The hold is dropped with the closure, so that no thread is held for ever if this one fails.
    thread::scope(move |scope| {
        let creator = scope.spawn(move || users.create_user(alice()));
        hold.wait_for_a_hash();
        let statements = log.take().into_iter().filter(|query| query.contains("account_users"));
        assert_eq!(kinds(statements), ["SELECT"], "the look-up is done and the insertion is not");
        drop(pool.get().expect("the connection was given back"));
        hold.let_go();
        assert!(creator.join().unwrap().unwrap().is_created());
    });
}

fn a_pool_of_one_suffices_for_everything<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with_pool_of(1);
    users.migrate().unwrap();
    assert!(users.check().unwrap().is_sound());
    let id = id_of(&users.create_user(alice()).unwrap());
    assert!(!users.create_user(alice()).unwrap().is_created());
    assert!(users.create_prepared_user(&users.prepare(bob()).unwrap()).unwrap().is_created());
    users.disable_user(id).unwrap();
    users.delete_user(id).unwrap();
    assert_eq!(users.list_users(None, 10).unwrap().len(), 1);
}

/// The first words of the statements.
fn kinds(statements: impl IntoIterator<Item = String>) -> Vec<String> {
    statements
        .into_iter()
        .map(|query| {
            let query = query.trim_start_matches('(');
            query.split_whitespace().next().unwrap_or_default().to_owned()
        })
        .collect()
}

fn assert_kinds(log: &QueryLog, expected: &[&str]) {
    let statements = log.take();
    assert_eq!(kinds(statements.clone()), expected, "{statements:#?}");
}
