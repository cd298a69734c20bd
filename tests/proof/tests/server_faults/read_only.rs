//! Databases that may only be read for a while.

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::diesel::result::DatabaseErrorKind;
use diesel_accounts::diesel::result::Error as DieselError;
use diesel_accounts::{Engine, Error, UserManager};
use diesel_accounts_proof::database::{Database, ProofConnection, policy, pool_at};
use diesel_accounts_proof::host::{host_rows, in_transaction, insert_host_row, make_host_table};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::support::{assert_matches, count_of, person};

#[test]
fn a_postgres_that_is_read_only_creates_nothing_until_it_is_not() {
    let server = Server::postgres(&[]);
    let database = Database::<PgConnection>::on(&server.url());
    let mut admin = database.connect();
    let pool = pool_at::<PgConnection>(database.url(), 1);
    let is_read_only = "SELECT (current_setting('default_transaction_read_only') = 'on') \
                        ::int::bigint AS number";
    creates_nothing_until_it_is_not(&database, &pool, |on| {
        admin.batch_execute("SET default_transaction_read_only = off").unwrap();
        let value = if on { "on" } else { "off" };
        let switch = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        admin.batch_execute(&switch).unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").unwrap();
        // Those that are connected already hear of it, too.
        wait_until("sessions have heard of it", || {
            pool.get().unwrap().numbers(is_read_only) == Ok(vec![i64::from(on)])
        });
    });
}

#[test]
fn a_mariadb_that_is_read_only_creates_nothing_until_it_is_not() {
    let server = Server::mariadb(&[]);
    let database = Database::<MysqlConnection>::on(&server.url());
    let mut admin = database.connect();
    // Administrators may write all the same.
    admin.batch_execute("CREATE USER host; GRANT ALL ON *.* TO host").unwrap();
    admin.batch_execute("REVOKE SUPER, READ ONLY ADMIN ON *.* FROM host").unwrap();
    let url = database.url().replacen("//root@", "//host@", 1);
    let pool = pool_at::<MysqlConnection>(&url, 1);
    creates_nothing_until_it_is_not(&database, &pool, |on| {
        admin.batch_execute(&format!("SET GLOBAL read_only = {}", u8::from(on))).unwrap();
    });
}

fn creates_nothing_until_it_is_not<C: Connection>(
    database: &Database<C>,
    pool: &Pool<ConnectionManager<C>>,
    mut switch: impl FnMut(bool),
) {
    make_host_table(database);
    let users = UserManager::with_policy(pool.clone(), policy().build().unwrap());
    let alice = users.create_user(person("alice")).unwrap().created().unwrap();
    let bob = users.prepare(person("bob")).unwrap();
    switch(true);
    refuses_to_write(database, &users);
    assert_matches!(users.create_prepared_user(&bob), Err(Error::NotCreated(_)));
    let in_host = || pool.get().unwrap();
    let answer = in_transaction(&mut *in_host(), C::ISOLATIONS[0].0, |conn| {
        users.on(conn).create_user(&bob)
    });
    // Diesel has a name for it on PostgreSQL.
    match C::ENGINE {
        Engine::Postgres => assert_matches!(answer, Err(Error::NotCreated(_))),
        _ => assert_matches!(answer, Err(Error::HostMustRollBack(Some(_)))),
    }
    assert_eq!(users.user_by_username("alice").unwrap().unwrap().id(), alice.id());
    switch(false);
    assert_eq!((count_of(database, "bob"), host_rows(database)), (0, 0));
    assert!(users.create_prepared_user(&bob).unwrap().is_created());
    assert!(users.authenticate("alice", "correct horse").unwrap().is_accepted());
    assert_eq!(count_of(database, "bob"), 1);
    let carol = users.prepare(person("carol")).unwrap();
    let answer = in_transaction(&mut *in_host(), C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        users.on(conn).create_user(&carol)
    });
    assert!(answer.unwrap().is_created());
    assert_eq!((count_of(database, "carol"), host_rows(database)), (1, 1));
}

/// What exists is still told; whoever cannot be counted cannot sign in.
fn refuses_to_write<C: Connection>(database: &Database<C>, users: &UserManager<C>) {
    let answer = users.create_user(person("bob"));
    let failure = assert_matches!(answer, Err(Error::NotCreated(failure)) => failure);
    if C::ENGINE == Engine::Postgres {
        assert_matches!(
            failure.diesel_error(),
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)
        );
    }
    assert!(!users.create_user(person("alice")).unwrap().is_created());
    for password in ["correct horse", "wrong horse"] {
        assert_matches!(users.authenticate("alice", password), Err(Error::Database(_)));
    }
    assert_matches!(users.migrate(), Ok(()));
    assert_eq!(count_of(database, "bob"), 0);
}

#[test]
fn a_sqlite_file_that_is_opened_to_read_creates_nothing_until_it_is_not() {
    let database = Database::<SqliteConnection>::new();
    let writing = database.users(1);
    assert!(writing.create_user(person("alice")).unwrap().is_created());
    let url = format!("file:{}?mode=ro", database.url());
    let reading =
        UserManager::<SqliteConnection>::with_policy(pool_at(&url, 1), policy().build().unwrap());
    refuses_to_write(&database, &reading);
    let bob = reading.prepare(person("bob")).unwrap();
    assert_matches!(reading.create_prepared_user(&bob), Err(Error::NotCreated(_)));
    let mut conn = pool_at::<SqliteConnection>(&url, 1).get().unwrap();
    let answer = in_transaction(&mut *conn, "DEFERRED", |conn| reading.on(conn).create_user(&bob));
    assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    assert_eq!(count_of(&database, "bob"), 0);
    assert!(writing.create_prepared_user(&bob).unwrap().is_created());
}

#[test]
fn a_sqlite_connection_that_only_queries_creates_nothing_until_it_may_do_more() {
    let database = Database::<SqliteConnection>::new();
    let pool = pool_at::<SqliteConnection>(database.url(), 1);
    let switch = |on: bool| {
        let pragma = format!("PRAGMA query_only = {}", u8::from(on));
        pool.get().unwrap().batch_execute(&pragma).unwrap();
    };
    let users = UserManager::with_policy(pool.clone(), policy().build().unwrap());
    assert!(users.create_user(person("alice")).unwrap().is_created());
    switch(true);
    refuses_to_write(&database, &users);
    switch(false);
    assert!(users.create_user(person("bob")).unwrap().is_created());
    assert_eq!(count_of(&database, "bob"), 1);
}
