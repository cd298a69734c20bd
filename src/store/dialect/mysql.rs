use std::collections::HashSet;
use std::time::Instant;

use diesel::connection::{LoadConnection, TransactionManager};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::DatabaseErrorKind;
use diesel::result::Error as DieselError;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::{ColumnRow, Dialect, Engine, Trouble, host_triggers};
use crate::audit::EventId;
use crate::error::{Error, Result, SchemaFailure};
use crate::observe::{self, Retry};
use crate::retry::Backoff;
use crate::store::attempts::{AttemptKey, InsertAttempt};
use crate::store::bulk::insert_rows;
use crate::store::check::{Finding, FoundColumn, FoundIndex, Kind, SchemaProblem};
use crate::store::mark_lost;
use crate::store::migrate::{MigrationSteps, busy_or, remaining_millis, run_pending};
use crate::store::rows::{Claim, InsertUser, UserRow};
use crate::store::schema::{account_attempts, account_limits, account_users};
use crate::store::users::{by_id, by_key};
use crate::user::{RealmId, UserId};

super::id_as_bytes!(Mysql, AttemptKey, EventId, RealmId, UserId);

impl<C: LoadConnection<Backend = Self>> Dialect<C> for Mysql {
    const ENGINE: Engine = Engine::Mysql;

    const HAS_ONE_WRITER: bool = false;

    /// MariaDB takes `ref` by the realm alone where it believes that about as many rows are in the
    /// range, as it does of a range that holds half of them.
    const EQUALITY_HIDES_RANGE: bool = true;

    /// The number of the error, which would tell, is lost with the rollback.
    const FAILED_COMMIT_IS_UNDONE: bool = false;

    /// The transaction survives a violation, and would not survive a deadlock in a savepoint
    /// either.
    const REFUSAL_SPOILS_TRANSACTION: bool = false;

    /// A plain INSERT. IGNORE cuts values that are too long, ON DUPLICATE KEY UPDATE reports one
    /// row whether it inserted or not, and may update a third account.
    fn insert_user(conn: &mut C, user: &InsertUser<'_>) -> QueryResult<usize> {
        diesel::insert_into(account_users::table).values(user).execute(conn)
    }

    fn insert_users(conn: &mut C, users: &[InsertUser<'_>]) -> QueryResult<HashSet<UserId>> {
        insert_rows(conn, users)
    }

    fn insert_attempt(conn: &mut C, attempt: &InsertAttempt) -> QueryResult<usize> {
        diesel::insert_into(account_attempts::table).values(attempt).execute(conn)
    }

    fn insert_limit(conn: &mut C, key: AttemptKey, arrival: i64) -> QueryResult<usize> {
        diesel::insert_into(account_limits::table)
            .values((account_limits::id.eq(key), account_limits::theoretical_arrival.eq(arrival)))
            .execute(conn)
    }

    /// A plain look-up at REPEATABLE READ does not see the winner, and FOR UPDATE deadlocks with
    /// the other losers. Separate look-ups, for a locking OR over a small table locks every row of
    /// it.
    ///
    /// The id is looked up with a lock only if somebody has it, which is certain if nobody has a key:
    /// an absent one would lock the end of the primary key, where all new ids go, against everybody
    /// until the host is done.
    fn holders_in_transaction(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>> {
        let by_username = by_key!(account_users::username_key, claim.realm, claim.username_key);
        let mut rows: Vec<UserRow> = InShareMode(by_username).load(conn)?;
        let by_email = by_key!(account_users::email_key, claim.realm, claim.email_key);
        rows.extend(InShareMode(by_email).load::<UserRow>(conn)?);
        let by_id = by_id!(claim.id);
        // At READ UNCOMMITTED it may be the row of an insertion that is refused in the end.
        if rows.is_empty() || !by_id.load::<UserRow>(conn)?.is_empty() {
            rows.extend(InShareMode(by_id).load::<UserRow>(conn)?);
        }
        Ok(rows)
    }

    /// MariaDB answers a deletion that `max_statement_time` or `KILL QUERY` stops, about once in
    /// three times, with success and no rows. A reading that is stopped fails. With a lock, for the
    /// snapshot of a host may show what was deleted since.
    fn account_outlived_deletion(conn: &mut C, realm: RealmId, id: UserId) -> QueryResult<bool> {
        let rows = account_users::table.find(id).filter(account_users::realm.eq(realm));
        let found: Vec<UserId> = InShareMode(rows.select(account_users::id)).load(conn)?;
        Ok(!found.is_empty())
    }

    fn attempts_outlived_deletion(conn: &mut C, subject: AttemptKey) -> QueryResult<bool> {
        let rows = account_attempts::table.filter(account_attempts::subject.eq(subject));
        let found: Vec<AttemptKey> =
            InShareMode(rows.select(account_attempts::client)).load(conn)?;
        Ok(!found.is_empty())
    }

    /// Diesel hides the error's number and its text is in the server's language; but the server
    /// still knows the number. If it does not answer, the connection is lost.
    fn unnamed_trouble(conn: &mut C, message: &str) -> Trouble {
        // Galera without a quorum, by its documentation: the cluster may yet apply what this node
        // says it could not. (No test of ours has lost a quorum.)
        if message.contains("Primary Component") {
            return Trouble::Lost;
        }
        match last_error_number(conn) {
            // Lock wait timeout, deadlock, record changed since the snapshot, WSREP not ready.
            Ok(Some(1205 | 1213 | 1020 | 1047)) => Trouble::Contention,
            // `KILL QUERY`, `max_statement_time` (MariaDB), `max_execution_time` (MySQL).
            Ok(Some(1317 | 1969 | 3024)) => Trouble::Stopped,
            Ok(Some(_)) => Trouble::Refused,
            Ok(None) => Trouble::Unnamed,
            Err(_) => Trouble::Lost,
        }
    }

    /// Reading the number of the error touches no table, takes no lock and begins no transaction.
    /// Diesel knows no CHECK violation of MariaDB's.
    fn unnamed_trouble_in_transaction(conn: &mut C, _: &str) -> Trouble {
        match last_error_number(conn) {
            // CHECK violation (MariaDB, MySQL), SIGNAL in a trigger, value too long, no such table.
            Ok(Some(4025 | 3819 | 1644 | 1406 | 1146)) => Trouble::Refused,
            Ok(_) => Trouble::Unnamed,
            Err(_) => Trouble::Lost,
        }
    }

    /// A deadlock ends the savepoints with the transaction, and Diesel, which knows it by its
    /// number, bears with a savepoint that is not there; other errors that do so it does not know.
    /// But a savepoint that could not be rolled back it remembers.
    fn prepare_rollback(conn: &mut C, depth: u32) -> QueryResult<()> {
        if depth > 1 {
            let _ = C::TransactionManager::rollback_transaction(conn);
            C::TransactionManager::begin_transaction(conn)?;
        }
        Ok(())
    }

    /// DDL is not transactional: a named lock keeps others out, and every step can be repeated.
    fn migrate(conn: &mut C, until: Instant) -> Result<()> {
        if may_be_in_transaction(conn)? {
            return Err(Error::TransactionOpen);
        }
        let patience = number(conn, "@@lock_wait_timeout")?;
        if number(conn, "DATABASE() IS NOT NULL")? != Some(1) {
            return Err(Error::Schema(SchemaFailure::NoDatabase));
        }
        // Asked for and not waited for: a wait that `max_statement_time` stops is answered with NULL.
        let mut backoff = Backoff::until(until);
        loop {
            match number(conn, &format!("GET_LOCK({LOCK_NAME}, 0)")) {
                Ok(Some(1)) => break,
                Ok(_) => {}
                Err(error) => {
                    let is_stopped = Trouble::on(conn, &error) == Trouble::Stopped;
                    // It may have the lock, which ends with the session.
                    mark_lost(conn);
                    return Err(if is_stopped { Error::Busy } else { Error::from(error) });
                }
            }
            if !backoff.pause() {
                return Err(Error::Busy);
            }
            observe::retry(Retry::Contention);
        }
        // With `autocommit` off our own statements are in a transaction too.
        let result = run_pending(conn, until).and_then(|()| {
            // Whatever came of one that is stopped: what it commits can be repeated.
            let committed = conn.batch_execute("COMMIT");
            committed.map_err(|error| busy_or(conn, Error::from(error)))
        });
        let is_over = result.is_ok() || twice(conn, |conn| conn.batch_execute("ROLLBACK"));
        let is_restored = twice(conn, |conn| set_patience(conn, patience));
        let is_released = twice(conn, release_lock);
        if !(is_over && is_restored && is_released) {
            // Nobody else may meet what is left of it: the lock ends with the session.
            mark_lost(conn);
        }
        result
    }

    fn columns(conn: &mut C, table: &str) -> QueryResult<Vec<FoundColumn>> {
        let rows: Vec<ColumnRow> = sql_query(
            "SELECT column_name AS name, data_type AS type_name, \
                    CAST(character_maximum_length AS SIGNED) AS length, \
                    collation_name AS collation, \
                    CAST(is_nullable = 'NO' AS SIGNED) AS not_null, \
                    CAST(is_nullable = 'NO' AND column_default IS NULL \
                         AND LENGTH(extra) = 0 AND data_type <> 'enum' AS SIGNED) AS required \
             FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ?",
        )
        .bind::<Text, _>(table)
        .load(conn)?;
        let column = |row: ColumnRow| {
            let collation = row.collation.as_deref();
            FoundColumn {
                kinds: match (row.type_name.as_str(), row.length) {
                    ("binary", Some(16)) => &[Kind::Id],
                    ("varchar" | "tinytext" | "text" | "mediumtext" | "longtext", _) => {
                        &[Kind::Key, Kind::Text, Kind::Ascii]
                    }
                    ("varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => {
                        &[Kind::Key]
                    }
                    ("smallint", _) => &[Kind::Small],
                    ("bigint", _) => &[Kind::Big],
                    _ => &[],
                },
                // Every other collation ignores case, accents or trailing spaces.
                bytewise: matches!(
                    collation,
                    None | Some("utf8mb4_nopad_bin" | "utf8mb4_0900_bin")
                ),
                unicode: collation.is_none_or(|name| name.starts_with("utf8mb4")),
                not_null: row.not_null == 1,
                required: row.required == 1,
                name: row.name,
                length: row.length,
            }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn indexes(conn: &mut C, table: &str) -> QueryResult<Vec<FoundIndex>> {
        let rows: Vec<IndexRow> = sql_query(
            "SELECT GROUP_CONCAT(COALESCE(column_name, '(expression)') ORDER BY seq_in_index) AS columns_, \
                    CAST(MAX(non_unique) = 0 AS SIGNED) AS is_unique, \
                    CAST(MIN(index_type = 'BTREE') AS SIGNED) AS btree, \
                    CAST(MAX(sub_part IS NOT NULL) = 0 AS SIGNED) AS whole \
             FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND table_name = ? \
             GROUP BY index_name",
        )
        .bind::<Text, _>(table)
        .load(conn)?;
        let index = |row: IndexRow| FoundIndex {
            columns: row.columns_.split(',').map(str::to_owned).collect(),
            unique: row.is_unique == 1,
            excludes: false,
            btree: row.btree == 1,
            immediate: true,
            whole: row.whole == 1,
            of_prefixes: row.whole != 1,
            nulls_differ: true,
            bytewise: true,
        };
        Ok(rows.into_iter().map(index).collect())
    }

    fn server_findings(conn: &mut C) -> QueryResult<Vec<Finding>> {
        let server: ServerRow = sql_query(
            "SELECT @@sql_mode AS sql_mode, CAST(@@autocommit AS SIGNED) AS autocommit, \
                    (SELECT engine FROM information_schema.tables \
                     WHERE table_schema = DATABASE() AND table_name = 'account_users') AS engine",
        )
        .get_result(conn)?;
        let mut findings = Vec::new();
        if !server.sql_mode.split(',').any(|mode| mode.starts_with("STRICT_")) {
            findings.push(Finding::new(SchemaProblem::NotStrict, "sql_mode"));
        }
        if server.autocommit != 1 {
            findings.push(Finding::new(SchemaProblem::AutocommitOff, "autocommit"));
        }
        if server.engine.is_some_and(|engine| engine != "InnoDB") {
            findings.push(Finding::new(SchemaProblem::NotTransactional, "account_users"));
        }
        if isolation(conn)? == "READ-UNCOMMITTED" {
            findings.push(Finding::new(SchemaProblem::ReadUncommitted, "transaction_isolation"));
        }
        let triggers = sql_query(
            "SELECT trigger_name AS name FROM information_schema.triggers \
             WHERE event_object_schema = DATABASE() AND event_object_table = 'account_users' \
             ORDER BY name",
        );
        findings.extend(host_triggers(triggers.load(conn)?));
        Ok(findings)
    }
}

impl<C: LoadConnection<Backend = Self>> MigrationSteps<C> for Mysql {
    /// A migration that was cut short has left tables without an entry in the ledger; ours carry
    /// our name in their comment.
    fn is_ours(conn: &mut C, table: &str) -> QueryResult<bool> {
        sql_query(
            "SELECT COUNT(*) AS number FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = ? \
               AND table_comment = 'diesel-accounts'",
        )
        .bind::<Text, _>(table)
        .get_result::<NumberRow>(conn)
        .map(|row| row.number > Some(0))
    }

    /// By itself MariaDB waits for a day, and all who come later wait behind that.
    fn limit_waits(conn: &mut C, until: Instant) -> QueryResult<()> {
        set_patience(conn, Some(remaining_seconds(until)))
    }
}

/// Appends `LOCK IN SHARE MODE`, which MariaDB and MySQL both understand; Diesel's `for_share` is
/// `FOR SHARE`, which MariaDB does not.
#[derive(Clone, Copy, Debug, QueryId)]
struct InShareMode<Q>(Q);

impl<Q: QueryFragment<Mysql>> QueryFragment<Mysql> for InShareMode<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" LOCK IN SHARE MODE");
        Ok(())
    }
}

impl<Q: Query> Query for InShareMode<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, C> RunQueryDsl<C> for InShareMode<Q> {}

/// Whether a transaction is open that Diesel does not know of: one begun in plain SQL, or by any
/// statement of a session with `autocommit` off. MySQL does not tell, and counts as if by the
/// latter.
fn may_be_in_transaction<C: LoadConnection<Backend = Mysql>>(conn: &mut C) -> QueryResult<bool> {
    let answer = match number(conn, "@@in_transaction") {
        Err(DieselError::DatabaseError(DatabaseErrorKind::Unknown, _)) => {
            number(conn, "@@autocommit = 0")?
        }
        answer => answer?,
    };
    Ok(answer != Some(0))
}

/// The isolation level of the session. Its variable has one name on MySQL and another on MariaDB
/// before 11.1.
fn isolation<C: LoadConnection<Backend = Mysql>>(conn: &mut C) -> QueryResult<String> {
    sql_query(
        "SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')",
    )
    .get_result::<VariableRow>(conn)
    .map(|row| row.value)
}

/// The number of the error of the last statement; `None` if the server knows of no error.
///
/// The first condition: behind it MariaDB notes where in a trigger of the host's the error arose,
/// and what triggers were warned of it has forgotten by then. `SHOW ERRORS` would name the error
/// for certain, but Diesel cannot read its rows.
fn last_error_number<C: LoadConnection<Backend = Mysql>>(conn: &mut C) -> QueryResult<Option<i64>> {
    // Without an error the variable keeps its value, so it is emptied after each use.
    conn.batch_execute("GET DIAGNOSTICS CONDITION 1 @diesel_accounts_errno = MYSQL_ERRNO")?;
    let last = number(conn, "@diesel_accounts_errno")?;
    conn.batch_execute("SET @diesel_accounts_errno = NULL")?;
    Ok(last)
}

/// What an expression comes to.
fn number<C: LoadConnection<Backend = Mysql>>(
    conn: &mut C,
    expression: &str,
) -> QueryResult<Option<i64>> {
    sql_query(format!("SELECT CAST({expression} AS SIGNED) AS number"))
        .get_result::<NumberRow>(conn)
        .map(|row| row.number)
}

/// Whether it was done, at once or when it was sent once more: it may have been stopped.
fn twice<C>(conn: &mut C, act: impl Fn(&mut C) -> QueryResult<()>) -> bool {
    act(conn).or_else(|_| act(conn)).is_ok()
}

/// For how many seconds the session waits for a table that others use.
fn set_patience<C: LoadConnection<Backend = Mysql>>(
    conn: &mut C,
    seconds: Option<i64>,
) -> QueryResult<()> {
    let seconds = seconds.map_or_else(|| "DEFAULT".to_owned(), |seconds| seconds.to_string());
    conn.batch_execute(&format!("SET SESSION lock_wait_timeout = {seconds}"))
}

fn release_lock<C: LoadConnection<Backend = Mysql>>(conn: &mut C) -> QueryResult<()> {
    number(conn, &format!("RELEASE_LOCK({LOCK_NAME})")).map(drop)
}

fn remaining_seconds(until: Instant) -> i64 {
    (remaining_millis(until) + 999) / 1000
}

/// Names of locks are shared by all databases of a server, and are at most 64 characters long.
const LOCK_NAME: &str = "CONCAT('diesel-accounts ', MD5(DATABASE()))";

#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Text)]
    columns_: String,
    #[diesel(sql_type = BigInt)]
    is_unique: i64,
    #[diesel(sql_type = BigInt)]
    btree: i64,
    #[diesel(sql_type = BigInt)]
    whole: i64,
}

#[derive(QueryableByName)]
struct VariableRow {
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

#[derive(QueryableByName)]
struct ServerRow {
    #[diesel(sql_type = Text)]
    sql_mode: String,
    #[diesel(sql_type = BigInt)]
    autocommit: i64,
    #[diesel(sql_type = Nullable<Text>)]
    engine: Option<String>,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
}
