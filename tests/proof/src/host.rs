//! A host with a table of its own, and transactions that it runs again as the guide says.

use std::thread;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel_accounts::{Engine, Error};

use crate::database::Database;
use crate::workload::Connection;

/// A table of the host's own.
pub fn make_host_table<C: Connection>(database: &Database<C>) {
    database.connect().batch_execute("CREATE TABLE host_rows (number BIGINT NOT NULL)").unwrap();
}

/// How many rows there are in it.
#[must_use]
pub fn host_rows<C: Connection>(database: &Database<C>) -> i64 {
    let rows = "SELECT COUNT(*) AS number FROM host_rows";
    database.connect().numbers(rows).unwrap()[0]
}

/// Makes a row of the host's own.
///
/// # Errors
///
/// When the database refuses.
pub fn insert_host_row<C: Connection>(conn: &mut C) -> QueryResult<()> {
    conn.batch_execute("INSERT INTO host_rows (number) VALUES (1)")
}

/// The host's transaction, as its guide says: rolled back and run again, with pauses; and how often
/// it was run again.
///
/// # Panics
///
/// If it fails otherwise, or again and again.
pub fn run_again<C: Connection, T>(
    conn: &mut C,
    isolation: &str,
    mut act: impl FnMut(&mut C) -> Result<T, Error>,
) -> (T, u32) {
    for reruns in 0..100_u32 {
        let result = in_transaction(conn, isolation, &mut act);
        match result {
            Ok(value) => return (value, reruns),
            Err(Error::HostMustRollBack(_)) => {
                thread::sleep(Duration::from_millis(fastrand::u64(0..=10 * u64::from(reruns + 1))));
            }
            Err(error) => panic!("{isolation}: {error:?}"),
        }
    }
    panic!("{isolation}: the host never got through");
}

/// One run of it.
///
/// # Errors
///
/// What the act failed with, or the beginning or the commit: [`Error::HostMustRollBack`] if it is
/// worth to be run again.
pub fn in_transaction<C: Connection, T>(
    conn: &mut C,
    isolation: &str,
    act: impl FnOnce(&mut C) -> Result<T, Error>,
) -> Result<T, Error> {
    begin(conn, isolation)?;
    let value = match act(conn) {
        Ok(value) => value,
        Err(error) => {
            // Of a session that has ended nothing can be rolled back.
            let _ = AnsiTransactionManager::rollback_transaction(conn);
            return Err(error);
        }
    };
    AnsiTransactionManager::commit_transaction(conn).map_err(|error| match error {
        error if is_worth_repeating(&error) => Error::HostMustRollBack(None),
        error => error.into(),
    })?;
    Ok(value)
}

/// SQLite says that another is at it when a transaction begins.
fn begin<C: Connection>(conn: &mut C, isolation: &str) -> Result<(), Error> {
    conn.begin(isolation).map_err(|error| match C::ENGINE {
        Engine::Sqlite => Error::HostMustRollBack(None),
        _ => error.into(),
    })
}

fn is_worth_repeating(error: &diesel::result::Error) -> bool {
    let text = error.to_string();
    ["serialize", "Deadlock", "locked"].iter().any(|part| text.contains(part))
}
