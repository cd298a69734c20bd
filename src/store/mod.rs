//! Everything that knows SQL.
//!
//! [`users`] holds one query trait for the table; a macro implements it for each enabled backend,
//! so that each query stands once. What the engines do differently is in [`dialect`], one file
//! each.

use diesel::connection::{Connection, LoadConnection, TransactionManager};

pub(crate) mod attempts;
#[cfg(feature = "mysql")]
mod bulk;
pub(crate) mod check;
pub(crate) mod dialect;
pub(crate) mod events;
pub(crate) mod limits;
pub(crate) mod migrate;
pub(crate) mod rows;
pub mod schema;
#[cfg(feature = "sqlite")]
pub(crate) mod settings;
pub(crate) mod users;

use self::attempts::AttemptQueries;
use self::dialect::Dialect;
use self::events::EventQueries;
use self::limits::LimitQueries;
use self::migrate::{LedgerQueries, MigrationSteps};
use self::users::UserQueries;

/// A Diesel connection to a database that this crate supports.
///
/// Every [`diesel::Connection`] whose backend is PostgreSQL, MySQL/MariaDB or SQLite is one, if the
/// feature of this crate for that backend is enabled: pooled connections and wrappers of
/// asynchronous ones included. It is the one bound that a host writes, and it cannot be implemented
/// outside this crate.
///
/// ```
/// use diesel_accounts::{AccountConnection, Accounts, Policy, Result, User};
///
/// fn find_alice<C: AccountConnection>(policy: &Policy, conn: &mut C) -> Result<Option<User>> {
///     Accounts::new(policy, conn).user_by_username("alice")
/// }
/// ```
pub trait AccountConnection: LoadConnection<Backend: AccountBackend<Self>> {}

impl<C> AccountConnection for C where C: LoadConnection<Backend: AccountBackend<C>> {}

/// A database backend that this crate supports, sealed by its private supertraits.
#[diagnostic::on_unimplemented(
    message = "`diesel_accounts` was not built for the `{Self}` backend",
    label = "a connection for a backend that is not enabled",
    note = "enable the `diesel-accounts` feature for this connection: `postgres`, `mysql` or `sqlite`",
    note = "in code that is generic over the connection, its bound is `AccountConnection`"
)]
#[expect(private_bounds, reason = "the query traits seal this one")]
pub trait AccountBackend<C>:
    AttemptQueries<C>
    + Dialect<C>
    + EventQueries<C>
    + LedgerQueries<C>
    + LimitQueries<C>
    + MigrationSteps<C>
    + UserQueries<C>
{
}

/// Makes a pool throw the connection away: a lost one of MariaDB's looks whole to it.
pub(crate) fn mark_lost<C: Connection>(conn: &mut C) {
    C::TransactionManager::transaction_manager_status_mut(conn).set_in_error();
}

/// Calls `$implement!(backend)` for each enabled backend.
macro_rules! for_each_backend {
    ($implement:ident) => {
        #[cfg(feature = "mysql")]
        $implement!(diesel::mysql::Mysql);
        #[cfg(feature = "postgres")]
        $implement!(diesel::pg::Pg);
        #[cfg(feature = "sqlite")]
        $implement!(diesel::sqlite::Sqlite);
    };
}
pub(crate) use for_each_backend;

macro_rules! account_backend {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> AccountBackend<C> for $backend {}
    };
}
for_each_backend!(account_backend);
