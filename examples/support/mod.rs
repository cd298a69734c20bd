//! What the examples share: `--database-url`, and a pool set up as a service should.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

#[cfg(any(feature = "mysql", feature = "postgres"))]
use diesel::connection::SimpleConnection;
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool, R2D2Connection,
};
#[cfg(feature = "sqlite")]
use diesel_accounts::SqliteSettings;
use lexopt::{Arg, Parser, ValueExt};

use self::url::Target;

mod url;

/// A pool for one of the engines.
pub(crate) enum Database {
    #[cfg(feature = "mysql")]
    Mysql(Pool<ConnectionManager<diesel::MysqlConnection>>),
    #[cfg(feature = "postgres")]
    Postgres(Pool<ConnectionManager<diesel::PgConnection>>),
    #[cfg(feature = "sqlite")]
    Sqlite(Pool<ConnectionManager<diesel::SqliteConnection>>),
}

impl Database {
    /// Connects to `--database-url`, else to `DATABASE_URL`, else to a SQLite file.
    pub(crate) fn connect(url: Option<String>, connections: u32) -> Result<Self, Box<dyn Error>> {
        let url = url
            .or_else(|| std::env::var("DATABASE_URL").ok())
            .unwrap_or_else(|| "sqlite://accounts.db".to_owned());
        match Target::of(&url)? {
            #[cfg(feature = "sqlite")]
            Target::Sqlite(path) => {
                pool(path, connections, Box::new(SqliteSettings::new())).map(Self::Sqlite)
            }
            #[cfg(feature = "postgres")]
            Target::Postgres(url) => {
                pool(url, connections, Box::new(Settings(POSTGRES_SETTINGS))).map(Self::Postgres)
            }
            #[cfg(feature = "mysql")]
            Target::Mysql(url) => {
                pool(url, connections, Box::new(Settings(MYSQL_SETTINGS))).map(Self::Mysql)
            }
            #[cfg(not(feature = "sqlite"))]
            Target::Sqlite(_) => Err("run with `--features sqlite`".into()),
            #[cfg(not(feature = "postgres"))]
            Target::Postgres(_) => Err("run with `--features postgres`".into()),
            #[cfg(not(feature = "mysql"))]
            Target::Mysql(_) => Err("run with `--features mysql`".into()),
        }
    }

    /// The name of the engine.
    pub(crate) fn engine(&self) -> &'static str {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql(_) => "MariaDB/MySQL",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "PostgreSQL",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "SQLite",
        }
    }
}

/// The arguments, each a name and a value: `--name value`. Ends the program at `--help`.
pub(crate) fn arguments(
    names: &[&str],
    usage: &str,
) -> Result<BTreeMap<String, String>, lexopt::Error> {
    let mut values = BTreeMap::new();
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") => {
                println!("{usage}");
                std::process::exit(0);
            }
            Arg::Long(name) if names.contains(&name) => {
                let name = name.to_owned();
                values.insert(name, parser.value()?.string()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(values)
}

/// Does the same with the pool of whichever engine it is.
macro_rules! with_pool {
    ($database:expr, |$pool:ident| $body:expr) => {
        match $database {
            #[cfg(feature = "mysql")]
            $crate::support::Database::Mysql($pool) => $body,
            #[cfg(feature = "postgres")]
            $crate::support::Database::Postgres($pool) => $body,
            #[cfg(feature = "sqlite")]
            $crate::support::Database::Sqlite($pool) => $body,
        }
    };
}
pub(crate) use with_pool;

/// No statement and no lock is waited for without end.
#[cfg(feature = "postgres")]
const POSTGRES_SETTINGS: &[&str] = &["SET statement_timeout = '10s'", "SET lock_timeout = '5s'"];

/// MySQL, which has no time-out for statements that write, reads the first as an empty comment.
#[cfg(feature = "mysql")]
const MYSQL_SETTINGS: &[&str] =
    &["SET /*M! max_statement_time = 10, */ innodb_lock_wait_timeout = 5"];

fn pool<C: R2D2Connection + 'static>(
    url: &str,
    connections: u32,
    settings: Box<dyn CustomizeConnection<C, R2d2Error>>,
) -> Result<Pool<ConnectionManager<C>>, Box<dyn Error>> {
    Ok(Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(10))
        .connection_customizer(settings)
        .build(ConnectionManager::new(url))?)
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
#[derive(Debug)]
struct Settings(&'static [&'static str]);

#[cfg(any(feature = "mysql", feature = "postgres"))]
impl<C: SimpleConnection> CustomizeConnection<C, R2d2Error> for Settings {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        self.0
            .iter()
            .try_for_each(|setting| conn.batch_execute(setting).map_err(R2d2Error::QueryError))
    }
}
