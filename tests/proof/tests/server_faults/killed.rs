//! A server that is killed under load and started again.

use std::time::Duration;

use diesel::{MysqlConnection, PgConnection};
use diesel_accounts::UserManager;
use diesel_accounts_proof::database::{Database, ProofConnection, policy, pool_at};
use diesel_accounts_proof::load::{Load, judge};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;

#[test]
fn every_answer_is_true_when_postgres_is_killed_and_comes_back() {
    every_answer_is_true::<PgConnection>(Server::postgres(&[]));
}

#[test]
fn every_answer_is_true_when_mariadb_is_killed_and_comes_back() {
    every_answer_is_true::<MysqlConnection>(Server::mariadb(&[]));
}

fn every_answer_is_true<C: ProofConnection>(mut server: Server) {
    let database = Database::<C>::on(&server.url());
    // So short that some creations are given up while the server is away.
    let policy = policy().deadline(Duration::from_millis(300)).build().unwrap();
    let pools: Vec<_> = (0..4).map(|_| pool_at::<C>(database.url(), 1)).collect();
    let managers: Vec<_> =
        pools.iter().map(|pool| UserManager::with_policy(pool.clone(), policy.clone())).collect();
    let heard = Load::run(&managers, |load| {
        let mut rounds = 0;
        // Until it was killed in the middle of an insertion, too.
        while rounds < 3 || load.undetermined() == 0 {
            load.wait_for_creations(50);
            match rounds {
                1 => server.stop(),
                _ => server.kill(),
            }
            // Everybody hears of it.
            load.wait_for_failures(8);
            server.start_again();
            rounds += 1;
            assert!(rounds < 30, "the server is never killed in the middle of an insertion");
        }
        load.wait_for_creations(50);
    });
    let tally = judge(&mut database.connect(), &database.users(1), &heard);
    println!("{:?}: {tally:?}", C::ENGINE);
    assert_eq!(tally.refused, 0, "{tally:?}");
    for (pool, users) in pools.iter().zip(&managers) {
        // A pool that could not connect tries again after seconds; the deadline is shorter.
        wait_until("the pool has a connection", || pool.get().is_ok());
        assert!(users.user_by_username("nobody").unwrap().is_none());
        assert_eq!((pool.state().connections, pool.state().idle_connections), (1, 1));
    }
}
