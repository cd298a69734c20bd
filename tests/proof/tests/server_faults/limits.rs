//! A server that takes no more connections.

use std::sync::mpsc;
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, NopErrorHandler, Pool};
use diesel::{MysqlConnection, PgConnection};
use diesel_accounts::{Engine, Error, UserManager};
use diesel_accounts_proof::database::{Database, policy};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::statements::before_statement;
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::support::{assert_matches, count_of, person};

#[test]
fn a_postgres_that_is_full_of_sessions_creates_nothing_and_is_asked_again() {
    let settings = ["max_connections=5", "superuser_reserved_connections=0"];
    is_asked_again::<PgConnection>(&Server::postgres(&settings));
}

#[test]
fn a_mariadb_that_is_full_of_sessions_creates_nothing_and_is_asked_again() {
    is_asked_again::<MysqlConnection>(&Server::mariadb(&["--max-connections=10"]));
}

fn is_asked_again<C: Connection>(server: &Server) {
    let database = Database::<C>::on(&server.url());
    no_session_to_begin_with(&database);
    no_session_to_go_on_with(&database);
}

fn no_session_to_begin_with<C: Connection>(database: &Database<C>) {
    let users = users_of(&pool_of(database));
    let mut sessions = Sessions::all(database, 0);
    let alice = users.prepare(person("alice")).unwrap();
    let error = users.create_prepared_user(&alice).unwrap_err();
    assert!(error.is_retryable());
    assert_matches!(error, Error::Pool(_));
    assert_matches!(users.create_user(person("bob")), Err(Error::Pool(_)));
    let people = "SELECT COUNT(*) AS number FROM account_users";
    assert_eq!(sessions.0[0].numbers(people), Ok(vec![0]));
    sessions.0.clear();
    wait_until("there is room for a session", || users.create_prepared_user(&alice).is_ok());
    assert_eq!(count_of(database, "alice"), 1);
}

/// The session is lost in the middle of the creation, and somebody else takes its place.
fn no_session_to_go_on_with<C: Connection>(database: &Database<C>) {
    let pool = pool_of(database);
    let users = users_of(&pool);
    let mut conn = pool.get().unwrap();
    let session = conn.numbers(own_number::<C>()).unwrap()[0];
    let mut sessions = Some(Sessions::all(database, 1));
    let url = database.url().to_owned();
    let (keep, kept) = mpsc::channel();
    before_statement(&mut *conn, "INSERT", move || {
        let mut sessions = sessions.take().unwrap();
        sessions.0[0].end_session(session).unwrap();
        wait_until("the place is free", || match C::establish(&url) {
            Ok(conn) => {
                sessions.0.push(conn);
                true
            }
            Err(_) => false,
        });
        keep.send(sessions).unwrap();
    });
    drop(conn);
    let carol = users.prepare(person("carol")).unwrap();
    let answer = users.create_prepared_user(&carol);
    assert_matches!(answer, Err(Error::Undetermined { id, .. }) if id == carol.id());
    drop(kept.recv().unwrap());
    wait_until("there is room for a session", || match users.create_prepared_user(&carol) {
        Ok(creation) => {
            assert!(creation.is_created());
            true
        }
        Err(error) => {
            assert_matches!(error, Error::Pool(_));
            false
        }
    });
    assert_eq!(count_of(database, "carol"), 1);
}

/// All sessions that the server allows, but for those that are there already.
struct Sessions<C>(Vec<C>);

impl<C: Connection> Sessions<C> {
    fn all(database: &Database<C>, others: usize) -> Self {
        let mut sessions = vec![database.connect()];
        wait_until("every session is ours", || match C::establish(database.url()) {
            Ok(session) => {
                sessions.push(session);
                false
            }
            // One that has ended may not be gone yet.
            Err(_) => number_of_sessions(&mut sessions[0]) == others + sessions.len(),
        });
        Self(sessions)
    }
}

fn number_of_sessions<C: Connection>(conn: &mut C) -> usize {
    let numbers = conn.numbers(match C::ENGINE {
        Engine::Postgres => {
            "SELECT COUNT(*) AS number FROM pg_stat_activity WHERE backend_type = 'client backend'"
        }
        _ => "SELECT COUNT(*) AS number FROM information_schema.PROCESSLIST WHERE USER = 'root'",
    });
    usize::try_from(numbers.unwrap()[0]).unwrap()
}

fn own_number<C: Connection>() -> &'static str {
    match C::ENGINE {
        Engine::Postgres => "SELECT pg_backend_pid()::bigint AS number",
        _ => "SELECT CAST(CONNECTION_ID() AS SIGNED) AS number",
    }
}

/// Impatient, for there is nothing to wait for.
fn pool_of<C: Connection>(database: &Database<C>) -> Pool<ConnectionManager<C>> {
    Pool::builder()
        .max_size(1)
        .min_idle(Some(0))
        .connection_timeout(Duration::from_millis(500))
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(ConnectionManager::new(database.url()))
}

fn users_of<C: Connection>(pool: &Pool<ConnectionManager<C>>) -> UserManager<C> {
    let policy = policy().deadline(Duration::from_secs(1)).build().unwrap();
    UserManager::with_policy(pool.clone(), policy)
}
