//! Sessions that an administrator ends, and statements that one stops.

use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, NopErrorHandler, Pool,
};
use diesel_accounts::{Engine, UserManager};
use diesel_accounts_proof::database::{Database, policy};
use diesel_accounts_proof::load::{Load, Tally, judge};
use diesel_accounts_proof::workload::Connection;

use crate::support::on_each_server;

on_each_server!(
    every_answer_is_true_while_sessions_are_ended,
    every_answer_is_true_while_statements_are_stopped,
);

/// A lost connection is replaced long before the deadline, and asked whether it had inserted.
fn every_answer_is_true_while_sessions_are_ended<C: Connection>() {
    let tally = under_administration::<C>(600, |admin, sessions, load| {
        let session = fastrand::choice(sessions).unwrap();
        // It may have ended already.
        let _ = admin.end_session(*session);
        load.wait_for_creations(3);
    });
    assert_eq!((tally.undetermined.0, tally.refused, tally.unavailable), (0, 0, 0), "{tally:?}");
}

fn every_answer_is_true_while_statements_are_stopped<C: Connection>() {
    let tally = under_administration::<C>(2000, |admin, sessions, _| {
        for session in sessions {
            let _ = admin.stop_statement(*session);
        }
    });
    assert_eq!((tally.undetermined.0, tally.unavailable), (0, 0), "{tally:?}");
}

/// Creates people while an administrator does something to sessions of theirs.
fn under_administration<C: Connection>(people: u64, act: impl Fn(&mut C, &[i64], &Load)) -> Tally {
    let database = Database::<C>::new();
    let mut admin = database.connect();
    let name = format!("load{}_{}", std::process::id(), fastrand::u32(..));
    let url = admin.url_of_session(database.url(), &name);
    let managers: Vec<_> = (0..4).map(|_| users_at::<C>(&url)).collect();
    let mut acts = 0;
    let heard = Load::run(&managers, |load| {
        while load.created() < people {
            let sessions = admin.sessions(&name).unwrap();
            if !sessions.is_empty() {
                act(&mut admin, &sessions, load);
                acts += 1;
            }
        }
    });
    let tally = judge(&mut admin, &managers[0], &heard);
    println!("{:?}: {acts} {tally:?}", C::ENGINE);
    tally
}

fn users_at<C: Connection>(url: &str) -> UserManager<C> {
    let pool = Pool::builder()
        .max_size(1)
        .min_idle(Some(0))
        .connection_customizer(Box::new(SetUp))
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(ConnectionManager::new(url));
    UserManager::with_policy(pool, policy().build().unwrap())
}

#[derive(Debug)]
struct SetUp;

impl<C: Connection> CustomizeConnection<C, R2d2Error> for SetUp {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        conn.set_up().map_err(R2d2Error::QueryError)?;
        if C::ENGINE == Engine::Mysql {
            // A statement that is stopped at the wrong moment has no answer at all: MariaDB waits
            // for the next one, and the client for that of the first.
            conn.batch_execute("SET wait_timeout = 1").map_err(R2d2Error::QueryError)?;
        }
        Ok(())
    }
}
