//! What MariaDB does with statements that a time-out or `KILL QUERY` stops, and what we make of it.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use diesel::MysqlConnection;
use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel_accounts::{Error, NewUser};
use diesel_accounts_proof::database::{Database, ProofConnection};

/// MariaDB answers a `DELETE` that a time-out or `KILL QUERY` stops with success and no rows, about
/// once in three times: only a look at the row tells.
#[test]
fn a_deletion_that_mariadb_stops_does_not_say_that_nobody_is_there() {
    let database = Database::<MysqlConnection>::new();
    let users = database.users(1);
    let mut conn = limited(&database, "0.0001");
    let (mut id, mut stopped) = (users.create_user(alice()).unwrap().created().unwrap().id(), 0);
    for _ in 0..300 {
        match users.on(&mut conn).delete_user(id) {
            Ok(()) => id = users.create_user(alice()).unwrap().created().unwrap().id(),
            Err(Error::UserNotFound) => {
                let there = users.user_by_id(id).unwrap();
                assert!(there.is_none(), "after {stopped} others that were stopped");
                id = users.create_user(alice()).unwrap().created().unwrap().id();
            }
            Err(_) => {
                stopped += 1;
                conn = limited(&database, "0.0001");
            }
        }
    }
    assert!(stopped > 0, "none was stopped: there is nothing to be seen");
}

/// Else whoever gets a new password, or the names of somebody who was deleted, waits for what
/// others did.
#[test]
fn a_deletion_that_mariadb_stops_leaves_no_wrong_passwords_behind() {
    let database = Database::<MysqlConnection>::new();
    let users = database.users(1);
    let id = users.create_user(alice()).unwrap().created().unwrap().id();
    let (mut admin, mut done, mut stopped) = (database.connect(), 0, 0);
    for round in 0..400 {
        admin
            .batch_execute(
                "DELETE FROM account_attempts; \
                 INSERT INTO account_attempts \
                     (subject, client, failures, in_a_row, blocked_until, last_at) \
                 SELECT id, UNHEX(SYS_GUID()), 1, 1, 0, 0 FROM account_users, seq_1_to_300",
            )
            .unwrap();
        // From before the deletion begins to when it is done.
        let delay = Duration::from_micros(round % 40 * 25);
        let (mut conn, _) = where_one_kind_is_stopped(&database, "DELETE", delay);
        match users.on(&mut conn).set_unusable_password(id) {
            Ok(()) => {
                let left = "SELECT COUNT(*) AS number FROM account_attempts";
                let left = admin.numbers(left).unwrap();
                assert_eq!(left, [0], "after {stopped} others that were stopped");
                done += 1;
            }
            Err(_) => stopped += 1,
        }
    }
    assert!(stopped > 0 && done > 0, "{stopped} were stopped, {done} done: nothing can be seen");
}

/// It cannot know whether it has the lock, which ends with the session: it gives the session up. (Of 47
/// that were stopped none had it.)
#[test]
fn a_migration_that_mariadb_stops_while_it_asks_for_its_lock_is_busy() {
    a_migration_that_is_stopped_at("SELECT CAST(GET_LOCK", Duration::from_micros(5));
}

#[test]
fn a_migration_that_mariadb_stops_while_it_commits_is_busy() {
    a_migration_that_is_stopped_at("COMMIT", Duration::from_micros(2));
}

/// Is busy, too, if a later statement was stopped. Tried until some were, which takes hundreds of
/// tries each, with delays of so many steps.
fn a_migration_that_is_stopped_at(beginning: &'static str, step: Duration) {
    let database = Database::<MysqlConnection>::new();
    let users = database.users(1);
    let (mut done, mut stopped) = (0, 0);
    for round in 0..20_000 {
        let (mut conn, failed) = where_one_kind_is_stopped(&database, beginning, round % 40 * step);
        match users.on(&mut conn).migrate() {
            Ok(()) => done += 1,
            Err(Error::Busy) => stopped += u32::from(failed.load(Ordering::Relaxed)),
            Err(error) => panic!("{error:?} after {stopped} others that were stopped"),
        }
        if stopped > 3 {
            break;
        }
    }
    assert!(stopped > 0 && done > 0, "{stopped} were stopped, {done} done: nothing can be seen");
    users.migrate().unwrap();
}

/// A session whose statements of one kind, known by how they begin, `KILL QUERY` stops, a while
/// after they are sent; and whether one failed.
fn where_one_kind_is_stopped(
    database: &Database<MysqlConnection>,
    beginning: &'static str,
    delay: Duration,
) -> (MysqlConnection, Arc<AtomicBool>) {
    let (mut conn, mut killer) = (database.connect(), database.connect());
    // A statement that was stopped may never be answered.
    conn.batch_execute("SET wait_timeout = 1").unwrap();
    let session = conn.numbers("SELECT CAST(CONNECTION_ID() AS SIGNED) AS number").unwrap()[0];
    let (sent, is_sent) = channel();
    thread::spawn(move || {
        // It ends with the session, at the latest.
        while is_sent.recv().is_ok() {
            let at = Instant::now() + delay;
            while Instant::now() < at {
                hint::spin_loop();
            }
            // The session may be gone.
            let _ = killer.batch_execute(&format!("KILL QUERY {session}"));
        }
    });
    let failed = Arc::new(AtomicBool::new(false));
    let has_failed = Arc::clone(&failed);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::StartQuery { query, .. }
            if query.to_string().starts_with(beginning) =>
        {
            sent.send(()).unwrap();
        }
        InstrumentationEvent::FinishQuery { query, error: Some(_), .. }
            if query.to_string().starts_with(beginning) =>
        {
            has_failed.store(true, Ordering::Relaxed);
        }
        _ => {}
    });
    (conn, failed)
}

/// A session whose statements are stopped after some seconds.
fn limited(database: &Database<MysqlConnection>, seconds: &str) -> MysqlConnection {
    let mut conn = database.connect();
    // A statement that was stopped may never be answered.
    let limits = format!("SET max_statement_time = {seconds}, wait_timeout = 1");
    conn.batch_execute(&limits).unwrap();
    conn
}

fn alice() -> NewUser {
    NewUser::new("alice", "alice@example.org", "correct horse")
}
