//! The creation protocol.
//!
//! The database's own refusal decides, never a check made before. Every try of one creation has the
//! same id, which makes a repetition harmless: it either inserts, and a straggler of an earlier try
//! will then fail, or it finds the straggler's row. A look-up alone could miss it.

use std::time::Instant;

use diesel::result::Error as DieselError;

use super::Accounts;
use super::transaction::{in_savepoint_if_needed, transaction_depth};
use crate::creation::{Creation, Verdict, decide};
use crate::error::{DatabaseFailure, Error, Result};
use crate::new_user::PreparedUser;
use crate::policy::Duplicates;
use crate::retry::Backoff;
use crate::store::AccountConnection;
use crate::store::dialect::{Dialect, Trouble};
use crate::store::rows::InsertUser;
use crate::store::users::UserQueries;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Creates a user, or returns the one that exists.
    ///
    /// Inside a transaction it is one attempt that leaves the transaction usable, and `Created` is
    /// a promise only until the host commits; on PostgreSQL the insertion is done in a savepoint.
    /// Outside it is one statement that commits by itself, repeated until the policy's deadline
    /// where the database was busy.
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
        let until = self.deadline();
        let wanted = InsertUser::new(prepared, self.realm, self.policy.now());
        create(&mut Lent(self.conn), self.policy.duplicates(), &wanted, until)
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

/// Creates a user on one connection after the other, or in the transaction that is open.
pub(crate) fn create<C, S>(
    connections: &mut S,
    duplicates: Duplicates,
    wanted: &InsertUser<'_>,
    until: Instant,
) -> Result<Creation>
where
    C: AccountConnection,
    S: Connections<C>,
{
    match transaction_depth(connections.current(until)?) {
        Ok(0) => Attempts::new(duplicates, wanted, until).run(connections),
        Ok(_) => create_in_transaction(connections.current(until)?, duplicates, wanted),
        Err(broken) => Err(Error::HostMustRollBack(Some(DatabaseFailure::new(broken)))),
    }
}

/// One attempt, and nothing more after trouble: the server may have ended the transaction, and
/// whatever was written after it would be committed on its own.
fn create_in_transaction<C: AccountConnection>(
    conn: &mut C,
    duplicates: Duplicates,
    wanted: &InsertUser<'_>,
) -> Result<Creation> {
    let must_roll_back =
        |cause: DieselError| Error::HostMustRollBack(Some(DatabaseFailure::new(cause)));
    let inserted = in_savepoint_if_needed(conn, |conn| C::Backend::insert_user(conn, wanted));
    match inserted {
        Ok(1..) => return Ok(Creation::Created(wanted.user())),
        Ok(0) => {}
        Err(error) => match Trouble::in_transaction(conn, &error) {
            Trouble::Conflict => {}
            Trouble::Refused => return Err(Error::NotCreated(DatabaseFailure::new(error))),
            Trouble::Contention | Trouble::Lost | Trouble::Unnamed => {
                return Err(must_roll_back(error));
            }
        },
    }
    let rows = C::Backend::holders_in_transaction(conn, &wanted.claim()).map_err(must_roll_back)?;
    match decide(&wanted.claim(), rows, duplicates, None) {
        Verdict::Answer(creation) => Ok(creation),
        Verdict::Refused(error) => Err(error),
        Verdict::NotVisible => Err(Error::HostMustRollBack(None)),
    }
}

/// The tries of one creation on connections without a transaction.
struct Attempts<'a> {
    duplicates: Duplicates,
    wanted: &'a InsertUser<'a>,
    until: Instant,
    backoff: Backoff,
    /// What happened to a connection on which an insertion was sent and never answered.
    unanswered: Option<DieselError>,
    /// Why nobody could be looked up after an insertion was refused as a duplicate: it may be the
    /// duplicate of this very creation, from an earlier call.
    unread: Option<DieselError>,
    /// How often the database named a conflict with nobody.
    unseen: u32,
    /// How often the server refused for a reason that cannot be told apart.
    unnamed: u32,
}

impl<'a> Attempts<'a> {
    fn new(duplicates: Duplicates, wanted: &'a InsertUser<'a>, until: Instant) -> Self {
        let backoff = Backoff::until(until);
        let (unanswered, unread) = (None, None);
        Self { duplicates, wanted, until, backoff, unanswered, unread, unseen: 0, unnamed: 0 }
    }

    fn run<C, S>(mut self, connections: &mut S) -> Result<Creation>
    where
        C: AccountConnection,
        S: Connections<C>,
    {
        loop {
            let attempt = match connections.current(self.until) {
                Ok(conn) => self.attempt(conn),
                Err(error) if self.is_settled() => return Err(error),
                // The pool may be set to wait for less than there is time to find out.
                Err(_) => Attempt::Contention,
            };
            match attempt {
                Attempt::Done(answer) => return answer,
                // Whoever is in the way may go, and what was sent may still wait in the server, for
                // something else.
                Attempt::Strangers(answer) => return self.if_answered(answer),
                Attempt::Contention => {}
                Attempt::Unseen => {
                    self.unread = None;
                    self.unseen += 1;
                    if self.unseen == MOST_TRIES {
                        return Err(self.if_settled(Error::HiddenConflict));
                    }
                }
                Attempt::Unread(cause) => {
                    self.unread = Some(cause);
                    self.unnamed += 1;
                    if self.unnamed == MOST_TRIES {
                        return Err(self.if_settled(Error::Busy));
                    }
                }
                Attempt::Refused(cause) => {
                    let refused = Error::NotCreated(DatabaseFailure::new(cause));
                    return Err(self.if_settled(refused));
                }
                Attempt::Unnamed(cause) => {
                    self.unnamed += 1;
                    if self.unnamed == MOST_TRIES {
                        let refused = Error::NotCreated(DatabaseFailure::new(cause));
                        return Err(self.if_settled(refused));
                    }
                }
                Attempt::LostInserting(cause) => {
                    self.unanswered = Some(cause);
                    if !connections.replace_lost() {
                        return Err(self.if_settled(Error::Busy));
                    }
                }
                Attempt::LostReading(cause) => {
                    self.unread = Some(cause);
                    if !connections.replace_lost() {
                        return Err(self.if_settled(Error::Busy));
                    }
                }
            }
            if !self.backoff.pause() {
                return Err(self.if_settled(Error::Busy));
            }
        }
    }

    fn attempt<C: AccountConnection>(&self, conn: &mut C) -> Attempt {
        match C::Backend::insert_user(conn, self.wanted) {
            Ok(1..) => return Attempt::Done(Ok(Creation::Created(self.wanted.user()))),
            Ok(0) => {}
            Err(error) => match Trouble::on(conn, &error) {
                Trouble::Conflict => {}
                Trouble::Contention => return Attempt::Contention,
                Trouble::Lost => return Attempt::LostInserting(error),
                Trouble::Refused => return Attempt::Refused(error),
                Trouble::Unnamed => return Attempt::Unnamed(error),
            },
        }
        let claim = self.wanted.claim();
        match C::Backend::holders(conn, &claim) {
            Ok(rows) => {
                let unanswered = self.unanswered.as_ref().map(|_| self.wanted.created_at);
                match decide(&claim, rows, self.duplicates, unanswered) {
                    // As it was made, for it may have been changed or reserved since.
                    Verdict::Answer(Creation::Created(_)) => {
                        Attempt::Done(Ok(Creation::Created(self.wanted.user())))
                    }
                    Verdict::Answer(Creation::Existing(own)) if own.is_same_creation() => {
                        Attempt::Done(Ok(Creation::Existing(own)))
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

    /// Whether it is certain that no account has come of this creation.
    fn is_settled(&self) -> bool {
        self.unanswered.is_none() && self.unread.is_none()
    }

    /// What the creation comes to because of somebody else, if nothing is on its way that may still
    /// make the account.
    fn if_answered(self, answer: Result<Creation>) -> Result<Creation> {
        match self.unanswered {
            Some(cause) => Err(undetermined(self.wanted, cause)),
            None => answer,
        }
    }

    /// The error that ends the creation, if it is true: an error that says "not created" is not, as
    /// long as an insertion is unanswered or its duplicate unread.
    fn if_settled(self, error: Error) -> Error {
        match self.unanswered.or(self.unread) {
            Some(cause) => undetermined(self.wanted, cause),
            None => error,
        }
    }
}

fn undetermined(wanted: &InsertUser<'_>, cause: DieselError) -> Error {
    Error::Undetermined { id: wanted.id, cause: DatabaseFailure::new(cause) }
}

/// What one try came to.
enum Attempt {
    Done(Result<Creation>),
    Strangers(Result<Creation>),
    Contention,
    LostInserting(DieselError),
    LostReading(DieselError),
    Refused(DieselError),
    Unnamed(DieselError),
    Unread(DieselError),
    Unseen,
}

/// How often an answer that makes no sense is asked for.
const MOST_TRIES: u32 = 3;
