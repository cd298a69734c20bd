//! What the host decides.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::Audit;
use crate::error::{Error, Result};
use crate::identity::email::Email;
use crate::identity::key::EmailKey;
use crate::identity::username::Username;
use crate::identity::{Field, FieldError, InvalidUser, Violation};
use crate::import::{ImportPassword, ImportUser, InvalidImport, PreparedImport};
use crate::new_user::{NewUser, PreparedUser};
use crate::password::{Hasher, ImportFailure, Password};
use crate::secret_key::SecretKey;
use crate::store::rows::Claim;
use crate::throttle::ThrottleRules;
use crate::timestamp::Timestamp;
use crate::user::{RealmId, User, UserId, UserState};

mod builder;
mod passwords;

pub use self::builder::{Duplicates, Identifiers, InvalidPolicy, PolicyBuilder};

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
#[derive(Clone)]
pub struct Policy {
    rules: Arc<PolicyBuilder>,
    hasher: Arc<Hasher>,
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
    /// [`Error::Invalid`] with every field at fault, [`Error::Hashing`], [`Error::HashingBusy`],
    /// [`Error::BreachCheckUnavailable`].
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

    /// Validates an account of another system, and wraps its password hash if it is to be wrapped.
    ///
    /// What is wrong with the account is an answer, for the others go on.
    ///
    /// # Errors
    ///
    /// [`Error::Hashing`], [`Error::HashingBusy`].
    pub fn prepare_import(
        &self,
        import: &ImportUser,
    ) -> Result<std::result::Result<PreparedImport, InvalidImport>> {
        let names = self.parse_names(import.username.as_deref(), import.email.as_deref());
        let (encoded, layered) = match &import.password {
            ImportPassword::Absent => ("", false),
            ImportPassword::Hash(encoded) => (encoded.as_str(), false),
            ImportPassword::Layered(encoded) => (encoded.as_str(), true),
        };
        let (password_hash, hash) = match self.hasher.import(encoded, layered) {
            Ok(hash) => (hash, None),
            Err(ImportFailure::Invalid(invalid)) => (None, Some(invalid)),
            Err(ImportFailure::Hashing(error)) => return Err(error),
        };
        let (username, email) = match (names, hash) {
            (Ok(names), None) => names,
            (names, hash) => {
                return Ok(Err(InvalidImport { fields: names.err().map(InvalidUser::new), hash }));
            }
        };
        let id = match import.id {
            Some(id) => id,
            None => UserId::generate().map_err(Error::Hashing)?,
        };
        let state = if import.is_disabled { UserState::Disabled } else { UserState::Active };
        Ok(Ok(PreparedImport {
            id,
            username,
            email,
            password_hash,
            state,
            email_verified_at: import.email_verified_at,
            created_at: import.created_at,
            last_sign_in_at: import.last_sign_in_at,
        }))
    }

    fn of(rules: PolicyBuilder) -> Self {
        let hasher = Arc::new(Hasher::new(rules.hashing.clone()));
        Self { rules: Arc::new(rules), hasher }
    }

    /// Validates all fields, and does nothing that costs.
    pub(crate) fn validate(&self, new_user: NewUser) -> Result<Candidate> {
        let (typed_username, typed_email) =
            (new_user.username.as_deref(), new_user.email.as_deref());
        let names = self.parse_names(typed_username, typed_email);
        // What is too long for a name is not one, and not worth the work.
        let is_short = |name: &&str| name.len() <= EmailKey::MAX_BYTES;
        let of_person: Vec<&str> =
            typed_username.into_iter().chain(typed_email).filter(is_short).collect();
        let password = new_user.password.as_ref();
        let violations =
            password.map(|password| self.rules.passwords.violations(password, &of_person));
        let of_password = violations.unwrap_or_default();
        let (username, email) = match names {
            Ok(names) if of_password.is_empty() => names,
            names => {
                let mut errors = names.err().unwrap_or_default();
                errors.extend(errors_of(Field::Password, of_password));
                return Err(Error::Invalid(InvalidUser::new(errors)));
            }
        };
        let id = match new_user.id {
            Some(id) => id,
            None => UserId::generate().map_err(Error::Hashing)?,
        };
        Ok(Candidate { id, username, email, password: new_user.password })
    }

    /// Parses what was typed as username and email, or tells everything that is wrong with both.
    fn parse_names(
        &self,
        typed_username: Option<&str>,
        typed_email: Option<&str>,
    ) -> std::result::Result<(Option<Username>, Option<Email>), Vec<FieldError>> {
        let (typed_username, typed_email) = (present(typed_username), present(typed_email));
        let username = typed_username.map(|typed| self.rules.usernames.parse(typed)).transpose();
        let email = typed_email.map(|typed| self.rules.emails.parse(typed)).transpose();
        let given = (typed_username.is_some(), typed_email.is_some());
        let missing = self.rules.identifiers.missing(given);
        match (username, email) {
            (Ok(username), Ok(email)) if missing.is_empty() => Ok((username, email)),
            (username, email) => {
                let mut errors: Vec<_> = missing
                    .iter()
                    .map(|field| FieldError::new(*field, Violation::Required))
                    .chain(errors_of(Field::Username, username.err().unwrap_or_default()))
                    .chain(errors_of(Field::Email, email.err().unwrap_or_default()))
                    .collect();
                errors.sort_by_key(FieldError::field);
                Err(errors)
            }
        }
    }

    pub(crate) fn hash(&self, candidate: Candidate) -> Result<PreparedUser> {
        let Candidate { id, username, email, password } = candidate;
        let password_hash = match &password {
            Some(password) => Some(self.hash_new(password)?),
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

    pub(crate) fn throttle(&self) -> &ThrottleRules {
        &self.rules.throttle
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.rules.audit
    }

    pub(crate) fn device_key(&self) -> Option<&SecretKey> {
        self.rules.secret_key.as_ref()
    }

    /// Whether a user cannot sign in before the email address is verified.
    pub(crate) fn refuses_unverified(&self, user: &User) -> bool {
        let is_unverified = user.email().is_some() && user.email_verified_at().is_none();
        self.rules.require_verified_email && is_unverified
    }

    pub(crate) fn sign_in_recorded_every(&self) -> Duration {
        self.rules.sign_in_recorded_every
    }

    pub(crate) fn duplicates(&self) -> Duplicates {
        self.rules.duplicates
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.rules.deadline
    }

    /// How many passwords are hashed at once.
    #[cfg(feature = "tokio")]
    pub(crate) fn concurrent_hashes(&self) -> usize {
        self.rules.hashing.concurrent()
    }

    /// How many may wait for that.
    #[cfg(feature = "tokio")]
    pub(crate) fn queue_length(&self) -> usize {
        self.rules.hashing.queue()
    }

    /// For how long.
    #[cfg(feature = "tokio")]
    pub(crate) fn longest_wait(&self) -> Duration {
        self.rules.hashing.wait()
    }

    /// What somebody hears who is not let in behind so many.
    #[cfg(feature = "tokio")]
    pub(crate) fn hashing_busy(&self, queued: usize) -> Error {
        self.hasher.busy(queued)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rules.clock.now()
    }
}

impl Default for Policy {
    /// Every setting at the default that its setter on [`PolicyBuilder`] names.
    fn default() -> Self {
        Self::of(PolicyBuilder::default())
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policy").field(&self.rules).finish()
    }
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

fn errors_of(
    field: Field,
    violations: impl IntoIterator<Item = Violation>,
) -> impl Iterator<Item = FieldError> {
    violations.into_iter().map(move |violation| FieldError::new(field, violation))
}

/// What was typed into a field without outer white space; a blank field is as good as none.
fn present(typed: Option<&str>) -> Option<&str> {
    typed.map(str::trim).filter(|typed| !typed.is_empty())
}
