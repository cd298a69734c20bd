use std::collections::HashSet;
use std::time::Instant;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text};

use super::{ColumnRow, Dialect, Engine, Trouble, host_triggers};
use crate::audit::EventId;
use crate::error::{Error, Result};
use crate::observe::{self, Retry};
use crate::retry::Backoff;
use crate::store::attempts::{AttemptKey, InsertAttempt};
use crate::store::check::{Finding, FoundColumn, FoundIndex, Kind, SchemaProblem};
use crate::store::migrate::{MigrationSteps, remaining_millis, run_pending};
use crate::store::rows::{Claim, InsertUser, UserRow};
use crate::store::schema::sql_types::AccountId;
use crate::store::schema::{account_attempts, account_limits, account_users};
use crate::store::users::UserQueries;
use crate::user::{RealmId, UserId};

super::id_as_bytes!(Pg, AttemptKey, EventId, RealmId, UserId);

impl<C: LoadConnection<Backend = Self>> Dialect<C> for Pg {
    const ENGINE: Engine = Engine::Postgres;

    const HAS_ONE_WRITER: bool = false;

    const EQUALITY_HIDES_RANGE: bool = false;

    const FAILED_COMMIT_IS_UNDONE: bool = true;

    /// PostgreSQL refuses every further statement, and answers the host's COMMIT with a silent
    /// ROLLBACK.
    const REFUSAL_SPOILS_TRANSACTION: bool = true;

    /// Without a conflict target: with one, a violation of any other unique key is still an error.
    fn insert_user(conn: &mut C, user: &InsertUser<'_>) -> QueryResult<usize> {
        diesel::insert_into(account_users::table)
            .values(user)
            .on_conflict_do_nothing()
            .execute(conn)
    }

    /// One array for each column, which takes a fraction of the time of one value for each field; and
    /// a refused statement would put somebody's address into the server's log.
    fn insert_users(conn: &mut C, users: &[InsertUser<'_>]) -> QueryResult<HashSet<UserId>> {
        macro_rules! column {
            ($column:ident) => {
                users.iter().map(|user| user.$column).collect::<Vec<_>>()
            };
        }
        let inserted: Vec<IdRow> = sql_query(
            "INSERT INTO account_users (id, realm, username, username_key, username_key_version, \
             email, email_key, email_key_version, email_verified_at, password_hash, state, \
             session_generation, created_at, updated_at, password_changed_at, last_sign_in_at) \
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
             $16) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind::<Array<AccountId>, _>(column!(id))
        .bind::<Array<AccountId>, _>(column!(realm))
        .bind::<Array<Nullable<Text>>, _>(column!(username))
        .bind::<Array<Nullable<Text>>, _>(column!(username_key))
        .bind::<Array<SmallInt>, _>(column!(username_key_version))
        .bind::<Array<Nullable<Text>>, _>(column!(email))
        .bind::<Array<Nullable<Text>>, _>(column!(email_key))
        .bind::<Array<SmallInt>, _>(column!(email_key_version))
        .bind::<Array<Nullable<BigInt>>, _>(column!(email_verified_at))
        .bind::<Array<Nullable<Text>>, _>(column!(password_hash))
        .bind::<Array<SmallInt>, _>(column!(state))
        .bind::<Array<BigInt>, _>(column!(session_generation))
        .bind::<Array<BigInt>, _>(column!(created_at))
        .bind::<Array<BigInt>, _>(column!(updated_at))
        .bind::<Array<Nullable<BigInt>>, _>(column!(password_changed_at))
        .bind::<Array<Nullable<BigInt>>, _>(column!(last_sign_in_at))
        .load(conn)?;
        Ok(inserted.into_iter().map(|row| row.id).collect())
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

    /// A snapshot that is too old to see the winner makes the insertion fail (40001), so that a
    /// plain look-up is enough.
    fn holders_in_transaction(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>> {
        Self::holders(conn, claim)
    }

    /// Diesel hides the SQLSTATE, and the text is in the server's language. So the texts are a hint
    /// only, and all answers are true: the server spoke, so nothing was inserted. `Contention` is
    /// repeated until the deadline, `Unnamed` a few times.
    fn unnamed_trouble(conn: &mut C, message: &str) -> Trouble {
        match message {
            "deadlock detected" | "canceling statement due to lock timeout" => Trouble::Contention,
            "canceling statement due to statement timeout"
            | "canceling statement due to user request" => Trouble::Stopped,
            // What an asynchronous driver makes of a session that was ended.
            "terminating connection due to administrator command" => Trouble::Lost,
            _ => unnamed_unless_lost(conn),
        }
    }

    /// The savepoint is rolled back, but the locks of a deadlock may still be held.
    fn unnamed_trouble_in_transaction(conn: &mut C, _: &str) -> Trouble {
        unnamed_unless_lost(conn)
    }

    fn migrate(conn: &mut C, until: Instant) -> Result<()> {
        if is_in_transaction(conn)? {
            return Err(Error::TransactionOpen);
        }
        conn.transaction(|conn| {
            // The ledger must be read after the wait, whatever the host's default isolation.
            conn.batch_execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
            let mut backoff = Backoff::until(until);
            while !try_migration_lock(conn)? {
                if !backoff.pause() {
                    return Err(Error::Busy);
                }
                observe::retry(Retry::Contention);
            }
            run_pending(conn, until)
        })
    }

    fn columns(conn: &mut C, table: &str) -> QueryResult<Vec<FoundColumn>> {
        let rows: Vec<ColumnRow> = sql_query(
            "SELECT a.attname::text AS name, format_type(a.atttypid, NULL) AS type_name, \
                    CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 \
                         THEN (a.atttypmod - 4)::bigint END AS length, \
                    (SELECT collname::text FROM pg_catalog.pg_collation \
                     WHERE oid = a.attcollation) AS collation, \
                    (a.attnotnull OR t.typnotnull)::int::bigint AS not_null, \
                    ((a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' \
                     AND t.typdefault IS NULL)::int::bigint AS required \
             FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
             WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .bind::<Text, _>(table)
        .load(conn)?;
        let column = |row: ColumnRow| FoundColumn {
            kinds: match row.type_name.as_str() {
                "uuid" => &[Kind::Id],
                // Not `character`, which is padded.
                "text" | "character varying" => &[Kind::Key, Kind::Text, Kind::Ascii],
                "smallint" => &[Kind::Small],
                "bigint" => &[Kind::Big],
                _ => &[],
            },
            bytewise: matches!(row.collation.as_deref(), Some("C" | "POSIX")),
            unicode: true,
            not_null: row.not_null == 1,
            required: row.required == 1,
            name: row.name,
            length: row.length,
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn indexes(conn: &mut C, table: &str) -> QueryResult<Vec<FoundIndex>> {
        let rows: Vec<IndexRow> = sql_query(
            "SELECT am.amname = 'btree' AS btree, i.indisunique AS is_unique, \
                    i.indisexclusion AS excludes, \
                    i.indimmediate AS immediate, \
                    NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) \
                        AS nulls_differ, \
                    i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AS whole, \
                    coalesce((SELECT string_agg(coalesce(a.attname::text, '(expression)'), ',' \
                                      ORDER BY k.position) \
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, position) \
                     LEFT JOIN pg_catalog.pg_attribute a \
                       ON a.attrelid = i.indrelid AND a.attnum = k.number \
                     WHERE k.position <= i.indnkeyatts), '') AS columns, \
                    coalesce((SELECT bool_and(c.collname IN ('C', 'POSIX')) \
                     FROM unnest(i.indcollation::oid[]) o (id) \
                     JOIN pg_catalog.pg_collation c ON c.oid = o.id), true) AS bytewise \
             FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid \
             JOIN pg_catalog.pg_am am ON am.oid = r.relam \
             WHERE i.indrelid = to_regclass($1)",
        )
        .bind::<Text, _>(table)
        .load(conn)?;
        let index = |row: IndexRow| FoundIndex {
            columns: row.columns.split(',').map(str::to_owned).collect(),
            unique: row.is_unique && !row.excludes,
            excludes: row.excludes,
            btree: row.btree,
            immediate: row.immediate,
            whole: row.whole,
            of_prefixes: false,
            nulls_differ: row.nulls_differ,
            bytewise: row.bytewise,
        };
        Ok(rows.into_iter().map(index).collect())
    }

    fn server_findings(conn: &mut C) -> QueryResult<Vec<Finding>> {
        let server: ServerRow = sql_query(
            "SELECT current_setting('server_encoding') AS encoding, \
                    coalesce((SELECT relrowsecurity FROM pg_catalog.pg_class \
                     WHERE oid = to_regclass('account_users')), false) AS row_security",
        )
        .get_result(conn)?;
        let mut findings = Vec::new();
        if server.encoding != "UTF8" {
            findings.push(Finding::new(SchemaProblem::NotUnicode, "server_encoding"));
        }
        if server.row_security {
            findings.push(Finding::new(SchemaProblem::RowSecurity, "account_users"));
        }
        let triggers = sql_query(
            "SELECT tgname::text AS name FROM pg_catalog.pg_trigger \
             WHERE tgrelid = to_regclass('account_users') AND NOT tgisinternal AND tgenabled <> 'D' \
             UNION ALL \
             SELECT rulename::text FROM pg_catalog.pg_rewrite \
             WHERE ev_class = to_regclass('account_users') AND rulename <> '_RETURN' \
             ORDER BY name",
        );
        findings.extend(host_triggers(triggers.load(conn)?));
        Ok(findings)
    }
}

impl<C: LoadConnection<Backend = Self>> MigrationSteps<C> for Pg {
    /// DDL is transactional: what is there without an entry in the ledger is not ours.
    fn is_ours(_: &mut C, _: &str) -> QueryResult<bool> {
        Ok(false)
    }

    fn limit_waits(conn: &mut C, until: Instant) -> QueryResult<()> {
        conn.batch_execute(&format!("SET LOCAL lock_timeout = {}", remaining_millis(until)))
    }
}

/// Of a session that was ended an asynchronous driver hears why, and only the next statement finds
/// it gone. (Diesel's own connection knows at once.)
fn unnamed_unless_lost<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> Trouble {
    match conn.batch_execute("SELECT 1") {
        Err(error) if Trouble::by_kind(&error) == Trouble::Lost => Trouble::Lost,
        _ => Trouble::Unnamed,
    }
}

/// Whether a transaction is open that Diesel does not know of, begun in plain SQL: two statements
/// on their own are in transactions that began at two times.
fn is_in_transaction<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> QueryResult<bool> {
    let mut began = || -> QueryResult<String> {
        diesel::select(diesel::dsl::sql::<Text>("transaction_timestamp()::text")).get_result(conn)
    };
    Ok(began()? == began()?)
}

/// Takes the lock of migrations for the rest of the transaction, if nobody has it.
fn try_migration_lock<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> QueryResult<bool> {
    sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
        .bind::<BigInt, _>(MIGRATION_LOCK)
        .get_result::<LockRow>(conn)
        .map(|row| row.locked)
}

/// Any number, as long as it is always the same: "accounts" in ASCII.
const MIGRATION_LOCK: i64 = 0x6163_636f_756e_7473;

#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Text)]
    columns: String,
    #[diesel(sql_type = Bool)]
    is_unique: bool,
    #[diesel(sql_type = Bool)]
    excludes: bool,
    #[diesel(sql_type = Bool)]
    btree: bool,
    #[diesel(sql_type = Bool)]
    immediate: bool,
    #[diesel(sql_type = Bool)]
    whole: bool,
    #[diesel(sql_type = Bool)]
    nulls_differ: bool,
    #[diesel(sql_type = Bool)]
    bytewise: bool,
}

#[derive(QueryableByName)]
struct ServerRow {
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Bool)]
    row_security: bool,
}

#[derive(QueryableByName)]
struct LockRow {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = AccountId)]
    id: UserId,
}
