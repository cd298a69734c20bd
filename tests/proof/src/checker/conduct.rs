//! How the library behaves, whatever it answers: undetermined outcomes, deadlines, pools, secrets.

use std::collections::BTreeMap;

use super::{Case, Evidence, Rule, Violation, struck_by, touched};
use crate::history::{AccountId, Answer, Call, End, Operation, PoolState, VICTIM, Way};

pub(super) fn judge(case: &Case<'_>, violations: &mut Vec<Violation>) {
    undetermined(case, violations);
    failures(case, violations);
    for call in &case.history.calls {
        let longest = call.longest_step.saturating_mul(steps_of(&call.operation));
        let lasted = call.answered.saturating_sub(call.invoked);
        if lasted > longest {
            let text = format!("it lasted {} ms", lasted / 1_000_000);
            violations.push(Violation::new(Rule::DeadlinesHold, text, Evidence::of([call])));
        }
        if let Answer::Strange { error } = call.library_answer() {
            let evidence = Evidence::of([call]);
            violations.push(Violation::new(Rule::NothingStrange, error, evidence));
        }
    }
    let is_severed = |pool: &PoolState| {
        let mut faults = case.history.faults.iter().filter(|fault| fault.severs);
        faults.any(|fault| {
            fault.manager.is_none_or(|severed| severed == pool.manager)
                && fault.from <= pool.to
                && fault.to >= pool.from
        })
    };
    let is_whole =
        |pool: &PoolState| pool.usable == pool.size && (pool.discarded == 0 || is_severed(pool));
    for pool in case.history.pools.iter().filter(|pool| !is_whole(pool)) {
        let text = format!("{pool:?}");
        violations.push(Violation::new(Rule::PoolsAreWhole, text, Evidence::default()));
    }
    for leak in &case.history.leaks {
        let text = format!("{} in {}", leak.secret, leak.output);
        violations.push(Violation::new(Rule::SecretsStaySecret, text, Evidence::default()));
    }
}

fn undetermined(case: &Case<'_>, violations: &mut Vec<Violation>) {
    let mut settled = BTreeMap::<AccountId, u64>::new();
    for call in &case.history.calls {
        let Operation::Create { id, .. } = call.operation else { continue };
        if is_settling(call) {
            let last = settled.entry(id).or_default();
            *last = (*last).max(call.invoked);
        }
    }
    for call in &case.history.calls {
        let Operation::Create { id, .. } = call.operation else { continue };
        if *call.library_answer() != Answer::Undetermined {
            continue;
        }
        if let Answer::Transaction { end, .. } = call.answer {
            // What came of a host that was killed, its own row tells. Any other is told to roll
            // back.
            if end != End::Unknown || call.manager != VICTIM {
                let text = "undetermined in a transaction";
                let evidence = Evidence::of([call]);
                violations.push(Violation::new(Rule::NothingStrange, text, evidence));
            }
            continue;
        }
        if !touched(case.history, call) {
            let text = "no fault touched the call";
            let evidence = Evidence::of([call]);
            violations.push(Violation::new(Rule::UndeterminedOnlyByFaults, text, evidence));
        }
        if settled.get(&id).is_none_or(|last| *last < call.answered) {
            let text = "no later call with the same id knows what became of it";
            let evidence = Evidence::of([call]);
            violations.push(Violation::new(Rule::UndeterminedIsSettled, text, evidence));
        }
    }
}

/// Nobody is told that something was not done, or may not have been, for nothing, or too soon.
fn failures(case: &Case<'_>, violations: &mut Vec<Violation>) {
    for call in &case.history.calls {
        let lasted = call.answered.saturating_sub(call.invoked);
        let has_cause = match call.library_answer() {
            Answer::NotDone { error } => match error.as_str() {
                // What the host's own statements met, and processes that were killed.
                NOT_ASKED | HOST_FAILED | NOT_BEGUN | NOTHING_BY_PROCESS => continue,
                NOT_CREATED => struck_by(case.history, call, |fault| fault.refuses),
                BUSY => is_stopped(case, call) || is_struck(case, call) && lasted >= call.deadline,
                NO_CONNECTION => {
                    (is_struck(case, call) || is_crowded(case, call))
                        && lasted >= call.patience.min(call.deadline)
                }
                MUST_ROLL_BACK if is_in_transaction(&call.operation) => {
                    is_struck(case, call) || is_beside_others(case, call)
                }
                // No index, trigger or policy of a host's is in the way; the queue for hashing is
                // longer than there are callers; and there is nothing to roll back.
                _ => false,
            },
            Answer::Unknown { .. } => {
                touched(case.history, call)
                    || is_stopped(case, call)
                    || struck_by(case.history, call, |fault| fault.refuses)
            }
            _ => continue,
        };
        if !has_cause {
            let text = format!("nothing was in the way of {:?}", call.library_answer());
            let evidence = Evidence::of([call]);
            violations.push(Violation::new(Rule::FailuresHaveCauses, text, evidence));
        }
    }
}

fn is_struck(case: &Case<'_>, call: &Call) -> bool {
    struck_by(case.history, call, |_| true)
}

fn is_stopped(case: &Case<'_>, call: &Call) -> bool {
    struck_by(case.history, call, |fault| fault.stops)
}

/// Whether as many others wanted a connection of a pool as it has.
fn is_crowded(case: &Case<'_>, call: &Call) -> bool {
    let mut pools = case.history.pools.iter();
    let pool = pools.find(|pool| {
        pool.manager == call.manager && pool.from <= call.invoked && call.answered <= pool.to
    });
    let others = others_beside(case, call).filter(|other| other.manager == call.manager);
    pool.is_some_and(|pool| others.count() >= usize::try_from(pool.size).unwrap_or(usize::MAX))
}

fn is_beside_others(case: &Case<'_>, call: &Call) -> bool {
    others_beside(case, call).next().is_some()
}

fn others_beside<'a>(case: &Case<'a>, call: &Call) -> impl Iterator<Item = &'a Call> {
    let (number, invoked, answered) = (call.number, call.invoked, call.answered);
    case.history.calls.iter().filter(move |other| {
        other.number != number && other.invoked <= answered && other.answered >= invoked
    })
}

fn is_in_transaction(operation: &Operation) -> bool {
    matches!(operation, Operation::Create { way: Way::Transaction { .. }, .. })
}

/// What [`Answer::NotDone`] says of an account that the database refused.
pub(crate) const NOT_CREATED: &str = "not created";
/// Of what others were in the way of for too long.
pub(crate) const BUSY: &str = "busy";
/// Of a pool that had no connection to give.
pub(crate) const NO_CONNECTION: &str = "pool";
/// Of a transaction that is over.
pub(crate) const MUST_ROLL_BACK: &str = "host must roll back";
/// Of what the library was not asked for.
pub(crate) const NOT_ASKED: &str = "no connection";
/// Of a transaction in which a statement of the host's failed.
pub(crate) const HOST_FAILED: &str = "a statement of the host's failed";
/// Of a transaction that the host could not begin.
pub(crate) const NOT_BEGUN: &str = "the transaction was not begun";
/// Of a process that ended before.
pub(crate) const NOTHING_BY_PROCESS: &str = "the process created nothing";

/// Whether a creation knows what became of its id: an error that says "not created" speaks of its
/// own call alone.
pub(super) fn is_settling(call: &Call) -> bool {
    matches!(
        call.answer,
        Answer::Created | Answer::Existing { .. } | Answer::Taken { .. } | Answer::IdReused
    )
}

/// How many times in one call a deadline begins anew: a host's transaction has statements of its
/// own, before the library's and after.
fn steps_of(operation: &Operation) -> u64 {
    match operation {
        operation if is_in_transaction(operation) => 3,
        _ => 1,
    }
}
