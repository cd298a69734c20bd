//! What MariaDB does with statements that a time-out or `KILL QUERY` stops, and what we make of it.

use std::hint;
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
        let mut conn = whose_deletion_is_stopped(&database, delay);
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

/// A session whose deletions `KILL QUERY` stops, a while after they are sent.
fn whose_deletion_is_stopped(
    database: &Database<MysqlConnection>,
    delay: Duration,
) -> MysqlConnection {
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
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event
            && query.to_string().starts_with("DELETE")
        {
            sent.send(()).unwrap();
        }
    });
    conn
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
