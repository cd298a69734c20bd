//! What the tries of one creation come to together. Nothing here knows of a database.

use std::time::Instant;

use diesel::result::Error as DieselError;

use super::Connections;
use crate::creation::Creation;
use crate::error::{DatabaseFailure, Error, Result};
use crate::observe::{self, Retry};
use crate::retry::{Backoff, MOST_TRIES};
use crate::user::UserId;

#[cfg(test)]
mod tests;

/// Tries until there is an answer or the time is over. Each try is told whether an insertion of an
/// earlier one was never answered.
pub(super) fn try_until<C>(
    until: Instant,
    id: UserId,
    connections: &mut impl Connections<C>,
    mut attempt: impl FnMut(&mut C, bool) -> Attempt,
) -> Result<Creation> {
    let (mut tries, mut backoff) = (Tries::new(id), Backoff::until(until));
    loop {
        let attempt = match connections.current(until) {
            Ok(conn) => attempt(conn, tries.unanswered.is_some()),
            Err(error) if tries.is_settled() => return Err(error),
            // The pool may be set to wait for less than there is time to find out.
            Err(_) => Attempt::Contention,
        };
        let (goes_on, why) = match tries.learn(attempt) {
            Next::Answer(answer) => return answer,
            Next::Again(why) => (true, why),
            Next::Reconnect => (connections.replace_lost(), Retry::Lost),
        };
        if !goes_on || !backoff.pause() {
            return Err(tries.if_settled(Error::Busy));
        }
        observe::retry(why);
    }
}

/// What one try came to.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The account is there, and it is this creation's.
    Own(Creation),
    /// Somebody else is in the way.
    Strangers(Result<Creation>),
    /// Undone for the sake of others.
    Contention,
    /// The connection was lost, and with it the answer to the insertion.
    LostInserting(DieselError),
    /// The commit of the insertion failed, and nobody can tell why.
    Uncommitted(DieselError),
    /// The connection was lost when the insertion had been refused as a duplicate.
    LostReading(DieselError),
    /// Refused for good.
    Refused(DieselError),
    /// Stopped by the server before it was done.
    Stopped,
    /// Refused for a reason that cannot be told apart.
    Unnamed(DieselError),
    /// A duplicate of somebody whom the database did not show, for it refused to look.
    Unread(DieselError),
    /// A duplicate of nobody.
    Unseen,
}

/// What is to be done.
enum Next {
    Answer(Result<Creation>),
    Again(Retry),
    Reconnect,
}

/// What is known after some tries.
struct Tries {
    id: UserId,
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

impl Tries {
    fn new(id: UserId) -> Self {
        Self { id, unanswered: None, unread: None, unseen: 0, unnamed: 0 }
    }

    fn learn(&mut self, attempt: Attempt) -> Next {
        match attempt {
            Attempt::Own(creation) => Next::Answer(Ok(creation)),
            Attempt::Strangers(answer) => Next::Answer(self.if_answered(answer)),
            Attempt::Contention => Next::Again(Retry::Contention),
            Attempt::LostInserting(cause) => {
                self.unanswered = Some(cause);
                Next::Reconnect
            }
            Attempt::Uncommitted(cause) => {
                self.unanswered = Some(cause);
                self.unnamed += 1;
                match self.unnamed {
                    MOST_TRIES => self.end(Error::Busy),
                    _ => Next::Again(Retry::Unexplained),
                }
            }
            Attempt::LostReading(cause) => {
                self.unread = Some(cause);
                Next::Reconnect
            }
            Attempt::Refused(cause) => self.end(not_created(cause)),
            // Whoever stopped it does not want it again at once.
            Attempt::Stopped => self.end(Error::Busy),
            Attempt::Unnamed(cause) => {
                self.unnamed += 1;
                match self.unnamed {
                    MOST_TRIES => self.end(not_created(cause)),
                    _ => Next::Again(Retry::Unexplained),
                }
            }
            Attempt::Unread(cause) => {
                self.unread = Some(cause);
                self.unnamed += 1;
                match self.unnamed {
                    MOST_TRIES => self.end(Error::Busy),
                    _ => Next::Again(Retry::Unexplained),
                }
            }
            Attempt::Unseen => {
                self.unread = None;
                self.unseen += 1;
                match self.unseen {
                    MOST_TRIES => self.end(Error::HiddenConflict),
                    _ => Next::Again(Retry::Unseen),
                }
            }
        }
    }

    /// Whether it is certain that no account has come of this creation.
    fn is_settled(&self) -> bool {
        self.unanswered.is_none() && self.unread.is_none()
    }

    /// What the creation comes to because of somebody else, if nothing is on its way that may still
    /// make the account: whoever is in the way may go, and what was sent may still wait in the
    /// server, for something else.
    fn if_answered(&mut self, answer: Result<Creation>) -> Result<Creation> {
        match self.unanswered.take() {
            Some(cause) => Err(self.undetermined(cause)),
            None => answer,
        }
    }

    fn end(&mut self, error: Error) -> Next {
        Next::Answer(Err(self.if_settled(error)))
    }

    /// The error that ends the creation, if it is true: an error that says "not created" is not, as
    /// long as an insertion is unanswered or its duplicate unread.
    fn if_settled(&mut self, error: Error) -> Error {
        match self.unanswered.take().or_else(|| self.unread.take()) {
            Some(cause) => self.undetermined(cause),
            None => error,
        }
    }

    fn undetermined(&self, cause: DieselError) -> Error {
        Error::Undetermined { id: self.id, cause: DatabaseFailure::new(cause) }
    }
}

fn not_created(cause: DieselError) -> Error {
    Error::NotCreated(DatabaseFailure::new(cause))
}
