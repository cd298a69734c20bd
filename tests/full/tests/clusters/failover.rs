//! A synchronous standby of PostgreSQL takes over.

use std::sync::RwLock;
use std::thread;
use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::Connection;
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::load::{Load, judge};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;

use crate::support::{person, url_on, users_at};

#[test]
fn a_standby_that_takes_over_from_a_dead_primary_has_every_account() {
    takes_over(|primary, standby| {
        primary.kill();
        standby.promote();
    });
}

/// Until the old primary is fenced its commits wait for a standby that is none any more.
#[test]
fn a_standby_that_takes_over_from_a_living_primary_has_every_account() {
    takes_over(|primary, standby| {
        standby.promote();
        primary.kill();
    });
}

/// What the manual of PostgreSQL warns of: whoever stops or ends a session that waits for the standby
/// has the commit tell of an account that is on the primary only.
#[test]
fn a_wait_for_the_standby_that_is_cut_short_creates_on_the_primary_only() {
    for cut in ["pg_cancel_backend", "pg_terminate_backend"] {
        let mut primary = Server::postgres(&[]);
        let database = Database::<PgConnection>::on(&primary.url());
        let mut standby = Server::standby(&primary, "standby", &[]);
        primary.wait_for_standby("standby");
        let users = users_at::<PgConnection>(database.url(), 1, Duration::from_secs(60));
        assert!(users.create_user(person("early")).unwrap().is_created());
        standby.kill();
        let mut admin = database.connect();
        let creation = thread::scope(|scope| {
            let creating = scope.spawn(|| users.create_user(person("late")).unwrap());
            let cut = format!(
                "SELECT COUNT({cut}(pid)) AS number FROM pg_stat_activity \
                 WHERE wait_event = 'SyncRep'"
            );
            wait_until("a commit waits", || admin.numbers(&cut) == Ok(vec![1]));
            creating.join().unwrap()
        });
        assert!(creation.is_created());
        primary.kill();
        standby.start_again();
        standby.promote();
        let url = url_on(&database, &primary, &standby);
        let there = users_at::<PgConnection>(&url, 1, Duration::from_secs(60));
        assert!(there.user_by_username("early").unwrap().is_some());
        assert!(there.user_by_username("late").unwrap().is_none(), "{cut}");
    }
}

fn takes_over(fail_over: impl Fn(&mut Server, &Server)) {
    let mut rounds = 0;
    let mut undetermined = 0;
    // Until creations were under way, too.
    while rounds < 2 || undetermined == 0 {
        undetermined += fails_over_once(&fail_over);
        rounds += 1;
        assert!(rounds < 20, "nothing is ever undetermined");
    }
}

fn fails_over_once(fail_over: &impl Fn(&mut Server, &Server)) -> usize {
    let mut primary = Server::postgres(&[]);
    let database = Database::<PgConnection>::on(&primary.url());
    let standby = Server::standby(&primary, "standby", &[]);
    primary.wait_for_standby("standby");
    let url = url_on(&database, &primary, &standby);
    let deadline = Duration::from_secs(1);
    let users = RwLock::new(users_at::<PgConnection>(database.url(), 8, deadline));
    let current = |_| users.read().unwrap().clone();
    let heard = Load::run_by(8, &current, |load| {
        load.wait_for_creations(300);
        fail_over(&mut primary, &standby);
        // The host makes a new pool for the new primary.
        *users.write().unwrap() = users_at(&url, 8, deadline);
        load.wait_for_creations(300);
    });
    let mut conn = PgConnection::establish(&url).unwrap();
    let tally = judge(&mut conn, &users_at(&url, 1, Duration::from_secs(60)), &heard);
    println!("{tally:?}");
    assert_eq!(tally.refused, 0);
    tally.undetermined.0
}
