//! Acting on a connection that may be in a transaction of the host's.

use std::time::Instant;

use diesel::connection::TransactionManager;
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use crate::error::{DatabaseFailure, Error, Result};
use crate::retry::Backoff;
use crate::store::AccountConnection;
use crate::store::dialect::{Dialect, Trouble};

/// How many transactions and savepoints are open.
pub(super) fn transaction_depth<C: Connection>(conn: &mut C) -> QueryResult<u32> {
    let status = C::TransactionManager::transaction_manager_status_mut(conn);
    Ok(status.transaction_depth()?.map_or(0, u32::from))
}

/// Does something that writes: again and again until the deadline while the database is busy, or so
/// that a transaction of the host's survives a refusal, or the host is told that it did not.
pub(super) fn write<C: AccountConnection, T>(
    conn: &mut C,
    until: Instant,
    act: impl FnMut(&mut C) -> QueryResult<T>,
) -> Result<T> {
    match transaction_depth(conn) {
        Ok(0) => write_alone(conn, until, act),
        Ok(_) => in_savepoint_if_needed(conn, act).map_err(|error| {
            match Trouble::in_transaction(conn, &error) {
                Trouble::Conflict | Trouble::Refused => Error::from(error),
                Trouble::Contention | Trouble::Lost | Trouble::Stopped | Trouble::Unnamed => {
                    Error::HostMustRollBack(Some(DatabaseFailure::new(error)))
                }
            }
        }),
        Err(broken) => Err(Error::HostMustRollBack(Some(DatabaseFailure::new(broken)))),
    }
}

/// Does something that writes on a connection without a transaction, again and again while the
/// database is busy, until the deadline.
pub(super) fn write_alone<C: AccountConnection, T>(
    conn: &mut C,
    until: Instant,
    mut act: impl FnMut(&mut C) -> QueryResult<T>,
) -> Result<T> {
    let mut backoff = Backoff::until(until);
    loop {
        let error = match act(conn) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match Trouble::on(conn, &error) {
            Trouble::Contention => {}
            Trouble::Stopped => return Err(Error::Busy),
            _ => return Err(Error::from(error)),
        }
        if !backoff.pause() {
            return Err(Error::Busy);
        }
    }
}

/// Does something that only reads. A reading that fails in a transaction leaves nothing to go on
/// with: PostgreSQL refuses every further statement.
pub(super) fn read<C: AccountConnection, T>(
    conn: &mut C,
    act: impl FnOnce(&mut C) -> QueryResult<T>,
) -> Result<T> {
    read_much(conn, |conn| act(conn).map_err(Error::from))
}

/// The same for something that reads more than once.
pub(super) fn read_much<C: AccountConnection, T>(
    conn: &mut C,
    act: impl FnOnce(&mut C) -> Result<T>,
) -> Result<T> {
    // A lost connection forgets how many were open.
    let in_transaction = transaction_depth(conn) != Ok(0);
    act(conn).map_err(|error| match error {
        Error::Database(failure) if in_transaction => match failure.diesel_error() {
            DieselError::DeserializationError(_) => Error::Database(failure),
            _ => Error::HostMustRollBack(Some(failure)),
        },
        error => error,
    })
}

/// Does something that may be refused, in a savepoint where the transaction would not survive it.
pub(super) fn in_savepoint_if_needed<C: AccountConnection, T>(
    conn: &mut C,
    act: impl FnOnce(&mut C) -> QueryResult<T>,
) -> QueryResult<T> {
    match C::Backend::REFUSAL_SPOILS_TRANSACTION {
        true => conn.transaction(act),
        false => act(conn),
    }
}
