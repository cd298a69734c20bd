//! The service's own tables, in the database of the accounts: requests that can be repeated, and
//! sessions.
//!
//! Neither holds a secret: what a client presents is stored as a digest.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

diesel::table! {
    /// A request that came with an `Idempotency-Key`.
    service_requests (id) {
        /// A digest of the client and its key.
        id -> Text,
        /// The account that it creates.
        user_id -> Text,
        /// A keyed digest of the body.
        body -> Text,
        /// Until when it is being answered, in microseconds since 1970; 0 if it is not.
        running_until -> BigInt,
        /// In microseconds since 1970.
        expires_at -> BigInt,
    }
}

diesel::table! {
    /// A session.
    service_sessions (id) {
        /// A digest of the text in the cookie.
        id -> Text,
        /// JSON.
        data -> Text,
        /// In microseconds since 1970.
        expires_at -> BigInt,
    }
}

/// A row of `service_requests`.
#[derive(Clone, Debug, Eq, Insertable, PartialEq, Queryable, Selectable)]
#[diesel(table_name = service_requests)]
pub(crate) struct RequestRow {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) body: String,
    pub(crate) running_until: i64,
    pub(crate) expires_at: i64,
}

/// A row of `service_sessions`.
#[derive(Clone, Debug, Eq, Insertable, PartialEq, Queryable, Selectable)]
#[diesel(table_name = service_sessions)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) data: String,
    pub(crate) expires_at: i64,
}

/// The queries, on a connection to any of the engines.
pub(crate) trait Tables: SimpleConnection + Sized {
    /// Whether an index is made if it is not there: MariaDB does so, but MySQL does not.
    const MAKES_INDEXES: bool;

    /// Makes the tables with their indexes, if they are not there.
    fn make_tables(&mut self) -> QueryResult<()> {
        let statements: String = TABLES
            .iter()
            .map(|(table, columns)| match Self::MAKES_INDEXES {
                true => format!(
                    "CREATE TABLE IF NOT EXISTS {table} ({columns}); \
                     CREATE INDEX IF NOT EXISTS {table}_expiry ON {table} (expires_at);"
                ),
                false => format!(
                    "CREATE TABLE IF NOT EXISTS {table} \
                         ({columns}, INDEX {table}_expiry (expires_at));"
                ),
            })
            .collect();
        let make = |conn: &mut Self| conn.batch_execute(&statements);
        // Some that make one table at once can be in each other's way.
        (0..5).fold(make(self), |made, _| made.or_else(|_| make(self)))
    }

    /// Whether there was none with this id.
    fn insert_request(&mut self, row: &RequestRow) -> QueryResult<bool>;
    fn request(&mut self, id: &str) -> QueryResult<Option<RequestRow>>;
    /// Whether nobody else is answering it.
    fn take_request(&mut self, id: &str, now: i64, until: i64) -> QueryResult<bool>;
    fn release_request(&mut self, id: &str) -> QueryResult<usize>;
    /// Deletes it, if it has expired by then.
    fn forget_request(&mut self, id: &str, now: i64) -> QueryResult<usize>;
    /// Whether there was none with this id.
    fn insert_session(&mut self, row: &SessionRow) -> QueryResult<bool>;
    fn save_session(&mut self, row: &SessionRow) -> QueryResult<()>;
    fn session(&mut self, id: &str, now: i64) -> QueryResult<Option<SessionRow>>;
    fn delete_session(&mut self, id: &str) -> QueryResult<usize>;
    /// Deletes some of what has expired; how many there were.
    fn forget_expired(&mut self, now: i64, limit: i64) -> QueryResult<usize>;
}

macro_rules! tables {
    ($connection:ty, $makes_indexes:literal) => {
        impl Tables for $connection {
            const MAKES_INDEXES: bool = $makes_indexes;

            fn insert_request(&mut self, row: &RequestRow) -> QueryResult<bool> {
                was_new(diesel::insert_into(service_requests::table).values(row).execute(self))
            }

            fn request(&mut self, id: &str) -> QueryResult<Option<RequestRow>> {
                let row = service_requests::table.find(id).select(RequestRow::as_select());
                row.first(self).optional()
            }

            fn take_request(&mut self, id: &str, now: i64, until: i64) -> QueryResult<bool> {
                use service_requests::running_until;
                diesel::update(service_requests::table.find(id).filter(running_until.le(now)))
                    .set(running_until.eq(until))
                    .execute(self)
                    .map(|rows| rows > 0)
            }

            fn release_request(&mut self, id: &str) -> QueryResult<usize> {
                diesel::update(service_requests::table.find(id))
                    .set(service_requests::running_until.eq(0))
                    .execute(self)
            }

            fn forget_request(&mut self, id: &str, now: i64) -> QueryResult<usize> {
                let row = service_requests::table.find(id);
                let expired = row.filter(service_requests::expires_at.le(now));
                diesel::delete(expired).execute(self)
            }

            fn insert_session(&mut self, row: &SessionRow) -> QueryResult<bool> {
                was_new(diesel::insert_into(service_sessions::table).values(row).execute(self))
            }

            fn save_session(&mut self, row: &SessionRow) -> QueryResult<()> {
                use service_sessions::{data, expires_at};
                let saved = diesel::update(service_sessions::table.find(&row.id))
                    .set((data.eq(&row.data), expires_at.eq(row.expires_at)))
                    .execute(self)?;
                if saved == 0 {
                    self.insert_session(row)?;
                }
                Ok(())
            }

            fn session(&mut self, id: &str, now: i64) -> QueryResult<Option<SessionRow>> {
                service_sessions::table
                    .find(id)
                    .filter(service_sessions::expires_at.gt(now))
                    .select(SessionRow::as_select())
                    .first(self)
                    .optional()
            }

            fn delete_session(&mut self, id: &str) -> QueryResult<usize> {
                diesel::delete(service_sessions::table.find(id)).execute(self)
            }

            fn forget_expired(&mut self, now: i64, limit: i64) -> QueryResult<usize> {
                let requests: Vec<String> = service_requests::table
                    .filter(service_requests::expires_at.le(now))
                    .select(service_requests::id)
                    .limit(limit)
                    .load(self)?;
                let sessions: Vec<String> = service_sessions::table
                    .filter(service_sessions::expires_at.le(now))
                    .select(service_sessions::id)
                    .limit(limit)
                    .load(self)?;
                let requests = service_requests::table
                    .filter(service_requests::id.eq_any(&requests))
                    .filter(service_requests::expires_at.le(now));
                let sessions = service_sessions::table
                    .filter(service_sessions::id.eq_any(&sessions))
                    .filter(service_sessions::expires_at.le(now));
                Ok(diesel::delete(requests).execute(self)?
                    + diesel::delete(sessions).execute(self)?)
            }
        }
    };
}
#[cfg(feature = "mysql")]
tables!(MysqlConnection, false);
#[cfg(feature = "postgres")]
tables!(PgConnection, true);
#[cfg(feature = "sqlite")]
tables!(SqliteConnection, true);

fn was_new(inserted: QueryResult<usize>) -> QueryResult<bool> {
    match inserted {
        Ok(_) => Ok(true),
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Each with its columns.
const TABLES: [(&str, &str); 2] = [
    (
        "service_requests",
        "id VARCHAR(64) PRIMARY KEY, \
         user_id VARCHAR(36) NOT NULL, \
         body VARCHAR(64) NOT NULL, \
         running_until BIGINT NOT NULL, \
         expires_at BIGINT NOT NULL",
    ),
    (
        "service_sessions",
        "id VARCHAR(64) PRIMARY KEY, \
         data VARCHAR(2000) NOT NULL, \
         expires_at BIGINT NOT NULL",
    ),
];
