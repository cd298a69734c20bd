//! Disabling, enabling, reserving and deleting an account.

use diesel::result::QueryResult;

use super::Accounts;
use super::transaction::{transaction_depth, write, write_alone_together};
use crate::error::{Error, Result};
use crate::observe::operation;
use crate::store::AccountConnection;
use crate::store::attempts::AttemptQueries;
use crate::store::dialect::Dialect;
use crate::store::events::EventQueries;
use crate::store::rows::UserChanges;
use crate::store::users::UserQueries;
use crate::user::{UserId, UserState};

impl<C: AccountConnection> Accounts<'_, C> {
    /// Keeps the account and lets nobody use it: its state becomes
    /// [`UserState::Disabled`](crate::UserState::Disabled), and its open sessions end
    /// ([`User::session_generation`](crate::User::session_generation) rises).
    ///
    /// Its username and email stay taken. Disabling a disabled account is no error.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; in a transaction
    /// [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::{NewUser, UserState};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// users.disable_user(alice.id())?;
    /// let found = users.user_by_id(alice.id())?;
    /// assert_eq!(found.map(|user| user.state()), Some(UserState::Disabled));
    /// users.enable_user(alice.id())?;
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn disable_user(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("disable_user").about(id), |accounts| {
            let disabled = UserChanges::state(UserState::Disabled, accounts.policy.now());
            accounts.change("disable", id, &disabled, true)
        })
    }

    /// Lets a disabled account be used again. Enabling an active account is no error.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; in a transaction
    /// [`Error::HostMustRollBack`].
    ///
    /// See [`Accounts::disable_user`] for an example.
    pub fn enable_user(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("enable_user").about(id), |accounts| {
            let active = UserChanges::state(UserState::Active, accounts.policy.now());
            accounts.change("enable", id, &active, false)
        })
    }

    /// Deletes the account: the row is gone, and its username and email can be had by anybody. The
    /// wrong passwords that were counted for it are forgotten, and no session and no device of its
    /// owner's holds for an account that is made anew with its id.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`]; [`Error::Database`], for example if a foreign key of the host's
    /// still refers to the account; [`Error::Busy`]; in a transaction [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = || NewUser::new("alice", "alice@example.org", "correct horse");
    /// let id = users.create_user(alice())?.created().expect("nobody had that name").id();
    /// users.delete_user(id)?;
    /// assert!(users.create_user(alice())?.is_created());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn delete_user(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("delete_user").about(id), |accounts| {
            let realm = accounts.realm;
            accounts.write_and_forget("delete", id, |conn| C::Backend::delete_user(conn, realm, id))
        })
    }

    /// Deletes the account for everybody, and keeps its username and email from being taken: its
    /// state becomes [`UserState::Reserved`](crate::UserState::Reserved).
    ///
    /// What the person typed, the password, and the count of wrong ones are erased; the canonical
    /// forms of username and email stay. No look-up finds the account any more, and a creation that
    /// meets it is [`Error::Taken`]. [`Accounts::delete_user`] sets the names free.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; in a transaction
    /// [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::{Error, NewUser};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = || NewUser::new("alice", "alice@example.org", "correct horse");
    /// let id = users.create_user(alice())?.created().expect("nobody had that name").id();
    /// users.reserve_user(id)?;
    /// assert!(users.user_by_username("alice")?.is_none());
    /// assert!(matches!(users.create_user(alice()), Err(Error::Taken(_))));
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn reserve_user(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("reserve_user").about(id), |accounts| {
            let reserved = UserChanges::reserve(accounts.policy.now());
            accounts.change_and_forget("reserve", id, &reserved)
        })
    }

    /// Changes an account, and records it if that is to be.
    pub(super) fn change(
        &mut self,
        action: &str,
        id: UserId,
        changes: &UserChanges,
        end_sessions: bool,
    ) -> Result<()> {
        let realm = self.realm;
        let change = |conn: &mut C| C::Backend::change_user(conn, realm, id, changes, end_sessions);
        self.write_with_record(action, id, change, None)
    }

    /// Ends the sessions of an account that is changed, and forgets its wrong passwords.
    pub(super) fn change_and_forget(
        &mut self,
        action: &str,
        id: UserId,
        changes: &UserChanges,
    ) -> Result<()> {
        let realm = self.realm;
        let change = |conn: &mut C| C::Backend::change_user(conn, realm, id, changes, true);
        self.write_and_forget(action, id, change)
    }

    /// Writes, and forgets the wrong passwords that were submitted.
    fn write_and_forget(
        &mut self,
        action: &str,
        id: UserId,
        write_user: impl Fn(&mut C) -> QueryResult<usize>,
    ) -> Result<()> {
        let forget = |conn: &mut C| C::Backend::forget_attempts(conn, id.into()).map(|_| ());
        self.write_with_record(action, id, write_user, Some(&forget))
    }

    /// Writes, and what belongs to it, and the record of it if there is to be one: all or nothing, or
    /// the host is told to roll back.
    pub(super) fn write_with_record(
        &mut self,
        action: &str,
        id: UserId,
        write_user: impl Fn(&mut C) -> QueryResult<usize>,
        then: Option<Then<'_, C>>,
    ) -> Result<()> {
        let event = self.event(action, "done", id)?;
        let row = self.row(event.as_ref());
        let mut is_half_done = false;
        let mut act = |conn: &mut C| {
            let written = write_user(conn)?;
            // Of an account of another realm nothing is touched.
            if written > 0 {
                is_half_done = true;
                then.map_or(Ok(()), |then| then(conn))?;
                C::Backend::insert_event(conn, row)?;
                is_half_done = false;
            }
            Ok(written)
        };
        let until = self.deadline();
        let is_alone = transaction_depth(self.conn) == Ok(0);
        let written = match then.is_some() || row.is_some() {
            true if is_alone => write_alone_together(self.conn, until, &mut act),
            _ => write(self.conn, until, &mut act),
        };
        found(written.map_err(|error| match error {
            // Where there is no savepoint, the first of them stays.
            Error::Database(cause)
                if is_half_done && !is_alone && !C::Backend::REFUSAL_SPOILS_TRANSACTION =>
            {
                Error::HostMustRollBack(Some(cause))
            }
            error => error,
        })?)?;
        self.policy.audit().tell(event.as_ref());
        Ok(())
    }
}

/// What belongs to a change of an account.
type Then<'a, C> = &'a dyn Fn(&mut C) -> QueryResult<()>;

fn found(rows: usize) -> Result<()> {
    match rows {
        0 => Err(Error::UserNotFound),
        _ => Ok(()),
    }
}
