//! Two creators and a deleter, and three creators, in every order of their statements.

use diesel_accounts_proof::schedule::cases::{
    Case, all_hosts, all_own, explore, one_host_of_three,
};
use diesel_accounts_proof::schedule::gates::Stops;
use diesel_accounts_proof::schedule::story::Story;
use diesel_accounts_proof::schedule::watch::ScheduledConnection;
use diesel_accounts_proof::schedule_on_each_engine;

const STORIES: [Story; 4] = [
    Story::TwoCreatorsAndDeleter,
    Story::SameCreationAndDeleter,
    Story::SplitAndDeleter,
    Story::Triangle,
];

schedule_on_each_engine!(
    three_on_connections_of_their_own,
    one_of_three_in_a_host_transaction,
    three_in_host_transactions,
);

fn three_on_connections_of_their_own<C: ScheduledConnection>() {
    told::<C>("three-own", |story| all_own(story, Stops::Every));
}

fn one_of_three_in_a_host_transaction<C: ScheduledConnection>() {
    told::<C>("three-one-host", |story| one_host_of_three::<C>(story, Stops::Shared));
}

fn three_in_host_transactions<C: ScheduledConnection>() {
    told::<C>("three-hosts", |story| all_hosts::<C>(story, Stops::Shared, false));
}

fn told<C: ScheduledConnection>(group: &str, cases: impl FnMut(Story) -> Vec<Case>) {
    let cases: Vec<Case> = STORIES.into_iter().flat_map(cases).collect();
    // With a deletion that MariaDB finishes when it likes, a way or two cannot be taken.
    let not_taken = explore::<C>(group, &cases).not_taken;
    assert!(not_taken == 0 || C::NAME == "MariaDB", "{not_taken} ways could not be taken");
}
