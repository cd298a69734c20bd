//! The SQL of every act, on one connection that somebody lends.

use std::fmt;
use std::time::Instant;

use crate::context::Context;
use crate::error::Result;
use crate::observe::{self, Answer, Operation};
use crate::policy::Policy;
use crate::store::AccountConnection;
use crate::store::dialect::Dialect;
use crate::user::RealmId;

mod attempts;
mod batch_size;
mod create;
mod events;
mod import;
mod limit;
mod list;
mod lookup;
mod password;
#[cfg(feature = "rate-limit")]
mod quota;
mod schema;
mod sign_in;
mod state;
mod transaction;

pub use self::attempts::FailedAttempts;
pub use self::list::{InvalidCursor, UserCursor};

pub(crate) use self::batch_size::{BatchSize, IMPORT_BATCH};
pub(crate) use self::create::{Connections, Insertion, create};
pub(crate) use self::lookup::{Recognised, recognise};

/// The account operations on one connection: the host's, in the host's transaction if one is open.
///
/// Made by [`UserManager::on`](crate::UserManager::on), or by [`Accounts::new`] where there is no
/// pool of Diesel's, as with the `AsyncConnectionWrapper` of `diesel-async`. Nothing here hashes a
/// password.
///
/// Inside a transaction nothing is retried and nothing is committed; an operation that cannot go on
/// there says [`Error::HostMustRollBack`](crate::Error::HostMustRollBack). Transactions must be
/// opened through Diesel (`conn.transaction(..)`); a `BEGIN` sent as plain SQL is invisible to
/// Diesel and to this crate.
pub struct Accounts<'a, C> {
    policy: &'a Policy,
    realm: RealmId,
    context: Context,
    /// When the operation at hand must be over, if that began earlier.
    until: Option<Instant>,
    conn: &'a mut C,
}

impl<'a, C: AccountConnection> Accounts<'a, C> {
    /// Works on a connection, in the realm [`RealmId::NIL`].
    ///
    /// ```
    /// use diesel_accounts::diesel::{Connection, SqliteConnection};
    /// use diesel_accounts::{Accounts, Creation, NewUser, Policy};
    ///
    /// let policy = Policy::default();
    /// let mut conn = SqliteConnection::establish(":memory:")?;
    /// let mut accounts = Accounts::new(&policy, &mut conn);
    /// accounts.migrate()?;
    ///
    /// let alice = policy.prepare(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// assert!(matches!(accounts.create_user(&alice)?, Creation::Created(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(policy: &'a Policy, conn: &'a mut C) -> Self {
        Self { policy, realm: RealmId::NIL, context: Context::new(), until: None, conn }
    }

    /// Works for somebody: see [`Context`].
    #[must_use]
    pub fn with(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Works in another realm.
    #[must_use]
    pub fn in_realm(mut self, realm: RealmId) -> Self {
        self.realm = realm;
        self
    }

    /// Goes on with an operation that must be over by then.
    pub(crate) fn until(mut self, until: Instant) -> Self {
        self.until = Some(until);
        self
    }

    fn deadline(&self) -> Instant {
        self.until.unwrap_or_else(|| Instant::now() + self.policy.deadline())
    }

    /// Does something that the host's logs and metrics are told of.
    fn observed<T: Answer>(
        &mut self,
        operation: Operation,
        act: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        observe::observed(C::Backend::ENGINE, operation, || act(self))
    }

    /// Does several things that are one operation, and have one deadline.
    fn as_one<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let given = self.until;
        self.until = Some(self.deadline());
        let value = act(self);
        self.until = given;
        value
    }
}

impl<C> fmt::Debug for Accounts<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("policy", &self.policy)
            .field("realm", &self.realm)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
