use std::collections::HashSet;
use std::time::Instant;

use diesel::connection::LoadConnection;
use diesel::deserialize::{self, FromSql};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};

use super::{Dialect, Engine, NameRow, Trouble, host_triggers};
use crate::audit::EventId;
use crate::error::{Error, Result};
use crate::observe::{self, Retry};
use crate::retry::Backoff;
use crate::store::attempts::{AttemptKey, InsertAttempt};
use crate::store::check::{Finding, FoundColumn, FoundIndex, Kind, SchemaProblem};
use crate::store::migrate::{MigrationSteps, run_pending};
use crate::store::rows::{Claim, InsertUser, UserRow};
use crate::store::schema::sql_types::AccountId;
use crate::store::schema::{account_attempts, account_limits, account_users};
use crate::store::users::UserQueries;
use crate::user::{RealmId, UserId};

impl<C: LoadConnection<Backend = Self>> Dialect<C> for Sqlite {
    const ENGINE: Engine = Engine::Sqlite;

    const HAS_ONE_WRITER: bool = true;

    const EQUALITY_HIDES_RANGE: bool = false;

    const FAILED_COMMIT_IS_UNDONE: bool = true;

    /// A statement that fails is undone by itself, unless a trigger of the host's wishes otherwise:
    /// see `refused_may_stay`.
    const REFUSAL_SPOILS_TRANSACTION: bool = false;

    /// `ON CONFLICT DO NOTHING`, not `OR IGNORE`, which swallows other violations too. Executed and
    /// counted: with RETURNING a row may be reported although the commit failed.
    fn insert_user(conn: &mut C, user: &InsertUser<'_>) -> QueryResult<usize> {
        diesel::insert_into(account_users::table)
            .values(user)
            .on_conflict_do_nothing()
            .execute(conn)
    }

    /// In a transaction, or a savepoint of the host's, so that all are refused with one. Each by
    /// itself: SQLite keeps a journal of a statement of many, for one of them might be refused.
    fn insert_users(conn: &mut C, users: &[InsertUser<'_>]) -> QueryResult<HashSet<UserId>> {
        conn.transaction(|conn| {
            let mut inserted = HashSet::with_capacity(users.len());
            for user in users {
                if Self::insert_user(conn, user)? > 0 {
                    inserted.insert(user.id);
                }
            }
            Ok(inserted)
        })
    }

    fn insert_attempt(conn: &mut C, attempt: &InsertAttempt) -> QueryResult<usize> {
        diesel::insert_into(account_attempts::table)
            .values(attempt)
            .on_conflict_do_nothing()
            .execute(conn)
    }

    fn insert_limit(conn: &mut C, key: AttemptKey, arrival: i64) -> QueryResult<usize> {
        diesel::insert_into(account_limits::table)
            .values((account_limits::id.eq(key), account_limits::theoretical_arrival.eq(arrival)))
            .on_conflict_do_nothing()
            .execute(conn)
    }

    /// A transaction that could insert sees the latest state.
    fn holders_in_transaction(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>> {
        Self::holders(conn, claim)
    }

    /// Diesel hides the result code; SQLite's texts are fixed, in English, and without user data.
    fn unnamed_trouble(_: &mut C, message: &str) -> Trouble {
        if is_busy(message) {
            Trouble::Contention
        } else if message.contains("disk I/O error") {
            Trouble::Lost
        } else {
            Trouble::Refused
        }
    }

    /// A trigger of the host's can roll the whole transaction back, with any text.
    fn unnamed_trouble_in_transaction(_: &mut C, _: &str) -> Trouble {
        Trouble::Unnamed
    }

    /// A trigger of the host's that says `OR ROLLBACK`, or writes to a table with a constraint that
    /// does.
    fn refusal_has_ended_transaction(conn: &mut C) -> QueryResult<bool> {
        Ok(!transaction_is_open(conn)?)
    }

    /// A trigger of the host's that says `RAISE(FAIL)`, or writes to a table with a constraint that
    /// says `ON CONFLICT FAIL`, stops the statement and keeps what it did before.
    fn refused_may_stay(conn: &mut C) -> QueryResult<bool> {
        Ok(!triggers(conn)?.is_empty())
    }

    /// What SQLite has ended cannot be begun again: the host would commit, and not hear what it
    /// lost.
    fn prepare_rollback(conn: &mut C, _: u32) -> QueryResult<()> {
        match transaction_is_open(conn)? {
            true => Ok(()),
            false => Err(DieselError::BrokenTransactionManager),
        }
    }

    /// A transaction that has read before it writes never waits for another writer: it fails at
    /// once, and is begun again.
    fn migrate(conn: &mut C, until: Instant) -> Result<()> {
        let mut backoff = Backoff::until(until);
        loop {
            let mut failed = None;
            let done = conn.transaction(|conn| {
                run_pending(conn, until).map_err(|error| {
                    failed = Some(error);
                    DieselError::RollbackTransaction
                })
            });
            // Where SQLite has rolled back itself, Diesel's rollback fails too.
            match failed.map_or_else(|| done.map_err(Error::from), Err) {
                Err(Error::Busy) => {}
                // The commit.
                Err(Error::Database(failure)) if is_contention(failure.diesel_error()) => {}
                Err(Error::Database(failure)) if is_nested(failure.diesel_error()) => {
                    return Err(Error::TransactionOpen);
                }
                result => return result,
            }
            if !backoff.pause() {
                return Err(Error::Busy);
            }
            observe::retry(Retry::Contention);
        }
    }

    fn columns(conn: &mut C, table: &str) -> QueryResult<Vec<FoundColumn>> {
        let rows: Vec<ColumnRow> = sql_query(
            "SELECT name, upper(type) AS type_name, \"notnull\" AS not_null, \
                    \"notnull\" AND dflt_value IS NULL AS required \
             FROM pragma_table_info(?, 'main')",
        )
        .bind::<Text, _>(table)
        .load(conn)?;
        let mut columns = Vec::new();
        for row in rows {
            let is_key = matches!(row.name.as_str(), "username_key" | "email_key");
            columns.push(FoundColumn {
                kinds: match row.type_name.as_str() {
                    "BLOB" => &[Kind::Id],
                    // The rules of SQLite: section 3.1 of "Datatypes In SQLite".
                    name if name.contains("INT") => &[Kind::Small, Kind::Big],
                    name if name.contains("CHAR") || name.contains("TEXT") => {
                        &[Kind::Key, Kind::Text, Kind::Ascii]
                    }
                    _ => &[],
                },
                length: None,
                bytewise: !is_key || is_bytewise(conn, table, &row.name)?,
                unicode: true,
                not_null: row.not_null == 1,
                required: row.required == 1,
                name: row.name,
            });
        }
        Ok(columns)
    }

    fn indexes(conn: &mut C, table: &str) -> QueryResult<Vec<FoundIndex>> {
        let rows: Vec<IndexRow> = sql_query(
            "SELECT group_concat(coalesce(name, '(expression)')) AS columns, is_unique, partial, \
                    min(coll = 'BINARY') AS bytewise \
             FROM (SELECT l.name AS index_name, l.\"unique\" AS is_unique, l.partial AS partial, \
                          x.name AS name, x.coll AS coll \
                   FROM pragma_index_list(?, 'main') l, \
                        pragma_index_xinfo(l.name, 'main') x \
                   WHERE x.key = 1 ORDER BY l.name, x.seqno) \
             GROUP BY index_name",
        )
        .bind::<Text, _>(table)
        .load(conn)?;
        let index = |row: IndexRow| FoundIndex {
            columns: row.columns.split(',').map(str::to_owned).collect(),
            unique: row.is_unique == 1,
            excludes: false,
            btree: true,
            immediate: true,
            whole: row.partial == 0,
            of_prefixes: false,
            nulls_differ: true,
            bytewise: row.bytewise == 1,
        };
        Ok(rows.into_iter().map(index).collect())
    }

    /// In UTF-16, texts do not sort by their code points.
    fn server_findings(conn: &mut C) -> QueryResult<Vec<Finding>> {
        let encoding: EncodingRow =
            sql_query("SELECT encoding FROM pragma_encoding").get_result(conn)?;
        let mut findings = match encoding.encoding.as_str() {
            "UTF-8" => Vec::new(),
            _ => vec![Finding::new(SchemaProblem::NotUnicode, "encoding")],
        };
        findings.extend(host_triggers(triggers(conn)?));
        Ok(findings)
    }
}

impl<C: LoadConnection<Backend = Self>> MigrationSteps<C> for Sqlite {
    /// DDL is transactional: what is there without an entry in the ledger is not ours.
    fn is_ours(_: &mut C, _: &str) -> QueryResult<bool> {
        Ok(false)
    }

    /// Whoever waits here is the host's busy time-out, and there is one wait only.
    fn limit_waits(_: &mut C, _: Instant) -> QueryResult<()> {
        Ok(())
    }
}

/// Whether a column is compared by `BINARY`. No pragma tells; but a column of a compound query is
/// compared by the collation of the first of its parts, here of the column itself.
fn is_bytewise<C: LoadConnection<Backend = Sqlite>>(
    conn: &mut C,
    table: &str,
    column: &str,
) -> QueryResult<bool> {
    sql_query(format!(
        "SELECT (text = 'A' OR text = 'a ') AS number \
         FROM (SELECT {column} AS text FROM main.{table} WHERE 0 UNION SELECT 'a')"
    ))
    .get_result::<NumberRow>(conn)
    .map(|row| row.number == 0)
}

/// The triggers of the host's on accounts.
fn triggers<C: LoadConnection<Backend = Sqlite>>(conn: &mut C) -> QueryResult<Vec<NameRow>> {
    sql_query(
        "SELECT name FROM main.sqlite_master \
         WHERE type = 'trigger' AND tbl_name = 'account_users' COLLATE NOCASE \
         UNION ALL \
         SELECT name FROM sqlite_temp_master \
         WHERE type = 'trigger' AND tbl_name = 'account_users' COLLATE NOCASE \
         ORDER BY name",
    )
    .load(conn)
}

/// SQLITE_BUSY and SQLITE_LOCKED, with all their extended codes.
fn is_busy(message: &str) -> bool {
    ["database is locked", "database table is locked", "database schema is locked"]
        .iter()
        .any(|text| message.starts_with(text))
}

/// Whether SQLite still has the transaction that Diesel believes in: there is never a second one.
fn transaction_is_open<C: LoadConnection<Backend = Sqlite>>(conn: &mut C) -> QueryResult<bool> {
    match conn.batch_execute("BEGIN") {
        Ok(()) => conn.batch_execute("ROLLBACK").map(|()| false),
        Err(_) => Ok(true),
    }
}

/// Whether a transaction was open that Diesel does not know of, begun in plain SQL.
fn is_nested(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(_, information) => {
            information.message() == "cannot start a transaction within a transaction"
        }
        _ => false,
    }
}

fn is_contention(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(_, information) => is_busy(information.message()),
        _ => false,
    }
}

macro_rules! id_as_blob {
    ($($id:ty),+) => {$(
        impl ToSql<AccountId, Sqlite> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(self.as_bytes().as_slice());
                Ok(IsNull::No)
            }
        }

        impl FromSql<AccountId, Sqlite> for $id {
            fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
                let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
                Ok(Self::from_bytes(bytes.as_slice().try_into()?))
            }
        }
    )+};
}
id_as_blob!(AttemptKey, EventId, RealmId, UserId);

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = BigInt)]
    not_null: i64,
    #[diesel(sql_type = BigInt)]
    required: i64,
}

#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Text)]
    columns: String,
    #[diesel(sql_type = BigInt)]
    is_unique: i64,
    #[diesel(sql_type = BigInt)]
    partial: i64,
    #[diesel(sql_type = BigInt)]
    bytewise: i64,
}

#[derive(QueryableByName)]
struct EncodingRow {
    #[diesel(sql_type = Text)]
    encoding: String,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}
