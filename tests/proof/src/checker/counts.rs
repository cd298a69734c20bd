//! What a record is made of, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::conduct::is_settling;
use crate::history::{Answer, End, History, Operation, TakenReason, Way};

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
        for call in &history.calls {
            counts.add("operations", 1);
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

impl fmt::Display for Counts {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.iter() {
            writeln!(f, "{name:<44} {count:>10}")?;
        }
        Ok(())
    }
}
