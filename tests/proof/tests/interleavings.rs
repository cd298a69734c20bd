//! Two creators, and a creator and a deleter, in every order of their statements.
//!
//! Two hosts are not parked before statements that nobody else can notice, which leaves out orders
//! that differ in nothing; they are in the package `diesel-accounts-full-proof`, with three actors.

use diesel_accounts_proof::schedule::cases::{Case, all_hosts, all_own, explore, host_and_own};
use diesel_accounts_proof::schedule::gates::Stops;
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
    a_creator_and_a_deleter,
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

fn a_creator_and_a_deleter<C: ScheduledConnection>() {
    told::<C>("deleter", &[Story::CreatorAndDeleter], |story| {
        let mut cases = all_own(story, Stops::Every);
        cases.extend(host_and_own::<C>(story, Stops::Every));
        cases.extend(hosts_that_read_or_not::<C>(story));
        cases
    });
}

fn hosts_that_read_or_not<C: ScheduledConnection>(story: Story) -> Vec<Case> {
    let cases = |reads| all_hosts::<C>(story, Stops::Shared, reads);
    [false, true].into_iter().flat_map(cases).collect()
}

fn told<C: ScheduledConnection>(
    group: &str,
    stories: &[Story],
    cases: impl FnMut(Story) -> Vec<Case>,
) {
    let cases: Vec<Case> = stories.iter().copied().flat_map(cases).collect();
    let explored = explore::<C>(group, &cases);
    assert_eq!(explored.not_taken, 0, "ways that could not be taken");
    // A host that is told to roll back comes to its end when the other one has.
    assert_eq!((explored.gave_up, explored.bound_met), (0, 0), "hosts that came to no end");
}
