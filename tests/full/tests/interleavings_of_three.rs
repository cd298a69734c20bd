//! Two creators and a deleter, and three creators, in every order of their statements.

use diesel_accounts_proof::schedule::cases::{Case, Explored, explore};
use diesel_accounts_proof::schedule::gates::Stops;
use diesel_accounts_proof::schedule::places::{all_hosts, all_own, one_host_of_three, sign_ups};
use diesel_accounts_proof::schedule::story::Story;
use diesel_accounts_proof::schedule::watch::ScheduledConnection;
use diesel_accounts_proof::schedule_on_each_engine;

const STORIES: [Story; 4] = [
    Story::TwoCreatorsAndDeleter,
    Story::SameCreationAndDeleter,
    Story::SplitAndDeleter,
    Story::Triangle,
];

const STORIES_ON_OWN_CONNECTIONS: [Story; 5] = [
    Story::TwoCreatorsAndDeleter,
    Story::RivalAndDeleter,
    Story::SameCreationAndDeleter,
    Story::SplitAndDeleter,
    Story::Triangle,
];

schedule_on_each_engine!(
    three_on_connections_of_their_own,
    one_of_three_in_a_host_transaction,
    three_in_host_transactions,
    three_creators_in_host_transactions,
    three_of_whom_some_look_up_and_hash,
    three_whose_policy_refuses,
    what_is_left_out_brings_no_other_answer,
);

fn three_on_connections_of_their_own<C: ScheduledConnection>() {
    told::<C>("three-own", |story| all_own(story, Stops::Shared));
}

fn one_of_three_in_a_host_transaction<C: ScheduledConnection>() {
    told::<C>("three-one-host", |story| one_host_of_three::<C>(story, Stops::Shared));
}

fn three_in_host_transactions<C: ScheduledConnection>() {
    let with_a_deleter = STORIES.into_iter().filter(|story| *story != Story::Triangle);
    let cases = with_a_deleter.flat_map(|story| all_hosts::<C>(story, Stops::Shared, false));
    all_come_to_an_end::<C>("three-hosts", &cases.collect::<Vec<_>>());
}

/// On MariaDB it takes hours, and was never waited for to the end.
fn three_creators_in_host_transactions<C: ScheduledConnection>() {
    let cases = all_hosts::<C>(Story::Triangle, Stops::Shared, false);
    all_come_to_an_end::<C>("three-creators-hosts", &cases);
}

/// A holder can be found by the insertion who was not there at the look-up, and be gone again.
fn three_of_whom_some_look_up_and_hash<C: ScheduledConnection>() {
    let cases = STORIES_ON_OWN_CONNECTIONS.map(|story| sign_ups::<C>(story, Stops::Shared));
    all_come_to_an_end::<C>("three-sign-ups", &cases.concat());
}

fn three_whose_policy_refuses<C: ScheduledConnection>() {
    let cases = STORIES_ON_OWN_CONNECTIONS.map(|story| all_own(story, Stops::Shared)).concat();
    let cases: Vec<Case> = cases.into_iter().map(Case::refusing).collect();
    let answers = all_come_to_an_end::<C>("three-refusing", &cases).answers;
    assert!(answers.iter().any(|answers| answers.contains("refused")), "{answers:?}");
}

/// Of three, orders are left out that come to the same as others. Here they are taken too.
fn what_is_left_out_brings_no_other_answer<C: ScheduledConnection>() {
    let lent = |story| all_own(story, Stops::Shared).pop().unwrap();
    let mut cases = vec![
        lent(Story::TwoCreatorsAndDeleter),
        lent(Story::SplitAndDeleter),
        sign_ups::<C>(Story::SplitAndDeleter, Stops::Shared)[0].clone(),
    ];
    // What MariaDB locks, and so whom it makes give way, depends on when it removes deleted rows: of
    // 101,715 orders of three hosts, 19 had an answer that none of the others had.
    if C::NAME != "MariaDB" {
        cases.push(all_hosts::<C>(Story::TwoCreatorsAndDeleter, Stops::Shared, false)[0].clone());
    }
    let mut left_out = 0;
    for case in cases {
        let with = all_come_to_an_end::<C>("three-swapped", &[case.clone().swapped_too()]);
        let without = all_come_to_an_end::<C>("three-not-swapped", &[case]);
        assert_eq!(with.answers, without.answers);
        left_out += with.schedules - without.schedules;
    }
    // On SQLite every order is taken.
    assert_eq!(left_out > 0, C::BLOCKS);
}

fn all_come_to_an_end<C: ScheduledConnection>(group: &str, cases: &[Case]) -> Explored {
    let explored = explored::<C>(group, cases);
    let (gave_up, bound_met) = (explored.gave_up, explored.bound_met);
    assert_eq!((gave_up, bound_met), (0, 0), "actors that came to no end: {group}");
    explored
}

fn told<C: ScheduledConnection>(group: &str, cases: impl FnMut(Story) -> Vec<Case>) {
    let cases: Vec<Case> = STORIES.into_iter().flat_map(cases).collect();
    all_come_to_an_end::<C>(group, &cases);
}

fn explored<C: ScheduledConnection>(group: &str, cases: &[Case]) -> Explored {
    let explored = explore::<C>(group, cases);
    // With a deletion that MariaDB finishes when it likes, a way or two cannot be taken.
    let not_taken = explored.not_taken;
    assert!(not_taken == 0 || C::NAME == "MariaDB", "{not_taken} ways could not be taken");
    explored
}
