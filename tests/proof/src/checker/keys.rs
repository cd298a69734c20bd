//! One holder of a name at a time, and one `Created` for each account.

use super::lives::{Certainty, Holders, Life};
use super::{Case, Evidence, Rule, Violation};
use crate::history::{AccountId, Answer, Call, Operation};

pub(super) fn judge(case: &Case<'_>, violations: &mut Vec<Violation>) {
    for holders in case.lives.usernames.values().chain(case.lives.emails.values()) {
        one_at_a_time(case, holders, violations);
    }
    for call in &case.history.calls {
        if let (Operation::Create { id, .. }, Answer::Created) =
            (&call.operation, call.library_answer())
        {
            nobody_held_it(case, call, *id, violations);
        }
    }
    for (id, life) in &case.lives.of {
        heard_once(*id, life, violations);
    }
}

/// The times at which two accounts certainly held one name do not meet.
fn one_at_a_time(case: &Case<'_>, holders: &Holders, violations: &mut Vec<Violation>) {
    for (index, (first, holder)) in holders.0.iter().enumerate() {
        let rivals = holders.0[index + 1..].iter().take_while(|(span, _)| span.from < first.before);
        for (_, rival) in rivals.filter(|(_, rival)| rival != holder) {
            let evidence = case.lives.of[holder].evidence();
            let rivals = case.lives.of[rival].evidence();
            violations.push(Violation::new(
                Rule::OneHolderAtATime,
                format!("{holder:?} and {rival:?} had one name at the same time"),
                evidence.and_calls(&rivals.calls),
            ));
        }
    }
}

/// No account is created while another certainly holds one of its names all the time.
fn nobody_held_it(case: &Case<'_>, call: &Call, id: AccountId, violations: &mut Vec<Violation>) {
    let Operation::Create { username, email, .. } = &call.operation else { return };
    let held = [case.lives.usernames.get(&username.class), case.lives.emails.get(&email.class)];
    for holders in held.into_iter().flatten() {
        let Some(holder) = holders.throughout(call.invoked, call.answered, Some(id)) else {
            continue;
        };
        // If it lives on, the two are found together.
        if violations.iter().any(|violation| violation.evidence.calls.contains(call)) {
            continue;
        }
        violations.push(Violation::new(
            Rule::OneHolderAtATime,
            format!("{id:?} was created while {holder:?} had one of its names"),
            case.lives.of[&holder].evidence().and_calls([call]),
        ));
    }
}

/// Between two calls of one creation that heard `Created`, the account was deleted.
fn heard_once(id: AccountId, life: &Life<'_>, violations: &mut Vec<Violation>) {
    let certain = |certainty| certainty == Certainty::Certain;
    let births: Vec<_> = life.births.iter().filter(|birth| certain(birth.certainty)).collect();
    for (index, first) in births.iter().enumerate() {
        for second in &births[index + 1..] {
            // The one that began first need not have been the first.
            let is_between = |one: &Call, other: &Call| {
                life.deaths
                    .iter()
                    .any(|death| death.call.invoked <= other.answered && death.until >= one.invoked)
            };
            let was_deleted =
                is_between(first.call, second.call) || is_between(second.call, first.call);
            if !was_deleted {
                violations.push(Violation::new(
                    Rule::CreatedIsHeardOnce,
                    format!("two calls heard that they created {id:?}"),
                    Evidence::of([first.call, second.call]),
                ));
            }
        }
    }
}
