//! Sessions that an administrator ends, and statements that one stops.

use std::thread;

use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, NopErrorHandler, Pool,
};
use diesel_accounts::{Engine, Error, UserManager};
use diesel_accounts_proof::database::{Database, policy};
use diesel_accounts_proof::load::{Load, Tally, judge};
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::support::{
    assert_matches, count_of, on_each_server, person, session_name, while_alice_is_held,
};

on_each_server!(
    a_creation_that_is_stopped_while_it_waits_is_not_made,
    a_creation_whose_session_is_ended_while_it_waits_is_made_in_another,
    every_answer_is_true_while_sessions_are_ended,
    every_answer_is_true_while_statements_are_stopped,
);

/// However often it is repeated.
fn a_creation_that_is_stopped_while_it_waits_is_not_made<C: Connection>() {
    let (database, name) = (Database::<C>::new(), session_name());
    let mut admin = database.connect();
    let users = users_at::<C>(&admin.url_of_session(database.url(), &name));
    let alice = users.prepare(person("alice")).unwrap();
    while_alice_is_held(&database, || {
        thread::scope(|scope| {
            let creating = scope.spawn(|| users.create_prepared_user(&alice));
            wait_until("the creation is given up", || {
                for session in sessions_that_wait(&mut admin, &name) {
                    admin.stop_statement(session).unwrap();
                }
                creating.is_finished()
            });
            assert_matches!(creating.join().unwrap(), Err(Error::Busy));
        });
    });
    assert_eq!(count_of(&database, "alice"), 0);
    assert!(users.create_prepared_user(&alice).unwrap().is_created());
    assert_eq!(count_of(&database, "alice"), 1);
}

fn a_creation_whose_session_is_ended_while_it_waits_is_made_in_another<C: Connection>() {
    let (database, name) = (Database::<C>::new(), session_name());
    let mut admin = database.connect();
    let users = users_at::<C>(&admin.url_of_session(database.url(), &name));
    let alice = users.prepare(person("alice")).unwrap();
    thread::scope(|scope| {
        let mut creating = None;
        while_alice_is_held(&database, || {
            creating = Some(scope.spawn(|| users.create_prepared_user(&alice)));
            let mut ended = None;
            wait_until("two sessions have waited", || {
                match (&sessions_that_wait(&mut admin, &name)[..], ended) {
                    (&[session], None) => {
                        admin.end_session(session).unwrap();
                        ended = Some(session);
                        false
                    }
                    (&[session], Some(ended)) => session != ended,
                    _ => false,
                }
            });
        });
        assert!(creating.unwrap().join().unwrap().unwrap().is_created());
    });
    assert_eq!(count_of(&database, "alice"), 1);
}

/// Those that wait for a lock.
fn sessions_that_wait<C: Connection>(admin: &mut C, name: &str) -> Vec<i64> {
    let query = match C::ENGINE {
        Engine::Postgres => format!(
            "SELECT pid::bigint AS number FROM pg_stat_activity \
             WHERE application_name = '{name}' AND wait_event_type = 'Lock'"
        ),
        // A list of locks is refreshed only if nobody looks at it: they insert for long.
        _ => format!(
            "SELECT CAST(ID AS SIGNED) AS number FROM information_schema.PROCESSLIST \
             WHERE USER = '{name}' AND INFO LIKE 'INSERT%' AND TIME_MS > 100"
        ),
    };
    admin.numbers(&query).unwrap()
}

/// A lost connection is replaced long before the deadline, and asked whether it had inserted.
fn every_answer_is_true_while_sessions_are_ended<C: Connection>() {
    let tally = under_administration::<C>(300, |admin, sessions, load| {
        let session = fastrand::choice(sessions).unwrap();
        // It may have ended already.
        let _ = admin.end_session(*session);
        load.wait_for_creations(3);
    });
    assert_eq!((tally.undetermined.0, tally.refused, tally.unavailable), (0, 0, 0), "{tally:?}");
}

fn every_answer_is_true_while_statements_are_stopped<C: Connection>() {
    let tally = under_administration::<C>(800, |admin, sessions, _| {
        for session in sessions {
            let _ = admin.stop_statement(*session);
        }
    });
    assert_eq!((tally.undetermined.0, tally.refused), (0, 0), "{tally:?}");
}

/// Creates people while an administrator does something to sessions of theirs.
fn under_administration<C: Connection>(people: u64, act: impl Fn(&mut C, &[i64], &Load)) -> Tally {
    let database = Database::<C>::new();
    let mut admin = database.connect();
    let name = session_name();
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
