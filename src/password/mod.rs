//! Passwords: what is allowed, and how they are kept. The only place that names `argon2` and
//! `argon2-rust`.

mod blocklist;
mod breach;
mod cost;
mod engine;
mod floor;
mod foreign;
mod gate;
mod hasher;
mod hashing;
mod pace;
mod pages;
mod pepper;
mod rules;
mod secret;
#[cfg(feature = "simd")]
mod simd;
mod stored;
#[cfg(any(test, feature = "simd"))]
mod vectors;

pub use self::breach::{BreachCheck, BreachCheckUnavailable, WhenUnavailable};
pub use self::cost::{Argon2Cost, InvalidCost};
pub use self::engine::{Argon2Engine, Argon2Input, Argon2Variant};
pub use self::foreign::{ForeignHashes, InvalidHash};
pub use self::hashing::{Calibration, Hashing};
pub use self::pepper::{InvalidPepper, Pepper};
pub use self::rules::PasswordRules;
pub use self::secret::Password;
#[cfg(feature = "simd")]
pub use self::simd::SimdEngine;

pub(crate) use self::hasher::{Hasher, ImportFailure, Verdict};
pub(crate) use self::secret::PasswordHash;
