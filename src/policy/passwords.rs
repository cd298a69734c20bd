//! The parts of a sign-in, and of a change of password, that need no database.

use zeroize::Zeroizing;

use super::{Policy, errors_of};
use crate::error::{ConfigurationFailure, Error, Result};
use crate::identity::key::nfc;
use crate::identity::{Field, InvalidUser, Violation};
use crate::password::{Password, PasswordHash, Verdict};
use crate::secret_key::{SecretKey, SessionAuthHash};
use crate::sign_in::{
    Admission, Outcome, PasswordChangeAttempt, PreparedPassword, RefusalReason, SignInAttempt,
    VerifiedAttempt, VerifiedPasswordChange,
};
use crate::user::{User, UserState};

impl Policy {
    /// Verifies a submitted password: the part of a sign-in that needs no database.
    ///
    /// It takes as long as one hash, whoever the attempt is about and whatever comes of it, unless
    /// the attempt has to wait. What comes of it is told by
    /// [`Accounts::finish_sign_in`](crate::Accounts::finish_sign_in), a failure to verify included.
    ///
    /// See [`Accounts::begin_sign_in`](crate::Accounts::begin_sign_in) for an example.
    pub fn verify(&self, attempt: SignInAttempt, password: impl Into<Password>) -> VerifiedAttempt {
        let outcome = self.compare(&attempt, &password.into(), true);
        VerifiedAttempt { attempt, outcome }
    }

    /// Verifies the current password and hashes the new one: the part of the change of a password
    /// that needs no database. What comes of it is told by
    /// [`Accounts::finish_password_change`](crate::Accounts::finish_password_change).
    pub fn verify_password_change(
        &self,
        change: PasswordChangeAttempt,
        current: impl Into<Password>,
    ) -> VerifiedPasswordChange {
        let PasswordChangeAttempt { attempt, new } = change;
        let current = current.into();
        let outcome = match self.compare(&attempt, &current, false) {
            Outcome::Right(_) => match self.hash_another(&attempt, &current, &new) {
                Ok(hash) => Outcome::Right(hash),
                Err(error) => Outcome::Failed(error),
            },
            Outcome::Refused(reason) => Outcome::Refused(reason),
            Outcome::Failed(error) => Outcome::Failed(error),
        };
        VerifiedPasswordChange { attempt, outcome }
    }

    /// Validates and hashes a new password for a user, to be set by
    /// [`Accounts::set_password`](crate::Accounts::set_password).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Hashing`], [`Error::HashingBusy`],
    /// [`Error::BreachCheckUnavailable`].
    pub fn prepare_password(
        &self,
        user: &User,
        new: impl Into<Password>,
    ) -> Result<PreparedPassword> {
        let new = new.into();
        self.validate_password(user, &new)?;
        Ok(PreparedPassword { hash: self.hash_new(&new)? })
    }

    /// What a host keeps in a session of the user's, to be checked at each request by
    /// [`Policy::is_session_auth_hash`]: it holds until the user's sessions are ended, by another
    /// password above all.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the policy has no key.
    ///
    /// ```
    /// use diesel_accounts::{Creation, NewUser, Policy, SecretKey, UserManager};
    ///
    /// # use diesel_accounts::diesel::{SqliteConnection, r2d2::{ConnectionManager, Pool}};
    /// # let database = ConnectionManager::<SqliteConnection>::new(":memory:");
    /// # let pool = Pool::builder().max_size(1).build(database)?;
    /// let policy = Policy::builder().secret_key(SecretKey::new([7; 32])?).build()?;
    /// let users = UserManager::with_policy(pool, policy.clone());
    /// # users.migrate()?;
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// let in_session = policy.session_auth_hash(&alice)?;
    ///
    /// users.set_password(alice.id(), "battery staple")?;
    /// let alice = users.user_by_id(alice.id())?.expect("alice is there");
    /// assert!(!policy.is_session_auth_hash(&alice, in_session.as_str())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session_auth_hash(&self, user: &User) -> Result<SessionAuthHash> {
        let no_key = Error::Configuration(ConfigurationFailure::NoSecretKey);
        self.secret_key()?.session_auth_hash(user).ok_or(no_key)
    }

    /// Whether a text is the user's [`Policy::session_auth_hash`]; compared in constant time.
    ///
    /// Whether the account is still active is another question: [`User::is_active`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the policy has no key.
    pub fn is_session_auth_hash(&self, user: &User, presented: &str) -> Result<bool> {
        Ok(self.secret_key()?.is_session_auth_hash(user, presented))
    }

    fn secret_key(&self) -> Result<&SecretKey> {
        let no_key = Error::Configuration(ConfigurationFailure::NoSecretKey);
        self.rules.secret_key.as_ref().ok_or(no_key)
    }

    /// Compares a submitted password, unless it has to wait.
    fn compare(
        &self,
        attempt: &SignInAttempt,
        password: &Password,
        replace: bool,
    ) -> Outcome<Option<PasswordHash>> {
        let is_enabled = match attempt.admission {
            Admission::Waiting(_) => return Outcome::Refused(RefusalReason::Throttled),
            Admission::PasswordDisabled(_) => false,
            Admission::Admitted(_) => true,
        };
        let credentials = attempt.credentials.as_ref();
        let stored = credentials.and_then(|credentials| credentials.password_hash.as_ref());
        let password =
            Some(password).filter(|password| self.rules.passwords.is_short_enough(password));
        let may_sign_in = credentials.is_some_and(|credentials| {
            credentials.user.is_active() && !self.refuses_unverified(&credentials.user)
        });
        let if_enabled = stored.filter(|_| is_enabled);
        // One verification on every path, also where no password can be right.
        let verdict = match self.hasher.verify(password, if_enabled, replace && may_sign_in) {
            Ok(verdict) => verdict,
            Err(error) => return Outcome::Failed(error),
        };
        let Some(user) = credentials.map(|credentials| &credentials.user) else {
            return Outcome::Refused(RefusalReason::UnknownLogin);
        };
        if user.state != UserState::Active {
            return Outcome::Refused(RefusalReason::Disabled);
        }
        if !is_enabled {
            return Outcome::Refused(RefusalReason::PasswordDisabled);
        }
        if stored.is_none() {
            return Outcome::Refused(RefusalReason::NoPassword);
        }
        match verdict {
            Verdict::Right(new_hash) => Outcome::Right(new_hash),
            Verdict::Unusable => Outcome::Refused(RefusalReason::StoredHashUnusable),
            Verdict::Wrong => Outcome::Refused(RefusalReason::WrongPassword),
        }
    }

    /// Hashes a new password, which is another one if it must be.
    fn hash_another(
        &self,
        attempt: &SignInAttempt,
        current: &Password,
        new: &Password,
    ) -> Result<PasswordHash> {
        let must_differ = attempt
            .credentials
            .as_ref()
            .is_some_and(|credentials| credentials.user.must_change_password());
        if must_differ && normal(current) == normal(new) {
            return Err(invalid_password(vec![Violation::UnchangedPassword]));
        }
        self.hash_new(new)
    }

    /// Asks whoever is to be asked, and hashes a password that is otherwise allowed.
    pub(super) fn hash_new(&self, password: &Password) -> Result<PasswordHash> {
        if let Some(violation) = self.rules.passwords.breach(password)? {
            return Err(invalid_password(vec![violation]));
        }
        self.hasher.hash(password)
    }

    /// Whether a user may have a password, as far as that can be told without asking anybody.
    pub(crate) fn validate_password(&self, user: &User, password: &Password) -> Result<()> {
        let of_person: Vec<&str> = user.username().into_iter().chain(user.email()).collect();
        match self.rules.passwords.violations(password, &of_person) {
            violations if violations.is_empty() => Ok(()),
            violations => Err(invalid_password(violations)),
        }
    }
}

fn normal(password: &Password) -> Zeroizing<String> {
    Zeroizing::new(nfc(password.as_str()).into_owned())
}

pub(super) fn invalid_password(violations: Vec<Violation>) -> Error {
    Error::Invalid(InvalidUser::new(errors_of(Field::Password, violations).collect()))
}
