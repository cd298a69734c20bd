//! Limits in the database.

use std::fmt;

use diesel::r2d2::R2D2Connection;

use super::{LimitAnswer, LimitKey, LimitedBy, Quota, RateLimiter};
use crate::error::Result;
use crate::manager::UserManager;
use crate::observe::operation;
use crate::store::AccountConnection;

/// Limits in the database, for all instances of a service together: see
/// [`Accounts::check_limit`](crate::Accounts::check_limit).
///
/// See [`RateLimiter`] for an example.
pub struct DatabaseLimiter<C: R2D2Connection + 'static> {
    users: UserManager<C>,
}

impl<C> DatabaseLimiter<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// A limiter that counts where the accounts are.
    #[must_use]
    pub fn new(users: &UserManager<C>) -> Self {
        Self { users: users.clone() }
    }
}

impl<C> RateLimiter for DatabaseLimiter<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    fn check(&self, key: LimitKey, quota: Quota) -> Result<LimitAnswer> {
        self.users.write(operation!("check_limit"), |accounts| accounts.check_limit(key, quota))
    }
}

impl<C: R2D2Connection> fmt::Debug for DatabaseLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseLimiter(..)")
    }
}

impl<C> UserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// [`Policy::limit_key`](crate::Policy::limit_key) in the manager's realm.
    #[must_use]
    pub fn limit_key(&self, what: &str, by: LimitedBy<'_>) -> LimitKey {
        self.policy().limit_key(self.realm(), what, by)
    }
}
