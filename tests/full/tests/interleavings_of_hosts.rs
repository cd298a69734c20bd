//! Two hosts, parked before each statement, even those that nobody else can notice: whoever leaves
//! these out hears the same answers.

use diesel_accounts_proof::schedule::cases::{Case, all_hosts, explore};
use diesel_accounts_proof::schedule::gates::Stops;
use diesel_accounts_proof::schedule::story::Story;
use diesel_accounts_proof::schedule::watch::ScheduledConnection;
use diesel_accounts_proof::schedule_on_each_engine;

schedule_on_each_engine!(two_in_host_transactions);

fn two_in_host_transactions<C: ScheduledConnection>() {
    let told = |group, stops| {
        let cases: Vec<Case> = all_hosts::<C>(Story::SamePerson, stops, false);
        let explored = explore::<C>(group, &cases);
        assert_eq!(explored.not_taken, 0, "ways that could not be taken");
        explored.answers
    };
    let shared = told("hosts-shared-statements", Stops::Shared);
    assert_eq!(told("hosts-each-statement", Stops::Every), shared);
}
