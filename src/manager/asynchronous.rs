//! The same operations for asynchronous hosts, on a bounded number of blocking threads.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use diesel::r2d2::R2D2Connection;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use self::fate::undecided;
use self::lanes::{Lane, Lanes};
use super::UserManager;
use crate::accounts::{FailedAttempts, UserCursor};
#[cfg(feature = "audit")]
use crate::audit::AuditEvent;
use crate::context::Context;
use crate::creation::Creation;
use crate::error::{Error, Result};
use crate::import::{ImportOutcome, ImportSummary, ImportUser};
use crate::new_user::{NewUser, PreparedUser};
use crate::observe::{self, Answer, Here, Operation, operation};
use crate::password::Password;
use crate::sign_in::{PasswordChange, SignIn};
use crate::store::AccountConnection;
use crate::store::check::SchemaReport;
#[cfg(feature = "audit")]
use crate::timestamp::Timestamp;
use crate::user::{RealmId, User, UserId};

mod fate;
mod lanes;

/// A [`UserManager`] for asynchronous hosts: the same operations as `async fn`, on the blocking
/// threads of tokio. Cheap to clone; a clone shares the bounds.
///
/// Only so many operations are on threads at once: as many as the pool has connections, and as many
/// more as passwords may be hashed at once. Those that set a password, those that verify one, imports
/// and all others have bounds of their own, so that no flood of the one keeps the others out. Whoever
/// comes too many waits without a thread, in turn: for a hash as [`Hashing`](crate::Hashing) says,
/// for anything else until the policy's deadline. That is before anything else is done, the
/// validation included, and beside the waits of the operation itself.
///
/// A future can be dropped at any time. What has not begun by then is never done; what has begun is
/// done to its end, as if its answer had got lost. What has not begun in time is an error,
/// [`Error::HashingBusy`] or [`Error::Busy`], and is never done either.
///
/// The runtime must be tokio's with its timer (`enable_time`), or every call panics.
///
/// ```
/// use diesel_accounts::{AsyncUserManager, Creation, NewUser};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let users = AsyncUserManager::new(users);
/// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
/// match users.create_user(alice).await? {
///     Creation::Created(user) => println!("welcome, {}", user.id()),
///     Creation::Existing(_) => println!("please sign in"),
/// }
/// # Ok::<(), diesel_accounts::Error>(())
/// # })?;
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
pub struct AsyncUserManager<C: R2D2Connection + 'static> {
    users: UserManager<C>,
    lanes: Arc<Lanes>,
}

impl<C> AsyncUserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// The operations of a manager, with bounds of their own.
    #[must_use]
    pub fn new(users: UserManager<C>) -> Self {
        let lanes = Arc::new(Lanes::new(users.policy(), users.most_connections()));
        Self { users, lanes }
    }

    /// The manager, to be called where blocking is allowed.
    #[must_use]
    pub fn blocking(&self) -> &UserManager<C> {
        &self.users
    }

    /// [`UserManager::in_realm`], within the same bounds.
    #[must_use]
    pub fn in_realm(&self, realm: RealmId) -> Self {
        Self { users: self.users.in_realm(realm), lanes: Arc::clone(&self.lanes) }
    }

    /// [`UserManager::with`], within the same bounds.
    #[must_use]
    pub fn with(&self, context: Context) -> Self {
        Self { users: self.users.with(context), lanes: Arc::clone(&self.lanes) }
    }

    /// Does something else that blocks and takes a connection of the pool, within the bound of
    /// operations without passwords: work on the host's own tables, or a limit of a
    /// [`DatabaseLimiter`](crate::DatabaseLimiter).
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if its turn did not come until the policy's deadline; and what it returns.
    ///
    /// # Panics
    ///
    /// If it panics itself.
    pub async fn run<T, F>(&self, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&UserManager<C>) -> Result<T> + Send + 'static,
    {
        self.begin(self.lanes.others(), act).await.unwrap_or_else(Err)
    }

    /// [`UserManager::prepare`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::prepare`].
    pub async fn prepare(&self, new_user: NewUser) -> Result<PreparedUser> {
        let act = |users: &UserManager<C>| users.prepare(new_user);
        self.begin(self.lanes.setting(), act).await.unwrap_or_else(refused)
    }

    /// [`UserManager::create_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::create_user`].
    pub async fn create_user(&self, new_user: NewUser) -> Result<Creation> {
        let told = operation!("create_user");
        self.act(self.lanes.setting(), told, |users| users.create_user(new_user)).await
    }

    /// [`UserManager::create_prepared_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::create_prepared_user`].
    pub async fn create_prepared_user(&self, prepared: Arc<PreparedUser>) -> Result<Creation> {
        let told = operation!("create_prepared_user");
        let act = move |users: &UserManager<C>| users.create_prepared_user(&prepared);
        self.act(self.lanes.others(), told, act).await
    }

    /// [`UserManager::authenticate`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::authenticate`].
    pub async fn authenticate(
        &self,
        login: impl Into<String>,
        password: impl Into<Password>,
    ) -> Result<SignIn> {
        let (login, password) = (login.into(), password.into());
        let act = move |users: &UserManager<C>| users.authenticate(&login, password);
        self.act(self.lanes.verifying(), operation!("authenticate"), act).await
    }

    /// [`UserManager::change_password`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::change_password`].
    pub async fn change_password(
        &self,
        id: UserId,
        current: impl Into<Password>,
        new: impl Into<Password>,
    ) -> Result<PasswordChange> {
        let (current, new) = (current.into(), new.into());
        let told = operation!("change_password").about(id);
        let act = move |users: &UserManager<C>| users.change_password(id, current, new);
        self.act(self.lanes.verifying(), told, act).await
    }

    /// [`UserManager::set_password`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::set_password`].
    pub async fn set_password(&self, id: UserId, new: impl Into<Password>) -> Result<()> {
        let new = new.into();
        let told = operation!("set_password").about(id);
        self.act(self.lanes.setting(), told, move |users| users.set_password(id, new)).await
    }

    /// [`UserManager::import_users`]. It takes one place for as long as it lasts; imports have as many
    /// as the pool has connections, and bounds of their own.
    ///
    /// # Errors
    ///
    /// As [`UserManager::import_users`].
    pub async fn import_users<I, F>(&self, imports: I, heard: F) -> Result<ImportSummary>
    where
        I: IntoIterator<Item = ImportUser> + Send + 'static,
        F: FnMut(u64, &ImportOutcome) + Send + 'static,
    {
        let act = move |users: &UserManager<C>| users.import_users(imports, heard);
        self.act(self.lanes.importing(), operation!("import_users"), act).await
    }

    /// Does one thing on a blocking thread, and tells of it also if it never began.
    async fn act<T, F>(&self, lane: &Lane, told: Operation, act: F) -> Result<T>
    where
        T: Answer + Send + 'static,
        F: FnOnce(&UserManager<C>) -> Result<T> + Send + 'static,
    {
        match self.begin(lane, act).await {
            Ok(answer) => answer,
            Err(never_begun) => self.users.observed(told, || refused(never_begun)),
        }
    }

    /// Does one thing on a blocking thread when its turn comes; an error of its own if it never
    /// began, and never will.
    async fn begin<T, F>(&self, lane: &Lane, act: F) -> Result<Result<T>>
    where
        T: Send + 'static,
        F: FnOnce(&UserManager<C>) -> Result<T> + Send + 'static,
    {
        let until = lane.waits_until();
        let place = lane.place(until).await?;
        let until = until.max(Instant::now() + TIME_FOR_A_THREAD);
        // Without a timer it panics, here where nothing has begun.
        drop(sleep_until(until));
        let (users, here) = (self.users.clone(), Here::new());
        let (begins, given_up) = undecided();
        let mut task = spawn_blocking(move || {
            // Given back when it is done, whoever still waits for it.
            let _place = place;
            begins.now().then(|| here.within(|| act(&users)))
        });
        let joined = match timeout_at(until, &mut task).await {
            Ok(joined) => joined,
            Err(_) if given_up.now() => return Err(lane.busy()),
            Err(_) => task.await,
        };
        match joined {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Error::Busy),
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            // The runtime shuts down, and has not begun it.
            Err(_) => Err(Error::Busy),
        }
    }
}

/// What an operation comes to that never begins.
fn refused<T>(never_begun: Error) -> Result<T> {
    if matches!(never_begun, Error::HashingBusy { .. }) {
        observe::hash_rejected();
    }
    Err(never_begun)
}

/// A thread that is free may take so long to begin.
const TIME_FOR_A_THREAD: Duration = Duration::from_secs(1);

/// What needs no password.
impl<C> AsyncUserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// [`UserManager::migrate`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::migrate`].
    pub async fn migrate(&self) -> Result<()> {
        let told = operation!("migrate");
        self.act(self.lanes.others(), told, |users| users.migrate()).await
    }

    /// [`UserManager::check`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::check`].
    pub async fn check(&self) -> Result<SchemaReport> {
        let told = operation!("check");
        self.act(self.lanes.others(), told, |users| users.check()).await
    }

    /// [`UserManager::user_by_id`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::user_by_id`].
    pub async fn user_by_id(&self, id: UserId) -> Result<Option<User>> {
        let told = operation!("user_by_id").about(id);
        self.act(self.lanes.others(), told, move |users| users.user_by_id(id)).await
    }

    /// [`UserManager::user_by_username`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::user_by_username`].
    pub async fn user_by_username(&self, username: impl Into<String>) -> Result<Option<User>> {
        let username = username.into();
        let told = operation!("user_by_username");
        self.act(self.lanes.others(), told, move |users| users.user_by_username(&username)).await
    }

    /// [`UserManager::user_by_email`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::user_by_email`].
    pub async fn user_by_email(&self, email: impl Into<String>) -> Result<Option<User>> {
        let email = email.into();
        let told = operation!("user_by_email");
        self.act(self.lanes.others(), told, move |users| users.user_by_email(&email)).await
    }

    /// [`UserManager::user_by_login`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::user_by_login`].
    pub async fn user_by_login(&self, login: impl Into<String>) -> Result<Option<User>> {
        let login = login.into();
        let told = operation!("user_by_login");
        self.act(self.lanes.others(), told, move |users| users.user_by_login(&login)).await
    }

    /// [`UserManager::list_users`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::list_users`].
    pub async fn list_users(&self, after: Option<UserCursor>, limit: u32) -> Result<Vec<User>> {
        let told = operation!("list_users");
        self.act(self.lanes.others(), told, move |users| users.list_users(after, limit)).await
    }

    /// [`UserManager::users_by_username_prefix`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::users_by_username_prefix`].
    pub async fn users_by_username_prefix(
        &self,
        prefix: impl Into<String>,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<User>> {
        let prefix = prefix.into();
        let told = operation!("users_by_username_prefix");
        self.act(self.lanes.others(), told, move |users| {
            users.users_by_username_prefix(&prefix, after.as_deref(), limit)
        })
        .await
    }

    /// [`UserManager::users_by_email_prefix`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::users_by_email_prefix`].
    pub async fn users_by_email_prefix(
        &self,
        prefix: impl Into<String>,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<User>> {
        let prefix = prefix.into();
        let told = operation!("users_by_email_prefix");
        self.act(self.lanes.others(), told, move |users| {
            users.users_by_email_prefix(&prefix, after.as_deref(), limit)
        })
        .await
    }

    /// [`UserManager::disable_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::disable_user`].
    pub async fn disable_user(&self, id: UserId) -> Result<()> {
        let told = operation!("disable_user").about(id);
        self.act(self.lanes.others(), told, move |users| users.disable_user(id)).await
    }

    /// [`UserManager::enable_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::enable_user`].
    pub async fn enable_user(&self, id: UserId) -> Result<()> {
        let told = operation!("enable_user").about(id);
        self.act(self.lanes.others(), told, move |users| users.enable_user(id)).await
    }

    /// [`UserManager::reserve_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::reserve_user`].
    pub async fn reserve_user(&self, id: UserId) -> Result<()> {
        let told = operation!("reserve_user").about(id);
        self.act(self.lanes.others(), told, move |users| users.reserve_user(id)).await
    }

    /// [`UserManager::delete_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::delete_user`].
    pub async fn delete_user(&self, id: UserId) -> Result<()> {
        let told = operation!("delete_user").about(id);
        self.act(self.lanes.others(), told, move |users| users.delete_user(id)).await
    }

    /// [`UserManager::set_unusable_password`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::set_unusable_password`].
    pub async fn set_unusable_password(&self, id: UserId) -> Result<()> {
        let told = operation!("set_unusable_password").about(id);
        self.act(self.lanes.others(), told, move |users| users.set_unusable_password(id)).await
    }

    /// [`UserManager::require_password_change`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::require_password_change`].
    pub async fn require_password_change(&self, id: UserId) -> Result<()> {
        let told = operation!("require_password_change").about(id);
        self.act(self.lanes.others(), told, move |users| users.require_password_change(id)).await
    }

    /// [`UserManager::unlock_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::unlock_user`].
    pub async fn unlock_user(&self, id: UserId) -> Result<()> {
        let told = operation!("unlock_user").about(id);
        self.act(self.lanes.others(), told, move |users| users.unlock_user(id)).await
    }

    /// [`UserManager::failed_attempts`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::failed_attempts`].
    pub async fn failed_attempts(&self, id: UserId) -> Result<FailedAttempts> {
        let told = operation!("failed_attempts").about(id);
        self.act(self.lanes.others(), told, move |users| users.failed_attempts(id)).await
    }

    /// [`UserManager::forget_old_attempts`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::forget_old_attempts`].
    pub async fn forget_old_attempts(&self, limit: u32) -> Result<usize> {
        let told = operation!("forget_old_attempts");
        self.act(self.lanes.others(), told, move |users| users.forget_old_attempts(limit)).await
    }
}

#[cfg(feature = "audit")]
impl<C> AsyncUserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// [`UserManager::events_of_user`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::events_of_user`].
    pub async fn events_of_user(
        &self,
        id: UserId,
        before: Option<AuditEvent>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>> {
        let told = operation!("events_of_user").about(id);
        let act = move |users: &UserManager<C>| users.events_of_user(id, before.as_ref(), limit);
        self.act(self.lanes.others(), told, act).await
    }

    /// [`UserManager::forget_old_events`].
    ///
    /// # Errors
    ///
    /// As [`UserManager::forget_old_events`].
    pub async fn forget_old_events(&self, before: Timestamp, limit: u32) -> Result<usize> {
        let told = operation!("forget_old_events");
        self.act(self.lanes.others(), told, move |users| users.forget_old_events(before, limit))
            .await
    }
}

impl<C: R2D2Connection> Clone for AsyncUserManager<C> {
    fn clone(&self) -> Self {
        Self { users: self.users.clone(), lanes: Arc::clone(&self.lanes) }
    }
}

impl<C: R2D2Connection> fmt::Debug for AsyncUserManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncUserManager").field(&self.users).finish()
    }
}
