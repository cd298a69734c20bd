//! What a record is made of, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::conduct::is_settling;
use crate::history::{AccountId, Answer, Call, End, History, Moment, Operation, TakenReason, Way};

/// How often what happened.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// The counts of a record.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut counts = Self::default();
        let mut undetermined = BTreeMap::new();
        let births = births(history);
        for call in &history.calls {
            counts.add("operations", 1);
            counts.add("operations that a fault may have met", u64::from(was_met(history, call)));
            counts.add("operations that failed", u64::from(has_failed(call)));
            counts.add("races recovered", u64::from(lost_a_race(&births, call)));
            if let Answer::Transaction { end, .. } = &call.answer {
                counts.add("host transactions", 1);
                if *end == End::Unknown {
                    counts.add("host transactions of unknown end", 1);
                }
            }
            let Operation::Create { id, way, .. } = &call.operation else {
                match &call.answer {
                    Answer::Accepted { .. } => counts.add("sign-ins accepted", 1),
                    Answer::Refused { .. } => counts.add("sign-ins refused", 1),
                    Answer::Found(_) | Answer::NotFound => counts.add("look-ups and misses", 1),
                    Answer::Done => counts.add("changes", 1),
                    Answer::NotDone { .. } => counts.add("not done", 1),
                    Answer::Unknown { .. } => counts.add("changes of unknown outcome", 1),
                    _ => {}
                }
                continue;
            };
            counts.add("creations", 1);
            if is_settling(call) {
                counts.add("resolved", undetermined.remove(id).unwrap_or_default());
            }
            match call.library_answer() {
                Answer::Created => counts.add("created", 1),
                Answer::Existing { same_creation: true, .. } => {
                    counts.add("existing, same creation", 1);
                }
                Answer::Existing { .. } => counts.add("existing", 1),
                Answer::Taken { reason: TakenReason::TwoAccounts, .. } => {
                    counts.add("taken by two accounts", 1);
                }
                Answer::Taken { .. } => counts.add("taken", 1),
                Answer::IdReused => counts.add("id reused", 1),
                Answer::Undetermined if !matches!(way, Way::Transaction { .. }) => {
                    counts.add("undetermined", 1);
                    *undetermined.entry(*id).or_insert(0) += 1;
                }
                Answer::NotDone { error } => counts.add(&format!("not created: {error}"), 1),
                _ => {}
            }
        }
        for fault in &history.faults {
            counts.add(&format!("fault: {}", fault.kind), fault.count);
        }
        counts
    }

    /// Counts more of something.
    pub fn add(&mut self, name: &str, more: u64) {
        if more > 0 {
            *self.0.entry(name.to_owned()).or_default() += more;
        }
    }

    /// Adds all of others.
    pub fn add_all(&mut self, others: &Self) {
        for (name, count) in &others.0 {
            self.add(name, *count);
        }
    }

    /// How often something happened.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// Whether a fault was at work on a call's connections while it ran. (Of faults that do not count
/// how often they struck, nobody knows.)
fn was_met(history: &History, call: &Call) -> bool {
    history.faults.iter().any(|fault| {
        fault.count > 0
            && fault.manager.is_none_or(|manager| manager == call.manager)
            && fault.from <= call.answered
            && fault.to >= call.invoked
    })
}

/// Whether a call did not do what it was asked for, or nobody knows.
fn has_failed(call: &Call) -> bool {
    let failed = |answer: &Answer| {
        matches!(answer, Answer::NotDone { .. } | Answer::Undetermined | Answer::Unknown { .. })
    };
    let is_open = matches!(call.answer, Answer::Transaction { end: End::Unknown, .. });
    is_open || failed(call.library_answer())
}

/// When each account was being created.
fn births(history: &History) -> BTreeMap<AccountId, Vec<(Moment, Moment)>> {
    let mut births = BTreeMap::<_, Vec<_>>::new();
    for call in &history.calls {
        if let (Operation::Create { id, .. }, Answer::Created) =
            (&call.operation, call.library_answer())
        {
            births.entry(*id).or_default().push((call.invoked, call.answered));
        }
    }
    births
}

/// Whether a creation was told of an account that another call created at the same time.
fn lost_a_race(births: &BTreeMap<AccountId, Vec<(Moment, Moment)>>, call: &Call) -> bool {
    let named = match call.library_answer() {
        Answer::Existing { id, .. } => [Some(*id), None],
        Answer::Taken { by_username, by_email, .. } => [*by_username, *by_email],
        _ => return false,
    };
    named
        .into_iter()
        .flatten()
        .filter_map(|id| births.get(&id))
        .flatten()
        .any(|(invoked, answered)| *invoked <= call.answered && *answered >= call.invoked)
}

impl fmt::Display for Counts {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.iter() {
            writeln!(f, "{name:<44} {count:>10}")?;
        }
        Ok(())
    }
}
