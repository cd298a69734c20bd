//! A database of its own for each attempt, on each engine.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection};
use diesel::prelude::*;
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool, R2D2Connection,
};
use diesel::sql_types::BigInt;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, Engine, Hashing, Policy, PolicyBuilder, SchemaProblem,
    UserManager,
};
use tempfile::TempDir;

/// A database with our schema in it, unless it is made empty. One of SQLite is removed when this is
/// dropped; one on a server goes with the server.
#[derive(Debug)]
pub struct Database<C: ProofConnection> {
    url: String,
    /// Where a database without a server lives.
    _folder: Option<TempDir>,
    connection: PhantomData<fn() -> C>,
}

impl<C: ProofConnection> Database<C> {
    /// On the server that `scripts/with-servers` started; SQLite needs none.
    #[must_use]
    pub fn new() -> Self {
        Self::on(&C::server_url())
    }

    /// On a server, whose URL has the database `accounts`.
    #[must_use]
    pub fn on(server_url: &str) -> Self {
        let database = Self::empty_on(server_url);
        UserManager::with_policy(database.pool(1), policy().build().unwrap()).migrate().unwrap();
        database
    }

    /// One without our schema, on the server of [`Database::new`].
    #[must_use]
    pub fn empty() -> Self {
        Self::empty_on(&C::server_url())
    }

    fn empty_on(server_url: &str) -> Self {
        let folder = (C::ENGINE == Engine::Sqlite).then(|| tempfile::tempdir().unwrap());
        let url = match &folder {
            Some(folder) => folder.path().join("accounts.db").display().to_string(),
            None => C::make_database(server_url, &unique_name()).unwrap(),
        };
        Self { url, _folder: folder, connection: PhantomData }
    }

    /// The URL by which Diesel connects.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection outside every pool.
    #[must_use]
    pub fn connect(&self) -> C {
        let mut conn = C::establish(&self.url).unwrap();
        conn.set_up().unwrap();
        conn
    }

    /// A pool of so many connections.
    #[must_use]
    pub fn pool(&self, size: u32) -> Pool<ConnectionManager<C>> {
        pool_at(&self.url, size)
    }

    /// A manager with a pool of so many connections, and the policy of [`policy`].
    #[must_use]
    pub fn users(&self, size: u32) -> UserManager<C> {
        UserManager::with_policy(self.pool(size), policy().build().unwrap())
    }
}

impl<C: ProofConnection> Default for Database<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// A pool of connections to a URL, set as the guide tells hosts to.
#[must_use]
pub fn pool_at<C: ProofConnection>(url: &str, size: u32) -> Pool<ConnectionManager<C>> {
    Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(Duration::from_secs(10))
        .connection_customizer(Box::new(SetUp))
        .error_handler(Box::new(diesel::r2d2::NopErrorHandler))
        .build_unchecked(ConnectionManager::new(url))
}

#[derive(Debug)]
struct SetUp;

impl<C: ProofConnection> CustomizeConnection<C, R2d2Error> for SetUp {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        conn.set_up().map_err(R2d2Error::QueryError)
    }
}

/// A policy whose hashes cost next to nothing, and that waits long enough for a busy machine.
#[must_use]
pub fn policy() -> PolicyBuilder {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    Policy::builder()
        .hashing(Hashing::new().cost(cost).longest_wait(Duration::from_secs(60)))
        .deadline(Duration::from_secs(60))
}

/// A connection of an engine, and how its databases are made.
pub trait ProofConnection: AccountConnection + R2D2Connection + Send + 'static {
    /// The engine.
    const ENGINE: Engine;

    /// Every kind of transaction, as [`ProofConnection::begin`] takes it, and a statement that sets
    /// the session before it (or none).
    const ISOLATIONS: &'static [(&'static str, &'static str)];

    /// The URL of the database `accounts` on the server that the tests were given.
    fn server_url() -> String;

    /// Makes a database on a server, and gives its URL.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    fn make_database(server_url: &str, name: &str) -> QueryResult<String>;

    /// Sets time-outs on a new connection, as the guide tells hosts to.
    ///
    /// # Errors
    ///
    /// When the connection is lost already.
    fn set_up(&mut self) -> QueryResult<()>;

    /// Begins a transaction at an isolation level, as Diesel's own builders do.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn begin(&mut self, isolation: &str) -> QueryResult<()>;

    /// The column `number` of each row of a query.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn numbers(&mut self, query: &str) -> QueryResult<Vec<i64>>;
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl ProofConnection for SqliteConnection {
    const ENGINE: Engine = Engine::Sqlite;
    const ISOLATIONS: &'static [(&'static str, &'static str)] =
        &[("DEFERRED", ""), ("IMMEDIATE", ""), ("EXCLUSIVE", "")];

    fn server_url() -> String {
        String::new()
    }

    fn make_database(_: &str, name: &str) -> QueryResult<String> {
        Ok(PathBuf::from(name).display().to_string())
    }

    /// The time-out first: the other settings wait for locks as well.
    fn set_up(&mut self) -> QueryResult<()> {
        self.batch_execute("PRAGMA busy_timeout = 5000")?;
        self.batch_execute("PRAGMA journal_mode = WAL")?;
        self.batch_execute("PRAGMA synchronous = NORMAL")
    }

    fn begin(&mut self, isolation: &str) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(self, &format!("BEGIN {isolation}"))
    }

    fn numbers(&mut self, query: &str) -> QueryResult<Vec<i64>> {
        Ok(diesel::sql_query(query)
            .load(self)?
            .into_iter()
            .map(|row: NumberRow| row.number)
            .collect())
    }
}

impl ProofConnection for PgConnection {
    const ENGINE: Engine = Engine::Postgres;
    const ISOLATIONS: &'static [(&'static str, &'static str)] =
        &[("READ COMMITTED", ""), ("REPEATABLE READ", ""), ("SERIALIZABLE", "")];

    fn server_url() -> String {
        variable("ACCOUNTS_TEST_POSTGRES_URL")
    }

    fn make_database(server_url: &str, name: &str) -> QueryResult<String> {
        let mut conn = Self::establish(server_url).expect("the server answers");
        conn.batch_execute(&format!("CREATE SCHEMA {name}"))?;
        Ok(format!("{server_url}?options=-csearch_path%3D{name}"))
    }

    fn set_up(&mut self) -> QueryResult<()> {
        self.batch_execute("SET statement_timeout = '20s'; SET lock_timeout = '10s'")
    }

    fn begin(&mut self, isolation: &str) -> QueryResult<()> {
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}");
        AnsiTransactionManager::begin_transaction_sql(self, &begin)
    }

    fn numbers(&mut self, query: &str) -> QueryResult<Vec<i64>> {
        Ok(diesel::sql_query(query)
            .load(self)?
            .into_iter()
            .map(|row: NumberRow| row.number)
            .collect())
    }
}

impl ProofConnection for MysqlConnection {
    const ENGINE: Engine = Engine::Mysql;
    const ISOLATIONS: &'static [(&'static str, &'static str)] = &[
        ("READ COMMITTED", "SET innodb_snapshot_isolation = OFF"),
        ("REPEATABLE READ", "SET innodb_snapshot_isolation = OFF"),
        ("SERIALIZABLE", "SET innodb_snapshot_isolation = OFF"),
        ("READ UNCOMMITTED", "SET innodb_snapshot_isolation = OFF"),
        ("READ COMMITTED", "SET innodb_snapshot_isolation = ON"),
        ("REPEATABLE READ", "SET innodb_snapshot_isolation = ON"),
        ("SERIALIZABLE", "SET innodb_snapshot_isolation = ON"),
    ];

    fn server_url() -> String {
        variable("ACCOUNTS_TEST_MYSQL_URL")
    }

    fn make_database(server_url: &str, name: &str) -> QueryResult<String> {
        let mut conn = Self::establish(server_url).expect("the server answers");
        conn.batch_execute(&format!("CREATE DATABASE {name}"))?;
        Ok(server_url.replacen("/accounts", &format!("/{name}"), 1))
    }

    fn set_up(&mut self) -> QueryResult<()> {
        self.batch_execute(
            "SET max_statement_time = 20, innodb_lock_wait_timeout = 10, wait_timeout = 300",
        )
    }

    fn begin(&mut self, isolation: &str) -> QueryResult<()> {
        self.batch_execute(&format!("SET TRANSACTION ISOLATION LEVEL {isolation}"))?;
        AnsiTransactionManager::begin_transaction_sql(self, "BEGIN")
    }

    fn numbers(&mut self, query: &str) -> QueryResult<Vec<i64>> {
        Ok(diesel::sql_query(query)
            .load(self)?
            .into_iter()
            .map(|row: NumberRow| row.number)
            .collect())
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run this as `scripts/with-servers cargo test ...`")
    })
}

fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("p{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What a look at the schema finds, and with what it is wrong.
#[must_use]
pub fn problems<C: ProofConnection>(users: &UserManager<C>) -> Vec<(SchemaProblem, String)> {
    let report = users.check().unwrap();
    let named = report.findings().iter().map(|found| (found.problem(), found.subject().to_owned()));
    let found: Vec<_> = named.collect();
    assert_eq!(report.is_sound(), found.is_empty(), "{report}");
    found
}
