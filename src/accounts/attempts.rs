//! What is known of the wrong passwords that were submitted, and what can be done about it.

use std::time::Instant;

use super::Accounts;
use super::limit::wait_of;
use super::transaction::{read, write_alone};
use crate::error::{Error, Result};
use crate::observe::operation;
use crate::store::AccountConnection;
use crate::store::attempts::{AttemptKey, AttemptQueries};
use crate::timestamp::Timestamp;
use crate::user::UserId;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Ends the waits that wrong passwords brought upon an account, for everybody. The failures in
    /// a row stay counted: a password that is disabled after too many stays so until it is set
    /// anew.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; [`Error::TransactionOpen`]
    /// inside a transaction.
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// for _ in 0..6 {
    ///     assert!(!users.authenticate("alice", "wrong")?.is_accepted());
    /// }
    /// assert!(!users.authenticate("alice", "correct horse")?.is_accepted());
    /// users.unlock_user(alice.id())?;
    /// assert!(users.authenticate("alice", "correct horse")?.is_accepted());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn unlock_user(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("unlock_user").about(id), |accounts| {
            accounts.refuse_transaction()?;
            if accounts.user_by_id(id)?.is_none() {
                return Err(Error::UserNotFound);
            }
            let end_waits = |conn: &mut C| C::Backend::end_waits(conn, id.into()).map(|_| 1);
            accounts.write_with_record("unlock", id, end_waits, None)
        })
    }

    /// How many wrong passwords were submitted for an account since the last right one, by all
    /// clients together, and what came of it.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`]; in a transaction [`Error::HostMustRollBack`].
    pub fn failed_attempts(&mut self, id: UserId) -> Result<FailedAttempts> {
        self.observed(operation!("failed_attempts").about(id), |accounts| {
            if accounts.user_by_id(id)?.is_none() {
                return Err(Error::UserNotFound);
            }
            let all = AttemptKey::ALL;
            let rows = read(accounts.conn, |conn| C::Backend::attempts_of(conn, id.into(), all))?;
            let (rules, now) = (accounts.policy.throttle(), accounts.policy.now());
            Ok(rows.first().map_or_else(FailedAttempts::default, |row| FailedAttempts {
                count: u64::try_from(row.counts.in_a_row).unwrap_or(0),
                password_is_disabled: row.counts.in_a_row >= rules.failures_until_disabled(),
                waits_until: wait_of(row, rules.account_waits(), now),
            }))
        })
    }

    /// Deletes what was counted long ago and nobody needs any more, at most `limit` rows; how many
    /// there were. Counts of two days ago and more are old, but for the failures in a row of an
    /// account.
    ///
    /// Sign-ins see to it now and then, a few rows at a time; a host that is attacked with many
    /// names may call it more often.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Busy`]; [`Error::TransactionOpen`] inside a transaction.
    pub fn forget_old_attempts(&mut self, limit: u32) -> Result<usize> {
        self.observed(operation!("forget_old_attempts"), |accounts| {
            accounts.refuse_transaction()?;
            accounts.sweep(limit, accounts.deadline())
        })
    }

    /// The same for as long as there is time.
    pub(super) fn sweep(&mut self, limit: u32, until: Instant) -> Result<usize> {
        let before = long_before(self.policy.now());
        let limit = i64::from(limit);
        let rows = read(self.conn, |conn| C::Backend::stale_attempts(conn, before, limit))?;
        let mut deleted = 0;
        for row in rows {
            if Instant::now() >= until {
                break;
            }
            deleted += write_alone(self.conn, until, |conn| {
                C::Backend::delete_stale_attempt(conn, row, before)
            })?;
        }
        Ok(deleted)
    }
}

/// What [`Accounts::failed_attempts`] tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FailedAttempts {
    count: u64,
    password_is_disabled: bool,
    waits_until: Option<Timestamp>,
}

impl FailedAttempts {
    /// How many, in a row.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there were so many that the password is disabled until it is set anew.
    #[must_use]
    pub fn password_is_disabled(&self) -> bool {
        self.password_is_disabled
    }

    /// Until when clients that are not known have to wait; `None` if they have not.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.waits_until
    }
}

/// What was before is forgotten.
pub(super) fn long_before(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_sub(KEPT_FOR))
}

/// Two days, in microseconds: a day beside the longest wait that there can be.
const KEPT_FOR: i64 = 2 * 86_400_000_000;
