//! Two creators, and a creator and a deleter, in every order of their statements.
//!
//! Two hosts have many orders: what is left out of them here is in the package
//! `diesel-accounts-full-proof`.

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts_proof::schedule::cases::{Case, all_hosts, explore, host_and_own, own_and_own};
use diesel_accounts_proof::schedule::gates::Stops;
use diesel_accounts_proof::schedule::story::Story;
use diesel_accounts_proof::schedule::watch::ScheduledConnection;

const CREATORS: [Story; 6] = [
    Story::SamePerson,
    Story::SameUsername,
    Story::SameEmail,
    Story::Crossing,
    Story::SameCreation,
    Story::Between,
];

macro_rules! on_each_engine {
    ($($group:ident),+ $(,)?) => {$(
        mod $group {
            use super::*;

            #[test]
            fn on_sqlite() {
                super::$group::<SqliteConnection>();
            }

            #[test]
            fn on_postgres() {
                super::$group::<PgConnection>();
            }

            #[test]
            fn on_mariadb() {
                super::$group::<MysqlConnection>();
            }
        }
    )+};
}

on_each_engine!(
    two_creators_on_connections_of_their_own,
    a_creator_in_a_host_transaction_and_one_without,
    two_creators_in_host_transactions,
    a_creator_and_a_deleter,
);

fn two_creators_on_connections_of_their_own<C: ScheduledConnection>() {
    told::<C>("own-own", &CREATORS, |story| own_and_own(story, Stops::Every));
}

fn a_creator_in_a_host_transaction_and_one_without<C: ScheduledConnection>() {
    told::<C>("host-own", &CREATORS, |story| host_and_own::<C>(story, Stops::Every));
}

fn two_creators_in_host_transactions<C: ScheduledConnection>() {
    const DIFFERENT: [Story; 4] =
        [Story::SamePerson, Story::SameUsername, Story::Crossing, Story::Between];
    told::<C>("host-host", &DIFFERENT, |story| {
        let mut cases = all_hosts::<C>(story, Stops::Shared, false);
        if story == Story::SamePerson {
            cases.extend(all_hosts::<C>(story, Stops::Shared, true));
        }
        cases
    });
}

fn a_creator_and_a_deleter<C: ScheduledConnection>() {
    told::<C>("deleter", &[Story::CreatorAndDeleter], |story| {
        let mut cases = own_and_own(story, Stops::Every);
        cases.extend(host_and_own::<C>(story, Stops::Every));
        cases.extend(all_hosts::<C>(story, Stops::Shared, false));
        cases
    });
}

fn told<C: ScheduledConnection>(
    group: &str,
    stories: &[Story],
    cases: impl FnMut(Story) -> Vec<Case>,
) {
    let cases: Vec<Case> = stories.iter().copied().flat_map(cases).collect();
    let report = explore::<C>(group, &cases);
    // Each case has more orders than one.
    assert!(report.schedules > cases.len() as u64);
}
