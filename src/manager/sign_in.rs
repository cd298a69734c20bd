//! Signing in, and changing passwords, on connections from the pool: none is held while a password
//! is hashed.

use diesel::r2d2::R2D2Connection;

use super::{Begin, UserManager};
use crate::error::{Error, Result};
use crate::observe::operation;
use crate::password::Password;
use crate::sign_in::{PasswordChange, SignIn};
use crate::store::AccountConnection;
use crate::user::UserId;

impl<C> UserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// Verifies somebody's password: by username or email address.
    ///
    /// It takes one verification, made up to today's cost, whether or not the account exists, has a
    /// password, is disabled, or has an old hash; and it is refused in the same words whatever the
    /// reason is. Attempts are counted in the database and made to wait
    /// ([`ThrottleRules`](crate::ThrottleRules)): give [`UserManager::with`] the client, and the
    /// token of a known device. A hash that is obsolete is replaced.
    ///
    /// # Errors
    ///
    /// A refusal is none. [`Error::HashingBusy`], [`Error::Hashing`]; [`Error::Configuration`] if
    /// the hash needs a secret key that the policy does not have; [`Error::TransactionOpen`] if the
    /// pool's connection has an open transaction, whose rollback would erase the count;
    /// [`Error::Pool`], [`Error::Database`], [`Error::Busy`]: after these three a right password
    /// may stay counted as a failure.
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// assert!(users.authenticate("ALICE", "correct horse")?.is_accepted());
    /// assert!(users.authenticate("alice@example.org", "correct horse")?.is_accepted());
    /// assert!(!users.authenticate("alice", "wrong horse")?.is_accepted());
    /// assert!(!users.authenticate("nobody", "correct horse")?.is_accepted());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn authenticate(&self, login: &str, password: impl Into<Password>) -> Result<SignIn> {
        self.act_twice(
            operation!("authenticate"),
            Begin::Writing,
            |accounts| accounts.begin_sign_in(login),
            |attempt| Ok(self.policy.verify(attempt, password)),
            |accounts, verified| accounts.finish_sign_in(verified),
        )
    }

    /// Changes a password for its owner, who gives the current one. The sessions that are open end,
    /// this one too: begin a new one with the user of the answer.
    ///
    /// # Errors
    ///
    /// A refusal is none. [`Error::Invalid`] with everything that is wrong with the new password;
    /// [`Error::UserNotFound`]; and as [`UserManager::authenticate`], with
    /// [`Error::BreachCheckUnavailable`].
    ///
    /// See [`PasswordChange`] for an example.
    pub fn change_password(
        &self,
        id: UserId,
        current: impl Into<Password>,
        new: impl Into<Password>,
    ) -> Result<PasswordChange> {
        self.act_twice(
            operation!("change_password").about(id),
            Begin::Writing,
            |accounts| accounts.begin_password_change(id, new),
            |change| Ok(self.policy.verify_password_change(change, current)),
            |accounts, verified| accounts.finish_password_change(verified),
        )
    }

    /// Validates, hashes and sets a password without asking for the current one: after a reset, or
    /// by an administrator. As [`Accounts::set_password`](crate::Accounts::set_password).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with everything that is wrong with the password; [`Error::UserNotFound`],
    /// [`Error::BreachCheckUnavailable`], [`Error::HashingBusy`], [`Error::Hashing`],
    /// [`Error::Pool`], [`Error::Database`], [`Error::Busy`].
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// users.set_password(alice.id(), "battery staple")?;
    /// assert!(users.authenticate("alice", "battery staple")?.is_accepted());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn set_password(&self, id: UserId, new: impl Into<Password>) -> Result<()> {
        self.act_twice(
            operation!("set_password").about(id),
            Begin::Reading,
            |accounts| accounts.user_by_id(id)?.ok_or(Error::UserNotFound),
            |user| self.policy.prepare_password(&user, new),
            |accounts, prepared| accounts.set_password(id, &prepared),
        )
    }
}
