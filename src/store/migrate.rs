//! The migrations, and the ledger of those that were applied.

use std::time::Instant;

use diesel::connection::LoadConnection;
use diesel::prelude::*;

use super::AccountBackend;
use super::dialect::{Engine, Trouble};
use crate::error::{Error, Result, SchemaFailure};

/// The migrations of one engine, oldest first, for a host that runs them itself.
///
/// Each ends by entering itself into our own ledger, `account_migrations`, so that
/// [`UserManager::migrate`](crate::UserManager::migrate) has nothing left to do and
/// [`UserManager::check`](crate::UserManager::check) is content.
#[must_use]
pub fn migrations(engine: Engine) -> &'static [Migration] {
    match engine {
        Engine::Mysql => &MYSQL,
        Engine::Postgres => &POSTGRES,
        Engine::Sqlite => &SQLITE,
    }
}

/// One step of the schema, in plain SQL.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
    /// The tables that it makes, beside the ledger.
    tables: &'static [&'static str],
}

impl Migration {
    /// The version of the schema that it leads to.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// A short name, in snake case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The statements, each ended by a semicolon and a line break.
    #[must_use]
    pub fn sql(&self) -> &'static str {
        self.sql
    }

    fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
    }
}

/// What differs between the engines in a migration.
pub(crate) trait MigrationSteps<C> {
    /// Whether a table that is there before its migration was entered comes from a migration of
    /// ours that was cut short.
    fn is_ours(conn: &mut C, table: &str) -> QueryResult<bool>;

    /// Lets the statements that follow wait for others until the deadline, and no longer.
    fn limit_waits(conn: &mut C, until: Instant) -> QueryResult<()>;
}

/// Applies what the ledger does not have. Nobody else does the same meanwhile, but the tables may be
/// in use.
pub(crate) fn run_pending<C, B>(conn: &mut C, until: Instant) -> Result<()>
where
    C: LoadConnection<Backend = B>,
    B: AccountBackend<C>,
{
    apply_pending(conn, until).map_err(|error| busy_or(conn, error))
}

/// Busy if a statement was stopped, or had to wait for too long.
pub(super) fn busy_or<C, B>(conn: &mut C, error: Error) -> Error
where
    C: LoadConnection<Backend = B>,
    B: AccountBackend<C>,
{
    match error {
        Error::Database(failure) => match Trouble::on(conn, failure.diesel_error()) {
            Trouble::Contention | Trouble::Stopped => Error::Busy,
            _ => Error::Database(failure),
        },
        error => error,
    }
}

fn apply_pending<C, B>(conn: &mut C, until: Instant) -> Result<()>
where
    C: LoadConnection<Backend = B>,
    B: AccountBackend<C>,
{
    B::limit_waits(conn, until)?;
    let applied = match ledger(conn)? {
        Ledger::Version { version, .. } => version,
        Ledger::Foreign => return Err(Error::Schema(SchemaFailure::ForeignTable)),
        Ledger::Empty if !B::is_ours(conn, "account_migrations")? => {
            return Err(Error::Schema(SchemaFailure::ForeignTable));
        }
        Ledger::Empty | Ledger::Missing => 0,
    };
    for migration in migrations(B::ENGINE).iter().filter(|step| step.version > applied) {
        for table in migration.tables {
            let there = !B::columns(conn, table)?.is_empty();
            if there && !B::is_ours(conn, table)? {
                return Err(Error::Schema(SchemaFailure::ForeignTable));
            }
        }
        for statement in migration.statements() {
            // The statements before may have waited too.
            B::limit_waits(conn, until)?;
            conn.batch_execute(statement)?;
        }
    }
    Ok(())
}

/// What the ledger of our migrations says.
pub(crate) enum Ledger {
    /// There is none.
    Missing,
    /// There is one with no entry: of a first migration that was cut short, or of another program.
    Empty,
    /// A table of another program has its name.
    Foreign,
    /// The version of the schema, and the oldest version of it whose code works with it.
    Version { version: i32, compatible_from: i32 },
}

pub(crate) fn ledger<C, B>(conn: &mut C) -> Result<Ledger>
where
    C: LoadConnection<Backend = B>,
    B: AccountBackend<C>,
{
    let columns = B::columns(conn, "account_migrations")?;
    if columns.is_empty() {
        return Ok(Ledger::Missing);
    }
    let has = |name: &&str| columns.iter().any(|column| column.name == *name);
    if !["version", "name", "compatible_from", "applied_at"].iter().all(has) {
        return Ok(Ledger::Foreign);
    }
    let entries = B::ledger_entries(conn)?;
    Ok(match (entries.first(), entries.last()) {
        (None, _) => Ledger::Empty,
        (Some((1, name, _)), Some(&(version, _, compatible_from))) if name == "account_users" => {
            Ledger::Version { version, compatible_from }
        }
        _ => Ledger::Foreign,
    })
}

pub(crate) trait LedgerQueries<C> {
    /// The version, the name and the oldest compatible version of each entry, oldest first.
    fn ledger_entries(conn: &mut C) -> QueryResult<Vec<(i32, String, i32)>>;
}

macro_rules! ledger_queries {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> LedgerQueries<C> for $backend {
            fn ledger_entries(conn: &mut C) -> QueryResult<Vec<(i32, String, i32)>> {
                account_migrations::table
                    .select((
                        account_migrations::version,
                        account_migrations::name,
                        account_migrations::compatible_from,
                    ))
                    .order(account_migrations::version)
                    .load(conn)
            }
        }
    };
}
super::for_each_backend!(ledger_queries);

diesel::table! {
    account_migrations (version) {
        version -> Integer,
        name -> Text,
        compatible_from -> Integer,
        applied_at -> BigInt,
    }
}

/// How long a server may wait for a lock: at least a millisecond, for 0 means for ever.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) fn remaining_millis(until: Instant) -> i64 {
    let remaining = until.saturating_duration_since(Instant::now());
    i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX).clamp(1, 86_400_000)
}

/// The newest version of the schema that this crate knows.
pub(crate) const SCHEMA_VERSION: i32 = 4;

const MYSQL: [Migration; 4] = [
    Migration {
        version: 1,
        name: "account_users",
        sql: include_str!("migrations/mysql/0001_account_users.sql"),
        tables: &["account_users"],
    },
    Migration {
        version: 2,
        name: "account_attempts",
        sql: include_str!("migrations/mysql/0002_account_attempts.sql"),
        tables: &["account_attempts"],
    },
    Migration {
        version: 3,
        name: "account_limits",
        sql: include_str!("migrations/mysql/0003_account_limits.sql"),
        tables: &["account_limits"],
    },
    Migration {
        version: 4,
        name: "account_events",
        sql: include_str!("migrations/mysql/0004_account_events.sql"),
        tables: &["account_events"],
    },
];

const POSTGRES: [Migration; 4] = [
    Migration {
        version: 1,
        name: "account_users",
        sql: include_str!("migrations/postgres/0001_account_users.sql"),
        tables: &["account_users"],
    },
    Migration {
        version: 2,
        name: "account_attempts",
        sql: include_str!("migrations/postgres/0002_account_attempts.sql"),
        tables: &["account_attempts"],
    },
    Migration {
        version: 3,
        name: "account_limits",
        sql: include_str!("migrations/postgres/0003_account_limits.sql"),
        tables: &["account_limits"],
    },
    Migration {
        version: 4,
        name: "account_events",
        sql: include_str!("migrations/postgres/0004_account_events.sql"),
        tables: &["account_events"],
    },
];

const SQLITE: [Migration; 4] = [
    Migration {
        version: 1,
        name: "account_users",
        sql: include_str!("migrations/sqlite/0001_account_users.sql"),
        tables: &["account_users"],
    },
    Migration {
        version: 2,
        name: "account_attempts",
        sql: include_str!("migrations/sqlite/0002_account_attempts.sql"),
        tables: &["account_attempts"],
    },
    Migration {
        version: 3,
        name: "account_limits",
        sql: include_str!("migrations/sqlite/0003_account_limits.sql"),
        tables: &["account_limits"],
    },
    Migration {
        version: 4,
        name: "account_events",
        sql: include_str!("migrations/sqlite/0004_account_events.sql"),
        tables: &["account_events"],
    },
];

#[cfg(test)]
mod tests {
    use super::{Engine, SCHEMA_VERSION, migrations};

    #[test]
    fn every_engine_has_every_version_and_enters_it_into_the_ledger() {
        for engine in [Engine::Mysql, Engine::Postgres, Engine::Sqlite] {
            let versions: Vec<_> = migrations(engine).iter().map(|step| step.version()).collect();
            assert_eq!(versions, (1..=SCHEMA_VERSION).collect::<Vec<_>>(), "{engine:?}");
            for migration in migrations(engine) {
                let last = migration.statements().last().unwrap();
                assert!(last.starts_with("INSERT INTO account_migrations"), "{last}");
                assert!(last.contains(migration.name()));
                // Nothing but the ends of statements may look like one.
                let semicolons = migration.sql().matches(';').count();
                assert_eq!(migration.statements().count(), semicolons, "{engine:?}");
            }
        }
    }
}
