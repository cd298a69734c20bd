//! A database of its own for each test, and the macro that runs a test on each engine.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::connection::{InstrumentationEvent, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool, R2D2Connection,
};
use diesel_accounts::{
    AccountConnection, Argon2Cost, Creation, Engine, Hashing, NewUser, Policy, PolicyBuilder,
    Result, User, UserId, UserManager,
};

/// The account that an answer tells of, whoever made it.
pub(crate) fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}

/// Runs each test, a function of `TestDb<C>`, on every enabled engine.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "mysql")]
        mod mysql {
            $(#[test] fn $test() {
                super::$test($crate::support::TestDb::<diesel::MysqlConnection>::new());
            })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $test() {
                super::$test($crate::support::TestDb::<diesel::PgConnection>::new());
            })+
        }
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[test] fn $test() {
                super::$test($crate::support::TestDb::<diesel::SqliteConnection>::new());
            })+
        }
    };
}
pub(crate) use on_each_engine;

/// Runs each test on every enabled engine that is a server.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "mysql")]
        mod mysql_server {
            $(#[test] fn $test() {
                super::$test($crate::support::TestDb::<diesel::MysqlConnection>::new());
            })+
        }
        #[cfg(feature = "postgres")]
        mod postgres_server {
            $(#[test] fn $test() {
                super::$test($crate::support::TestDb::<diesel::PgConnection>::new());
            })+
        }
    };
}
pub(crate) use on_each_server;

/// An empty database with our schema in it.
pub(crate) struct TestDb<C: TestConnection> {
    pub(crate) url: String,
    pub(crate) pool: Pool<ConnectionManager<C>>,
    pub(crate) users: UserManager<C>,
}

impl<C: TestConnection> TestDb<C> {
    pub(crate) fn new() -> Self {
        let db = Self::empty();
        db.users.migrate().unwrap();
        db
    }

    /// Without the schema.
    pub(crate) fn empty() -> Self {
        Self::at(C::fresh_database())
    }

    /// The database of a URL.
    pub(crate) fn at(url: String) -> Self {
        let pool = pool_of(&url, 4);
        let users = UserManager::with_policy(pool.clone(), cheap_policy().build().unwrap());
        Self { url, pool, users }
    }

    /// A manager that no database stands behind.
    pub(crate) fn unreachable() -> UserManager<C> {
        let pool = Pool::builder()
            .max_size(1)
            .connection_timeout(Duration::from_millis(200))
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(ConnectionManager::new(C::UNREACHABLE_URL));
        UserManager::with_policy(pool, cheap_policy().build().unwrap())
    }

    /// A manager with a pool of its own, of so many connections.
    pub(crate) fn users_with_pool_of(&self, size: u32) -> UserManager<C> {
        UserManager::with_policy(pool_of(&self.url, size), self.users.policy().clone())
    }

    /// A manager with another policy.
    pub(crate) fn users_with(&self, policy: PolicyBuilder) -> UserManager<C> {
        UserManager::with_policy(self.pool.clone(), policy.build().unwrap())
    }

    /// Creates a user who must not be there yet.
    pub(crate) fn create(&self, new_user: NewUser) -> User {
        self.users.create_user(new_user).unwrap().created().expect("nobody is in the way")
    }

    /// A connection outside the pool.
    pub(crate) fn connect(&self) -> C {
        let mut conn = C::establish(&self.url).unwrap();
        conn.configure();
        conn
    }

    /// How many accounts there are, counted without our own queries.
    pub(crate) fn count(&self) -> i64 {
        self.connect().number("SELECT COUNT(*) AS number FROM account_users")
    }
}

impl<C: TestConnection> Drop for TestDb<C> {
    fn drop(&mut self) {
        C::drop_database(&self.url);
    }
}

/// A connection that tests can make databases for.
pub(crate) trait TestConnection:
    AccountConnection + R2D2Connection + Explain + LoadNumber + Send + 'static
{
    const ENGINE: Engine;
    const UNREACHABLE_URL: &'static str;

    /// Every kind of transaction, as `begin` takes it, and a setting of the session before it.
    const ISOLATIONS: &'static [(&'static str, &'static str)];

    /// The URL of a new database.
    fn fresh_database() -> String;

    /// Removes what `fresh_database` made, where it stays behind.
    fn drop_database(_url: &str) {}

    /// Makes a new connection fit for tests.
    fn configure(&mut self) {}

    /// Starts a transaction at an isolation level of the engine's, as Diesel's own builders do.
    fn begin(&mut self, isolation: &str) -> QueryResult<()>;
}

/// A host's transaction at an isolation level, rolled back on an error.
pub(crate) fn begin_commit<C: TestConnection, T>(
    conn: &mut C,
    isolation: &str,
    body: impl FnOnce(&mut C) -> Result<T>,
) -> Result<T> {
    conn.begin(isolation)?;
    let committed = body(conn).and_then(|value| {
        C::TransactionManager::commit_transaction(conn)?;
        Ok(value)
    });
    if committed.is_err() && transaction_is_open(conn) {
        C::TransactionManager::rollback_transaction(conn)?;
    }
    committed
}

pub(crate) fn transaction_is_open<C: TestConnection>(conn: &mut C) -> bool {
    let status = C::TransactionManager::transaction_manager_status_mut(conn);
    status.transaction_depth().unwrap().is_some()
}

/// Reads the column `number` of a query's only row.
pub(crate) trait LoadNumber {
    fn try_number(&mut self, query: &str) -> QueryResult<i64>;

    fn number(&mut self, query: &str) -> i64 {
        self.try_number(query).unwrap()
    }
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

macro_rules! load_number {
    ($connection:ty) => {
        impl LoadNumber for $connection {
            fn try_number(&mut self, query: &str) -> QueryResult<i64> {
                diesel::sql_query(query).get_result::<NumberRow>(self).map(|row| row.number)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
load_number!(SqliteConnection);
#[cfg(feature = "postgres")]
load_number!(PgConnection);
#[cfg(feature = "mysql")]
load_number!(MysqlConnection);

/// Asks how the engine would answer a query.
pub(crate) trait Explain {
    /// The steps of the plan; of MySQL's, each starts with the type of access.
    fn plan(&mut self, query: &str) -> Vec<String>;
}

#[cfg(feature = "sqlite")]
impl Explain for SqliteConnection {
    fn plan(&mut self, query: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = diesel::sql_types::Text)]
            detail: String,
        }
        let steps = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}")).load::<Step>(self);
        steps.unwrap().into_iter().map(|step| step.detail).collect()
    }
}

#[cfg(feature = "postgres")]
impl Explain for PgConnection {
    fn plan(&mut self, query: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = diesel::sql_types::Text)]
            #[diesel(column_name = "QUERY PLAN")]
            line: String,
        }
        let steps = diesel::sql_query(format!("EXPLAIN {query}")).load::<Step>(self);
        steps.unwrap().into_iter().map(|step| step.line).collect()
    }
}

#[cfg(feature = "mysql")]
impl Explain for MysqlConnection {
    fn plan(&mut self, query: &str) -> Vec<String> {
        use diesel::sql_types::{Nullable, Text};
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = Nullable<Text>)]
            table: Option<String>,
            #[diesel(sql_type = Nullable<Text>)]
            #[diesel(column_name = "type")]
            access: Option<String>,
            #[diesel(sql_type = Nullable<Text>)]
            key: Option<String>,
            /// How many bytes of it are used.
            #[diesel(sql_type = Nullable<Text>)]
            key_len: Option<String>,
            #[diesel(sql_type = Nullable<Text>)]
            #[diesel(column_name = "Extra")]
            extra: Option<String>,
        }
        let text = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        diesel::sql_query(format!("EXPLAIN {query}"))
            .load::<Step>(self)
            .unwrap()
            .into_iter()
            // What the parts of a union found, `<derived2>` or `<union2,3>`, is read whole.
            .filter(|step| step.table.as_ref().is_none_or(|name| !name.starts_with('<')))
            .map(|step| [step.access, step.key, step.key_len, step.extra].map(text).join(" "))
            .collect()
    }
}

#[cfg(feature = "sqlite")]
impl TestConnection for SqliteConnection {
    const ENGINE: Engine = Engine::Sqlite;
    const UNREACHABLE_URL: &'static str = "/nowhere/at/all.db";
    const ISOLATIONS: &'static [(&'static str, &'static str)] =
        &[("DEFERRED", ""), ("IMMEDIATE", ""), ("EXCLUSIVE", "")];

    fn fresh_database() -> String {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        folder.join(unique_name()).with_extension("db").display().to_string()
    }

    fn drop_database(url: &str) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{url}{suffix}"));
        }
    }

    /// The time-out first: the other settings wait for locks as well.
    fn configure(&mut self) {
        self.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        self.batch_execute("PRAGMA journal_mode = WAL").unwrap();
        self.batch_execute("PRAGMA synchronous = NORMAL").unwrap();
    }

    fn begin(&mut self, isolation: &str) -> QueryResult<()> {
        let begin = format!("BEGIN {isolation}");
        diesel::connection::AnsiTransactionManager::begin_transaction_sql(self, &begin)
    }
}

#[cfg(feature = "postgres")]
impl TestConnection for PgConnection {
    const ENGINE: Engine = Engine::Postgres;
    const UNREACHABLE_URL: &'static str = "postgres://nobody@%2Fnowhere/none";
    const ISOLATIONS: &'static [(&'static str, &'static str)] =
        &[("READ COMMITTED", ""), ("REPEATABLE READ", ""), ("SERIALIZABLE", "")];

    fn fresh_database() -> String {
        let url = server_url("ACCOUNTS_TEST_POSTGRES_URL");
        let name = unique_name();
        Self::establish(&url).unwrap().batch_execute(&format!("CREATE SCHEMA {name}")).unwrap();
        format!("{url}?options=-csearch_path%3D{name}")
    }

    fn begin(&mut self, isolation: &str) -> QueryResult<()> {
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}");
        diesel::connection::AnsiTransactionManager::begin_transaction_sql(self, &begin)
    }
}

#[cfg(feature = "mysql")]
impl TestConnection for MysqlConnection {
    const ENGINE: Engine = Engine::Mysql;
    const UNREACHABLE_URL: &'static str = "mysql://nobody@localhost/none?unix_socket=/nowhere";
    const ISOLATIONS: &'static [(&'static str, &'static str)] = &[
        ("READ COMMITTED", "SET innodb_snapshot_isolation = OFF"),
        ("REPEATABLE READ", "SET innodb_snapshot_isolation = OFF"),
        ("SERIALIZABLE", "SET innodb_snapshot_isolation = OFF"),
        ("READ UNCOMMITTED", "SET innodb_snapshot_isolation = OFF"),
        ("READ COMMITTED", "SET innodb_snapshot_isolation = ON"),
        ("REPEATABLE READ", "SET innodb_snapshot_isolation = ON"),
        ("SERIALIZABLE", "SET innodb_snapshot_isolation = ON"),
    ];

    fn fresh_database() -> String {
        let url = server_url("ACCOUNTS_TEST_MYSQL_URL");
        let name = unique_name();
        Self::establish(&url).unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        mysql_url_of(&name)
    }

    fn begin(&mut self, isolation: &str) -> QueryResult<()> {
        self.batch_execute(&format!("SET TRANSACTION ISOLATION LEVEL {isolation}")).unwrap();
        diesel::connection::AnsiTransactionManager::begin_transaction_sql(self, "BEGIN")
    }
}

/// The URL of another database on the server of the tests.
#[cfg(feature = "mysql")]
pub(crate) fn mysql_url_of(database: &str) -> String {
    let url = server_url("ACCOUNTS_TEST_MYSQL_URL");
    let (server, rest) = url.split_once("/accounts?").expect("the database is `accounts`");
    format!("{server}/{database}?{rest}")
}

/// The URL of another database on the server of the tests.
#[cfg(feature = "postgres")]
pub(crate) fn postgres_url_of(database: &str) -> String {
    let url = server_url("ACCOUNTS_TEST_POSTGRES_URL");
    let server = url.strip_suffix("/accounts").expect("the database is `accounts`");
    format!("{server}/{database}")
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) fn server_url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run this as `scripts/with-servers cargo test ...`")
    })
}

/// Unlike that of any other run, also of one that was killed and left its database behind.
pub(crate) fn unique_name() -> String {
    let id = UserId::new().to_string().replace('-', "");
    // A user of MySQL has 32 characters; the first digit will be 0 for long.
    id.replacen('0', "t", 1)
}

pub(crate) fn pool_of<C: TestConnection>(url: &str, size: u32) -> Pool<ConnectionManager<C>> {
    Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(20))
        .connection_customizer(Box::new(Configure))
        .build(ConnectionManager::new(url))
        .unwrap()
}

#[derive(Debug)]
struct Configure;

impl<C: TestConnection> CustomizeConnection<C, R2d2Error> for Configure {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        conn.configure();
        Ok(())
    }
}

/// A policy whose hashes cost next to nothing, and that waits long enough for a busy machine.
pub(crate) fn cheap_policy() -> PolicyBuilder {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    Policy::builder()
        .hashing(Hashing::new().cost(cost).longest_wait(Duration::from_secs(60)))
        .deadline(Duration::from_secs(60))
}

pub(crate) fn alice() -> NewUser {
    NewUser::new("alice", "alice@example.org", PASSWORD)
}

pub(crate) fn bob() -> NewUser {
    NewUser::new("bob", "bob@example.org", PASSWORD)
}

pub(crate) const PASSWORD: &str = "correct horse";

/// Records every statement that a connection sends, bound values included.
#[derive(Clone, Default)]
pub(crate) struct QueryLog(Arc<Mutex<Vec<String>>>);

impl QueryLog {
    pub(crate) fn of(conn: &mut impl Connection) -> Self {
        let log = Self::default();
        let sink = log.clone();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| match event {
            InstrumentationEvent::StartQuery { query, .. } => sink.push(query.to_string()),
            InstrumentationEvent::BeginTransaction { depth, .. } => {
                sink.push(format!("begin {depth}"));
            }
            InstrumentationEvent::CommitTransaction { depth, .. } => {
                sink.push(format!("commit {depth}"));
            }
            InstrumentationEvent::RollbackTransaction { depth, .. } => {
                sink.push(format!("rollback {depth}"));
            }
            _ => {}
        });
        log
    }

    /// The statements since the last call, without those of transactions.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut log = self.0.lock().unwrap();
        std::mem::take(&mut *log)
            .into_iter()
            .filter(|entry| !OF_TRANSACTIONS.iter().any(|start| entry.starts_with(start)))
            .collect()
    }

    /// How many statements with this start were sent since the last call of `take`.
    pub(crate) fn count_of(&self, start: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|entry| entry.starts_with(start)).count()
    }

    /// Everything since the last call.
    pub(crate) fn take_all(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn push(&self, entry: String) {
        self.0.lock().unwrap().push(entry);
    }
}

const OF_TRANSACTIONS: [&str; 8] =
    ["begin ", "commit ", "rollback ", "BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT"];

/// Does something once, just before the connection sends a statement about accounts, or their
/// attempts, with this start.
pub(crate) fn before_statement(
    conn: &mut impl Connection,
    start: &'static str,
    act: impl FnOnce() + Send + 'static,
) {
    let mut act = Some(act);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let query = query.to_string();
            let query = query.trim_start_matches('(');
            let is_ours = query.contains("account_users") || query.contains("account_attempts");
            if query.starts_with(start) && is_ours {
                if let Some(act) = act.take() {
                    act();
                }
            }
        }
    });
}

/// Makes a connection give up on locks soon.
pub(crate) fn impatient<C: TestConnection>(conn: &mut C) {
    conn.batch_execute(match C::ENGINE {
        Engine::Sqlite => "PRAGMA busy_timeout = 20",
        Engine::Postgres => "SET lock_timeout = '50ms'",
        _ => "SET innodb_lock_wait_timeout = 1",
    })
    .unwrap();
}

/// Waits until something is so; it must be so within a minute.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "what was waited for did not happen");
        std::thread::yield_now();
    }
}

/// Asserts that a value matches a pattern, and gives what it binds.
macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)? => $result:expr) => {
        match $value {
            $pattern $(if $guard)? => $result,
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
    ($value:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {
        assert_matches!($value, $pattern $(if $guard)? => ())
    };
}
pub(crate) use assert_matches;

/// Every text by which an error can reach a log.
pub(crate) fn texts_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    texts
}

/// The text of a value as logs print it.
pub(crate) fn debug_of(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}
