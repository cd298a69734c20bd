//! The table at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::lives::Life;
use super::{Case, Evidence, Rule, Violation};
use crate::history::{AccountId, Answer, Call, End, Operation, Password, Row, State};

pub(super) fn judge(case: &Case<'_>, violations: &mut Vec<Violation>) {
    one_row_per_key(case, violations);
    let mut rows = BTreeSet::new();
    for row in &case.history.rows {
        rows.insert(row.id);
        let Some(life) = case.lives.of.get(&row.id) else {
            let evidence = Evidence::default().and_rows([row]);
            let text = format!("{:?}: nobody asked for this account", row.id);
            violations.push(Violation::new(Rule::EveryRowWasAskedFor, text, evidence));
            continue;
        };
        if let Some((rule, text)) = wrong_row(case, row, life) {
            let evidence = life.evidence().and_rows([row]);
            violations.push(Violation::new(rule, format!("{:?}: {text}", row.id), evidence));
        }
    }
    for (id, life) in &case.lives.of {
        if !rows.contains(id) && life.surely_exists(case.lives.end, case.lives.end) {
            let text = format!("{id:?}: it was created, not deleted, and has no row");
            let sightings = life.sightings.iter().copied();
            let evidence = life.evidence().and_calls(sightings);
            violations.push(Violation::new(Rule::CreatedHasItsRow, text, evidence));
        }
    }
    host_rows(case, violations);
}

fn one_row_per_key(case: &Case<'_>, violations: &mut Vec<Violation>) {
    let mut usernames = BTreeMap::<u32, Vec<&Row>>::new();
    let mut emails = BTreeMap::<u32, Vec<&Row>>::new();
    let mut ids = BTreeMap::<AccountId, Vec<&Row>>::new();
    for row in &case.history.rows {
        // A reserved row has lost what was typed.
        let of_creation = || case.lives.of.get(&row.id).and_then(Life::names);
        let username = row.username.map(|name| name.class);
        let email = row.email.map(|name| name.class);
        if let Some(class) = username.or_else(|| Some(of_creation()?.0)) {
            usernames.entry(class).or_default().push(row);
        }
        if let Some(class) = email.or_else(|| Some(of_creation()?.1)) {
            emails.entry(class).or_default().push(row);
        }
        ids.entry(row.id).or_default().push(row);
    }
    let shared = usernames.into_values().chain(emails.into_values()).chain(ids.into_values());
    for rows in shared.filter(|rows| rows.len() > 1) {
        let lives = rows.iter().filter_map(|row| case.lives.of.get(&row.id));
        let calls: Vec<Call> = lives.flat_map(|life| life.evidence().calls).collect();
        let text = format!("{} rows have one key", rows.len());
        let evidence = Evidence::of(&calls).and_rows(rows);
        violations.push(Violation::new(Rule::OneRowPerKey, text, evidence));
    }
}

fn wrong_row(case: &Case<'_>, row: &Row, life: &Life<'_>) -> Option<(Rule, &'static str)> {
    let end = case.lives.end;
    if life.births.is_empty() {
        return Some(match life.refusals.is_empty() {
            true => (Rule::EveryRowWasAskedFor, "nobody asked for this account"),
            false => (Rule::NotCreatedHasNoRow, "it was not created, says its creation"),
        });
    }
    if !life.may_exist(end, end) {
        return Some((Rule::ChangesMeetTheirAccount, "it was deleted, and is there"));
    }
    if !life.states.may_be(row.state, end, end) {
        return Some((Rule::CreatedHasItsRow, "its state is another"));
    }
    let is_reserved = row.state == State::Reserved;
    let has_values = |call: &Call| match call.operation {
        Operation::Create { username, email, .. } => {
            (row.username, row.email) == (Some(username), Some(email))
        }
        _ => false,
    };
    let mut births = life.births.iter().filter(|birth| life.may_live(birth, end, end));
    let is_erased = row.username.is_none() && row.email.is_none();
    if !(is_reserved && is_erased || !is_reserved && births.any(|birth| has_values(birth.call))) {
        return Some((Rule::CreatedHasItsRow, "its values are others"));
    }
    let has_password = match is_reserved {
        true => row.password == Password::NONE,
        false => life.passwords.may_be(row.password, end, end),
    };
    (!has_password).then_some((Rule::TheLastPasswordVerifies, "its password is another"))
}

fn host_rows(case: &Case<'_>, violations: &mut Vec<Violation>) {
    let there: BTreeSet<u64> = case.history.host_rows.iter().copied().collect();
    if there.len() < case.history.host_rows.len() {
        let text = "a host's row is there twice";
        let rule = Rule::HostRowsFollowTheirTransaction;
        violations.push(Violation::new(rule, text, Evidence::default()));
    }
    for call in &case.history.calls {
        let Answer::Transaction { end, .. } = &call.answer else { continue };
        let is_there = there.contains(&call.number);
        let text = match end {
            End::Committed if !is_there => "it was committed, and the host's row is not there",
            End::RolledBack if is_there => "it was rolled back, and the host's row is there",
            _ => continue,
        };
        let rule = Rule::HostRowsFollowTheirTransaction;
        violations.push(Violation::new(rule, text, Evidence::of([call])));
    }
}
