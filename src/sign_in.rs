//! What a sign-in comes to.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::password::{Password, PasswordHash};
use crate::secret_key::{DeviceToken, NONCE_BYTES};
use crate::store::attempts::AttemptKey;
use crate::store::rows::Credentials;
use crate::timestamp::Timestamp;
use crate::user::{User, UserId};

/// The answer to a login and a password. A refusal is an answer, not an error.
///
/// ```
/// use diesel_accounts::{NewUser, SignIn};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))?;
/// match users.authenticate("alice@example.org", "correct horse")? {
///     SignIn::Accepted(accepted) => println!("welcome back, {}", accepted.user().id()),
///     SignIn::Refused(refusal) => println!("{refusal}"), // the same words for every reason
///     _ => println!("not supported"),
/// }
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nobody is signed in unless it is accepted"]
#[non_exhaustive]
pub enum SignIn {
    /// The password is right, and the account may be used.
    Accepted(Accepted),
    /// It is not, or the account may not.
    Refused(Refusal),
}

impl SignIn {
    /// The accepted sign-in; `None` if it was refused.
    #[must_use]
    pub fn accepted(self) -> Option<Accepted> {
        match self {
            Self::Accepted(accepted) => Some(accepted),
            Self::Refused(_) => None,
        }
    }

    /// Whether it was accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

/// Somebody gave the right password of an account that may be used.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub(crate) user: Box<User>,
    pub(crate) device_token: Option<DeviceToken>,
}

impl Accepted {
    /// Whose account it is; [`User::last_sign_in_at`] is the time of an earlier sign-in.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whose account it is.
    #[must_use]
    pub fn into_user(self) -> User {
        *self.user
    }

    /// What else is asked of the person, before the host lets them go on.
    #[must_use]
    pub fn demands(&self) -> Vec<Demand> {
        let mut demands = Vec::new();
        if self.user.must_change_password() {
            demands.push(Demand::ChangePassword);
        }
        if self.user.email().is_some() && self.user.email_verified_at().is_none() {
            demands.push(Demand::VerifyEmail);
        }
        demands
    }

    /// By which the person's device is recognised from now on; `None` if the policy has no
    /// [`SecretKey`](crate::SecretKey).
    #[must_use]
    pub fn device_token(&self) -> Option<&DeviceToken> {
        self.device_token.as_ref()
    }
}

/// Something that is asked of a person who signed in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Demand {
    /// The password must be changed
    /// ([`require_password_change`](crate::Accounts::require_password_change)).
    ChangePassword,
    /// The email address has not been verified. A policy may refuse such sign-ins altogether
    /// ([`PolicyBuilder::require_verified_email`](crate::PolicyBuilder::require_verified_email)).
    VerifyEmail,
}

/// A sign-in, or the change of a password, was refused.
///
/// `Display` and `Debug` are the same for every reason: nobody learns from them whether an account
/// exists, whether it is disabled, or that a password was right. The reason is for the host's
/// audit.
#[derive(Clone, Copy)]
pub struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// Why, for the host's audit. Never tell it to whoever asks.
    #[must_use]
    pub fn reason_for_audit(&self) -> RefusalReason {
        self.reason
    }

    /// How long to wait before the next attempt is looked at, if this one was not. It may be told:
    /// logins that no account has are made to wait alike. (Whoever tries a username and then an
    /// address can learn that both are of one account: they share one count.)
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the login or the password is not right")
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusal(..)")
    }
}

/// Why a password was not accepted. Not for whoever gave it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The account is disabled. Whether the password was right is not told.
    Disabled,
    /// The password is right, the email is not verified, and the policy insists that it is. Whoever
    /// asked proved to know the password, and may be told.
    EmailNotVerified,
    /// The account has no password.
    NoPassword,
    /// Too many wrong ones in a row: the password is disabled until it is set anew.
    PasswordDisabled,
    /// What is stored is no hash that the policy accepts.
    StoredHashUnusable,
    /// The password was right when the attempt began, and was changed, or the account disabled or
    /// deleted, before it ended.
    Superseded,
    /// A wait was not over; the password was not looked at.
    Throttled,
    /// No account has the login.
    UnknownLogin,
    /// The password is wrong.
    WrongPassword,
}

impl RefusalReason {
    /// A stable name for logs and metrics, in snake case: `wrong_password` and so on.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::EmailNotVerified => "email_not_verified",
            Self::NoPassword => "no_password",
            Self::PasswordDisabled => "password_disabled",
            Self::StoredHashUnusable => "stored_hash_unusable",
            Self::Superseded => "superseded",
            Self::Throttled => "throttled",
            Self::UnknownLogin => "unknown_login",
            Self::WrongPassword => "wrong_password",
        }
    }
}

/// The answer to the change of a password.
///
/// ```
/// use diesel_accounts::{NewUser, PasswordChange};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
/// let alice = users.create_user(alice)?.created().expect("nobody had that name");
/// match users.change_password(alice.id(), "correct horse", "battery staple")? {
///     PasswordChange::Changed(user) => assert!(user.session_generation() > 0),
///     PasswordChange::Refused(refusal) => println!("{refusal}"),
///     _ => println!("not supported"),
/// }
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the password may not have been changed"]
#[non_exhaustive]
pub enum PasswordChange {
    /// It was changed, and the sessions that were open have ended
    /// ([`User::session_generation`]). The host may begin a new one with this user.
    Changed(Box<User>),
    /// The current password is not right, or may not be tried now.
    Refused(Refusal),
}

impl PasswordChange {
    /// Whether it was changed.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Changed(_))
    }
}

/// A submitted password that is about to be verified: counted already, and to be handed on to
/// [`Policy::verify`](crate::Policy::verify), and then to
/// [`Accounts::finish_sign_in`](crate::Accounts::finish_sign_in).
///
/// It must not be dropped half-way: it would stay counted as a failure.
#[must_use = "it is counted as a failure until it is finished"]
pub struct SignInAttempt {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) subject: AttemptKey,
    pub(crate) bucket: AttemptKey,
    /// The known device that it comes from.
    pub(crate) device: Option<[u8; NONCE_BYTES]>,
    pub(crate) admission: Admission,
}

impl SignInAttempt {
    /// Whose password it is, if it is anybody's.
    pub(crate) fn owner(&self) -> Option<UserId> {
        self.credentials.as_ref().map(|credentials| credentials.user.id)
    }
}

impl fmt::Debug for SignInAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInAttempt(..)")
    }
}

/// Whether a submitted password may be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission {
    /// Yes; it was counted then.
    Admitted(Timestamp),
    /// There were too many failures: it is refused whatever it is. It was counted then.
    PasswordDisabled(Timestamp),
    /// Not before.
    Waiting(Timestamp),
}

/// A submitted password that was verified: see [`SignInAttempt`].
#[must_use = "it is counted as a failure until it is finished"]
pub struct VerifiedAttempt {
    pub(crate) attempt: SignInAttempt,
    /// With a new hash if the stored one is obsolete.
    pub(crate) outcome: Outcome<Option<PasswordHash>>,
}

impl fmt::Debug for VerifiedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedAttempt(..)")
    }
}

/// What the verification came to.
pub(crate) enum Outcome<T> {
    Right(T),
    Refused(RefusalReason),
    /// It could not be done: the attempt does not count.
    Failed(Error),
}

/// The change of a password that is about to be verified: see [`SignInAttempt`].
#[must_use = "it is counted as a failure until it is finished"]
pub struct PasswordChangeAttempt {
    pub(crate) attempt: SignInAttempt,
    pub(crate) new: Password,
}

impl fmt::Debug for PasswordChangeAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordChangeAttempt(..)")
    }
}

/// The change of a password that was verified: see [`SignInAttempt`].
#[must_use = "it is counted as a failure until it is finished"]
pub struct VerifiedPasswordChange {
    pub(crate) attempt: SignInAttempt,
    /// With the hash of the new password.
    pub(crate) outcome: Outcome<PasswordHash>,
}

impl fmt::Debug for VerifiedPasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedPasswordChange(..)")
    }
}

/// A new password that is allowed and hashed: see
/// [`Policy::prepare_password`](crate::Policy::prepare_password).
pub struct PreparedPassword {
    pub(crate) hash: PasswordHash,
}

impl fmt::Debug for PreparedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedPassword(..)")
    }
}
