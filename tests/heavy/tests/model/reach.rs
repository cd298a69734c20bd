//! Whether the histories get anywhere: what nobody ever comes upon is not tested.

use std::collections::BTreeSet;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use proptest_state_machine::ReferenceStateMachine;

use crate::answer::{Answer, Failure, Import};
use crate::reference::Reference;

/// The histories are always the same here: it fails when they were changed, and at no other time.
#[test]
fn histories_come_upon_every_answer() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for _ in 0..500 {
        let histories = Reference::sequential_strategy(1..60);
        let (mut state, steps, _) = histories.new_tree(&mut runner).unwrap().current();
        for step in steps {
            state = Reference::apply(state, &step);
            state.answers.iter().for_each(|answer| met.extend(names_of(answer)));
        }
    }
    let missing: Vec<&str> =
        EVERYTHING.iter().copied().filter(|name| !met.contains(*name)).collect();
    assert!(missing.is_empty(), "nobody came upon {missing:?}, but upon {met:?}");
}

const EVERYTHING: &[&str] = &[
    "accepted",
    "accepted []",
    "accepted [ChangePassword, VerifyEmail]",
    "accepted [ChangePassword]",
    "accepted [VerifyEmail]",
    "changed",
    "created",
    "disabled password",
    "done",
    "empty slot",
    "existing Both again",
    "existing Both",
    "existing Email again",
    "existing Email",
    "existing Username again",
    "existing Username",
    "forgotten",
    "found",
    "IdReused",
    "imported",
    "imported again",
    "imported IdReused",
    "imported Taken ByAnother",
    "imported Taken ByTwoAccounts",
    "imported Taken Reserved",
    "imported invalid hash",
    "imported invalid names",
    "Invalid",
    "NotFound",
    "PepperMissing",
    "prepared",
    "refused Disabled",
    "refused EmailNotVerified",
    "refused NoPassword",
    "refused PasswordDisabled",
    "refused Superseded",
    "refused Throttled",
    "refused UnknownLogin",
    "refused WrongPassword",
    "session ended",
    "session holds",
    "Taken ByTwoAccounts",
    "Taken Policy",
    "Taken Reserved",
    "TransactionOpen",
    "waits",
];

fn names_of(answer: &Answer) -> Vec<String> {
    let name = match answer {
        Answer::Done => "done".to_owned(),
        Answer::EmptySlot => "empty slot".to_owned(),
        Answer::Created(_) => "created".to_owned(),
        Answer::Existing { matched, same_creation, .. } => {
            let again = if *same_creation { " again" } else { "" };
            format!("existing {matched:?}{again}")
        }
        Answer::Prepared(_) => "prepared".to_owned(),
        Answer::Imported(outcomes) => return outcomes.iter().map(name_of_import).collect(),
        Answer::Found(found) => return found.iter().map(|_| "found".to_owned()).collect(),
        Answer::People(_) | Answer::Page { .. } => return Vec::new(),
        Answer::Accepted { demands, .. } => {
            return vec!["accepted".to_owned(), format!("accepted {demands:?}")];
        }
        Answer::Changed(_) => "changed".to_owned(),
        Answer::Refused { reason, .. } => format!("refused {reason:?}"),
        Answer::FailedAttempts { password_is_disabled, waits_until, .. } => {
            let waits = waits_until.map(|_| "waits".to_owned());
            let disabled = password_is_disabled.then(|| "disabled password".to_owned());
            return waits.into_iter().chain(disabled).collect();
        }
        Answer::Forgotten(0) => return Vec::new(),
        Answer::Forgotten(_) => "forgotten".to_owned(),
        Answer::Holds(true) => "session holds".to_owned(),
        Answer::Holds(false) => "session ended".to_owned(),
        Answer::Failed(failure) => name_of_failure(failure),
    };
    vec![name]
}

fn name_of_import(outcome: &Import) -> String {
    match outcome {
        Import::Created(_) => "imported".to_owned(),
        Import::Existing(_) => "imported again".to_owned(),
        Import::Invalid { hash: true, .. } => "imported invalid hash".to_owned(),
        Import::Invalid { hash: false, .. } => "imported invalid names".to_owned(),
        Import::Failed(failure) => format!("imported {}", name_of_failure(failure)),
    }
}

fn name_of_failure(failure: &Failure) -> String {
    match failure {
        Failure::Invalid(_) => "Invalid".to_owned(),
        Failure::Taken { reason, .. } => format!("Taken {reason:?}"),
        other => format!("{other:?}"),
    }
}
