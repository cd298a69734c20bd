//! Passwords: what is allowed, and how they are kept. The only place that names `argon2`.

mod hash;
mod rules;
mod secret;

pub use self::hash::{Argon2Cost, InvalidCost};
pub use self::rules::PasswordRules;
pub use self::secret::Password;

pub(crate) use self::secret::PasswordHash;
