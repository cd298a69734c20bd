//! Databases that have no room left.

use diesel::connection::SimpleConnection;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::{Engine, Error, UserManager};
use diesel_accounts_proof::database::{Database, policy, pool_at};
use diesel_accounts_proof::host::{host_rows, in_transaction, insert_host_row, make_host_table};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::workload::Connection;

use crate::support::{assert_matches, count_of, person};

#[test]
fn a_postgres_without_room_creates_nothing_until_there_is_room() {
    let server = Server::postgres(&["autovacuum=off"]);
    let database = Database::<PgConnection>::on(&server.url());
    // A file of the log has 16 MiB from the beginning.
    creates_nothing_until_there_is_room(&database, |is_full| {
        server.limit_files(is_full.then_some(17 << 20));
    });
}

#[test]
fn a_mariadb_without_room_creates_nothing_until_there_is_room() {
    let server = Server::mariadb(&["--innodb-log-file-size=8M"]);
    let database = Database::<MysqlConnection>::on(&server.url());
    creates_nothing_until_there_is_room(&database, |is_full| {
        server.limit_files(is_full.then_some(17 << 20));
    });
}

#[test]
fn a_sqlite_without_room_creates_nothing_until_there_is_room() {
    let database = Database::<SqliteConnection>::new();
    let pool = pool_at::<SqliteConnection>(database.url(), 1);
    let users = UserManager::with_policy(pool.clone(), policy().build().unwrap());
    make_host_table(&database);
    let limit = |pages: u32| {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        pool.get().unwrap().batch_execute(&pragma).unwrap();
    };
    limit(1);
    is_refused(&database, &users);
    let bob = users.prepare(person("bob")).unwrap();
    let answer = in_transaction(&mut *pool.get().unwrap(), "IMMEDIATE", |conn| {
        insert_host_row(conn)?;
        users.on(conn).create_user(&bob)
    });
    assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    assert_eq!((count_of(&database, "bob"), host_rows(&database)), (0, 0));
    limit(u32::MAX - 1);
    works(&database, &users, &mut database.connect());
}

fn creates_nothing_until_there_is_room<C: Connection>(
    database: &Database<C>,
    fill_up: impl Fn(bool),
) {
    make_host_table(database);
    let users = database.users(1);
    assert!(users.create_user(person("alice")).unwrap().is_created());
    let mut conn = database.connect();
    fill_up(true);
    for rows in [1000, 100, 10] {
        while insert_filling(&mut conn, rows).is_ok() {}
    }
    is_refused(database, &users);
    let bob = users.prepare(person("bob")).unwrap();
    let answer = in_transaction(&mut conn, C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        users.on(conn).create_user(&bob)
    });
    assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    assert_eq!((count_of(database, "bob"), host_rows(database)), (0, 0));
    // What is there is there.
    assert!(users.user_by_username("alice").unwrap().is_some());
    fill_up(false);
    works(database, &users, &mut conn);
}

/// Creates people until there is no room, and no answer is wrong meanwhile.
fn is_refused<C: Connection>(database: &Database<C>, users: &UserManager<C>) {
    for number in 0..10_000 {
        let name = format!("p{number}");
        match users.create_user(person(&name)) {
            Ok(creation) => {
                assert!(creation.is_created());
                assert_eq!(count_of(database, &name), 1);
            }
            Err(error) => {
                assert_matches!(error, Error::NotCreated(_));
                assert_eq!(count_of(database, &name), 0);
                return;
            }
        }
    }
    panic!("there is always room");
}

fn works<C: Connection>(database: &Database<C>, users: &UserManager<C>, conn: &mut C) {
    let bob = users.prepare(person("bob")).unwrap();
    let answer = in_transaction(conn, C::ISOLATIONS[0].0, |conn| {
        insert_host_row(conn)?;
        users.on(conn).create_user(&bob)
    });
    assert!(answer.unwrap().is_created());
    assert_eq!((count_of(database, "bob"), host_rows(database)), (1, 1));
    assert!(users.create_user(person("carol")).unwrap().is_created());
    assert!(users.authenticate("carol", "correct horse").unwrap().is_accepted());
}

/// Rows of a kilobyte of somebody else's.
fn insert_filling<C: Connection>(conn: &mut C, rows: u32) -> diesel::QueryResult<()> {
    let (id, numbers, hash) = match C::ENGINE {
        // What repeats itself would be stored compressed.
        Engine::Postgres => (
            "gen_random_uuid()",
            format!("generate_series(1, {rows})"),
            "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 32) n)",
        ),
        _ => ("SYS_GUID()", format!("seq_1_to_{rows}"), "REPEAT('x', 1000)"),
    };
    let id = if C::ENGINE == Engine::Mysql { format!("UNHEX({id})") } else { id.to_owned() };
    conn.batch_execute(&format!(
        "INSERT INTO account_users (id, password_hash, created_at, updated_at) \
         SELECT {id}, {hash}, 0, 0 FROM {numbers}"
    ))
}
