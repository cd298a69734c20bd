//! How often somebody may do something: in one process, or in all instances together.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::Result;
use crate::identity::key::{EmailKey, UsernameKey};
use crate::policy::Policy;
use crate::secret_key::digest_of;
use crate::store::attempts::AttemptKey;
use crate::user::{RealmId, UserId};

mod database;
mod process;

pub use self::database::DatabaseLimiter;
pub use self::process::ProcessLimiter;

/// Bounds how often something is done: a registration by one client, a mail to one address.
///
/// By the generic cell rate algorithm (ITU-T I.371), which is a leaky bucket without a bucket: one
/// time stands for each key, and what is refused costs nothing. [`ProcessLimiter`] counts in the
/// memory of one process, [`DatabaseLimiter`] in the database, for all instances together.
///
/// ```
/// use std::time::Duration;
/// use diesel_accounts::{DatabaseLimiter, LimitAnswer, LimitedBy, Quota, RateLimiter};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let limiter: Box<dyn RateLimiter> = Box::new(DatabaseLimiter::new(&users));
/// let quota = Quota::new(2, Duration::from_secs(3600))?;
/// let client = users.limit_key("register", LimitedBy::Client("203.0.113.7"));
/// for _ in 0..2 {
///     assert_eq!(limiter.check(client, quota)?, LimitAnswer::Admitted);
/// }
/// let refused = limiter.check(client, quota)?.refused().expect("there were two");
/// assert!(refused > Duration::from_secs(1700)); // one every half an hour from now on
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RateLimiter: fmt::Debug + Send + Sync {
    /// Takes one from what a key has left under a quota, if there is one to take. Each quota has a
    /// count of its own, so that one key can have several.
    ///
    /// # Errors
    ///
    /// Trouble with the database, of a limiter that has one: it is not known then whether one was
    /// taken. A host decides whether to go on or not.
    fn check(&self, key: LimitKey, quota: Quota) -> Result<LimitAnswer>;
}

/// How much is allowed: so much at once, and then evenly as much in each period.
///
/// Of 60 an hour the first 60 may come at once; the next one is let in a minute later. So in any
/// one period there are at most twice as many as the number says, and in the long run as many.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    burst: NonZeroU32,
    interval_micros: i64,
}

impl Quota {
    /// So many at once, and as many in each period from then on.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if it is none at all, if the period is longer than 30 days, or if there is
    /// less than a microsecond for each.
    pub fn new(burst: u32, period: Duration) -> Result<Self, InvalidQuota> {
        let burst = NonZeroU32::new(burst).ok_or(InvalidQuota(()))?;
        if period > LONGEST_PERIOD || period.as_micros() < u128::from(burst.get()) {
            return Err(InvalidQuota(()));
        }
        // Rounded up, so that there are never more.
        let interval = period.as_micros().div_ceil(u128::from(burst.get()));
        let interval_micros = i64::try_from(interval).map_err(|_| InvalidQuota(()))?;
        Ok(Self { burst, interval_micros })
    }

    /// In which the next one is let in.
    pub(crate) fn interval_micros(self) -> i64 {
        self.interval_micros
    }

    /// By how much a key may be ahead of its pace.
    pub(crate) fn tolerance_micros(self) -> i64 {
        self.interval_micros.saturating_mul(i64::from(self.burst.get()) - 1)
    }
}

/// A quota that cannot be kept: see [`Quota::new`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a quota must be of one at least, in 30 days at most, with a microsecond for each")]
pub struct InvalidQuota(());

/// What a limiter answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a limit that nobody looks at is none"]
#[non_exhaustive]
pub enum LimitAnswer {
    /// It may be done now.
    Admitted,
    /// Not yet.
    #[non_exhaustive]
    Refused {
        /// When the next one is let in, if nobody else takes it. For the header `Retry-After` it is
        /// rounded up to seconds.
        retry_after: Duration,
    },
}

impl LimitAnswer {
    /// How long to wait; `None` if it may be done now.
    #[must_use]
    pub fn refused(self) -> Option<Duration> {
        match self {
            Self::Admitted => None,
            Self::Refused { retry_after } => Some(retry_after),
        }
    }
}

/// By what something is limited.
///
/// A name is taken in its canonical form, as it decides who is equal to whom: nobody gets more by
/// other spellings. `Debug` shows nothing of it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LimitedBy<'a> {
    /// A client, by the key that [`Context::client`](crate::Context::client) describes.
    Client(&'a str),
    /// An email address.
    Email(&'a str),
    /// An account.
    User(UserId),
    /// A username.
    Username(&'a str),
}

impl fmt::Debug for LimitedBy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "Client(..)",
            Self::Email(_) => "Email(..)",
            Self::User(_) => "User(..)",
            Self::Username(_) => "Username(..)",
        })
    }
}

/// What is limited, and by what: 16 bytes from which neither can be found out, if the policy has a
/// [`SecretKey`](crate::SecretKey). Made by [`Policy::limit_key`].
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct LimitKey([u8; 16]);

impl LimitKey {
    /// For a limiter of the host's own.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Where it is counted under a quota.
    pub(crate) fn under(self, quota: Quota) -> AttemptKey {
        let burst = quota.burst.get().to_be_bytes();
        let interval = quota.interval_micros.to_be_bytes();
        let text = [&self.0[..], &burst, &interval].concat();
        AttemptKey::from_bytes(digest_of(None, "quota", RealmId::NIL, &text))
    }
}

impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitKey(..)")
    }
}

impl Policy {
    /// What a [`RateLimiter`] counts by: what is done, as the host calls it, and by whom, in a
    /// realm.
    #[must_use]
    pub fn limit_key(&self, realm: RealmId, what: &str, by: LimitedBy<'_>) -> LimitKey {
        let (kind, text) = match by {
            LimitedBy::Client(key) => (b'c', key.as_bytes().to_vec()),
            LimitedBy::Email(email) => (b'e', canonical_email(email)),
            LimitedBy::User(id) => (b'i', id.as_bytes().to_vec()),
            LimitedBy::Username(username) => (b'u', canonical_username(username)),
        };
        let length = u64::try_from(what.len()).unwrap_or(u64::MAX).to_be_bytes();
        let text = [&length[..], what.as_bytes(), &[kind], &text].concat();
        LimitKey(digest_of(self.device_key(), "limit", realm, &text))
    }
}

/// What cannot be an address is limited as it was typed.
fn canonical_email(typed: &str) -> Vec<u8> {
    let typed = typed.trim();
    match EmailKey::of(typed) {
        Some(key) => key.as_str().as_bytes().to_vec(),
        None => typed.as_bytes().to_vec(),
    }
}

fn canonical_username(typed: &str) -> Vec<u8> {
    let typed = typed.trim();
    match UsernameKey::of(typed) {
        Ok(key) => key.as_str().as_bytes().to_vec(),
        Err(_) => typed.as_bytes().to_vec(),
    }
}

const LONGEST_PERIOD: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LimitKey, LimitedBy, Quota};
    use crate::policy::Policy;
    use crate::user::{RealmId, UserId};

    #[test]
    fn a_quota_is_of_one_at_least_with_a_microsecond_for_each() {
        let (micro, day) = (Duration::from_micros(1), Duration::from_secs(86_400));
        for (burst, period) in [(1, micro), (1, 30 * day), (u32::MAX, day)] {
            assert!(Quota::new(burst, period).is_ok(), "{burst} in {period:?}");
        }
        for (burst, period) in [(0, day), (2, micro), (1, 30 * day + micro), (1, Duration::ZERO)] {
            assert!(Quota::new(burst, period).is_err(), "{burst} in {period:?}");
        }
    }

    #[test]
    fn an_interval_is_rounded_up_and_a_burst_may_be_ahead_by_all_but_one() {
        let three = Quota::new(3, Duration::from_micros(10)).unwrap();
        assert_eq!((three.interval_micros(), three.tolerance_micros()), (4, 8));
        let one = Quota::new(1, Duration::from_secs(1)).unwrap();
        assert_eq!((one.interval_micros(), one.tolerance_micros()), (1_000_000, 0));
    }

    #[test]
    fn keys_differ_by_what_is_done_by_whom_in_which_realm_and_by_quota() {
        let policy = Policy::default();
        let (nil, other) = (RealmId::NIL, RealmId::from_bytes([1; 16]));
        let id = UserId::from_bytes(*b"alice@example.or");
        let keys = [
            policy.limit_key(nil, "register", LimitedBy::Client("alice@example.or")),
            policy.limit_key(nil, "register", LimitedBy::Email("alice@example.or")),
            policy.limit_key(nil, "register", LimitedBy::Username("alice@example.or")),
            policy.limit_key(nil, "register", LimitedBy::User(id)),
            policy.limit_key(nil, "reset", LimitedBy::Client("alice@example.or")),
            policy.limit_key(nil, "registerc", LimitedBy::Client("alice@example.or")),
            policy.limit_key(other, "register", LimitedBy::Client("alice@example.or")),
        ];
        for (number, key) in keys.iter().enumerate() {
            assert!(!keys.iter().skip(number + 1).any(|other| other == key), "{number}");
        }
        let key = LimitKey([1; 16]);
        let quota = |burst, secs| Quota::new(burst, Duration::from_secs(secs)).unwrap();
        assert_ne!(key.under(quota(1, 1)), key.under(quota(2, 2)));
        assert_ne!(key.under(quota(1, 1)), key.under(quota(1, 2)));
        assert_eq!(key.under(quota(1, 1)), key.under(quota(1, 1)));
    }

    #[test]
    fn spellings_of_one_name_share_a_limit_and_keys_tell_nothing() {
        let policy = Policy::default();
        let key = |by| policy.limit_key(RealmId::NIL, "register", by);
        assert_eq!(key(LimitedBy::Username("Alice")), key(LimitedBy::Username(" ALICE ")));
        assert_eq!(key(LimitedBy::Email("A@Example.org")), key(LimitedBy::Email("a@example.ORG")));
        assert_eq!(key(LimitedBy::Email(" nobody ")), key(LimitedBy::Email("nobody")));
        let told = format!("{:?} {:?}", LimitedBy::Username("alice"), key(LimitedBy::Email("b")));
        assert_eq!(told, "Username(..) LimitKey(..)");
    }
}
