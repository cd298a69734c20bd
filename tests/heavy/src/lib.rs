//! Nothing but tests, in `tests`, and one here whose message from the compiler is too long to be
//! compared: a backend can be named,
//!
//! ```
//! use diesel_accounts::AccountBackend;
//!
//! fn needs<C, B: AccountBackend<C>>() {}
//!
//! struct Elsewhere;
//! ```
//!
//! and not implemented outside the crate, for its supertraits are private.
//!
//! ```compile_fail,E0277
//! use diesel_accounts::AccountBackend;
//!
//! struct Elsewhere;
//!
//! impl<C> AccountBackend<C> for Elsewhere {}
//! ```
