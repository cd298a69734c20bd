//! What takes too long is stopped by the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::MysqlConnection;
use diesel::r2d2::{ConnectionManager, NopErrorHandler, Pool};
use diesel_accounts::{Accounts, Creation, Engine, Error, Policy, UserManager};
use diesel_accounts_proof::database::{Database, policy};
use diesel_accounts_proof::host::{
    host_rows, in_transaction, insert_host_row, make_host_table, run_again,
};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::statements::before_each_statement;
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::support::{
    assert_matches, count_of, id_of, on_each_engine, on_each_server, person, session_name,
    while_alice_is_held,
};

on_each_engine!(a_lock_that_takes_too_long_ends_the_transaction_and_no_creation_of_its_own);

on_each_server!(
    a_statement_that_takes_too_long_is_busy,
    a_change_that_takes_too_long_is_busy,
    a_session_that_was_idle_for_too_long_is_replaced,
    a_lent_session_that_was_idle_for_too_long_leaves_it_undetermined,
    a_transaction_that_was_idle_for_too_long_must_be_run_again,
);

fn a_lock_that_takes_too_long_ends_the_transaction_and_no_creation_of_its_own<C: Connection>() {
    lock_takes_too_long(&Database::<C>::new());
}

/// Then the server rolls back more than the statement.
#[test]
fn a_lock_that_takes_too_long_may_end_the_whole_transaction_on_mariadb() {
    let server = Server::mariadb(&["--innodb-rollback-on-timeout=1"]);
    lock_takes_too_long(&Database::<MysqlConnection>::on(&server.url()));
}

fn lock_takes_too_long<C: Connection>(database: &Database<C>) {
    make_host_table(database);
    let impatient = policy().deadline(Duration::from_millis(300)).build().unwrap();
    let alice = impatient.prepare(person("alice")).unwrap();
    let mut conn = database.connect();
    conn.batch_execute(match C::ENGINE {
        Engine::Sqlite => "PRAGMA busy_timeout = 50",
        Engine::Postgres => "SET lock_timeout = '100ms'",
        _ => "SET innodb_lock_wait_timeout = 1",
    })
    .unwrap();
    while_alice_is_held(database, || {
        let answer = Accounts::new(&impatient, &mut conn).create_user(&alice);
        assert_matches!(answer, Err(Error::Busy));
        if C::ENGINE == Engine::Sqlite {
            // A transaction that has read cannot write; one that has written would hold the lock.
            let answer = in_transaction(&mut conn, "DEFERRED", |conn| {
                Accounts::new(&impatient, conn).create_user(&alice)
            });
            assert_matches!(answer, Err(Error::HostMustRollBack(_)));
        } else {
            assert_matches!(
                host_creates(&mut conn, &impatient, &alice),
                Err(Error::HostMustRollBack(Some(_)))
            );
        }
        assert_eq!((count_of(database, "alice"), host_rows(database)), (0, 0));
    });
    assert_eq!((count_of(database, "alice"), host_rows(database)), (0, 0));
    let (creation, _) = run_again(&mut conn, C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        Accounts::new(&impatient, conn).create_user(&alice)
    });
    assert!(creation.is_created());
    assert_eq!((count_of(database, "alice"), host_rows(database)), (1, 1));
}

fn host_creates<C: Connection>(
    conn: &mut C,
    policy: &Policy,
    alice: &diesel_accounts::PreparedUser,
) -> Result<Creation, Error> {
    in_transaction(conn, C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        Accounts::new(policy, conn).create_user(alice)
    })
}

/// It may be sent again later, but not at once.
fn a_statement_that_takes_too_long_is_busy<C: Connection>() {
    let database = Database::<C>::new();
    make_host_table(&database);
    let policy = policy().build().unwrap();
    let alice = policy.prepare(person("alice")).unwrap();
    let mut conn = database.connect();
    let (limit, no_limit) = match C::ENGINE {
        Engine::Postgres => ("SET statement_timeout = '100ms'", "SET statement_timeout = 0"),
        _ => ("SET max_statement_time = 0.1", "SET max_statement_time = 0"),
    };
    while_alice_is_held(&database, || {
        conn.batch_execute(limit).unwrap();
        let sent = Arc::new(AtomicU32::new(0));
        let insertions = sent.clone();
        before_each_statement(&mut conn, move |statement| {
            insertions.fetch_add(u32::from(statement.starts_with("INSERT")), Ordering::Relaxed);
        });
        let answer = Accounts::new(&policy, &mut conn).create_user(&alice);
        assert_matches!(answer, Err(Error::Busy));
        assert_eq!(sent.load(Ordering::Relaxed), 1);
        // The statements of the host's own take as long as they take.
        conn.batch_execute(no_limit).unwrap();
        let answer = in_transaction(&mut conn, C::ISOLATIONS[0].0, |conn| {
            insert_host_row(conn)?;
            conn.batch_execute(limit)?;
            Accounts::new(&policy, conn).create_user(&alice)
        });
        assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    });
    conn.batch_execute(no_limit).unwrap();
    assert_eq!((count_of(&database, "alice"), host_rows(&database)), (0, 0));
    assert!(host_creates(&mut conn, &policy, &alice).unwrap().is_created());
    assert_eq!((count_of(&database, "alice"), host_rows(&database)), (1, 1));
}

fn a_change_that_takes_too_long_is_busy<C: Connection>() {
    let database = Database::<C>::new();
    let users = database.users(1);
    let id = id_of(&users.create_user(person("alice")).unwrap());
    let mut conn = database.connect();
    let answers = database.connect().transaction::<_, Error, _>(|holder| {
        users.on(holder).require_password_change(id)?;
        conn.batch_execute(match C::ENGINE {
            Engine::Postgres => "SET statement_timeout = '100ms'",
            _ => "SET max_statement_time = 0.1",
        })?;
        let alone = users.on(&mut conn).disable_user(id);
        let in_transaction =
            in_transaction(&mut conn, C::ISOLATIONS[0].0, |conn| users.on(conn).disable_user(id));
        Ok([alone, in_transaction])
    });
    assert_matches!(answers, Ok([Err(Error::Busy), Err(Error::HostMustRollBack(Some(_)))]));
    assert!(users.user_by_id(id).unwrap().unwrap().is_active());
}

fn a_session_that_was_idle_for_too_long_is_replaced<C: Connection>() {
    let database = Database::<C>::new();
    let mut admin = database.connect();
    for is_tested in [true, false] {
        let session = session_name();
        let url = admin.url_of_session(database.url(), &session);
        let pool = Pool::builder()
            .max_size(1)
            .test_on_check_out(is_tested)
            .error_handler(Box::new(NopErrorHandler))
            .build(ConnectionManager::<C>::new(url))
            .unwrap();
        let users = UserManager::with_policy(pool.clone(), policy().build().unwrap());
        let name = format!("tested_{is_tested}");
        let prepared = users.prepare(person(&name)).unwrap();
        end_when_idle(&mut *pool.get().unwrap());
        wait_until("the session is over", || admin.sessions(&session).unwrap().is_empty());
        assert!(users.create_prepared_user(&prepared).unwrap().is_created());
        assert_eq!(count_of(&database, &name), 1);
        assert_eq!(pool.state().connections, 1);
    }
}

/// A client cannot tell it from one that was lost after the statement arrived.
fn a_lent_session_that_was_idle_for_too_long_leaves_it_undetermined<C: Connection>() {
    let database = Database::<C>::new();
    let users = database.users(1);
    let alice = users.prepare(person("alice")).unwrap();
    let (mut admin, session) = (database.connect(), session_name());
    let mut conn = C::establish(&admin.url_of_session(database.url(), &session)).unwrap();
    end_when_idle(&mut conn);
    wait_until("the session is over", || admin.sessions(&session).unwrap().is_empty());
    let answer = users.on(&mut conn).create_user(&alice);
    assert_matches!(answer, Err(Error::Undetermined { id, .. }) if id == alice.id());
    assert_eq!(count_of(&database, "alice"), 0);
    assert!(users.create_prepared_user(&alice).unwrap().is_created());
}

fn a_transaction_that_was_idle_for_too_long_must_be_run_again<C: Connection>() {
    let database = Database::<C>::new();
    make_host_table(&database);
    let users = database.users(1);
    let alice = users.prepare(person("alice")).unwrap();
    let (mut admin, session) = (database.connect(), session_name());
    let mut conn = C::establish(&admin.url_of_session(database.url(), &session)).unwrap();
    let answer = in_transaction(&mut conn, C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        // Not before: on a busy machine the host itself may be idle for a while.
        conn.batch_execute(match C::ENGINE {
            Engine::Postgres => "SET idle_in_transaction_session_timeout = '100ms'",
            _ => "SET idle_transaction_timeout = 1",
        })?;
        wait_until("the session is over", || admin.sessions(&session).unwrap().is_empty());
        users.on(conn).create_user(&alice)
    });
    assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    assert_eq!((count_of(&database, "alice"), host_rows(&database)), (0, 0));
    let (creation, _) = run_again(&mut database.connect(), C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        users.on(conn).create_user(&alice)
    });
    assert!(creation.is_created());
    assert_eq!((count_of(&database, "alice"), host_rows(&database)), (1, 1));
}

/// Has the server end the session as soon as it can.
fn end_when_idle<C: Connection>(conn: &mut C) {
    conn.batch_execute(match C::ENGINE {
        Engine::Postgres => "SET idle_session_timeout = '1ms'",
        _ => "SET wait_timeout = 1",
    })
    .unwrap();
}
