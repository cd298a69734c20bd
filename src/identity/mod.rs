//! Who is equal to whom: parsing usernames and email addresses, and the keys that decide.
//!
//! Everything here is pure: it knows no SQL and no clock. What is allowed is policy and may change
//! from day to day; what is *equal* is not, and lives in [`key`].

mod assigned;
mod character;
pub(crate) mod email;
pub(crate) mod invalid;
pub(crate) mod key;
pub(crate) mod username;

pub use self::email::EmailRules;
pub use self::invalid::{Field, FieldError, InvalidUser, Violation};
pub use self::username::{COMMON_RESERVED_USERNAMES, Scripts, UsernameRules};

pub(crate) use self::assigned::is_assigned;
pub(crate) use self::character::unsafe_character;
