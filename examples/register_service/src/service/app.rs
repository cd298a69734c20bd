//! What all requests share.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use diesel::QueryResult;
use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    AccountConnection, AsyncUserManager, DatabaseLimiter, LimitedBy, Policy, ProcessLimiter, Quota,
    RateLimiter, SecretKey, Timestamp, UserManager,
};
use tokio_util::task::TaskTracker;

use super::answer::{A_MOMENT, Trouble};
use super::client::Client;
use super::config::{Config, Limits};
use super::keys::Keys;
use super::tables::Tables;

/// A connection that the service works with.
pub(crate) trait Database: AccountConnection + R2D2Connection + Tables + 'static {}

impl<C: AccountConnection + R2D2Connection + Tables + 'static> Database for C {}

/// What all requests share.
pub(crate) struct App<C: R2D2Connection + 'static> {
    pub(crate) users: AsyncUserManager<C>,
    pub(crate) pool: Pool<ConnectionManager<C>>,
    pub(crate) policy: Policy,
    pub(crate) keys: Keys,
    pub(crate) config: Config,
    /// Set when it takes no more requests.
    pub(crate) is_stopping: AtomicBool,
    /// What is done to its end although nobody may wait for it.
    pub(crate) tasks: TaskTracker,
    limiter: Option<Arc<dyn RateLimiter>>,
}

impl<C: Database> App<C> {
    /// Brings the database up to date.
    pub(crate) fn start(
        pool: Pool<ConnectionManager<C>>,
        config: Config,
    ) -> Result<Arc<Self>, Box<dyn Error>> {
        let policy = Policy::builder()
            .secret_key(SecretKey::new(config.secret.to_vec())?)
            .audit_table(true)
            .build()?;
        let users = UserManager::with_policy(pool.clone(), policy.clone());
        users.migrate()?;
        let report = users.check()?;
        if !report.is_sound() {
            return Err(report.to_string().into());
        }
        pool.get()?.make_tables()?;
        let limiter: Option<Arc<dyn RateLimiter>> = match config.limits {
            Limits::Database => Some(Arc::new(DatabaseLimiter::new(&users))),
            Limits::Process => Some(Arc::new(ProcessLimiter::new())),
            Limits::Off => None,
        };
        Ok(Arc::new(Self {
            users: AsyncUserManager::new(users),
            pool,
            policy,
            keys: Keys::new(config.secret.clone()),
            config,
            is_stopping: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            limiter,
        }))
    }

    /// The operations of a request.
    pub(crate) fn users_for(&self, client: &Client) -> AsyncUserManager<C> {
        self.users.with(client.context())
    }

    /// Takes one from what somebody may still do; how long to wait if there is nothing left.
    pub(crate) async fn limit(
        &self,
        what: &str,
        by: LimitedBy<'_>,
        (most, period): (u32, Duration),
    ) -> Result<(), Trouble> {
        let Some(limiter) = self.limiter.clone() else {
            return Ok(());
        };
        let key = self.users.blocking().limit_key(what, by);
        let Ok(quota) = Quota::new(most, period) else {
            return Err(Trouble::Misconfigured);
        };
        match self.users.run(move |_| limiter.check(key, quota)).await?.refused() {
            Some(wait) => Err(Trouble::TooOften(wait)),
            None => Ok(()),
        }
    }

    /// Asks the service's own tables.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut C) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let pool = self.pool.clone();
        let asked = self.users.run(move |_| match pool.get() {
            Ok(mut conn) => Ok(query(&mut conn).map_err(|_| Trouble::Unavailable(A_MOMENT))),
            Err(_) => Ok(Err(Trouble::Unavailable(A_MOMENT))),
        });
        let answer = asked.await?;
        if answer.is_err() {
            // The text of a driver may hold anything.
            tracing::error!("the service's own tables could not be asked");
        }
        answer
    }
}

/// In microseconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::from(SystemTime::now()).as_micros()
}

/// So much later, in microseconds.
pub(crate) fn later(now: i64, time: Duration) -> i64 {
    now.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
