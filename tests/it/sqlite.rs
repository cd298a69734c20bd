//! `SqliteSettings`, and the queue of those who write.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool};
use diesel_accounts::{Error, NewUser, SqliteSettings, SqliteSynchronous, UserManager};

use crate::support::{
    LoadNumber, PASSWORD, TestConnection, TestDb, alice, bob, cheap_policy, id_of,
};

#[test]
fn the_defaults_are_those_of_a_service() {
    let file = File::new();
    let mut conn = file.open();
    SqliteSettings::new().apply(&mut conn).unwrap();
    assert_eq!(pragmas(&mut conn), ("wal".to_owned(), 5000, 1, 1, -16_384));
}

#[test]
fn each_setting_is_told() {
    let file = File::new();
    let mut conn = file.open();
    let settings = SqliteSettings::new()
        .busy_timeout(Duration::from_millis(1500))
        .write_ahead_log(false)
        .foreign_keys(false)
        .cache_kib(4096);
    for (synchronous, number) in [
        (SqliteSynchronous::Full, 2),
        (SqliteSynchronous::Extra, 3),
        (SqliteSynchronous::Normal, 2),
    ] {
        settings.synchronous(synchronous).apply(&mut conn).unwrap();
        assert_eq!(pragmas(&mut conn), ("delete".to_owned(), 1500, number, 0, -4096));
    }
    for (wait, milliseconds) in [(Duration::MAX, i64::from(i32::MAX)), (MICROSECOND, 1)] {
        SqliteSettings::new().busy_timeout(wait).apply(&mut conn).unwrap();
        assert_eq!(pragmas(&mut conn).1, milliseconds);
    }
}

/// `NORMAL` is for write-ahead logs: with another journal it could cost the file.
#[test]
fn a_file_without_a_log_is_written_to_the_disk_at_each_commit() {
    let file = File::new();
    let mut conn = file.open();
    SqliteSettings::new().write_ahead_log(false).apply(&mut conn).unwrap();
    let (journal, _, synchronous, ..) = pragmas(&mut conn);
    assert_eq!((&*journal, synchronous), ("delete", 2));
    // And where the file can have none.
    let url = format!("file:{}?vfs=unix-dotfile", file.0);
    let mut conn = SqliteConnection::establish(&url).unwrap();
    SqliteSettings::new().apply(&mut conn).unwrap();
    let (journal, _, synchronous, ..) = pragmas(&mut conn);
    assert_eq!((&*journal, synchronous), ("delete", 2));
    // In memory there is nothing to lose.
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    SqliteSettings::new().apply(&mut conn).unwrap();
    let (journal, _, synchronous, ..) = pragmas(&mut conn);
    assert_eq!((&*journal, synchronous), ("memory", 1));
}

#[test]
fn a_file_that_many_open_at_once_gets_its_log_and_nobody_hears_that_it_is_locked() {
    for _ in 0..10 {
        let (file, start) = (File::new(), Barrier::new(16));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    start.wait();
                    let mut conn = file.open();
                    SqliteSettings::new().apply(&mut conn).unwrap();
                    assert_eq!(pragmas(&mut conn).0, "wal");
                });
            }
        });
    }
}

#[test]
fn a_file_that_stays_locked_is_told_after_the_time_out() {
    let file = File::new();
    let mut holder = file.open();
    holder.batch_execute("BEGIN EXCLUSIVE").unwrap();
    let mut conn = file.open();
    let settings = SqliteSettings::new().busy_timeout(Duration::from_millis(50));
    let error = settings.apply(&mut conn).unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    holder.batch_execute("ROLLBACK").unwrap();
    settings.apply(&mut conn).unwrap();
    assert_eq!(pragmas(&mut conn).0, "wal");
}

/// SQLite itself makes nobody wait here: whoever meets another one would hear that it is locked.
#[test]
fn of_64_threads_that_write_none_ever_meets_another() {
    let db = TestDb::<SqliteConnection>::new();
    let locked = Arc::new(AtomicUsize::new(0));
    let users = without_waiting(&db, SqliteSynchronous::Full, &locked);
    let clients = users.in_realm(users.realm());
    let bob = id_of(&users.create_user(bob()).unwrap());
    let start = Barrier::new(64);
    thread::scope(|scope| {
        for number in 0..64 {
            let (users, start) = (if number % 2 == 0 { &users } else { &clients }, &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..8 {
                    let name = format!("user-{number}-{turn}");
                    let person = NewUser::new(&*name, format!("{name}@example.org"), PASSWORD);
                    assert!(users.create_user(person).unwrap().is_created());
                    match number % 4 {
                        0 => assert!(users.authenticate(&name, PASSWORD).unwrap().is_accepted()),
                        1 => users.disable_user(bob).unwrap(),
                        2 => users.set_password(bob, PASSWORD).unwrap(),
                        _ => drop(users.forget_old_attempts(10).unwrap()),
                    }
                }
            });
        }
    });
    assert_eq!(db.count(), 64 * 8 + 1);
    assert_eq!(locked.load(Ordering::Relaxed), 0, "so many statements found the file locked");
}

/// What the test above counts is there to be counted.
#[test]
fn whoever_meets_another_process_is_counted_and_tries_again() {
    let db = TestDb::<SqliteConnection>::new();
    let locked = Arc::new(AtomicUsize::new(0));
    let users = without_waiting(&db, SqliteSynchronous::Full, &locked);
    let mut holder = db.connect();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let creation = scope.spawn(|| users.create_user(alice()));
        while locked.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        holder.batch_execute("ROLLBACK").unwrap();
        assert!(creation.join().unwrap().unwrap().is_created());
    });
}

#[test]
fn whoever_waits_for_a_turn_holds_no_connection_and_hears_busy_in_the_end() {
    let db = TestDb::<SqliteConnection>::new();
    let alice = db.create(alice());
    let pool = Pool::builder().max_size(3).build(ConnectionManager::new(&*db.url)).unwrap();
    let policy = cheap_policy().deadline(Duration::from_millis(500)).build().unwrap();
    let users = UserManager::<SqliteConnection>::with_policy(pool.clone(), policy);
    let mut holder = db.connect();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = users.disable_user(alice.id());
                answers.lock().unwrap().push(answer);
            });
        }
        // One of them waits in the database, with the one connection that is in use.
        while answers.lock().unwrap().len() < 8 {
            assert!(pool.state().connections - pool.state().idle_connections <= 2);
            assert!(users.user_by_id(alice.id()).unwrap().is_some());
            thread::sleep(Duration::from_millis(5));
        }
    });
    holder.batch_execute("ROLLBACK").unwrap();
    for answer in answers.into_inner().unwrap() {
        assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    }
    users.disable_user(alice.id()).unwrap();
}

/// A file that nobody has told anything yet.
struct File(String);

impl File {
    fn new() -> Self {
        Self(SqliteConnection::fresh_database())
    }

    fn open(&self) -> SqliteConnection {
        SqliteConnection::establish(&self.0).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        SqliteConnection::drop_database(&self.0);
    }
}

/// A manager whose connections never wait for another one's lock, and count how often they would
/// have had to.
fn without_waiting(
    db: &TestDb<SqliteConnection>,
    synchronous: SqliteSynchronous,
    locked: &Arc<AtomicUsize>,
) -> UserManager<SqliteConnection> {
    let settings = SqliteSettings::new().synchronous(synchronous);
    // The log is made while waiting is allowed.
    settings.apply(&mut SqliteConnection::establish(&db.url).unwrap()).unwrap();
    let counted = Counted {
        settings: settings.busy_timeout(Duration::ZERO).write_ahead_log(false),
        locked: Arc::clone(locked),
    };
    let pool = Pool::builder()
        .max_size(8)
        .connection_customizer(Box::new(counted))
        .build(ConnectionManager::new(&*db.url))
        .unwrap();
    let policy = cheap_policy().deadline(Duration::from_secs(120));
    UserManager::with_policy(pool, policy.build().unwrap())
}

#[derive(Debug)]
struct Counted {
    settings: SqliteSettings,
    locked: Arc<AtomicUsize>,
}

impl CustomizeConnection<SqliteConnection, R2d2Error> for Counted {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), R2d2Error> {
        self.settings.on_acquire(conn)?;
        let locked = Arc::clone(&self.locked);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::FinishQuery { error: Some(error), .. } = event {
                if error.to_string().contains("locked") {
                    locked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(())
    }
}

/// The journal, the time-out, `synchronous`, `foreign_keys` and the cache.
fn pragmas(conn: &mut SqliteConnection) -> (String, i64, i64, i64, i64) {
    #[derive(QueryableByName)]
    struct Mode {
        #[diesel(sql_type = diesel::sql_types::Text)]
        journal_mode: String,
    }
    let mode: Mode =
        diesel::sql_query("SELECT journal_mode FROM pragma_journal_mode").get_result(conn).unwrap();
    let mut number =
        |name: &str, column: &str| conn.number(&format!("SELECT {column} AS number FROM {name}"));
    (
        mode.journal_mode,
        number("pragma_busy_timeout", "timeout"),
        number("pragma_synchronous", "synchronous"),
        number("pragma_foreign_keys", "foreign_keys"),
        number("pragma_cache_size", "cache_size"),
    )
}

const MICROSECOND: Duration = Duration::from_micros(1);
