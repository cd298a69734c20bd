//! Two hosts in every order: parked before each statement, even those that nobody else can notice;
//! at two isolation levels, and under a policy that refuses, when both have read before.

use diesel_accounts_proof::schedule::cases::{Case, Explored, explore};
use diesel_accounts_proof::schedule::gates::Stops;
use diesel_accounts_proof::schedule::places::{all_hosts, hosts_at_two_levels};
use diesel_accounts_proof::schedule::story::Story;
use diesel_accounts_proof::schedule::watch::ScheduledConnection;
use diesel_accounts_proof::schedule_on_each_engine;

const STORIES: [Story; 7] = [
    Story::SamePerson,
    Story::SameUsername,
    Story::SameEmail,
    Story::Crossing,
    Story::SameCreation,
    Story::Between,
    Story::CreatorAndDeleter,
];

schedule_on_each_engine!(
    two_in_host_transactions,
    two_at_two_levels_that_have_read,
    two_whose_policy_refuses_that_have_read,
);

/// Whoever leaves out the statements that nobody can notice hears the same answers.
fn two_in_host_transactions<C: ScheduledConnection>() {
    let told =
        |group, stops| told::<C>(group, &all_hosts::<C>(Story::SamePerson, stops, false)).answers;
    let shared = told("hosts-shared-statements", Stops::Shared);
    assert_eq!(told("hosts-each-statement", Stops::Every), shared);
}

fn two_at_two_levels_that_have_read<C: ScheduledConnection>() {
    let cases = |story| hosts_at_two_levels::<C>(story, Stops::Shared, true);
    told::<C>("hosts-two-levels-read", &STORIES.map(cases).concat());
}

fn two_whose_policy_refuses_that_have_read<C: ScheduledConnection>() {
    let cases = |story| all_hosts::<C>(story, Stops::Shared, true);
    let cases = STORIES.map(cases).concat().into_iter().map(Case::refusing);
    let answers = told::<C>("hosts-refusing-read", &cases.collect::<Vec<_>>()).answers;
    assert!(answers.iter().any(|answers| answers.contains("refused")), "{answers:?}");
}

fn told<C: ScheduledConnection>(group: &str, cases: &[Case]) -> Explored {
    let explored = explore::<C>(group, cases);
    assert_eq!(explored.not_taken, 0, "ways that could not be taken: {group}");
    let (gave_up, bound_met) = (explored.gave_up, explored.bound_met);
    assert_eq!((gave_up, bound_met), (0, 0), "hosts that came to no end: {group}");
    explored
}
