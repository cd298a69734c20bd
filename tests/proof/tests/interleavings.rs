//! Two creators, and a creator and a deleter, in every order of their statements.
//!
//! Two hosts are not parked before statements that nobody else can notice, which leaves out orders
//! that differ in nothing; they are in the package `diesel-accounts-full-proof`, with three actors,
//! and with hosts that have read before and are at two levels, or are refused.

use std::collections::BTreeSet;

use diesel_accounts_proof::schedule::cases::{Case, explore};
use diesel_accounts_proof::schedule::gates::Stops;
use diesel_accounts_proof::schedule::places::{
    all_hosts, all_own, host_and_own, hosts_at_two_levels, sign_ups,
};
use diesel_accounts_proof::schedule::story::Story;
use diesel_accounts_proof::schedule::watch::ScheduledConnection;
use diesel_accounts_proof::schedule_on_each_engine;

const CREATORS: [Story; 6] = [
    Story::SamePerson,
    Story::SameUsername,
    Story::SameEmail,
    Story::Crossing,
    Story::SameCreation,
    Story::Between,
];

schedule_on_each_engine!(
    two_creators_on_connections_of_their_own,
    a_creator_in_a_host_transaction_and_one_without,
    two_creators_in_host_transactions,
    two_hosts_at_two_levels,
    a_creator_and_a_deleter,
    two_creators_who_look_up_and_hash,
    a_creator_who_looks_up_and_hashes_and_a_deleter,
    two_creators_whose_policy_refuses,
    a_creator_whose_policy_refuses_and_a_deleter,
);

fn two_creators_on_connections_of_their_own<C: ScheduledConnection>() {
    told::<C>("own-own", &CREATORS, |story| all_own(story, Stops::Every));
}

fn a_creator_in_a_host_transaction_and_one_without<C: ScheduledConnection>() {
    told::<C>("host-own", &CREATORS, |story| host_and_own::<C>(story, Stops::Every));
}

fn two_creators_in_host_transactions<C: ScheduledConnection>() {
    told::<C>("host-host", &CREATORS, |story| hosts_that_read_or_not::<C>(story));
}

fn two_hosts_at_two_levels<C: ScheduledConnection>() {
    told::<C>("two-levels", &CREATORS, |story| {
        hosts_at_two_levels::<C>(story, Stops::Shared, false)
    });
}

fn a_creator_and_a_deleter<C: ScheduledConnection>() {
    told::<C>("deleter", &[Story::CreatorAndDeleter], |story| {
        let mut cases = all_own(story, Stops::Every);
        cases.extend(host_and_own::<C>(story, Stops::Every));
        cases.extend(hosts_that_read_or_not::<C>(story));
        cases
    });
}

fn two_creators_who_look_up_and_hash<C: ScheduledConnection>() {
    told::<C>("sign-ups", &CREATORS, |story| sign_ups::<C>(story, Stops::Every));
}

fn a_creator_who_looks_up_and_hashes_and_a_deleter<C: ScheduledConnection>() {
    told::<C>("sign-up-deleter", &[Story::CreatorAndDeleter], |story| {
        sign_ups::<C>(story, Stops::Every)
    });
}

fn two_creators_whose_policy_refuses<C: ScheduledConnection>() {
    refused::<C>("refusing", &CREATORS);
}

fn a_creator_whose_policy_refuses_and_a_deleter<C: ScheduledConnection>() {
    refused::<C>("refusing-deleter", &[Story::CreatorAndDeleter]);
}

fn hosts_that_read_or_not<C: ScheduledConnection>(story: Story) -> Vec<Case> {
    let cases = |reads| all_hosts::<C>(story, Stops::Shared, reads);
    [false, true].into_iter().flat_map(cases).collect()
}

fn refused<C: ScheduledConnection>(group: &str, stories: &[Story]) {
    let answers = told::<C>(group, stories, |story| {
        let own = [all_own(story, Stops::Every), sign_ups::<C>(story, Stops::Every)].concat();
        let hosts =
            [host_and_own::<C>(story, Stops::Every), all_hosts::<C>(story, Stops::Shared, false)]
                .concat();
        own.into_iter().chain(hosts).map(Case::refusing).collect()
    });
    assert!(answers.iter().any(|answers| answers.contains("refused")), "{answers:?}");
}

/// Where which answers were heard.
fn told<C: ScheduledConnection>(
    group: &str,
    stories: &[Story],
    cases: impl FnMut(Story) -> Vec<Case>,
) -> BTreeSet<String> {
    let cases: Vec<Case> = stories.iter().copied().flat_map(cases).collect();
    let explored = explore::<C>(group, &cases);
    assert_eq!(explored.not_taken, 0, "ways that could not be taken");
    // A host that is told to roll back comes to its end when the other one has.
    assert_eq!((explored.gave_up, explored.bound_met), (0, 0), "hosts that came to no end");
    explored.answers
}
