//! Accounts of another system, to be taken over many at a time.

use std::fmt;

use crate::creation::Taken;
use crate::error::Error;
use crate::identity::InvalidUser;
use crate::identity::email::Email;
use crate::identity::username::Username;
use crate::password::{InvalidHash, PasswordHash};
use crate::timestamp::Timestamp;
use crate::user::{UserId, UserState};

/// An account of another system.
///
/// Username and email obey the policy's rules of identity, as those of a
/// [`NewUser`](crate::NewUser) do; of the password only a hash is known
/// ([`ForeignHashes`](crate::ForeignHashes)). `Debug` shows the id only.
///
/// ```
/// use diesel_accounts::{ImportUser, Timestamp};
///
/// let alice = ImportUser::new()
///     .username("alice")
///     .email("alice@example.org")
///     .password_hash("$2b$12$LJ3m4ys3Lk0TdT9a5DqkMe0UYxW5PZ8n1bLyQH3KqBzv1tFqJ8b2e")
///     .created_at(Timestamp::from_micros(1_400_000_000_000_000));
/// # let _ = alice;
/// ```
#[derive(Clone, Default)]
pub struct ImportUser {
    pub(crate) id: Option<UserId>,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: ImportPassword,
    pub(crate) is_disabled: bool,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) last_sign_in_at: Option<Timestamp>,
}

/// What is known of a password.
#[derive(Clone, Default)]
pub(crate) enum ImportPassword {
    #[default]
    Absent,
    Hash(String),
    /// To be wrapped into Argon2id.
    Layered(String),
}

impl ImportUser {
    /// An account of which nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_to_be_wrapped(&self) -> bool {
        matches!(self.password, ImportPassword::Layered(_))
    }

    /// The id that the account is to have: see [`NewUser::with_id`](crate::NewUser::with_id).
    /// Defaults to a new one.
    #[must_use]
    pub fn id(mut self, id: UserId) -> Self {
        self.id = Some(id);
        self
    }

    /// The username. Defaults to none.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The email address. Defaults to none.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// The password hash, as the other system has it; what that system writes for an account
    /// without a password is understood (`!...` of Django, or nothing). Defaults to no password.
    #[must_use]
    pub fn password_hash(mut self, encoded: impl Into<String>) -> Self {
        self.password = ImportPassword::Hash(encoded.into());
        self
    }

    /// The password hash, to be wrapped into Argon2id, so that it is not stored as it is. That
    /// takes as long as one hash for each account.
    #[must_use]
    pub fn layered_password_hash(mut self, encoded: impl Into<String>) -> Self {
        self.password = ImportPassword::Layered(encoded.into());
        self
    }

    /// Nobody can sign in until the account is enabled. Defaults to an account that is active.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.is_disabled = true;
        self
    }

    /// When mail to the address was proved to arrive. Defaults to never.
    #[must_use]
    pub fn email_verified_at(mut self, time: Timestamp) -> Self {
        self.email_verified_at = Some(time);
        self
    }

    /// When the account was created. Defaults to the time of the import.
    #[must_use]
    pub fn created_at(mut self, time: Timestamp) -> Self {
        self.created_at = Some(time);
        self
    }

    /// When the person last signed in. Defaults to never.
    #[must_use]
    pub fn last_sign_in_at(mut self, time: Timestamp) -> Self {
        self.last_sign_in_at = Some(time);
        self
    }
}

impl fmt::Debug for ImportUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportUser").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An account of another system that is valid: see
/// [`Policy::prepare_import`](crate::Policy::prepare_import). `Debug` shows the id only.
pub struct PreparedImport {
    pub(crate) id: UserId,
    pub(crate) username: Option<Username>,
    pub(crate) email: Option<Email>,
    pub(crate) password_hash: Option<PasswordHash>,
    pub(crate) state: UserState,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) last_sign_in_at: Option<Timestamp>,
}

impl fmt::Debug for PreparedImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedImport").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an account of another system cannot be taken over: everything, at once.
///
/// `Display` names the fields at fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidImport {
    pub(crate) fields: Option<InvalidUser>,
    pub(crate) hash: Option<InvalidHash>,
}

impl InvalidImport {
    /// What is wrong with the username and the email; `None` if nothing is.
    #[must_use]
    pub fn fields(&self) -> Option<&InvalidUser> {
        self.fields.as_ref()
    }

    /// What is wrong with the password hash; `None` if nothing is.
    #[must_use]
    pub fn hash(&self) -> Option<InvalidHash> {
        self.hash
    }
}

impl fmt::Display for InvalidImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.fields, self.hash) {
            (Some(fields), Some(hash)) => write!(f, "{fields}; {hash}"),
            (Some(fields), None) => fmt::Display::fmt(fields, f),
            (None, Some(hash)) => fmt::Display::fmt(&hash, f),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for InvalidImport {}

/// What the import of one account came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportOutcome {
    /// The account was created.
    Created(UserId),
    /// The account is there already, with the same username and email, or as little as was given of
    /// them: by an earlier run.
    Existing(UserId),
    /// Its username or its email belongs to an account that is there and is not the same in both,
    /// or to two.
    Taken(Taken),
    /// It breaks the rules of the policy.
    Invalid(InvalidImport),
    /// The database refused it: [`Error::NotCreated`] with the cause, [`Error::IdReused`],
    /// [`Error::HiddenConflict`] where row-level security hides who is in the way, and the like.
    Failed(Error),
}

/// How many accounts came to what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct ImportSummary {
    created: u64,
    existing: u64,
    taken: u64,
    invalid: u64,
    failed: u64,
}

impl ImportSummary {
    pub(crate) fn count(&mut self, outcome: &ImportOutcome) {
        *match outcome {
            ImportOutcome::Created(_) => &mut self.created,
            ImportOutcome::Existing(_) => &mut self.existing,
            ImportOutcome::Taken(_) => &mut self.taken,
            ImportOutcome::Invalid(_) => &mut self.invalid,
            ImportOutcome::Failed(_) => &mut self.failed,
        } += 1;
    }

    /// How many were created.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// How many were there.
    #[must_use]
    pub fn existing(&self) -> u64 {
        self.existing
    }

    /// How many have the username or the email of another.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many break the rules.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// How many the database refused.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }
}
