//! Points in time, and where they come from.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::BigInt;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// It is stored as a `BIGINT` on every engine. A time that does not fit is the nearest one that
/// does.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use diesel_accounts::Timestamp;
///
/// let time = Timestamp::from(UNIX_EPOCH + Duration::from_secs(2));
/// assert_eq!(time.as_micros(), 2_000_000);
/// assert_eq!(time.to_system_time(), Some(UNIX_EPOCH + Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, AsExpression, FromSqlRow)]
#[diesel(sql_type = BigInt)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time so many microseconds after the epoch; before it, if negative.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The present time of this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Microseconds since the epoch; negative before it.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The same time for `std`; `None` if this system cannot represent it.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_micros(self.0.unsigned_abs());
        match self.0 {
            0.. => UNIX_EPOCH.checked_add(distance),
            _ => UNIX_EPOCH.checked_sub(distance),
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros());
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after).unwrap_or(i64::MAX),
            Err(before) => micros(before.duration()).map_or(i64::MIN, |micros| -micros),
        })
    }
}

impl<DB: Backend> ToSql<BigInt, DB> for Timestamp
where
    i64: ToSql<BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: Backend> FromSql<BigInt, DB> for Timestamp
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(bytes).map(Self)
    }
}

/// Where the times that are stored come from; a test gives its own.
///
/// ```
/// use diesel_accounts::{Clock, Policy, Timestamp};
///
/// #[derive(Debug)]
/// struct Frozen;
///
/// impl Clock for Frozen {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_micros(1_000_000)
///     }
/// }
///
/// let policy = Policy::builder().clock(Frozen).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present time, as fine as microseconds: by the time at which it was made, a creation that
    /// was interrupted and repeated under the same id knows its own row from that of an earlier
    /// call. With a coarse clock, two calls of one creation in the same tick may both hear
    /// [`Creation::Created`](crate::Creation::Created) if the answer to one was lost.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::Timestamp;

    #[test]
    fn times_before_the_epoch_are_negative() {
        let before = UNIX_EPOCH - Duration::from_micros(5);
        assert_eq!(Timestamp::from(before).as_micros(), -5);
        assert_eq!(Timestamp::from_micros(-5).to_system_time(), Some(before));
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        for micros in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_micros(micros);
            if let Some(system) = time.to_system_time() {
                assert_eq!(Timestamp::from(system).as_micros().signum(), micros.signum());
            }
        }
    }
}
