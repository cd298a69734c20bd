//! The host's pool and the policy together.

use std::fmt;
use std::time::Instant;

use diesel::r2d2::{ConnectionManager, R2D2Connection};
use r2d2::{Pool, PooledConnection};

use crate::accounts::{Accounts, FailedAttempts, UserCursor};
#[cfg(feature = "audit")]
use crate::audit::AuditEvent;
use crate::context::Context;
use crate::error::{Error, PoolFailure, Result};
use crate::new_user::{NewUser, PreparedUser};
use crate::observe::{self, Answer, Operation, operation};
use crate::policy::Policy;
use crate::store::AccountConnection;
use crate::store::check::SchemaReport;
use crate::store::dialect::{Dialect, Trouble};
use crate::store::mark_lost;
#[cfg(feature = "audit")]
use crate::timestamp::Timestamp;
use crate::user::{RealmId, User, UserId};

#[cfg(feature = "tokio")]
mod asynchronous;
mod create;
mod import;
mod sign_in;
mod writers;

#[cfg(feature = "tokio")]
pub use self::asynchronous::AsyncUserManager;

use self::writers::{Turn, Writers};

/// Manages the accounts in one database, through the host's own pool.
///
/// Cheap to clone; a clone shares the pool and the policy, and on SQLite the queue of those who
/// write: the database has one writer at a time, and lets nobody in by turns. Make one manager for a
/// database, and clone it. No operation holds more than one
/// connection, so that a pool of one suffices, and none holds a connection while a password is
/// hashed.
///
/// ```
/// use diesel_accounts::diesel::SqliteConnection;
/// use diesel_accounts::diesel::r2d2::{ConnectionManager, Pool};
/// use diesel_accounts::{Creation, NewUser, UserManager};
///
/// let database = ConnectionManager::<SqliteConnection>::new(":memory:");
/// let users = UserManager::new(Pool::builder().max_size(1).build(database)?);
/// users.migrate()?;
///
/// match users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))? {
///     Creation::Created(user) => println!("welcome, {}", user.id()),
///     Creation::Existing(_) => println!("please sign in"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UserManager<C: R2D2Connection + 'static> {
    pool: Pool<ConnectionManager<C>>,
    policy: Policy,
    realm: RealmId,
    context: Context,
    writers: Writers,
}

impl<C> UserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// Manages accounts through the host's pool, by the default policy.
    #[must_use]
    pub fn new(pool: Pool<ConnectionManager<C>>) -> Self {
        Self::with_policy(pool, Policy::default())
    }

    /// Manages accounts through the host's pool, by the host's policy.
    #[must_use]
    pub fn with_policy(pool: Pool<ConnectionManager<C>>, policy: Policy) -> Self {
        Self {
            pool,
            policy,
            realm: RealmId::NIL,
            context: Context::new(),
            writers: Writers::default(),
        }
    }

    /// The same manager for another realm. Defaults to [`RealmId::NIL`].
    #[must_use]
    pub fn in_realm(&self, realm: RealmId) -> Self {
        Self { realm, ..self.clone() }
    }

    /// The same manager for a request: who asks, and from where. Defaults to nobody and nowhere.
    ///
    /// See [`Context`] for an example.
    #[must_use]
    pub fn with(&self, context: Context) -> Self {
        Self { context, ..self.clone() }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The realm that it works in.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// The operations on a connection of the host's, in its transaction if one is open.
    ///
    /// ```
    /// use diesel_accounts::diesel::prelude::*;
    /// use diesel_accounts::diesel::SqliteConnection;
    /// use diesel_accounts::{Error, NewUser};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let mut conn = SqliteConnection::establish(":memory:")?;
    /// users.on(&mut conn).migrate()?;
    /// let alice = users.prepare(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// let rolled_back = conn.transaction(|conn| {
    ///     let creation = users.on(conn).create_user(&alice)?;
    ///     assert!(creation.is_created());
    ///     Err::<(), _>(Error::from(diesel_accounts::diesel::result::Error::RollbackTransaction))
    /// });
    /// assert!(rolled_back.is_err());
    /// assert!(users.on(&mut conn).user_by_username("alice")?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on<'a, D>(&'a self, conn: &'a mut D) -> Accounts<'a, D>
    where
        D: AccountConnection<Backend = C::Backend>,
    {
        Accounts::new(&self.policy, conn).in_realm(self.realm).with(self.context.clone())
    }

    /// [`Policy::prepare`].
    ///
    /// # Errors
    ///
    /// As [`Policy::prepare`].
    pub fn prepare(&self, new_user: NewUser) -> Result<PreparedUser> {
        self.policy.prepare(new_user)
    }

    /// [`Accounts::migrate`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::migrate`], and [`Error::Pool`].
    pub fn migrate(&self) -> Result<()> {
        self.write(operation!("migrate"), |accounts| accounts.migrate())
    }

    /// [`Accounts::check`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::check`], and [`Error::Pool`].
    pub fn check(&self) -> Result<SchemaReport> {
        self.act(operation!("check"), |accounts| accounts.check())
    }

    /// [`Accounts::user_by_id`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::user_by_id`], and [`Error::Pool`].
    pub fn user_by_id(&self, id: UserId) -> Result<Option<User>> {
        self.act(operation!("user_by_id").about(id), |accounts| accounts.user_by_id(id))
    }

    /// [`Accounts::user_by_username`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::user_by_username`], and [`Error::Pool`].
    pub fn user_by_username(&self, username: &str) -> Result<Option<User>> {
        self.act(operation!("user_by_username"), |accounts| accounts.user_by_username(username))
    }

    /// [`Accounts::user_by_email`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::user_by_email`], and [`Error::Pool`].
    pub fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        self.act(operation!("user_by_email"), |accounts| accounts.user_by_email(email))
    }

    /// [`Accounts::user_by_login`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::user_by_login`], and [`Error::Pool`].
    pub fn user_by_login(&self, login: &str) -> Result<Option<User>> {
        self.act(operation!("user_by_login"), |accounts| accounts.user_by_login(login))
    }

    /// [`Accounts::list_users`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::list_users`], and [`Error::Pool`].
    pub fn list_users(&self, after: Option<UserCursor>, limit: u32) -> Result<Vec<User>> {
        self.act(operation!("list_users"), |accounts| accounts.list_users(after, limit))
    }

    /// [`Accounts::users_by_username_prefix`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::users_by_username_prefix`], and [`Error::Pool`].
    pub fn users_by_username_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<User>> {
        self.act(operation!("users_by_username_prefix"), |accounts| {
            accounts.users_by_username_prefix(prefix, after, limit)
        })
    }

    /// [`Accounts::users_by_email_prefix`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::users_by_email_prefix`], and [`Error::Pool`].
    pub fn users_by_email_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<User>> {
        self.act(operation!("users_by_email_prefix"), |accounts| {
            accounts.users_by_email_prefix(prefix, after, limit)
        })
    }

    /// [`Accounts::disable_user`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::disable_user`], and [`Error::Pool`].
    pub fn disable_user(&self, id: UserId) -> Result<()> {
        self.write(operation!("disable_user").about(id), |accounts| accounts.disable_user(id))
    }

    /// [`Accounts::enable_user`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::enable_user`], and [`Error::Pool`].
    pub fn enable_user(&self, id: UserId) -> Result<()> {
        self.write(operation!("enable_user").about(id), |accounts| accounts.enable_user(id))
    }

    /// [`Accounts::reserve_user`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::reserve_user`], and [`Error::Pool`].
    pub fn reserve_user(&self, id: UserId) -> Result<()> {
        self.write(operation!("reserve_user").about(id), |accounts| accounts.reserve_user(id))
    }

    /// [`Accounts::delete_user`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::delete_user`], and [`Error::Pool`].
    pub fn delete_user(&self, id: UserId) -> Result<()> {
        self.write(operation!("delete_user").about(id), |accounts| accounts.delete_user(id))
    }

    /// [`Accounts::set_unusable_password`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::set_unusable_password`], and [`Error::Pool`].
    pub fn set_unusable_password(&self, id: UserId) -> Result<()> {
        self.write(operation!("set_unusable_password").about(id), |accounts| {
            accounts.set_unusable_password(id)
        })
    }

    /// [`Accounts::require_password_change`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::require_password_change`], and [`Error::Pool`].
    pub fn require_password_change(&self, id: UserId) -> Result<()> {
        self.write(operation!("require_password_change").about(id), |accounts| {
            accounts.require_password_change(id)
        })
    }

    /// [`Accounts::unlock_user`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::unlock_user`], and [`Error::Pool`].
    pub fn unlock_user(&self, id: UserId) -> Result<()> {
        self.write(operation!("unlock_user").about(id), |accounts| accounts.unlock_user(id))
    }

    /// [`Accounts::failed_attempts`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::failed_attempts`], and [`Error::Pool`].
    pub fn failed_attempts(&self, id: UserId) -> Result<FailedAttempts> {
        self.act(operation!("failed_attempts").about(id), |accounts| accounts.failed_attempts(id))
    }

    /// [`Accounts::forget_old_attempts`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::forget_old_attempts`], and [`Error::Pool`].
    pub fn forget_old_attempts(&self, limit: u32) -> Result<usize> {
        self.write(operation!("forget_old_attempts"), |accounts| {
            accounts.forget_old_attempts(limit)
        })
    }

    /// How many connections the pool has at most.
    #[cfg(feature = "tokio")]
    fn most_connections(&self) -> usize {
        usize::try_from(self.pool.max_size()).unwrap_or(usize::MAX)
    }

    /// Does one thing on a pooled connection, which nobody gets again if it was lost meanwhile.
    pub(crate) fn act<T: Answer>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut Accounts<'_, C>) -> Result<T>,
    ) -> Result<T> {
        self.observed(operation, || self.act_until(Instant::now() + self.policy.deadline(), act))
    }

    /// Does one thing that writes.
    pub(crate) fn write<T: Answer>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut Accounts<'_, C>) -> Result<T>,
    ) -> Result<T> {
        self.observed(operation, || self.write_until(Instant::now() + self.policy.deadline(), act))
    }

    /// [`Accounts::events_of_user`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::events_of_user`], and [`Error::Pool`].
    #[cfg(feature = "audit")]
    pub fn events_of_user(
        &self,
        id: UserId,
        before: Option<&AuditEvent>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>> {
        let told = operation!("events_of_user").about(id);
        self.act(told, |accounts| accounts.events_of_user(id, before, limit))
    }

    /// [`Accounts::forget_old_events`] on a pooled connection.
    ///
    /// # Errors
    ///
    /// As [`Accounts::forget_old_events`], and [`Error::Pool`].
    #[cfg(feature = "audit")]
    pub fn forget_old_events(&self, before: Timestamp, limit: u32) -> Result<usize> {
        self.write(operation!("forget_old_events"), |accounts| {
            accounts.forget_old_events(before, limit)
        })
    }

    /// Does something that the host's logs and metrics are told of.
    fn observed<T: Answer>(
        &self,
        operation: Operation,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        observe::observed(C::Backend::ENGINE, operation, act)
    }

    /// The same as a part of something that must be over by then.
    fn act_until<T>(
        &self,
        until: Instant,
        act: impl FnOnce(&mut Accounts<'_, C>) -> Result<T>,
    ) -> Result<T> {
        let mut conn = self.connection_until(until)?;
        let result = act(&mut self.on(&mut *conn).until(until));
        if let Err(Error::Database(cause) | Error::Undetermined { cause, .. }) = &result {
            if Trouble::on(&mut *conn, cause.diesel_error()) == Trouble::Lost {
                mark_lost(&mut *conn);
            }
        }
        result
    }

    /// The same for something that writes.
    fn write_until<T>(
        &self,
        until: Instant,
        act: impl FnOnce(&mut Accounts<'_, C>) -> Result<T>,
    ) -> Result<T> {
        let _turn = self.turn(until)?;
        self.act_until(until, act)
    }

    /// A turn to write, if those who write on this engine must take turns. It is waited for without
    /// a connection, and held for no longer than the writing takes.
    fn turn(&self, until: Instant) -> Result<Option<Turn<'_>>> {
        match C::Backend::HAS_ONE_WRITER {
            true => self.writers.enter(until).map(Some),
            false => Ok(None),
        }
    }

    /// Does two things on pooled connections, and something between that takes time of its own and
    /// no connection.
    fn act_twice<T, U, V: Answer>(
        &self,
        operation: Operation,
        begins_with: Begin,
        begin: impl FnOnce(&mut Accounts<'_, C>) -> Result<T>,
        between: impl FnOnce(T) -> Result<U>,
        finish: impl FnOnce(&mut Accounts<'_, C>, U) -> Result<V>,
    ) -> Result<V> {
        self.observed(operation, || {
            let (started, budget) = (Instant::now(), self.policy.deadline());
            let until = started + budget;
            let begun = match begins_with {
                Begin::Reading => self.act_until(until, begin)?,
                Begin::Writing => self.write_until(until, begin)?,
            };
            let budget = budget.saturating_sub(started.elapsed());
            let value = between(begun)?;
            self.write_until(Instant::now() + budget, |accounts| finish(accounts, value))
        })
    }

    /// A connection, waited for no longer than the host's pool is set to wait.
    fn connection_until(&self, until: Instant) -> Result<PooledConnection<ConnectionManager<C>>> {
        let remaining = until.saturating_duration_since(Instant::now());
        let timeout = remaining.min(self.pool.connection_timeout());
        self.pool.get_timeout(timeout).map_err(|cause| Error::Pool(PoolFailure::new(cause)))
    }
}

/// What the first half of something does.
#[derive(Clone, Copy)]
enum Begin {
    Reading,
    Writing,
}

impl<C: R2D2Connection> Clone for UserManager<C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            policy: self.policy.clone(),
            realm: self.realm,
            context: self.context.clone(),
            writers: self.writers.clone(),
        }
    }
}

impl<C: R2D2Connection> fmt::Debug for UserManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserManager")
            .field("policy", &self.policy)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}
