//! The creation protocol.
//!
//! The database's own refusal decides, never a check made before. Every try of one creation has the
//! same id, which makes a repetition harmless: it either inserts, and a straggler of an earlier try
//! fails on that row, or it finds the straggler's row. A look-up alone could miss it.

use std::time::Instant;

use diesel::result::QueryResult;

use self::tries::{Attempt, try_until};
use super::Accounts;
use super::transaction::{
    Failed, in_savepoint_if_needed, must_roll_back, spoiled, together, transaction_depth,
};
use crate::audit::AuditEvent;
use crate::creation::{Creation, Verdict, decide};
use crate::error::{DatabaseFailure, Error, Result};
use crate::new_user::PreparedUser;
use crate::observe::operation;
use crate::policy::Duplicates;
use crate::store::AccountConnection;
use crate::store::dialect::{Dialect, Trouble};
use crate::store::events::EventQueries;
use crate::store::rows::InsertUser;
use crate::store::users::UserQueries;

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
mod tries;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Creates a user, or returns the one that exists.
    ///
    /// Inside a transaction it is one attempt that leaves the transaction usable, and `Created` is
    /// a promise only until the host commits; on PostgreSQL the insertion is done in a savepoint.
    /// Outside it is one statement that commits by itself, or a transaction of two where the policy
    /// keeps a record, repeated until the policy's deadline where the database was busy.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`], [`Error::IdReused`], [`Error::NotCreated`];
    /// in a transaction also [`Error::HostMustRollBack`]; outside also [`Error::Busy`],
    /// [`Error::HiddenConflict`] and [`Error::Undetermined`]: a lent connection cannot be replaced,
    /// so that nothing can be known as soon as it is lost.
    ///
    /// ```
    /// use diesel_accounts::diesel::prelude::*;
    /// use diesel_accounts::diesel::{self, SqliteConnection, connection::SimpleConnection};
    /// use diesel_accounts::{Accounts, Creation, Error, NewUser, Policy};
    ///
    /// let policy = Policy::default();
    /// let mut conn = SqliteConnection::establish(":memory:")?;
    /// Accounts::new(&policy, &mut conn).migrate()?;
    ///
    /// let alice = policy.prepare(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// conn.transaction(|conn| {
    ///     conn.batch_execute("CREATE TABLE profiles (user_id BLOB)")?;
    ///     let creation = Accounts::new(&policy, conn).create_user(&alice)?;
    ///     assert!(matches!(creation, Creation::Created(_)));
    ///     Ok::<_, Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_user(&mut self, prepared: &PreparedUser) -> Result<Creation> {
        self.observed(operation!("create_user"), |accounts| {
            let until = accounts.deadline();
            let wanted = InsertUser::new(prepared, accounts.realm, accounts.policy.now());
            let event = accounts.event_of_creation("create", &wanted);
            let insertion = Insertion {
                wanted: &wanted,
                event: accounts.row(event.as_ref()),
                duplicates: accounts.policy.duplicates(),
            };
            let answer = create(&mut Lent(accounts.conn), &insertion, until);
            accounts.record_creation(event.as_ref(), &answer)?;
            answer
        })
    }
}

/// Where the connections of one creation come from: a pool that has more, or a host that lent one.
pub(crate) trait Connections<C> {
    /// The connection at hand.
    fn current(&mut self, until: Instant) -> Result<&mut C>;

    /// Drops a connection that was lost; `false` if there can be no other.
    fn replace_lost(&mut self) -> bool;
}

/// The host's own connection.
pub(super) struct Lent<'a, C>(pub(super) &'a mut C);

impl<C> Connections<C> for Lent<'_, C> {
    fn current(&mut self, _: Instant) -> Result<&mut C> {
        Ok(self.0)
    }

    fn replace_lost(&mut self) -> bool {
        false
    }
}

/// What is inserted in each try.
pub(crate) struct Insertion<'a> {
    pub(crate) wanted: &'a InsertUser<'a>,
    /// The record of it, if there is to be one: both are inserted, or neither.
    pub(crate) event: Option<&'a AuditEvent>,
    pub(crate) duplicates: Duplicates,
}

/// Creates a user on one connection after the other, or in the transaction that is open.
pub(crate) fn create<C, S>(
    connections: &mut S,
    insertion: &Insertion<'_>,
    until: Instant,
) -> Result<Creation>
where
    C: AccountConnection,
    S: Connections<C>,
{
    match transaction_depth(connections.current(until)?) {
        Ok(0) => {
            let mut event = insertion.event.cloned();
            try_until(until, insertion.wanted.id, connections, |conn: &mut C, is_unanswered| {
                let insertion = Insertion { event: event.as_ref(), ..*insertion };
                let tried = attempt(conn, &insertion, is_unanswered);
                if matches!(tried, Attempt::Unseen) {
                    // By a clock that stands still, an account that was deleted had the same event.
                    event = event.take().map(AuditEvent::under_another_id);
                }
                tried
            })
        }
        Ok(_) => create_in_transaction(connections.current(until)?, insertion),
        Err(broken) => Err(Error::HostMustRollBack(Some(DatabaseFailure::new(broken)))),
    }
}

/// One attempt, and nothing more after trouble: the server may have ended the transaction, and
/// whatever was written after it would be committed on its own.
fn create_in_transaction<C: AccountConnection>(
    conn: &mut C,
    insertion: &Insertion<'_>,
) -> Result<Creation> {
    let Insertion { wanted, event, duplicates } = *insertion;
    let mut is_half_done = false;
    let inserted = in_savepoint_if_needed(conn, |conn| {
        let inserted = C::Backend::insert_user(conn, wanted)?;
        is_half_done = inserted > 0 && !C::Backend::REFUSAL_SPOILS_TRANSACTION;
        C::Backend::insert_event(conn, event.filter(|_| inserted > 0))?;
        Ok(inserted)
    });
    match inserted {
        Ok(1..) => return Ok(Creation::Created(wanted.user())),
        Ok(0) => {}
        Err(error) => {
            let trouble = Trouble::in_transaction(conn, &error);
            if is_half_done || !matches!(trouble, Trouble::Conflict | Trouble::Refused) {
                return Err(must_roll_back(conn, trouble, error));
            }
            if has_stayed(conn, wanted).map_err(|error| spoiled(conn, error))? {
                C::Backend::insert_event(conn, event).map_err(|error| spoiled(conn, error))?;
                return Ok(Creation::Created(wanted.user()));
            }
            if trouble == Trouble::Refused {
                return Err(Error::NotCreated(DatabaseFailure::new(error)));
            }
        }
    }
    let rows = C::Backend::holders_in_transaction(conn, &wanted.claim());
    let rows = rows.map_err(|error| spoiled(conn, error))?;
    match decide(&wanted.claim(), rows, duplicates, None) {
        Verdict::Answer(creation) => Ok(creation),
        Verdict::Refused(error) => Err(error),
        Verdict::NotVisible => Err(Error::HostMustRollBack(None)),
    }
}

/// One try on a connection without a transaction.
fn attempt<C: AccountConnection>(
    conn: &mut C,
    insertion: &Insertion<'_>,
    is_unanswered: bool,
) -> Attempt {
    let Insertion { wanted, duplicates, .. } = *insertion;
    match insert(conn, insertion) {
        Ok(1..) => return Attempt::Own(Creation::Created(wanted.user())),
        Ok(0) => {}
        // Whatever it was, it may be there.
        Err(Failed { trouble: Trouble::Unnamed, error, committing: true })
            if !C::Backend::FAILED_COMMIT_IS_UNDONE =>
        {
            return Attempt::Uncommitted(error);
        }
        Err(Failed { trouble, error, .. }) => match trouble {
            trouble @ (Trouble::Conflict | Trouble::Refused) => match has_stayed(conn, wanted) {
                Ok(true) => return Attempt::Own(Creation::Created(wanted.user())),
                Ok(false) if trouble == Trouble::Refused => return Attempt::Refused(error),
                Ok(false) => {}
                Err(unread) => return Attempt::Unread(unread),
            },
            Trouble::Contention => return Attempt::Contention,
            Trouble::Lost => return Attempt::LostInserting(error),
            Trouble::Stopped => return Attempt::Stopped,
            Trouble::Unnamed => return Attempt::Unnamed(error),
        },
    }
    let claim = wanted.claim();
    match C::Backend::holders(conn, &claim) {
        Ok(rows) => {
            let unanswered = is_unanswered.then_some(wanted.created_at);
            match decide(&claim, rows, duplicates, unanswered) {
                // As it was made, for it may have been changed or reserved since.
                Verdict::Answer(Creation::Created(_)) => {
                    Attempt::Own(Creation::Created(wanted.user()))
                }
                Verdict::Answer(Creation::Existing(own)) if own.is_same_creation() => {
                    Attempt::Own(Creation::Existing(own))
                }
                Verdict::Answer(existing) => Attempt::Strangers(Ok(existing)),
                Verdict::Refused(error) => Attempt::Strangers(Err(error)),
                Verdict::NotVisible => Attempt::Unseen,
            }
        }
        Err(error) => match Trouble::on(conn, &error) {
            Trouble::Lost => Attempt::LostReading(error),
            _ => Attempt::Unread(error),
        },
    }
}

/// Inserts the account, and the record of it where there is to be one: in one statement, or in a
/// transaction of both.
fn insert<C: AccountConnection>(conn: &mut C, insertion: &Insertion<'_>) -> Result<usize, Failed> {
    let Insertion { wanted, event, .. } = *insertion;
    if event.is_none() {
        return C::Backend::insert_user(conn, wanted).map_err(|error| Failed::by(conn, error));
    }
    together(conn, |conn| {
        let inserted = C::Backend::insert_user(conn, wanted)?;
        C::Backend::insert_event(conn, event.filter(|_| inserted > 0))?;
        Ok(inserted)
    })
}

/// Whether the account of this call is there although the database refused it.
fn has_stayed<C: AccountConnection>(conn: &mut C, wanted: &InsertUser<'_>) -> QueryResult<bool> {
    if !C::Backend::refused_may_stay(conn)? {
        return Ok(false);
    }
    let rows = C::Backend::holders(conn, &wanted.claim())?;
    Ok(rows.iter().any(|row| (row.user.id, row.user.created_at) == (wanted.id, wanted.created_at)))
}
