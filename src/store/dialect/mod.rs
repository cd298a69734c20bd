//! What the engines do differently.

use std::collections::HashSet;
use std::time::Instant;

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::result::Error as DieselError;
use diesel::sql_types::Text;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use diesel::sql_types::{BigInt, Nullable};

use super::attempts::{AttemptKey, InsertAttempt};
use super::check::{Finding, FoundColumn, FoundIndex, SchemaProblem};
use super::rows::{Claim, InsertUser, UserRow};
use crate::error::Result;
use crate::user::{RealmId, UserId};

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// A database engine.
///
/// ```
/// use diesel_accounts::{Engine, migrations};
///
/// for migration in migrations(Engine::Postgres) {
///     println!("-- {:04} {}\n{}", migration.version(), migration.name(), migration.sql());
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Engine {
    /// MariaDB and MySQL.
    Mysql,
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Engine {
    /// A stable name for logs: `mysql`, `postgres` or `sqlite`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// What differs, for connections `C` of a backend.
pub(crate) trait Dialect<C>: Backend {
    const ENGINE: Engine;

    /// Whether a transaction is lost with any statement that is refused in it.
    const REFUSAL_SPOILS_TRANSACTION: bool;

    /// Whether one connection writes at a time, and the others are not let in by turns.
    const HAS_ONE_WRITER: bool;

    /// Whether an index may be read from the first entry of a realm on, up to a place that it could
    /// have begun at, where the realm is said to be equal to something. Between two bounds that are
    /// the same it is not.
    const EQUALITY_HIDES_RANGE: bool;

    /// Whether a commit that the server refuses, for whatever reason, is certainly rolled back.
    const FAILED_COMMIT_IS_UNDONE: bool;

    /// Inserts one row. A row that is in its way is told by 0 rows or by a unique violation.
    fn insert_user(conn: &mut C, user: &InsertUser<'_>) -> QueryResult<usize>;

    /// Inserts some rows, all or none where one is refused; which of them were inserted. Rows that are
    /// in their way may count as a refusal.
    fn insert_users(conn: &mut C, users: &[InsertUser<'_>]) -> QueryResult<HashSet<UserId>>;

    /// Inserts the row of a first attempt. One that is there is told by 0 rows or by a unique
    /// violation.
    fn insert_attempt(conn: &mut C, attempt: &InsertAttempt) -> QueryResult<usize>;

    /// Inserts the row of a limit. One that is there is told by 0 rows or by a unique violation.
    fn insert_limit(conn: &mut C, key: AttemptKey, arrival: i64) -> QueryResult<usize>;

    /// [`UserQueries::holders`](super::users::UserQueries::holders) inside a transaction of the
    /// host's: it must see rows that were committed since the host's snapshot, where it can.
    fn holders_in_transaction(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>>;

    /// Whether an account is there although a deletion found none. A server that stops the deletion
    /// should say so.
    fn account_outlived_deletion(_: &mut C, _: RealmId, _: UserId) -> QueryResult<bool> {
        Ok(false)
    }

    /// Whether attempts of a subject are there although all were deleted.
    fn attempts_outlived_deletion(_: &mut C, _: AttemptKey) -> QueryResult<bool> {
        Ok(false)
    }

    /// What an error means that Diesel has no name for, on a connection without a transaction. The
    /// connection may be asked.
    fn unnamed_trouble(conn: &mut C, message: &str) -> Trouble;

    /// The same inside a transaction of the host's: [`Trouble::Refused`] only if the transaction is
    /// certainly as it was before the statement.
    fn unnamed_trouble_in_transaction(conn: &mut C, message: &str) -> Trouble;

    /// Whether a statement that was refused has ended the transaction of the host's.
    fn refusal_has_ended_transaction(_: &mut C) -> QueryResult<bool> {
        Ok(false)
    }

    /// Whether what a refused statement wrote can be there all the same.
    fn refused_may_stay(_: &mut C) -> QueryResult<bool> {
        Ok(false)
    }

    /// Makes Diesel's rollback of a transaction, so many deep, succeed, also where the server has
    /// ended what is rolled back; an error if that cannot be.
    fn prepare_rollback(_: &mut C, _depth: u32) -> QueryResult<()> {
        Ok(())
    }

    /// Does the work of `migrate` on a connection without a transaction, alone.
    fn migrate(conn: &mut C, until: Instant) -> Result<()>;

    /// The columns of a table that `migrate` would find; none if there is no such table.
    fn columns(conn: &mut C, table: &str) -> QueryResult<Vec<FoundColumn>>;

    /// The indexes of a table.
    fn indexes(conn: &mut C, table: &str) -> QueryResult<Vec<FoundIndex>>;

    /// What is wrong with the server, the session, or the table as a whole.
    fn server_findings(conn: &mut C) -> QueryResult<Vec<Finding>>;
}

/// A deletion that the server stopped without saying so: it can be repeated, like any other that was
/// undone for the sake of others.
pub(super) fn stopped_deletion() -> DieselError {
    let text = "the deletion was stopped".to_owned();
    DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, Box::new(text))
}

/// What a failed insertion means. Only [`Trouble::Lost`] leaves open whether it happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// A unique key is taken.
    Conflict,
    /// Undone for the sake of others: serialization, deadlock, lock wait, busy. Worth repeating.
    Contention,
    /// The connection is gone, and nobody knows whether the statement was executed.
    Lost,
    /// Refused for good, and the transaction around it is still usable.
    Refused,
    /// Stopped in the middle by a time-out of the server's, or by somebody's wish, and undone.
    Stopped,
    /// Refused by a server that answers, for a reason that cannot be told apart.
    Unnamed,
}

impl Trouble {
    /// What an error means by its kind alone.
    fn by_kind(error: &DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, _) => match kind {
                DatabaseErrorKind::UniqueViolation => Self::Conflict,
                DatabaseErrorKind::SerializationFailure => Self::Contention,
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                    Self::Lost
                }
                DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::ExclusionViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::RestrictViolation => Self::Refused,
                _ => Self::Unnamed,
            },
            // Never sent.
            DieselError::InvalidCString(_)
            | DieselError::QueryBuilderError(_)
            | DieselError::SerializationError(_) => Self::Refused,
            DieselError::BrokenTransactionManager | DieselError::RollbackErrorOnCommit { .. } => {
                Self::Lost
            }
            _ => Self::Unnamed,
        }
    }

    /// What an error means on a connection without a transaction.
    pub(crate) fn on<C>(conn: &mut C, error: &DieselError) -> Self
    where
        C: Connection<Backend: Dialect<C>>,
    {
        Self::told_by(error, |message| C::Backend::unnamed_trouble(conn, message))
    }

    /// What an error means inside a transaction of the host's.
    pub(crate) fn in_transaction<C>(conn: &mut C, error: &DieselError) -> Self
    where
        C: Connection<Backend: Dialect<C>>,
    {
        let trouble =
            Self::told_by(error, |text| C::Backend::unnamed_trouble_in_transaction(conn, text));
        match trouble {
            Self::Conflict | Self::Refused
                if C::Backend::refusal_has_ended_transaction(conn) != Ok(false) =>
            {
                Self::Unnamed
            }
            trouble => trouble,
        }
    }

    fn told_by(error: &DieselError, unnamed: impl FnOnce(&str) -> Self) -> Self {
        match (Self::by_kind(error), error) {
            (Self::Unnamed, DieselError::DatabaseError(_, information)) => {
                unnamed(information.message())
            }
            (trouble, _) => trouble,
        }
    }
}

/// A column as the catalogue of a server describes it.
#[cfg(any(feature = "mysql", feature = "postgres"))]
#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    length: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    collation: Option<String>,
    /// 1 if NULL is refused.
    #[diesel(sql_type = BigInt)]
    not_null: i64,
    /// 1 if a row that does not name it is refused.
    #[diesel(sql_type = BigInt)]
    required: i64,
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

/// What the triggers and rules of the host's on our table come to.
fn host_triggers(names: Vec<NameRow>) -> impl Iterator<Item = Finding> {
    names.into_iter().map(|row| Finding::new(SchemaProblem::HostTrigger, row.name))
}

/// Writes and reads the 16 bytes of both kinds of id, on one backend.
#[cfg(any(feature = "mysql", feature = "postgres"))]
macro_rules! id_as_bytes {
    ($backend:ty, $($id:ty),+) => {$(
        impl diesel::serialize::ToSql<crate::store::schema::sql_types::AccountId, $backend> for $id {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, $backend>,
            ) -> diesel::serialize::Result {
                std::io::Write::write_all(out, self.as_bytes())?;
                Ok(diesel::serialize::IsNull::No)
            }
        }

        impl diesel::deserialize::FromSql<crate::store::schema::sql_types::AccountId, $backend>
            for $id
        {
            fn from_sql(
                value: <$backend as diesel::backend::Backend>::RawValue<'_>,
            ) -> diesel::deserialize::Result<Self> {
                Ok(Self::from_bytes(value.as_bytes().try_into()?))
            }
        }
    )+};
}
#[cfg(any(feature = "mysql", feature = "postgres"))]
use id_as_bytes;
