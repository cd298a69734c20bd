//! Changing and setting passwords.

use super::Accounts;
use super::transaction::{read, write_alone_together};
use crate::error::{Error, Result};
use crate::observe::operation;
use crate::password::Password;
use crate::sign_in::{
    Outcome, PasswordChange, PasswordChangeAttempt, PreparedPassword, RefusalReason,
    VerifiedPasswordChange,
};
use crate::store::AccountConnection;
use crate::store::attempts::AttemptQueries;
use crate::store::events::EventQueries;
use crate::store::rows::UserChanges;
use crate::store::users::UserQueries;
use crate::user::UserId;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Begins the change of a password by its owner: validates the new one, and counts the attempt
    /// before the current one is looked at, together with sign-ins.
    ///
    /// [`UserManager::change_password`](crate::UserManager::change_password) does this and all that
    /// follows. A host without a pool goes on with
    /// [`Policy::verify_password_change`](crate::Policy::verify_password_change) and ends with
    /// [`Accounts::finish_password_change`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with everything that is wrong with the new password; nothing is counted
    /// then. [`Error::UserNotFound`]; [`Error::TransactionOpen`] inside a transaction, whose
    /// rollback would erase the count; [`Error::Database`], [`Error::Busy`].
    pub fn begin_password_change(
        &mut self,
        id: UserId,
        new: impl Into<Password>,
    ) -> Result<PasswordChangeAttempt> {
        self.observed(operation!("begin_password_change").about(id), |accounts| {
            accounts.refuse_transaction()?;
            let (realm, new) = (accounts.realm, new.into());
            let found = read(accounts.conn, |conn| C::Backend::credentials_by_id(conn, realm, id))?;
            let credentials = found.ok_or(Error::UserNotFound)?;
            accounts.policy.validate_password(&credentials.user, &new)?;
            let attempt = accounts.count(Some(credentials), id.into())?;
            Ok(PasswordChangeAttempt { attempt, new })
        })
    }

    /// Ends the change of a password: sets the new one if the current one was right, and ends the
    /// sessions that are open ([`User::session_generation`](crate::User::session_generation)).
    ///
    /// It is refused if the password was set by somebody else meanwhile.
    ///
    /// # Errors
    ///
    /// What [`Policy::verify_password_change`](crate::Policy::verify_password_change) failed with:
    /// [`Error::Invalid`] if the new password was stolen elsewhere, or is the old one although it
    /// must be another; [`Error::BreachCheckUnavailable`], [`Error::HashingBusy`],
    /// [`Error::Hashing`], [`Error::Configuration`]; the attempt does not count then.
    /// [`Error::TransactionOpen`], [`Error::Database`], [`Error::Busy`].
    pub fn finish_password_change(
        &mut self,
        verified: VerifiedPasswordChange,
    ) -> Result<PasswordChange> {
        let told = operation!("finish_password_change");
        let told = verified.attempt.owner().map_or(told, |id| told.about(id));
        self.observed(told, |accounts| {
            accounts.refuse_transaction()?;
            let VerifiedPasswordChange { attempt, outcome } = verified;
            let hash = match outcome {
                Outcome::Right(hash) => hash,
                Outcome::Refused(reason) => {
                    let refusal = accounts.refuse("change_password", &attempt, reason)?;
                    return Ok(PasswordChange::Refused(refusal));
                }
                Outcome::Failed(error) => return Err(accounts.take_back(&attempt, error)),
            };
            let Some(credentials) = &attempt.credentials else {
                return Err(Error::UserNotFound);
            };
            let user = &credentials.user;
            let now = accounts.policy.now();
            let changes = UserChanges::password(Some(hash), now);
            let (subject, bucket, until) = (attempt.subject, attempt.bucket, accounts.deadline());
            let event = accounts.event("change_password", "changed", user.id)?;
            let row = accounts.row(event.as_ref());
            let changed = write_alone_together(accounts.conn, until, |conn| {
                let changed = C::Backend::change_user_of_generation(conn, user, &changes, true)?;
                if changed > 0 {
                    C::Backend::clear_attempts(conn, subject, bucket)?;
                    C::Backend::insert_event(conn, row)?;
                }
                Ok(changed)
            })?;
            if changed == 0 {
                let reason = RefusalReason::Superseded;
                let refusal = accounts.refuse("change_password", &attempt, reason)?;
                return Ok(PasswordChange::Refused(refusal));
            }
            accounts.policy.audit().tell(event.as_ref());
            Ok(PasswordChange::Changed(Box::new(user.with_new_password(now))))
        })
    }

    /// Sets a password without asking for the current one: after a reset, or by an administrator.
    /// It ends the sessions that are open, all waits, and what disabled the password.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; in a transaction
    /// [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::diesel::{Connection, SqliteConnection};
    /// use diesel_accounts::{Accounts, NewUser, Policy};
    ///
    /// let policy = Policy::default();
    /// let mut conn = SqliteConnection::establish(":memory:")?;
    /// let mut accounts = Accounts::new(&policy, &mut conn);
    /// accounts.migrate()?;
    /// let alice = NewUser::new("alice", "alice@example.org", "").without_password();
    /// let alice = accounts.create_user(&policy.prepare(alice)?)?.created().expect("is new");
    ///
    /// let password = policy.prepare_password(&alice, "battery staple")?; // no connection is needed
    /// accounts.set_password(alice.id(), &password)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_password(&mut self, id: UserId, password: &PreparedPassword) -> Result<()> {
        self.observed(operation!("set_password").about(id), |accounts| {
            let changes = UserChanges::password(Some(password.hash.clone()), accounts.policy.now());
            accounts.change_and_forget("set_password", id, &changes)
        })
    }

    /// Takes the password away: nobody can sign in with one until it is set. It ends the sessions
    /// that are open.
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; in a transaction
    /// [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// users.set_unusable_password(alice.id())?;
    /// assert!(!users.authenticate("alice", "correct horse")?.is_accepted());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn set_unusable_password(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("set_unusable_password").about(id), |accounts| {
            let changes = UserChanges::password(None, accounts.policy.now());
            accounts.change_and_forget("set_unusable_password", id, &changes)
        })
    }

    /// Makes the person change the password: a sign-in with the old one goes on to be accepted, and
    /// says so ([`Demand::ChangePassword`](crate::Demand::ChangePassword)). It ends the sessions
    /// that are open. For when a password is known to be compromised; never by the calendar (NIST
    /// SP 800-63B-4, section 3.1.1.2).
    ///
    /// # Errors
    ///
    /// [`Error::UserNotFound`], [`Error::Database`], [`Error::Busy`]; in a transaction
    /// [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::{Demand, NewUser};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// users.require_password_change(alice.id())?;
    /// let accepted = users.authenticate("alice", "correct horse")?.accepted().expect("it is right");
    /// assert!(accepted.demands().contains(&Demand::ChangePassword));
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn require_password_change(&mut self, id: UserId) -> Result<()> {
        self.observed(operation!("require_password_change").about(id), |accounts| {
            let changes = UserChanges::require_password_change(accounts.policy.now());
            accounts.change("require_password_change", id, &changes, true)
        })
    }
}
