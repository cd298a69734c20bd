//! What the host decides.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::identity::email::Email;
use crate::identity::username::Username;
use crate::identity::{EmailRules, Field, FieldError, InvalidUser, UsernameRules, Violation};
use crate::new_user::{NewUser, PreparedUser};
use crate::password::{Password, PasswordRules};
use crate::store::users::Claim;
use crate::timestamp::{Clock, SystemClock, Timestamp};
use crate::user::{RealmId, UserId};

/// What the host decides: built once, cheap to clone, shared by managers.
///
/// ```
/// use std::time::Duration;
/// use diesel_accounts::{Duplicates, Identifiers, Policy};
///
/// let policy = Policy::builder()
///     .identifiers(Identifiers::EmailRequired)
///     .duplicates(Duplicates::Refuse)
///     .deadline(Duration::from_secs(5))
///     .build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Arc<PolicyBuilder>,
}

impl Policy {
    /// A policy to be adjusted.
    #[must_use]
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Validates a new user and hashes the password: all of a creation that needs no database.
    ///
    /// It takes as long as the hash does, and blocks the thread; no connection is held meanwhile.
    /// The result is inserted by [`Accounts::create_user`](crate::Accounts::create_user) or
    /// [`UserManager::create_prepared_user`](crate::UserManager::create_prepared_user), as often as
    /// it takes: it is one creation, with one id.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every field at fault, [`Error::Hashing`].
    ///
    /// ```
    /// use diesel_accounts::{NewUser, Policy};
    ///
    /// let prepared = Policy::default()
    ///     .prepare(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// # let _ = prepared;
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn prepare(&self, new_user: NewUser) -> Result<PreparedUser> {
        self.hash(self.validate(new_user)?)
    }

    /// Validates all fields, and does nothing that costs.
    pub(crate) fn validate(&self, new_user: NewUser) -> Result<Candidate> {
        let mut errors = Vec::new();
        let mut refuse = |field, violations: Vec<Violation>| {
            errors
                .extend(violations.into_iter().map(|violation| FieldError::new(field, violation)));
        };
        let typed_username = present(new_user.username.as_deref());
        let typed_email = present(new_user.email.as_deref());
        let username = match typed_username.map(|typed| self.rules.usernames.parse(typed)) {
            Some(Ok(username)) => Some(username),
            Some(Err(violations)) => {
                refuse(Field::Username, violations.into_iter().collect());
                None
            }
            None => None,
        };
        let email = match typed_email.map(|typed| self.rules.emails.parse(typed)) {
            Some(Ok(email)) => Some(email),
            Some(Err(violations)) => {
                refuse(Field::Email, violations.into_iter().collect());
                None
            }
            None => None,
        };
        let given = (typed_username.is_some(), typed_email.is_some());
        for field in self.rules.identifiers.missing(given) {
            refuse(*field, vec![Violation::Required]);
        }
        if let Some(password) = &new_user.password {
            refuse(Field::Password, self.rules.passwords.violations(password));
        }
        if !errors.is_empty() {
            errors.sort_by_key(FieldError::field);
            return Err(Error::Invalid(InvalidUser::new(errors)));
        }
        let id = match new_user.id {
            Some(id) => id,
            None => UserId::generate().map_err(Error::Hashing)?,
        };
        Ok(Candidate { id, username, email, password: new_user.password })
    }

    pub(crate) fn hash(&self, candidate: Candidate) -> Result<PreparedUser> {
        let Candidate { id, username, email, password } = candidate;
        let cost = self.rules.passwords.argon2_cost();
        let password_hash = match &password {
            Some(password) => Some(cost.hash(password).map_err(Error::Hashing)?),
            None => None,
        };
        Ok(PreparedUser { id, username, email, password_hash })
    }

    /// The columns of the keys that every account has.
    pub(crate) fn required_keys(&self) -> &'static [&'static str] {
        match self.rules.identifiers {
            Identifiers::Both => &["username_key", "email_key"],
            Identifiers::EmailRequired => &["email_key"],
            Identifiers::UsernameRequired => &["username_key"],
            Identifiers::Either => &[],
        }
    }

    pub(crate) fn duplicates(&self) -> Duplicates {
        self.rules.duplicates
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.rules.deadline
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rules.clock.now()
    }
}

impl Default for Policy {
    /// Every setting at the default that its setter on [`PolicyBuilder`] names.
    fn default() -> Self {
        Self { rules: Arc::new(PolicyBuilder::default()) }
    }
}

/// A policy that is being put together.
#[derive(Clone, Debug)]
pub struct PolicyBuilder {
    identifiers: Identifiers,
    usernames: UsernameRules,
    emails: EmailRules,
    passwords: PasswordRules,
    duplicates: Duplicates,
    deadline: Duration,
    clock: Arc<dyn Clock>,
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

    /// What a second creation of the same person is answered. Defaults to
    /// [`Duplicates::ReturnExisting`].
    #[must_use]
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// How long one operation may wait for connections and try again: a day at most. Defaults to 10
    /// seconds.
    ///
    /// A single statement is bounded by the time-outs of the host's server and driver instead.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Where the times that are stored come from. Defaults to the clock of this machine.
    ///
    /// Outside tests it must tell microseconds apart: the time of a creation is what tells two calls
    /// with one id from one call that had to try twice.
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
            .or_else(|| (self.deadline > A_DAY).then_some("the deadline can be a day at most"));
        match problem {
            Some(problem) => Err(InvalidPolicy(problem)),
            None => Ok(Policy { rules: Arc::new(self) }),
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
            duplicates: Duplicates::default(),
            deadline: Duration::from_secs(10),
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
    fn missing(self, given: (bool, bool)) -> &'static [Field] {
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
    /// [`Error::Taken`], always; but for a repetition of the creation that made the account, which
    /// is told apart by its id and still hears `Existing`.
    Refuse,
}

/// A new user whose fields are all valid; the password is not hashed yet.
pub(crate) struct Candidate {
    pub(crate) id: UserId,
    pub(crate) username: Option<Username>,
    pub(crate) email: Option<Email>,
    pub(crate) password: Option<Password>,
}

impl Candidate {
    pub(crate) fn claim(&self, realm: RealmId) -> Claim<'_> {
        Claim {
            id: self.id,
            realm,
            username_key: self.username.as_ref().map(|username| username.key.as_str()),
            email_key: self.email.as_ref().map(|email| email.key.as_str()),
        }
    }
}

const A_DAY: Duration = Duration::from_secs(86_400);

/// What was typed into a field without outer white space; a blank field is as good as none.
fn present(typed: Option<&str>) -> Option<&str> {
    typed.map(str::trim).filter(|typed| !typed.is_empty())
}
