//! How the library behaves, whatever it answers: undetermined outcomes, deadlines, pools, secrets.

use std::collections::BTreeMap;

use super::{Case, Evidence, Rule, Violation, struck_by, touched};
use crate::history::{AccountId, Answer, Call, End, Operation, PoolState, VICTIM, Way};

pub(super) fn judge(case: &Case<'_>, violations: &mut Vec<Violation>) {
    undetermined(case, violations);
    not_created(case, violations);
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
    let is_severed = |manager| {
        let mut faults = case.history.faults.iter().filter(|fault| fault.severs);
        faults.any(|fault| fault.manager.is_none_or(|severed| severed == manager))
    };
    let is_whole = |pool: &PoolState| {
        pool.usable == pool.size && (pool.discarded == 0 || is_severed(pool.manager))
    };
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

/// The library itself refuses an account with other answers.
fn not_created(case: &Case<'_>, violations: &mut Vec<Violation>) {
    for call in &case.history.calls {
        let Answer::NotDone { error } = &call.answer else { continue };
        if error == NOT_CREATED && !struck_by(case.history, call, |_| true) {
            let text = "no fault was at work";
            let evidence = Evidence::of([call]);
            violations.push(Violation::new(Rule::NotCreatedOnlyByFaults, text, evidence));
        }
    }
}

/// What [`Answer::NotDone`] says of an account that the database refused.
pub(crate) const NOT_CREATED: &str = "not created";

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
        Operation::Create { way: Way::Transaction { .. }, .. } => 3,
        _ => 1,
    }
}
