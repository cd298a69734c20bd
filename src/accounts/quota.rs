//! Limits that instances share.

use std::time::{Duration, Instant};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::Accounts;
use super::transaction::{read, write_alone};
use crate::error::{Error, Result};
use crate::observe::{self, Retry, operation};
use crate::rate_limit::{LimitAnswer, LimitKey, Quota};
use crate::retry::Backoff;
use crate::store::AccountConnection;
use crate::store::attempts::AttemptKey;
use crate::store::dialect::Dialect;
use crate::store::limits::{LimitQueries, Pace};
use crate::timestamp::Timestamp;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Takes one from what a key has left under a quota, if there is one to take: what
    /// [`DatabaseLimiter`](crate::DatabaseLimiter) does.
    ///
    /// One conditional statement decides; a refusal, and the first of a key, take another. The time
    /// is that of the policy's clock. An instance whose clock is ahead lets as much more in as comes
    /// in that time, once, and makes the others wait for as much longer. A time more than a day away
    /// is that of a clock that was wrong, and not believed; so where the clocks of instances are
    /// further apart than a day, nothing is limited. Now and then some keys are forgotten that have
    /// been at rest for a day.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionOpen`] inside a transaction, whose rollback would erase the count;
    /// [`Error::Database`], [`Error::Busy`].
    pub fn check_limit(&mut self, key: LimitKey, quota: Quota) -> Result<LimitAnswer> {
        self.observed(operation!("check_limit"), |accounts| {
            accounts.refuse_transaction()?;
            accounts.as_one(|accounts| accounts.take(key.under(quota), quota))
        })
    }

    fn take(&mut self, key: AttemptKey, quota: Quota) -> Result<LimitAnswer> {
        let mut backoff = Backoff::until(self.deadline());
        loop {
            let pace = pace_of(quota, self.policy.now());
            if self.write_alone(|conn| C::Backend::take_from_limit(conn, key, pace))? > 0 {
                return Ok(LimitAnswer::Admitted);
            }
            match self.write_alone(|conn| C::Backend::limit_of(conn, key))? {
                Some(arrival) => {
                    if let Some(retry_after) = pace.wait_of(arrival) {
                        return Ok(LimitAnswer::Refused { retry_after });
                    }
                }
                None if self.insert_limit(key, pace)? => return Ok(LimitAnswer::Admitted),
                None => {}
            }
            // Somebody else made the row, or it was forgotten, in between.
            if !backoff.pause() {
                return Err(Error::Busy);
            }
            observe::retry(Retry::Changed);
        }
    }

    /// Whether there was no row yet.
    fn insert_limit(&mut self, key: AttemptKey, pace: Pace) -> Result<bool> {
        if fastrand::u32(..NEW_ROWS_FOR_A_SWEEP) == 0 {
            // Whoever asks has nothing to do with it.
            let _ = self.sweep_limits(pace.now, Instant::now() + TIME_OF_A_SWEEP);
        }
        let inserted = self.write_alone(|conn| {
            match C::Backend::insert_limit(conn, key, pace.now.saturating_add(pace.interval)) {
                Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(0),
                answer => answer,
            }
        })?;
        Ok(inserted > 0)
    }

    fn sweep_limits(&mut self, now: i64, until: Instant) -> Result<()> {
        let before = now.saturating_sub(A_DAY);
        let rows = read(self.conn, |conn| {
            C::Backend::stale_limits(conn, before, i64::from(ROWS_OF_A_SWEEP))
        })?;
        for key in rows {
            if Instant::now() >= until {
                break;
            }
            write_alone(self.conn, until, |conn| {
                C::Backend::delete_stale_limit(conn, key, before)
            })?;
        }
        Ok(())
    }
}

fn pace_of(quota: Quota, now: Timestamp) -> Pace {
    let now = now.as_micros();
    let latest = now.saturating_add(quota.tolerance_micros());
    let interval = quota.interval_micros();
    Pace { now, interval, latest, absurd: latest.saturating_add(interval).saturating_add(A_DAY) }
}

impl Pace {
    /// How long to wait if the next one is expected then; `None` if it may come.
    fn wait_of(&self, arrival: i64) -> Option<Duration> {
        let is_waiting = arrival > self.latest && arrival <= self.absurd;
        let micros = u64::try_from(arrival.saturating_sub(self.latest)).unwrap_or(0);
        is_waiting.then_some(Duration::from_micros(micros))
    }
}

/// In microseconds.
const A_DAY: i64 = 86_400_000_000;

/// One in so many new rows pays for the old ones, of which it takes more than were made.
const NEW_ROWS_FOR_A_SWEEP: u32 = 16;
const ROWS_OF_A_SWEEP: u32 = 32;
const TIME_OF_A_SWEEP: Duration = Duration::from_millis(50);
