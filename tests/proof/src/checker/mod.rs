//! Judges a record: which of the promises were broken, and by what that is shown.
//!
//! Nothing of the library is used here. A call took effect at one instant between its invocation
//! and its answer, and nobody knows at which: so an account *may* have existed at one moment and
//! *certainly* existed at another, and an answer is wrong only if it could not have been true at
//! any instant of the call.

use std::fmt;

use crate::history::{Call, Fault, History, Row};

mod answers;
mod conduct;
mod counts;
mod keys;
mod lives;
mod passwords;
mod register;
mod table;
#[cfg(test)]
mod tests;

pub use self::counts::Counts;

pub(crate) use self::conduct::{
    BUSY, HOST_FAILED, MUST_ROLL_BACK, NO_CONNECTION, NOT_ASKED, NOT_BEGUN, NOT_CREATED,
    NOTHING_BY_PROCESS,
};
use self::lives::Lives;

/// A promise.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// At the end, no two rows have one username or one email.
    OneRowPerKey,
    /// Every account that was ever seen belongs to a creation that was invoked.
    EveryRowWasAskedFor,
    /// An error that says "not created" has no row at any later time.
    NotCreatedHasNoRow,
    /// Of all calls of one creation, one hears `Created`.
    CreatedIsHeardOnce,
    /// `Created` has its row, with the same values, unless it was deleted after.
    CreatedHasItsRow,
    /// The password at the end is one that the account may have been given last.
    TheLastPasswordVerifies,
    /// `Existing` names an account that existed at some instant during the call, and that has the
    /// name it is said to share.
    ExistingExisted,
    /// So does `Taken`, and says truly why.
    TakenWasTaken,
    /// An id is reused only if it belongs to an account with other names.
    ReusedIdWasUsed,
    /// No two accounts have one name at the same time.
    OneHolderAtATime,
    /// Who is found was there.
    FoundWasThere,
    /// Whoever was there all the time is found.
    ThereIsFound,
    /// A change is done to an account that is there, and to it only.
    ChangesMeetTheirAccount,
    /// Who signs in gave the password of the time; and whoever does is let in.
    PasswordsDecideSignIns,
    /// The rows of a host's transaction are there exactly if it was committed.
    HostRowsFollowTheirTransaction,
    /// Whatever was not done has a cause: a fault was at work during the call, or others were in the
    /// way, where others can be.
    FailuresHaveCauses,
    /// An outcome is undetermined only if a fault touched the call.
    UndeterminedOnlyByFaults,
    /// Whatever was undetermined is settled by a later call with the same id.
    UndeterminedIsSettled,
    /// No call lasts beyond its deadline.
    DeadlinesHold,
    /// The pool has all of its connections at the end, and they work; it has thrown none away unless
    /// they were severed.
    PoolsAreWhole,
    /// No secret is in any output.
    SecretsStaySecret,
    /// Nothing is answered that no document speaks of.
    NothingStrange,
    /// The record is linearizable, says the second opinion.
    Linearizable,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// In what way.
    pub text: String,
    /// By what it is shown.
    pub evidence: Evidence,
}

/// What shows that a promise was broken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The calls, in the order of time.
    pub calls: Vec<Call>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Finds every broken promise, but for what the second opinion says ([`crate::linear`]).
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let case = Case { history, lives: Lives::of(history) };
    let mut violations = Vec::new();
    keys::judge(&case, &mut violations);
    answers::judge(&case, &mut violations);
    passwords::judge(&case, &mut violations);
    table::judge(&case, &mut violations);
    conduct::judge(&case, &mut violations);
    violations
}

/// What is judged.
struct Case<'a> {
    history: &'a History,
    lives: Lives<'a>,
}

/// Whether a fault that severs struck a call's connections while it ran; one that was lent, also
/// before.
pub(crate) fn touched(history: &History, call: &Call) -> bool {
    struck_by(history, call, |fault| fault.severs)
}

/// The same of some faults.
fn struck_by(history: &History, call: &Call, is_meant: impl Fn(&Fault) -> bool) -> bool {
    let since = call.lent_since.unwrap_or(call.invoked);
    history.faults.iter().any(|fault| {
        is_meant(fault)
            && fault.count > 0
            && fault.manager.is_none_or(|manager| manager == call.manager)
            && fault.from <= call.answered
            && fault.to >= since
            && call.answered - call.invoked >= fault.slows
    })
}

impl Violation {
    fn new(rule: Rule, text: impl Into<String>, evidence: Evidence) -> Self {
        Self { rule, text: text.into(), evidence }
    }
}

impl Evidence {
    /// Of calls.
    pub(crate) fn of<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let mut calls: Vec<_> = calls.into_iter().cloned().collect();
        calls.sort_by_key(|call| (call.invoked, call.number));
        calls.dedup_by_key(|call| call.number);
        Self { calls, rows: Vec::new() }
    }

    fn and_calls<'a>(self, more: impl IntoIterator<Item = &'a Call>) -> Self {
        let more: Vec<&Call> = more.into_iter().collect();
        Self { calls: Self::of(self.calls.iter().chain(more)).calls, rows: self.rows }
    }

    fn and_rows<'a>(mut self, rows: impl IntoIterator<Item = &'a Row>) -> Self {
        self.rows.extend(rows);
        self
    }
}

impl fmt::Display for Violation {
    /// The promise, what is wrong, and the evidence, a line for each call and row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)?;
        for call in self.evidence.calls.iter().take(MOST_LINES) {
            write!(f, "\n    {}", serde_json::to_string(call).map_err(|_| fmt::Error)?)?;
        }
        if self.evidence.calls.len() > MOST_LINES {
            write!(f, "\n    and {} calls more", self.evidence.calls.len() - MOST_LINES)?;
        }
        for row in &self.evidence.rows {
            write!(f, "\n    {}", serde_json::to_string(row).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

const MOST_LINES: usize = 20;
