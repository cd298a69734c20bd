//! The record of what was done: written beside it, or told to the host.

use super::Accounts;
use super::transaction::{read, write};
use crate::audit::{self, AuditEvent};
use crate::creation::Creation;
use crate::error::{Error, Result};
use crate::observe::{self, operation};
use crate::store::dialect::Trouble;
use crate::store::events::EventQueries;
use crate::store::rows::InsertUser;
use crate::store::{AccountConnection, mark_lost};
use crate::timestamp::Timestamp;
use crate::user::UserId;

impl<C: AccountConnection> Accounts<'_, C> {
    /// What was done to an account of the realm, newest first: at most `limit` events, and never
    /// more than 1,000; those before a given one, for the next page. They outlive the account.
    ///
    /// There are some only if the policy keeps them
    /// ([`PolicyBuilder::audit_table`](crate::PolicyBuilder::audit_table)).
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; in a transaction [`Error::HostMustRollBack`].
    ///
    /// ```
    /// use diesel_accounts::{Context, NewUser, Policy, UserManager};
    ///
    /// # use diesel_accounts::diesel::{SqliteConnection, r2d2::{ConnectionManager, Pool}};
    /// # let database = ConnectionManager::<SqliteConnection>::new(":memory:");
    /// # let pool = Pool::builder().max_size(1).build(database)?;
    /// let policy = Policy::builder().audit_table(true).build()?;
    /// let users = UserManager::with_policy(pool, policy);
    /// # users.migrate()?;
    /// let users = users.with(Context::new().client("203.0.113.7"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// assert!(!users.authenticate("alice", "wrong horse")?.is_accepted());
    ///
    /// let events = users.events_of_user(alice.id(), None, 10)?;
    /// let told: Vec<_> = events.iter().map(|event| (event.action(), event.outcome())).collect();
    /// assert_eq!(told, [("sign_in", "wrong_password"), ("create", "created")]);
    /// assert_eq!(events[0].client(), Some("203.0.113.7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "audit")]
    pub fn events_of_user(
        &mut self,
        id: UserId,
        before: Option<&AuditEvent>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>> {
        self.observed(operation!("events_of_user").about(id), |accounts| {
            let (realm, limit) = (accounts.realm, i64::from(limit.min(MOST_EVENTS_AT_ONCE)));
            let before = before.map(|event| (event.occurred_at, event.id));
            read(accounts.conn, |conn| C::Backend::events_of_user(conn, realm, id, before, limit))
        })
    }

    /// Deletes events of all realms that happened before then, the oldest first: at most `limit`,
    /// and never more than 1,000; how many there were. A host calls it until there are none left,
    /// every day or so: how long a record is kept is for its laws to say.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Busy`]; in a transaction [`Error::HostMustRollBack`].
    #[cfg(feature = "audit")]
    pub fn forget_old_events(&mut self, before: Timestamp, limit: u32) -> Result<usize> {
        self.observed(operation!("forget_old_events"), |accounts| {
            let (until, limit) = (accounts.deadline(), i64::from(limit.min(MOST_EVENTS_AT_ONCE)));
            let ids = read(accounts.conn, |conn| C::Backend::old_events(conn, before, limit))?;
            match ids.is_empty() {
                true => Ok(0),
                false => write(accounts.conn, until, |conn| C::Backend::delete_events(conn, &ids)),
            }
        })
    }

    /// What is to be recorded of something that is done; `None` if nobody keeps a record.
    pub(super) fn event(
        &self,
        action: &str,
        outcome: &str,
        id: UserId,
    ) -> Result<Option<AuditEvent>> {
        audit::event(self.policy, self.realm, &self.context, (action, outcome), Some(id))
    }

    /// The same for an account that is to be inserted.
    pub(super) fn event_of_creation(
        &self,
        action: &str,
        wanted: &InsertUser<'_>,
    ) -> Option<AuditEvent> {
        audit::event_of_creation(self.policy, &self.context, action, wanted)
    }

    /// The event, if it is to be written in the transaction of its act.
    pub(super) fn row<'a>(&self, event: Option<&'a AuditEvent>) -> Option<&'a AuditEvent> {
        event.filter(|_| self.policy.audit().table)
    }

    /// Records what a creation came to; where it created, the record is written already.
    pub(super) fn record_creation(
        &mut self,
        created: Option<&AuditEvent>,
        answer: &Result<Creation>,
    ) -> Result<()> {
        match audit::outcome_of(answer) {
            None => Ok(()),
            Some(("created", _)) => {
                self.policy.audit().tell(created);
                Ok(())
            }
            Some((outcome, user_id)) => self.record_refusal("create", outcome, user_id),
        }
    }

    /// Records what was wanted and not done: by itself, and as well as can be. A record that is lost
    /// changes no answer; but a host's transaction that is lost with it does.
    pub(super) fn record_refusal(
        &mut self,
        action: &str,
        outcome: &str,
        user_id: Option<UserId>,
    ) -> Result<()> {
        let what = (action, outcome);
        let event = audit::refusal(self.policy, self.realm, &self.context, what, user_id);
        let Some(event) = event else {
            return Ok(());
        };
        match self.write_record(&event) {
            Ok(()) => {}
            Err(error @ Error::HostMustRollBack(_)) => return Err(error),
            Err(error) => {
                // The act itself goes well, and only here the pool can hear of it.
                if let Error::Database(cause) = &error {
                    if Trouble::on(self.conn, cause.diesel_error()) == Trouble::Lost {
                        mark_lost(self.conn);
                    }
                }
                observe::record_lost(&error);
            }
        }
        self.policy.audit().tell(Some(&event));
        Ok(())
    }

    /// Writes a record by itself, if there is a table of them.
    pub(crate) fn write_record(&mut self, event: &AuditEvent) -> Result<()> {
        let (until, row) = (self.deadline(), self.row(Some(event)));
        match row.is_some() {
            true => write(self.conn, until, |conn| C::Backend::insert_event(conn, row)),
            false => Ok(()),
        }
    }
}

const MOST_EVENTS_AT_ONCE: u32 = 1_000;
