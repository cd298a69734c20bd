//! Creating a user on connections from the pool.

use std::time::Instant;

use diesel::r2d2::{ConnectionManager, R2D2Connection};
use r2d2::PooledConnection;

use super::UserManager;
use crate::accounts::{Connections, Insertion, Recognised, create, recognise};
use crate::audit::{AuditEvent, event_of_creation, outcome_of, refusal};
use crate::creation::Creation;
use crate::error::{Error, Result};
use crate::new_user::{NewUser, PreparedUser};
use crate::observe::{self, operation};
use crate::policy::{Candidate, Duplicates};
use crate::store::AccountConnection;
use crate::store::mark_lost;
use crate::store::rows::InsertUser;

impl<C> UserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// Creates a user, or returns the one that exists.
    ///
    /// All fields are validated first. Where the policy returns existing accounts, one look-up then
    /// answers a repetition without a hash; it decides nothing else. The password is hashed, with
    /// no connection held, and one statement inserts the account (with its record, where the policy
    /// keeps one, in a transaction of two). Whoever is in its way is found by
    /// the database, and decides the answer:
    ///
    /// - one account with the same username, the same email, or both:
    ///   [`Creation::Existing`], or [`Error::Taken`] by policy;
    /// - two accounts, one with the username and one with the email: [`Error::Taken`].
    ///
    /// Of any number of calls at once for the same person exactly one hears [`Creation::Created`],
    /// unless its outcome stays undetermined. A lost connection is replaced and the insertion sent
    /// again with the same id, so that neither a second account nor a false error can come of it.
    /// Nothing is waited for beyond the policy's deadline, but for the statement under way.
    ///
    /// On a pooled connection with an open transaction, as test pools have them, it behaves as
    /// [`Accounts::create_user`](crate::Accounts::create_user) does.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Taken`], [`Error::IdReused`], [`Error::NotCreated`],
    /// [`Error::Busy`], [`Error::HiddenConflict`], [`Error::Undetermined`], [`Error::Hashing`],
    /// [`Error::HashingBusy`], [`Error::BreachCheckUnavailable`], [`Error::Pool`];
    /// [`Error::HostMustRollBack`] where a transaction is open.
    ///
    /// [`Error::Busy`]: crate::Error::Busy
    /// [`Error::BreachCheckUnavailable`]: crate::Error::BreachCheckUnavailable
    /// [`Error::Hashing`]: crate::Error::Hashing
    /// [`Error::HashingBusy`]: crate::Error::HashingBusy
    /// [`Error::HiddenConflict`]: crate::Error::HiddenConflict
    /// [`Error::HostMustRollBack`]: crate::Error::HostMustRollBack
    /// [`Error::IdReused`]: crate::Error::IdReused
    /// [`Error::Invalid`]: crate::Error::Invalid
    /// [`Error::NotCreated`]: crate::Error::NotCreated
    /// [`Error::Pool`]: crate::Error::Pool
    /// [`Error::Taken`]: crate::Error::Taken
    /// [`Error::Undetermined`]: crate::Error::Undetermined
    ///
    /// ```
    /// use diesel_accounts::{Creation, NewUser};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let Creation::Created(user) = users.create_user(alice)? else { panic!() };
    ///
    /// let again = NewUser::new("ALICE", "Alice@Example.org", "correct horse");
    /// let Creation::Existing(existing) = users.create_user(again)? else { panic!() };
    /// assert_eq!(existing.user_id(), user.id());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn create_user(&self, new_user: NewUser) -> Result<Creation> {
        self.observed(operation!("create_user"), || self.create(new_user))
    }

    /// The second half of [`UserManager::create_user`], for a user who is prepared already.
    ///
    /// It can be repeated: all calls with one [`PreparedUser`] are one creation.
    ///
    /// # Errors
    ///
    /// As [`UserManager::create_user`], but for invalid input and hashing.
    ///
    /// ```
    /// use diesel_accounts::{Creation, NewUser};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = users.prepare(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// assert!(users.create_prepared_user(&alice)?.is_created());
    /// let Creation::Existing(existing) = users.create_prepared_user(&alice)? else { panic!() };
    /// assert!(existing.is_same_creation());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn create_prepared_user(&self, prepared: &PreparedUser) -> Result<Creation> {
        self.observed(operation!("create_prepared_user"), || {
            self.insert(prepared, Instant::now() + self.policy.deadline())
        })
    }

    fn create(&self, new_user: NewUser) -> Result<Creation> {
        let candidate = self.policy.validate(new_user)?;
        let started = Instant::now();
        let budget = self.policy.deadline();
        if self.policy.duplicates() == Duplicates::Refuse {
            return self.insert(&self.policy.hash(candidate)?, Instant::now() + budget);
        }
        let recognised = self.recognise(&candidate, started + budget)?;
        if let Recognised::Answer(answer) = recognised {
            return self.record(None, answer, started + budget);
        }
        let budget = budget.saturating_sub(started.elapsed());
        let creation = self.insert(&self.policy.hash(candidate)?, Instant::now() + budget)?;
        if let (Recognised::Nobody, Creation::Existing(existing)) = (recognised, &creation) {
            observe::race_recovered(existing.user_id());
        }
        Ok(creation)
    }

    fn insert(&self, prepared: &PreparedUser, until: Instant) -> Result<Creation> {
        let wanted = InsertUser::new(prepared, self.realm, self.policy.now());
        let event = event_of_creation(&self.policy, &self.context, "create", &wanted);
        let insertion = Insertion {
            wanted: &wanted,
            event: event.as_ref().filter(|_| self.policy.audit().table),
            duplicates: self.policy.duplicates(),
        };
        let answer = self.turn(until).and_then(|_turn| {
            create(&mut Pooled { manager: self, current: None }, &insertion, until)
        });
        self.record(event.as_ref(), answer, until)
    }

    /// Records what a creation came to, if that is to be: on a connection of its own, for the one of
    /// the creation is given back.
    fn record(
        &self,
        created: Option<&AuditEvent>,
        answer: Result<Creation>,
        until: Instant,
    ) -> Result<Creation> {
        let audit = self.policy.audit();
        let (outcome, user_id) = match outcome_of(&answer) {
            None => return answer,
            Some(("created", _)) => {
                audit.tell(created);
                return answer;
            }
            Some(refused) => refused,
        };
        let what = ("create", outcome);
        let event = refusal(&self.policy, self.realm, &self.context, what, user_id);
        let Some(event) = event else {
            return answer;
        };
        if audit.table {
            match self.write_until(until, |accounts| accounts.write_record(&event)) {
                Ok(()) => {}
                Err(error @ Error::HostMustRollBack(_)) => return Err(error),
                Err(error) => observe::record_lost(&error),
            }
        }
        audit.tell(Some(&event));
        answer
    }

    fn recognise(&self, candidate: &Candidate, until: Instant) -> Result<Recognised> {
        let mut conn = self.connection_until(until)?;
        recognise(&mut *conn, &self.policy, &candidate.claim(self.realm))
    }
}

/// Connections from the pool, one at a time.
struct Pooled<'a, C: R2D2Connection + 'static> {
    manager: &'a UserManager<C>,
    current: Option<PooledConnection<ConnectionManager<C>>>,
}

impl<C> Connections<C> for Pooled<'_, C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    fn current(&mut self, until: Instant) -> Result<&mut C> {
        let conn = match self.current.take() {
            Some(conn) => conn,
            None => self.manager.connection_until(until)?,
        };
        Ok(&mut *self.current.insert(conn))
    }

    fn replace_lost(&mut self) -> bool {
        if let Some(mut conn) = self.current.take() {
            mark_lost(&mut *conn);
        }
        true
    }
}
