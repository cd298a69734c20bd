//! Acting on a connection that may be in a transaction of the host's.

use std::time::Instant;

use diesel::connection::TransactionManager;
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use crate::error::{DatabaseFailure, Error, Result};
use crate::observe::{self, Retry};
use crate::retry::{Backoff, MOST_TRIES};
use crate::store::dialect::{Dialect, Trouble};
use crate::store::{AccountConnection, mark_lost};

#[cfg(test)]
mod tests;

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
                Trouble::Conflict | Trouble::Refused
                    if C::Backend::refused_may_stay(conn) == Ok(false) =>
                {
                    Error::from(error)
                }
                trouble => must_roll_back(conn, trouble, error),
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
    repeat(conn, until, |conn| act(conn).map_err(|error| Failed::by(conn, error)))
}

/// The same for something of more than one statement: all of it or nothing.
pub(super) fn write_alone_together<C: AccountConnection, T>(
    conn: &mut C,
    until: Instant,
    mut act: impl FnMut(&mut C) -> QueryResult<T>,
) -> Result<T> {
    repeat(conn, until, |conn| together(conn, &mut act))
}

/// Does something of more than one statement in a transaction of its own.
pub(super) fn together<C: AccountConnection, T>(
    conn: &mut C,
    act: impl FnOnce(&mut C) -> QueryResult<T>,
) -> Result<T, Failed> {
    let mut failed = None;
    let mut is_done = false;
    let done = conn.transaction(|conn| {
        let value = act(conn).map_err(|error| {
            // A server may forget what the error was when it rolls back, and the rollback may fail
            // too.
            failed = Some(Failed::by(conn, error));
            DieselError::RollbackTransaction
        })?;
        is_done = true;
        Ok(value)
    });
    done.map_err(|error| {
        failed.unwrap_or_else(|| Failed { committing: is_done, ..Failed::by(conn, error) })
    })
}

fn repeat<C, T>(
    conn: &mut C,
    until: Instant,
    mut act: impl FnMut(&mut C) -> Result<T, Failed>,
) -> Result<T> {
    let mut backoff = Backoff::until(until);
    let mut unnamed = 0;
    loop {
        let Failed { trouble, error, .. } = match act(conn) {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let (at_the_end, why) = match trouble {
            Trouble::Contention => (Error::Busy, Retry::Contention),
            Trouble::Stopped => return Err(Error::Busy),
            Trouble::Unnamed if unnamed + 1 < MOST_TRIES => {
                unnamed += 1;
                (Error::from(error), Retry::Unexplained)
            }
            _ => return Err(Error::from(error)),
        };
        if !backoff.pause() {
            return Err(at_the_end);
        }
        observe::retry(why);
    }
}

/// How an act failed.
pub(super) struct Failed {
    pub(super) trouble: Trouble,
    pub(super) error: DieselError,
    /// Whether all of it was done, and only the commit failed.
    pub(super) committing: bool,
}

impl Failed {
    /// In a transaction of the host's.
    pub(super) fn in_transaction<C: AccountConnection>(conn: &mut C, error: DieselError) -> Self {
        Self { trouble: Trouble::in_transaction(conn, &error), error, committing: false }
    }

    pub(super) fn by<C: AccountConnection>(conn: &mut C, error: DieselError) -> Self {
        Self { trouble: Trouble::on(conn, &error), error, committing: false }
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
        Error::Database(failure) if in_transaction => spoiled(conn, failure.into_diesel_error()),
        error => error,
    })
}

/// What a reading that fails in a host's transaction comes to: there is nothing to go on with, but
/// where the answer came and could not be understood.
pub(super) fn spoiled<C: AccountConnection>(conn: &mut C, error: DieselError) -> Error {
    if matches!(error, DieselError::DeserializationError(_)) {
        return Error::from(error);
    }
    let trouble = Trouble::in_transaction(conn, &error);
    must_roll_back(conn, trouble, error)
}

/// Has the host roll its transaction back, and sees to it that the host hears of this error: in its
/// place Diesel would return that of a rollback that fails.
pub(super) fn must_roll_back<C: AccountConnection>(
    conn: &mut C,
    trouble: Trouble,
    error: DieselError,
) -> Error {
    let is_ready = trouble != Trouble::Lost
        && transaction_depth(conn)
            .is_ok_and(|depth| C::Backend::prepare_rollback(conn, depth).is_ok());
    if !is_ready {
        // Diesel sends no rollback then.
        mark_lost(conn);
    }
    Error::HostMustRollBack(Some(DatabaseFailure::new(error)))
}

/// Does something that may be refused, in a savepoint where a transaction of the host's would not
/// survive it.
pub(super) fn in_savepoint_if_needed<C: AccountConnection, T>(
    conn: &mut C,
    act: impl FnOnce(&mut C) -> QueryResult<T>,
) -> QueryResult<T> {
    // Nothing is written where a transaction is known to be broken.
    let in_transaction = transaction_depth(conn)? > 0;
    match C::Backend::REFUSAL_SPOILS_TRANSACTION && in_transaction {
        true => conn.transaction(act),
        false => act(conn),
    }
}
