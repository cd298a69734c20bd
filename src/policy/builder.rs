//! What the host decides, setting by setting: every default is on its setter.

use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use crate::audit::Audit;
use crate::identity::{EmailRules, Field, UsernameRules};
use crate::password::{Hashing, PasswordRules};
use crate::secret_key::SecretKey;
use crate::throttle::ThrottleRules;
use crate::timestamp::{Clock, SystemClock};

/// A policy that is being put together.
#[derive(Clone, Debug)]
pub struct PolicyBuilder {
    pub(super) identifiers: Identifiers,
    pub(super) usernames: UsernameRules,
    pub(super) emails: EmailRules,
    pub(super) passwords: PasswordRules,
    pub(super) hashing: Hashing,
    pub(super) throttle: ThrottleRules,
    pub(super) secret_key: Option<SecretKey>,
    pub(super) require_verified_email: bool,
    pub(super) sign_in_recorded_every: Duration,
    pub(super) duplicates: Duplicates,
    pub(super) deadline: Duration,
    pub(super) audit: Audit,
    pub(super) clock: Arc<dyn Clock>,
}

impl PolicyBuilder {
    /// Which of username and email a user must have. Defaults to [`Identifiers::Both`].
    #[must_use]
    pub fn identifiers(mut self, identifiers: Identifiers) -> Self {
        self.identifiers = identifiers;
        self
    }

    /// Which usernames are allowed. Defaults to [`UsernameRules::default`].
    #[must_use]
    pub fn usernames(mut self, rules: UsernameRules) -> Self {
        self.usernames = rules;
        self
    }

    /// Which email addresses are allowed. Defaults to [`EmailRules::default`].
    #[must_use]
    pub fn emails(mut self, rules: EmailRules) -> Self {
        self.emails = rules;
        self
    }

    /// Which passwords are allowed. Defaults to [`PasswordRules::default`].
    #[must_use]
    pub fn passwords(mut self, rules: PasswordRules) -> Self {
        self.passwords = rules;
        self
    }

    /// How passwords are hashed. Defaults to [`Hashing::default`].
    #[must_use]
    pub fn hashing(mut self, hashing: Hashing) -> Self {
        self.hashing = hashing;
        self
    }

    /// How often a wrong password may be tried. Defaults to [`ThrottleRules::default`].
    #[must_use]
    pub fn throttle(mut self, rules: ThrottleRules) -> Self {
        self.throttle = rules;
        self
    }

    /// The host's key, for sessions and known devices. Defaults to none: there are neither
    /// [`Policy::session_auth_hash`] nor [`DeviceToken`](crate::DeviceToken) then.
    #[must_use]
    pub fn secret_key(mut self, key: SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Whether only accounts whose email address is verified can sign in. Defaults to `false`.
    ///
    /// An account without an email address has none to verify, and can sign in.
    #[must_use]
    pub fn require_verified_email(mut self, required: bool) -> Self {
        self.require_verified_email = required;
        self
    }

    /// How exact [`User::last_sign_in_at`](crate::User::last_sign_in_at) is: it is written at a
    /// sign-in if it is older than this. Defaults to an hour, which saves a busy user a write at
    /// each sign-in.
    #[must_use]
    pub fn sign_in_recorded_every(mut self, time: Duration) -> Self {
        self.sign_in_recorded_every = time;
        self
    }

    /// What a second creation of the same person is answered. Defaults to
    /// [`Duplicates::ReturnExisting`].
    #[must_use]
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// How long one operation may wait for connections and try again, all its statements together: a
    /// day at most. Defaults to 10 seconds. Each row of an import, and each half of a sign-in that
    /// the host divides ([`Accounts::begin_sign_in`](crate::Accounts::begin_sign_in)), is one.
    ///
    /// The wait for a hash has a bound of its own
    /// ([`Hashing::longest_wait`](crate::Hashing::longest_wait)), and a single statement the
    /// time-outs of the host's server and driver.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether what is done to accounts is recorded in the table `account_events`, in the
    /// transaction of the act itself: neither is ever there without the other. Defaults to `false`.
    ///
    /// A creation on a connection of the library's own is one transaction then. What is refused is
    /// recorded by itself: if that fails the answer is the same, and a metric tells
    /// (`account_record_lost_total`). See the [guide](crate::guide::audit).
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn audit_table(mut self, recorded: bool) -> Self {
        self.audit.table = recorded;
        self
    }

    /// Who else hears of what is done to accounts. Defaults to nobody.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use diesel_accounts::{AuditEvent, AuditSink, NewUser, Policy, UserManager};
    ///
    /// #[derive(Clone, Debug, Default)]
    /// struct Heard(Arc<Mutex<Vec<AuditEvent>>>);
    ///
    /// impl AuditSink for Heard {
    ///     fn record(&self, event: &AuditEvent) {
    ///         self.0.lock().expect("nobody panics").push(event.clone());
    ///     }
    /// }
    ///
    /// # use diesel_accounts::diesel::{SqliteConnection, r2d2::{ConnectionManager, Pool}};
    /// # let database = ConnectionManager::<SqliteConnection>::new(":memory:");
    /// # let pool = Pool::builder().max_size(1).build(database)?;
    /// let heard = Heard::default();
    /// let policy = Policy::builder().audit_sink(heard.clone()).build()?;
    /// let users = UserManager::with_policy(pool, policy);
    /// # users.migrate()?;
    /// users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// let events = heard.0.lock().expect("nobody panics");
    /// assert_eq!((events[0].action(), events[0].outcome()), ("create", "created"));
    /// # drop(events);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn audit_sink(mut self, sink: impl crate::audit::AuditSink + 'static) -> Self {
        self.audit.sink = Some(Arc::new(sink));
        self
    }

    /// Where the times that are stored come from. Defaults to the clock of this machine.
    ///
    /// Outside tests it must tell microseconds apart: the time of a creation is what tells two
    /// calls with one id from one call that had to try twice.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if the settings contradict each other or the limits of the store.
    pub fn build(self) -> Result<Policy, InvalidPolicy> {
        let problem = self
            .usernames
            .problem()
            .or_else(|| self.passwords.problem())
            .or_else(|| self.hashing.problem())
            .or_else(|| self.throttle.problem())
            .or_else(|| (self.deadline > A_DAY).then_some("the deadline can be a day at most"));
        match problem {
            Some(problem) => Err(InvalidPolicy(problem)),
            None => Ok(Policy::of(self)),
        }
    }
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            identifiers: Identifiers::default(),
            usernames: UsernameRules::default(),
            emails: EmailRules::default(),
            passwords: PasswordRules::default(),
            hashing: Hashing::default(),
            throttle: ThrottleRules::default(),
            secret_key: None,
            require_verified_email: false,
            sign_in_recorded_every: Duration::from_secs(3600),
            duplicates: Duplicates::default(),
            deadline: Duration::from_secs(10),
            audit: Audit::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The settings of a policy contradict each other. `Display` says which.
///
/// ```
/// use diesel_accounts::{PasswordRules, Policy};
///
/// let refused = Policy::builder().passwords(PasswordRules::new().min_length(4)).build();
/// assert_eq!(
///     refused.unwrap_err().to_string(),
///     "passwords of fewer than 8 characters cannot be allowed",
/// );
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPolicy(&'static str);

/// Which of username and email a user must have. The other may always be given.
///
/// ```
/// use diesel_accounts::{Identifiers, NewUser, Policy};
///
/// let policy = Policy::builder().identifiers(Identifiers::EmailRequired).build()?;
/// assert!(policy.prepare(NewUser::with_email("alice@example.org", "correct horse")).is_ok());
/// assert!(policy.prepare(NewUser::with_username("alice", "correct horse")).is_err());
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Identifiers {
    /// A username and an email.
    #[default]
    Both,
    /// An email; the username may be absent.
    EmailRequired,
    /// A username; the email may be absent.
    UsernameRequired,
    /// One of the two at least.
    Either,
}

impl Identifiers {
    /// Which fields are missing if only these (username, email) are given.
    pub(super) fn missing(self, given: (bool, bool)) -> &'static [Field] {
        match (self, given) {
            (Self::Both | Self::Either, (false, false)) => &[Field::Username, Field::Email],
            (Self::Both | Self::UsernameRequired, (false, _)) => &[Field::Username],
            (Self::Both | Self::EmailRequired, (_, false)) => &[Field::Email],
            _ => &[],
        }
    }
}

/// What a creation is answered whose username or email an account already has.
///
/// ```
/// use diesel_accounts::{Duplicates, Policy};
///
/// let policy = Policy::builder().duplicates(Duplicates::Refuse).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Duplicates {
    /// [`Creation::Existing`](crate::Creation::Existing) with the account, if it is one account.
    #[default]
    ReturnExisting,
    /// [`Error::Taken`](crate::Error::Taken), always; but for a repetition of the creation that
    /// made the account, which is told apart by its id and still hears `Existing`.
    Refuse,
}

const A_DAY: Duration = Duration::from_secs(86_400);
