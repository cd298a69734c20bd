//! Two hosts, parked before each statement, even those that nobody else can notice.

use diesel_accounts_proof::schedule::cases::{Case, all_hosts, explore};
use diesel_accounts_proof::schedule::gates::Stops;
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

schedule_on_each_engine!(two_in_host_transactions);

fn two_in_host_transactions<C: ScheduledConnection>() {
    let cases = |story| all_hosts::<C>(story, Stops::Every, false);
    explore::<C>(
        "hosts-each-statement",
        &STORIES.into_iter().flat_map(cases).collect::<Vec<Case>>(),
    );
}
