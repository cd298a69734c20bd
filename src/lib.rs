//! Account management for Rust services that use [Diesel](https://diesel.rs): users are created
//! once, on SQLite, PostgreSQL and MariaDB/MySQL, whatever races or fails.
//!
//! ```
//! use diesel::SqliteConnection;
//! use diesel::r2d2::{ConnectionManager, Pool};
//! use diesel_accounts::{Creation, NewUser, UserManager, diesel};
//!
//! // The host's own pool, on any of the engines.
//! let database = ConnectionManager::<SqliteConnection>::new(":memory:");
//! let users = UserManager::new(Pool::builder().max_size(1).build(database)?);
//! users.migrate()?;
//!
//! match users.create_user(NewUser::new("alice", "alice@example.org", "correct horse battery"))? {
//!     Creation::Created(user) => println!("welcome, {}", user.id()),
//!     Creation::Existing(_) => println!("please sign in"), // no error, and no second account
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to find things
//!
//! - [`UserManager`] works through the host's pool: creation, look-ups, lists, states, the schema.
//! - [`Accounts`] does the same on one connection that the host lends, in the host's transaction if
//!   one is open: [`UserManager::on`], or [`Accounts::new`] where there is no pool.
//! - [`Policy`] says what is allowed: [`UsernameRules`], [`EmailRules`], [`PasswordRules`],
//!   [`Identifiers`], [`Duplicates`].
//! - [`UserManager::authenticate`] verifies a password, and answers [`SignIn`]; [`ThrottleRules`]
//!   bound how often one may be tried, [`Hashing`] what a hash costs and how many are made at once.
//! - [`UserManager::import_users`] takes accounts over from another system, with their hashes.
//! - [`Creation`] is the answer to a creation, [`Error`] everything else that it can come to, and
//!   [`InvalidUser`] what is wrong with the input.
//! - [`schema`] is for the host's foreign keys and joins, [`migrations`] for hosts that run the SQL
//!   themselves, [`UserManager::check`] for a look at the result.
//! - The [`guide`] tells how it all fits: transactions, asynchronous hosts, races, what is told to
//!   logs and metrics, security.
//!
//! # What it guarantees
//!
//! 1. There is one account for each username key and each email key in a realm, on every engine,
//!    whatever the collation of the server.
//! 2. An error that says "not created" is never followed by the account, and `Created` is never
//!    followed by its absence, but by a deletion.
//! 3. At most one call for an account hears `Created`, and exactly one unless an outcome stayed
//!    undetermined. All others hear `Existing`, or a true error.
//! 4. The host's transaction survives whatever is done in it, or the host is told at once to roll
//!    it back.
//! 5. Two spellings are equal, or not, on all engines alike; a username is never an email address.
//! 6. No password and no hash is in any `Display`, `Debug`, `source()` or bound value of a query
//!    log, and nothing that a driver said in any text of an error.
//! 7. No connection is held while a password is hashed, and never more than one at a time.
//! 8. No wait of the library's own is without a deadline.
//! 9. Memory and time of hashing are bounded, whatever the number of callers and whatever
//!    parameters a stored hash names.
//! 10. A refused sign-in is the same for every reason, in its words and in the work that is done;
//!     only as many passwords are looked at as the policy allows, by all instances together.
//!
//! # What it does not do
//!
//! - It keeps no sessions and issues no tokens for mail yet; it sends no mail.
//! - It keeps no roles, groups or profiles: those are tables of the host's, joined by
//!   [`joinable_with_account_users!`].
//! - It bounds its own waits, not a single statement: the host sets the time-outs of its server and
//!   driver.
//!
//! In the examples the database is `:memory:`, which is a database for each connection and gone
//! with it: good for an example with a pool of one, and for nothing else.
//!
//! # Features
//!
//! None is on by default, and none changes what another does.
//!
//! | feature | what it adds | what it costs |
//! |---|---|---|
//! | `postgres`, `mysql`, `sqlite` | the engine, as in Diesel; any number of them | the client library |
//! | `bundled` | SQLite from its C source | a C compiler, half a minute |
//! | `audit` | a record of what was done: [`guide`]`::audit` | nothing |
//! | `metrics` | counters and histograms: [`guide::observing`] | the facade `metrics` |
//! | `rate-limit` | `RateLimiter`: how often somebody may do something | `governor` |
//! | `simd` | `SimdEngine`: hashes in about half the time | `argon2-rust`, and Rust 1.89 |
//! | `tokio` | `AsyncUserManager`: the operations as `async fn` | `tokio` |
//! | `tracing` | spans and events: [`guide::observing`] | the facade `tracing` |
//! | `zxcvbn` | an estimate of a password's strength | `zxcvbn` with regular expressions |
//! | `serde` | `Serialize` for ids and for [`InvalidUser`] | `serde`, without its macros |
//!
//! Every feature that is not listed here is not part of the public API.
//!
//! # If the compiler says that a backend was not built
//!
//! ```text
//! error[E0277]: `diesel_accounts` was not built for the `Mysql` backend
//! ```
//!
//! The connection is of an engine whose feature is not enabled for *this* crate: add it to the
//! features of `diesel-accounts`, beside Diesel's own. In code that is generic over the connection,
//! the one bound to write is [`AccountConnection`]; for a [`UserManager`], whose connections come
//! from a pool, it is `AccountConnection + R2D2Connection + 'static`.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(
        feature = "audit",
        feature = "metrics",
        feature = "mysql",
        feature = "postgres",
        feature = "rate-limit",
        feature = "sqlite",
        feature = "tracing"
    )),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        unused_variables,
        reason = "some helpers serve one engine or feature only; the lints are on where all are"
    )
)]

mod accounts;
mod audit;
mod context;
mod creation;
mod error;
pub mod guide;
mod identity;
mod import;
mod manager;
mod new_user;
mod observe;
mod password;
mod policy;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod retry;
mod secret_key;
mod sign_in;
mod store;
mod throttle;
mod timestamp;
mod user;

pub use diesel;

pub use crate::accounts::{Accounts, FailedAttempts, InvalidCursor, UserCursor};
#[cfg(feature = "audit")]
pub use crate::audit::{AuditEvent, AuditSink, EventId};
pub use crate::context::Context;
pub use crate::creation::{Creation, Existing, Matched, Taken, TakenReason};
pub use crate::error::{
    ConfigurationFailure, DatabaseFailure, Error, HashingFailure, PoolFailure, Result,
    SchemaFailure,
};
pub use crate::identity::{
    COMMON_RESERVED_USERNAMES, EmailRules, Field, FieldError, InvalidUser, Scripts, UsernameRules,
    Violation,
};
pub use crate::import::{ImportOutcome, ImportSummary, ImportUser, InvalidImport, PreparedImport};
#[cfg(feature = "tokio")]
pub use crate::manager::AsyncUserManager;
pub use crate::manager::UserManager;
pub use crate::new_user::{NewUser, PreparedUser};
#[cfg(feature = "simd")]
pub use crate::password::SimdEngine;
pub use crate::password::{
    Argon2Cost, Argon2Engine, Argon2Input, Argon2Variant, BreachCheck, BreachCheckUnavailable,
    Calibration, ForeignHashes, Hashing, InvalidCost, InvalidHash, InvalidPepper, Password,
    PasswordRules, Pepper, WhenUnavailable,
};
pub use crate::policy::{Duplicates, Identifiers, InvalidPolicy, Policy, PolicyBuilder};
#[cfg(feature = "rate-limit")]
pub use crate::rate_limit::{
    DatabaseLimiter, InvalidQuota, LimitAnswer, LimitKey, LimitedBy, ProcessLimiter, Quota,
    RateLimiter,
};
pub use crate::secret_key::{DeviceToken, InvalidKey, SecretKey, SessionAuthHash};
pub use crate::sign_in::{
    Accepted, Demand, PasswordChange, PasswordChangeAttempt, PreparedPassword, Refusal,
    RefusalReason, SignIn, SignInAttempt, VerifiedAttempt, VerifiedPasswordChange,
};
pub use crate::store::check::{Finding, SchemaProblem, SchemaReport};
pub use crate::store::dialect::Engine;
pub use crate::store::migrate::{Migration, migrations};
#[cfg(feature = "sqlite")]
pub use crate::store::settings::{SqliteSettings, SqliteSynchronous};
pub use crate::store::{AccountBackend, AccountConnection, schema};
pub use crate::throttle::ThrottleRules;
pub use crate::timestamp::{Clock, Timestamp};
pub use crate::user::{InvalidId, RealmId, User, UserId, UserState};

/// The README's examples run as well.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
