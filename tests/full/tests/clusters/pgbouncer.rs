//! PgBouncer in transaction mode: each transaction gets one of few sessions.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::{CacheSize, Connection, SimpleConnection};
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, NopErrorHandler, Pool,
};
use diesel_accounts::{Creation, Error, UserManager};
use diesel_accounts_proof::clusters::Pooler;
use diesel_accounts_proof::database::{ProofConnection, policy};
use diesel_accounts_proof::host::run_again;
use diesel_accounts_proof::load::{Load, judge};
use diesel_accounts_proof::servers::Server;

use crate::support::person;

#[test]
fn twelve_threads_on_three_sessions_of_pgbouncer_make_what_they_say() {
    let server = Server::postgres(&[]);
    let pooler = Pooler::before(&server, SESSIONS);
    let users = users_at(&pooler);
    users.migrate().unwrap();
    let mut conn = PgConnection::establish(&server.url()).unwrap();
    conn.batch_execute("CREATE TABLE host_rows (number BIGINT NOT NULL)").unwrap();
    let (created, together) = (AtomicI64::new(0), Barrier::new(THREADS));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (users, pooler, created, together) = (&users, &pooler, &created, &together);
            scope.spawn(move || {
                let mut conn = connect(pooler);
                for round in 0..ROUNDS {
                    together.wait();
                    // Everybody wants to be one person, and each another.
                    let (all, own) = (format!("all{round}"), format!("own{round}_{thread}"));
                    created.fetch_add(is_created(&users.create_user(person(&all))), RELAXED);
                    assert_eq!(is_created(&users.create_user(person(&own))), 1);
                    assert_eq!(is_created(&users.create_user(person(&own))), 0);
                    created.fetch_add(1, RELAXED);
                    signs_in_and_changes_password(users, &own);
                    let hosted = users.prepare(person(&format!("host{round}_{}", thread / 2)));
                    let hosted = hosted.unwrap();
                    let (creation, _) = run_again(&mut conn, "READ COMMITTED", |conn| {
                        conn.batch_execute("INSERT INTO host_rows (number) VALUES (1)")?;
                        users.on(conn).create_user(&hosted)
                    });
                    created.fetch_add(i64::from(creation.is_created()), RELAXED);
                }
            });
        }
    });
    let rounds = i64::try_from(ROUNDS).unwrap();
    let threads = i64::try_from(THREADS).unwrap();
    let people = rounds * (1 + threads + threads / 2);
    assert_eq!(created.into_inner(), people);
    let number = |conn: &mut PgConnection, rows: &str| {
        conn.numbers(&format!("SELECT COUNT(*) AS number FROM {rows}")).unwrap()[0]
    };
    assert_eq!(number(&mut conn, "account_users"), people);
    assert_eq!(number(&mut conn, "host_rows"), rounds * threads);
    let sessions = number(&mut conn, "pg_stat_activity WHERE backend_type = 'client backend'");
    assert!(sessions <= i64::from(SESSIONS) + 1, "{sessions} sessions");
}

fn signs_in_and_changes_password(users: &UserManager<PgConnection>, name: &str) {
    let accepted = users.authenticate(name, "correct horse").unwrap().accepted().unwrap();
    let id = accepted.user().id();
    assert!(users.change_password(id, "correct horse", "battery staple").unwrap().is_changed());
    assert!(users.authenticate(name, "battery staple").unwrap().is_accepted());
    assert!(!users.authenticate(name, "correct horse").unwrap().is_accepted());
}

fn is_created(answer: &Result<Creation, Error>) -> i64 {
    i64::from(answer.as_ref().unwrap().is_created())
}

/// PgBouncer tells its clients in words of its own, and hangs up.
#[test]
fn every_answer_is_true_while_the_sessions_behind_pgbouncer_are_ended() {
    let server = Server::postgres(&[]);
    let pooler = Pooler::before(&server, SESSIONS);
    let users = users_at(&pooler);
    users.migrate().unwrap();
    let mut admin = PgConnection::establish(&server.url()).unwrap();
    let managers = vec![users.clone(); THREADS];
    let heard = Load::run(&managers, |load| {
        while load.created() < 1000 {
            admin
                .batch_execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
                     ORDER BY random() LIMIT 1",
                )
                .unwrap();
            load.wait_for_creations(5);
        }
    });
    let tally = judge(&mut admin, &users, &heard);
    println!("{tally:?}");
    assert_eq!((tally.undetermined.0, tally.refused, tally.unavailable), (0, 0, 0), "{tally:?}");
}

/// The first of two sessions has a statement prepared that the second does not know.
#[test]
fn pgbouncer_fails_those_who_cache_statements_before_it_knows_of_them() {
    let server = Server::postgres(&[]);
    let pooler = Pooler::before(&server, SESSIONS);
    users_at(&pooler).migrate().unwrap();
    let pool = Pool::builder()
        .max_size(u32::try_from(THREADS).unwrap())
        .build(ConnectionManager::<PgConnection>::new(pooler.url()))
        .unwrap();
    let users = UserManager::with_policy(pool, policy().build().unwrap());
    let (failures, texts) = (AtomicI64::new(0), Mutex::new(BTreeSet::new()));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (users, failures, texts) = (&users, &failures, &texts);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let answer = users.create_user(person(&format!("c{round}_{thread}")));
                    if let Err(Error::NotCreated(failure)) = &answer {
                        texts.lock().unwrap().insert(failure.diesel_error().to_string());
                    }
                    failures.fetch_add(i64::from(answer.is_err()), RELAXED);
                }
            });
        }
    });
    let there = PgConnection::establish(&server.url()).unwrap().numbers(PEOPLE).unwrap();
    println!("{failures:?} of {} failed, {there:?} are there: {texts:#?}", THREADS * ROUNDS);
    assert!(failures.into_inner() > 0);
    assert!(texts.lock().unwrap().iter().any(|text| text.contains("prepared statement")));
}

/// As many connections as there are threads, and none has a cache of statements.
fn users_at(pooler: &Pooler) -> UserManager<PgConnection> {
    let pool = Pool::builder()
        .max_size(u32::try_from(THREADS).unwrap())
        .min_idle(Some(0))
        .connection_timeout(Duration::from_secs(20))
        .connection_customizer(Box::new(NoCache))
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(ConnectionManager::new(pooler.url()));
    UserManager::with_policy(pool, policy().build().unwrap())
}

fn connect(pooler: &Pooler) -> PgConnection {
    let mut conn = PgConnection::establish(&pooler.url()).unwrap();
    conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    conn
}

/// Statements are prepared in a session, and the next transaction has another one.
#[derive(Debug)]
struct NoCache;

impl CustomizeConnection<PgConnection, R2d2Error> for NoCache {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), R2d2Error> {
        conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        Ok(())
    }
}

const PEOPLE: &str = "SELECT COUNT(*) AS number FROM account_users";
const RELAXED: Ordering = Ordering::Relaxed;
const SESSIONS: u32 = 3;
const THREADS: usize = 12;
const ROUNDS: usize = 20;
