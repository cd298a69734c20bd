//! Asking a service whether a password was stolen somewhere.

use std::fmt;

/// Knows passwords that were stolen elsewhere: a service, or a file of the host's
/// (OWASP ASVS 5.0, 6.2.12; NIST SP 800-63B-4, section 3.1.1.2).
///
/// It is asked about a new password that all other rules allow, while no connection to the database
/// is held, and may take its time: it must have a time-out of its own. A service is asked for the
/// beginning of a digest, never for a password or for the whole of its digest.
///
/// ```
/// use diesel_accounts::{
///     BreachCheck, BreachCheckUnavailable, PasswordRules, Policy, WhenUnavailable,
/// };
///
/// #[derive(Debug)]
/// struct KnownToUs;
///
/// impl BreachCheck for KnownToUs {
///     fn is_breached(&self, password: &str) -> Result<bool, BreachCheckUnavailable> {
///         Ok(password == "correct horse battery staple")
///     }
/// }
///
/// let rules = PasswordRules::new().breach_check(KnownToUs, WhenUnavailable::Allow);
/// let policy = Policy::builder().passwords(rules).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
pub trait BreachCheck: fmt::Debug + Send + Sync {
    /// Whether the password is known from a breach. It is given as it is hashed, in the normal form
    /// NFC.
    ///
    /// # Errors
    ///
    /// [`BreachCheckUnavailable`] if that cannot be found out now.
    fn is_breached(&self, password: &str) -> Result<bool, BreachCheckUnavailable>;
}

/// It cannot be found out now whether a password was stolen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, thiserror::Error)]
#[error("the check for breached passwords is not available")]
#[expect(clippy::exhaustive_structs, reason = "a host makes it, and it has nothing to say")]
pub struct BreachCheckUnavailable;

/// What becomes of a new password while the check is not available.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenUnavailable {
    /// It is allowed: people can register while the service is down.
    Allow,
    /// It is an error: [`Error::BreachCheckUnavailable`](crate::Error::BreachCheckUnavailable).
    Refuse,
}
