//! What SQLite should be told on each connection.

use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as R2d2Error};
use diesel::result::Error as DieselError;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

use super::dialect::Trouble;
use crate::retry::Backoff;

/// What SQLite should be told on each connection of a pool; Diesel tells it nothing, and SQLite's
/// own defaults are those of an embedded device.
///
/// - Whoever finds the database locked waits: 5 seconds by default, where SQLite would not at all.
/// - The journal is a write-ahead log: readers and the one writer do not wait for each other. It
///   stays with the file, for everybody who opens it.
/// - `synchronous` is [`SqliteSynchronous::Normal`], and `FULL` where the file has another journal.
/// - Foreign keys are enforced.
/// - A connection keeps up to 16 MiB of the file in memory, where SQLite would keep 2.
///
/// ```
/// use diesel_accounts::diesel::SqliteConnection;
/// use diesel_accounts::diesel::r2d2::{ConnectionManager, Pool};
/// use diesel_accounts::{SqliteSettings, UserManager};
///
/// # let folder = std::env::temp_dir().join(format!("settings-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("accounts.db").display().to_string();
/// let pool = Pool::builder()
///     .connection_customizer(Box::new(SqliteSettings::new()))
///     .build(ConnectionManager::<SqliteConnection>::new(file))?;
/// let users = UserManager::new(pool);
/// users.migrate()?;
/// # drop(users);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SqliteSettings {
    busy_timeout: Duration,
    write_ahead_log: bool,
    synchronous: SqliteSynchronous,
    foreign_keys: bool,
    cache_kib: u32,
}

/// When SQLite waits until what it wrote is on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SqliteSynchronous {
    /// `NORMAL`: with a write-ahead log, at checkpoints only. A process that is killed loses
    /// nothing; a power failure may take the last commits with it, and never leaves half of one.
    /// With any other journal a power failure could destroy the file: `FULL` is told instead.
    Normal,
    /// `FULL`: at each commit, which takes as long as the disk takes.
    Full,
    /// `EXTRA`: also after a rollback journal is deleted. With a write-ahead log it is as `Full`.
    Extra,
}

impl SqliteSettings {
    /// The default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long whoever finds the database locked waits for it: in whole milliseconds, rounded up, and
    /// 24 days at most. Defaults to 5 seconds. Keep it above 0, and below the policy's
    /// [`deadline`](crate::PolicyBuilder::deadline).
    #[must_use]
    pub fn busy_timeout(mut self, wait: Duration) -> Self {
        self.busy_timeout = wait.min(LONGEST_WAIT);
        self
    }

    /// Whether the journal is made a write-ahead log, where the file can have one. `false` leaves it
    /// as it is: for network file systems, on which such a log does not work, and for files that can
    /// only be read. Defaults to `true`.
    #[must_use]
    pub fn write_ahead_log(mut self, is_used: bool) -> Self {
        self.write_ahead_log = is_used;
        self
    }

    /// When SQLite waits for the disk. Defaults to [`SqliteSynchronous::Normal`].
    #[must_use]
    pub fn synchronous(mut self, synchronous: SqliteSynchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Whether foreign keys are enforced, the host's among them. Defaults to `true`.
    #[must_use]
    pub fn foreign_keys(mut self, are_enforced: bool) -> Self {
        self.foreign_keys = are_enforced;
        self
    }

    /// How much of the file a connection keeps in memory, in KiB. It takes no more than it has read.
    /// A table that is much larger than that is slower to write to, most of all in an import, for the
    /// keys of its indexes are in no order. Defaults to 16,384 (16 MiB).
    #[must_use]
    pub fn cache_kib(mut self, kib: u32) -> Self {
        self.cache_kib = kib;
        self
    }

    /// Tells them a connection that comes from no pool. No transaction may be open.
    ///
    /// # Errors
    ///
    /// What Diesel says: the database is locked longer than the time-out, or it cannot be opened.
    ///
    /// ```
    /// use diesel_accounts::SqliteSettings;
    /// use diesel_accounts::diesel::{Connection, SqliteConnection};
    ///
    /// let mut conn = SqliteConnection::establish(":memory:")?;
    /// SqliteSettings::new().apply(&mut conn)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply<C: LoadConnection<Backend = Sqlite>>(&self, conn: &mut C) -> QueryResult<()> {
        // First of all: the others wait for locks too.
        let milliseconds = self.busy_timeout.as_nanos().div_ceil(1_000_000);
        conn.batch_execute(&format!("PRAGMA busy_timeout = {milliseconds}"))?;
        let journal = match self.write_ahead_log {
            true => self.write_ahead(conn)?,
            false => sql_query("PRAGMA journal_mode").get_result(conn)?,
        };
        let is_safe = matches!(journal.journal_mode.as_str(), "wal" | "memory");
        conn.batch_execute(match self.synchronous {
            SqliteSynchronous::Normal if is_safe => "PRAGMA synchronous = NORMAL",
            SqliteSynchronous::Normal | SqliteSynchronous::Full => "PRAGMA synchronous = FULL",
            SqliteSynchronous::Extra => "PRAGMA synchronous = EXTRA",
        })?;
        conn.batch_execute(match self.foreign_keys {
            true => "PRAGMA foreign_keys = ON",
            false => "PRAGMA foreign_keys = OFF",
        })?;
        // A number above 0 would be one of pages.
        let kib = i32::try_from(self.cache_kib).unwrap_or(i32::MAX);
        conn.batch_execute(&format!("PRAGMA cache_size = -{kib}"))
    }

    /// Whoever changes the journal of a file that others are opening is told that it is locked, and
    /// not made to wait.
    fn write_ahead<C: LoadConnection<Backend = Sqlite>>(
        &self,
        conn: &mut C,
    ) -> QueryResult<Journal> {
        let mut backoff = Backoff::until(Instant::now() + self.busy_timeout);
        loop {
            let error = match sql_query("PRAGMA journal_mode = WAL").get_result(conn) {
                Ok(journal) => return Ok(journal),
                Err(error) => error,
            };
            if Trouble::on(conn, &error) != Trouble::Contention || !backoff.pause() {
                return Err(error);
            }
        }
    }
}

/// What SQLite answers: the journal that the file now has.
#[derive(QueryableByName)]
struct Journal {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            write_ahead_log: true,
            synchronous: SqliteSynchronous::Normal,
            foreign_keys: true,
            cache_kib: 16 * 1024,
        }
    }
}

impl<C: LoadConnection<Backend = Sqlite>> CustomizeConnection<C, R2d2Error> for SqliteSettings {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        self.apply(conn).map_err(|error: DieselError| R2d2Error::QueryError(error))
    }
}

/// What SQLite can be told: 31 bits of milliseconds.
const LONGEST_WAIT: Duration = Duration::from_millis(0x7fff_ffff);
