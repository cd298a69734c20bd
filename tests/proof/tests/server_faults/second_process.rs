//! A SQLite database that another process writes to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use diesel_accounts::{Accounts, Creation, Error};
use diesel_accounts_proof::database::{Database, ProofConnection, policy};
use diesel_accounts_proof::host::{host_rows, in_transaction, insert_host_row, make_host_table};
use diesel_accounts_proof::statements::before_each_statement;
use diesel_accounts_proof::wait::wait_until;

use crate::support::{assert_matches, count_of, person};

#[test]
fn a_lock_of_another_process_is_busy_and_nothing_is_created() {
    let database = Database::<SqliteConnection>::new();
    let impatient = policy().deadline(Duration::from_millis(200)).build().unwrap();
    let bob = impatient.prepare(person("bob")).unwrap();
    let mut conn = impatient_connection(&database);
    let writer = Writer::creating(&database, "alice");
    let answer = Accounts::new(&impatient, &mut conn).create_user(&bob);
    assert_matches!(answer, Err(Error::Busy));
    writer.end("rollback");
    assert_eq!((count_of(&database, "alice"), count_of(&database, "bob")), (0, 0));
    assert!(Accounts::new(&impatient, &mut conn).create_user(&bob).unwrap().is_created());
}

#[test]
fn a_lock_of_another_process_is_waited_for_until_it_commits() {
    let database = Database::<SqliteConnection>::new();
    assert!(waits_until(&database, "bob", |writer| writer.end("commit")).is_created());
    assert_eq!((count_of(&database, "alice"), count_of(&database, "bob")), (1, 1));
}

#[test]
fn an_account_of_another_process_exists_as_soon_as_it_commits() {
    let database = Database::<SqliteConnection>::new();
    assert!(!waits_until(&database, "alice", |writer| writer.end("commit")).is_created());
    assert_eq!(count_of(&database, "alice"), 1);
}

#[test]
fn an_account_that_another_process_takes_back_is_free() {
    let database = Database::<SqliteConnection>::new();
    assert!(waits_until(&database, "alice", |writer| writer.end("rollback")).is_created());
    assert_eq!(count_of(&database, "alice"), 1);
}

#[test]
fn a_lock_of_another_process_ends_when_it_is_killed() {
    let database = Database::<SqliteConnection>::new();
    assert!(waits_until(&database, "alice", Writer::kill).is_created());
    assert_eq!(count_of(&database, "alice"), 1);
}

/// What it has read is of yesterday (SQLITE_BUSY_SNAPSHOT), and waiting would not help.
#[test]
fn a_host_that_has_read_before_another_process_wrote_must_run_again() {
    let database = Database::<SqliteConnection>::new();
    make_host_table(&database);
    let policy = policy().build().unwrap();
    let mut conn = database.connect();
    // Somebody else is created meanwhile, or the very person.
    for (number, (meanwhile, wanted)) in [("alice", "bob"), ("carol", "carol")].iter().enumerate() {
        let prepared = policy.prepare(person(wanted)).unwrap();
        let mut run = |is_first: bool| {
            in_transaction(&mut conn, "DEFERRED", |conn| {
                conn.numbers("SELECT COUNT(*) AS number FROM account_users")?;
                if is_first {
                    Writer::creating(&database, meanwhile).end("commit");
                }
                let creation = Accounts::new(&policy, conn).create_user(&prepared)?;
                insert_host_row(conn)?;
                Ok(creation)
            })
        };
        assert_matches!(run(true), Err(Error::HostMustRollBack(Some(_))));
        assert_eq!(run(false).unwrap().is_created(), meanwhile != wanted);
        assert_eq!(count_of(&database, wanted), 1);
        assert_eq!(host_rows(&database), i64::try_from(number + 1).unwrap());
    }
}

/// What a creation comes to that waits for another process, which is then ended.
fn waits_until(
    database: &Database<SqliteConnection>,
    name: &str,
    end: impl FnOnce(Writer),
) -> Creation {
    let policy = policy().build().unwrap();
    let prepared = policy.prepare(person(name)).unwrap();
    let mut conn = impatient_connection(database);
    let insertions = Arc::new(AtomicU32::new(0));
    let counter = insertions.clone();
    before_each_statement(&mut conn, move |query| {
        counter.fetch_add(u32::from(query.starts_with("INSERT")), Ordering::Relaxed);
    });
    let writer = Writer::creating(database, "alice");
    thread::scope(|scope| {
        let creating = scope.spawn(|| Accounts::new(&policy, &mut conn).create_user(&prepared));
        wait_until("it was refused", || insertions.load(Ordering::Relaxed) > 1);
        assert!(!creating.is_finished());
        end(writer);
        creating.join().unwrap().unwrap()
    })
}

fn impatient_connection(database: &Database<SqliteConnection>) -> SqliteConnection {
    let mut conn = database.connect();
    conn.batch_execute("PRAGMA busy_timeout = 10").unwrap();
    conn
}

/// Another process with an open transaction.
struct Writer {
    process: Child,
    input: ChildStdin,
}

impl Writer {
    fn creating(database: &Database<SqliteConnection>, username: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_writer"))
            .args([database.url(), username])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut word).unwrap();
        assert_eq!(word, "created\n");
        Self { input: process.stdin.take().unwrap(), process }
    }

    fn end(mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
        assert!(self.process.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
