//! A database of its own for each test, reached through `diesel-async`.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::BigInt;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::{
    AccountConnection, Accounts, Argon2Cost, Creation, Hashing, NewUser, Policy, PolicyBuilder,
    PreparedUser, UserId,
};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncMysqlConnection, AsyncPgConnection};

mod servers;

use self::servers::{fresh_mysql_database, fresh_postgres_schema, unique_name};

pub(crate) type MysqlHost = AsyncConnectionWrapper<AsyncMysqlConnection>;
pub(crate) type PostgresHost = AsyncConnectionWrapper<AsyncPgConnection>;
pub(crate) type SqliteHost = AsyncConnectionWrapper<SyncConnectionWrapper<SqliteConnection>>;

/// The account that an answer tells of, whoever made it.
pub(crate) fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}

/// An asynchronous connection as a host hands it to us.
pub(crate) trait HostConnection: AccountConnection + Send + 'static {
    /// Diesel's own connection to the same database: what watches from outside.
    type Plain: AccountConnection + Number;

    /// The URLs of a new database: for us and for [`HostConnection::Plain`].
    fn fresh_database() -> (String, String);

    /// Removes what `fresh_database` made, where it stays behind.
    fn drop_database(_url: &str) {}

    /// The statements that make a new connection fit for tests.
    const SETTINGS: &'static str;

    /// The statement that makes a connection give up waiting for a lock as soon as it can.
    const LIMIT_LOCK_WAITS: &'static str;

    fn limit_lock_waits(&mut self) {
        self.batch_execute(Self::LIMIT_LOCK_WAITS).unwrap();
    }
}

/// A connection to a server that can end a session of another.
pub(crate) trait Server: HostConnection {
    /// The number of the session on the server.
    fn session(&mut self) -> i64;

    /// The statement that ends a session.
    fn end_session(session: i64) -> String;

    /// The query that counts the sessions of this number.
    fn count_sessions(session: i64) -> String;

    /// The query that counts the sessions of this number that execute an insertion.
    fn count_inserting(session: i64) -> String;

    /// The query that counts the sessions of this number that wait for a table.
    fn count_waiting_for_a_table(session: i64) -> String;

    /// The statements that keep everybody else from reading a table, until the session ends.
    fn lock_table(table: &str) -> String;
}

/// A database with our schema in it, and a table of the host's.
pub(crate) struct TestDb<C: HostConnection> {
    pub(crate) url: String,
    pub(crate) policy: Policy,
    plain_url: String,
    connection: PhantomData<fn() -> C>,
}

impl<C: HostConnection> TestDb<C> {
    pub(crate) fn new() -> Self {
        let (url, plain_url) = C::fresh_database();
        let db = Self {
            url,
            policy: cheap_policy().build().unwrap(),
            plain_url,
            connection: PhantomData,
        };
        let mut conn = db.connect();
        Accounts::new(&db.policy, &mut conn).migrate().unwrap();
        conn.batch_execute("CREATE TABLE profiles (number BIGINT NOT NULL)").unwrap();
        db
    }

    pub(crate) fn connect(&self) -> C {
        let mut conn = C::establish(&self.url).unwrap();
        conn.batch_execute(C::SETTINGS).unwrap();
        conn
    }

    pub(crate) fn prepare(&self, name: &str) -> PreparedUser {
        self.policy.prepare(new_user(name)).unwrap()
    }

    /// The rows of a table, as another connection sees them.
    pub(crate) fn count(&self, table: &str) -> i64 {
        self.plain().number(&format!("SELECT COUNT(*) AS number FROM {table}"))
    }

    /// Does something while an open transaction has created a user, and then rolls that back.
    pub(crate) fn while_somebody_creates(&self, user: &PreparedUser, act: impl FnOnce()) {
        let rolled_back = self.plain().transaction(|conn| {
            let creation = Accounts::new(&self.policy, conn).create_user(user);
            assert!(creation.unwrap().is_created());
            act();
            Err::<(), _>(DieselError::RollbackTransaction)
        });
        assert_eq!(rolled_back, Err(DieselError::RollbackTransaction));
    }

    fn plain(&self) -> C::Plain {
        let mut conn = C::Plain::establish(&self.plain_url).unwrap();
        conn.batch_execute(C::SETTINGS).unwrap();
        conn
    }
}

impl<C: Server> TestDb<C> {
    /// Ends a session, and returns when it is gone.
    pub(crate) fn end_session(&self, session: i64) {
        let mut conn = self.plain();
        conn.batch_execute(&C::end_session(session)).unwrap();
        while conn.number(&C::count_sessions(session)) > 0 {
            thread::yield_now();
        }
    }

    /// Returns when a session executes an insertion; what does it must not be over before.
    pub(crate) fn wait_until_inserting(&self, session: i64, is_over: impl Fn() -> bool) {
        self.wait_until_any(&C::count_inserting(session), is_over);
    }

    /// Returns when a session waits for a table; what does it must not be over before.
    pub(crate) fn wait_until_waiting_for_a_table(&self, session: i64, is_over: impl Fn() -> bool) {
        self.wait_until_any(&C::count_waiting_for_a_table(session), is_over);
    }

    fn wait_until_any(&self, count: &str, is_over: impl Fn() -> bool) {
        let mut conn = self.plain();
        while conn.number(count) == 0 {
            assert!(!is_over(), "it did not wait");
            thread::yield_now();
        }
    }

    /// Does something while nobody else can read a table.
    pub(crate) fn while_nobody_can_read(&self, table: &str, act: impl FnOnce()) {
        let mut conn = self.plain();
        conn.batch_execute(&C::lock_table(table)).unwrap();
        act();
    }
}

impl<C: HostConnection> Drop for TestDb<C> {
    fn drop(&mut self) {
        C::drop_database(&self.url);
    }
}

impl HostConnection for MysqlHost {
    type Plain = MysqlConnection;

    const SETTINGS: &'static str = "SET SESSION lock_wait_timeout = 60";
    const LIMIT_LOCK_WAITS: &'static str = "SET SESSION innodb_lock_wait_timeout = 1";

    /// The parameter for the socket has another name in each client.
    fn fresh_database() -> (String, String) {
        let plain = fresh_mysql_database();
        (plain.replace("unix_socket=", "socket="), plain)
    }
}

impl Server for MysqlHost {
    fn session(&mut self) -> i64 {
        self.number("SELECT CAST(CONNECTION_ID() AS SIGNED) AS number")
    }

    fn end_session(session: i64) -> String {
        format!("KILL CONNECTION {session}")
    }

    fn count_sessions(session: i64) -> String {
        format!(
            "SELECT COUNT(*) AS number FROM information_schema.processlist WHERE id = {session}"
        )
    }

    fn count_inserting(session: i64) -> String {
        format!("{} AND info LIKE 'INSERT INTO%'", Self::count_sessions(session))
    }

    fn count_waiting_for_a_table(session: i64) -> String {
        format!("{} AND state LIKE 'Waiting for table%'", Self::count_sessions(session))
    }

    fn lock_table(table: &str) -> String {
        format!("LOCK TABLES {table} WRITE")
    }
}

impl HostConnection for PostgresHost {
    type Plain = PgConnection;

    const SETTINGS: &'static str = "SET statement_timeout = '60s'";
    const LIMIT_LOCK_WAITS: &'static str = "SET lock_timeout = '20ms'";

    fn fresh_database() -> (String, String) {
        let url = fresh_postgres_schema();
        (url.clone(), url)
    }
}

impl Server for PostgresHost {
    fn session(&mut self) -> i64 {
        self.number("SELECT pg_backend_pid()::bigint AS number")
    }

    fn end_session(session: i64) -> String {
        format!("SELECT pg_terminate_backend({session})")
    }

    fn count_sessions(session: i64) -> String {
        format!("SELECT COUNT(*) AS number FROM pg_stat_activity WHERE pid = {session}")
    }

    fn count_inserting(session: i64) -> String {
        format!("{} AND wait_event_type = 'Lock'", Self::count_sessions(session))
    }

    fn count_waiting_for_a_table(session: i64) -> String {
        Self::count_inserting(session)
    }

    fn lock_table(table: &str) -> String {
        format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    }
}

impl HostConnection for SqliteHost {
    type Plain = SqliteConnection;

    const SETTINGS: &'static str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL";
    const LIMIT_LOCK_WAITS: &'static str = "PRAGMA busy_timeout = 0";

    fn fresh_database() -> (String, String) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(unique_name()).with_extension("db");
        let url = path.display().to_string();
        (url.clone(), url)
    }

    fn drop_database(url: &str) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{url}{suffix}"));
        }
    }
}

/// Reads the column `number` of a query's only row.
pub(crate) trait Number {
    fn number(&mut self, query: &str) -> i64;
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

macro_rules! number {
    ($($connection:ty),+ $(,)?) => {$(
        impl Number for $connection {
            fn number(&mut self, query: &str) -> i64 {
                diesel::sql_query(query)
                    .get_result::<NumberRow>(self)
                    .unwrap()
                    .number
            }
        }
    )+};
}
number!(MysqlConnection, MysqlHost, PgConnection, PostgresHost, SqliteConnection);

/// A policy whose hashes cost next to nothing, and that waits long enough for a busy machine.
pub(crate) fn cheap_policy() -> PolicyBuilder {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    Policy::builder()
        .hashing(Hashing::new().cost(cost).longest_wait(Duration::from_secs(60)))
        .deadline(Duration::from_secs(60))
}

pub(crate) fn new_user(name: &str) -> NewUser {
    NewUser::new(name, format!("{name}@example.org"), "correct horse")
}

/// Asserts that a value matches a pattern, and gives what it binds.
macro_rules! assert_matches {
    ($value:expr, $pattern:pat => $result:expr) => {
        match $value {
            $pattern => $result,
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
    ($value:expr, $pattern:pat $(,)?) => {
        assert_matches!($value, $pattern => ())
    };
}
pub(crate) use assert_matches;
