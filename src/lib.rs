#![doc = "TODO"]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "some helpers serve one engine only; the lints are on where all three are"
    )
)]

mod accounts;
mod creation;
mod error;
mod identity;
mod manager;
mod new_user;
mod password;
mod policy;
mod retry;
mod store;
mod timestamp;
mod user;

pub use diesel;

pub use crate::accounts::{Accounts, InvalidCursor, UserCursor};
pub use crate::creation::{Creation, Existing, Matched, Taken, TakenReason};
pub use crate::error::{
    DatabaseFailure, Error, HashingFailure, PoolFailure, Result, SchemaFailure,
};
pub use crate::identity::{
    COMMON_RESERVED_USERNAMES, EmailRules, Field, FieldError, InvalidUser, Scripts, UsernameRules,
    Violation,
};
pub use crate::manager::UserManager;
pub use crate::new_user::{NewUser, PreparedUser};
pub use crate::password::{Argon2Cost, InvalidCost, Password, PasswordRules};
pub use crate::policy::{Duplicates, Identifiers, InvalidPolicy, Policy, PolicyBuilder};
pub use crate::store::check::{Finding, SchemaProblem, SchemaReport};
pub use crate::store::dialect::Engine;
pub use crate::store::migrate::{Migration, migrations};
pub use crate::store::{AccountBackend, AccountConnection, schema};
pub use crate::timestamp::{Clock, Timestamp};
pub use crate::user::{InvalidId, RealmId, User, UserId, UserState};
