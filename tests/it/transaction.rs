//! The host's transaction: joined, unharmed, and never decided about behind the host's back.

use diesel::prelude::*;
use diesel::result::Error::RollbackTransaction;
use diesel_accounts::{
    Accounts, Creation, Engine, Error, Matched, NewUser, TakenReason, UserId, UserManager,
};

use crate::support::{
    self, PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, begin_commit, bob,
    on_each_engine, on_each_server, pool_of,
};

on_each_engine!(
    an_account_and_a_host_row_are_committed_together,
    an_account_and_a_host_row_are_rolled_back_together,
    a_duplicate_leaves_the_transaction_usable,
    a_taken_name_leaves_the_transaction_usable,
    a_refusal_by_a_constraint_of_the_host_leaves_the_transaction_usable,
    a_savepoint_of_the_host_can_be_rolled_back_alone,
    the_own_account_is_found_inside_the_transaction_that_created_it,
    a_winner_that_the_snapshot_cannot_see_is_found_or_the_host_must_roll_back,
    a_transaction_begun_as_plain_sql_is_not_committed,
    a_pooled_connection_with_an_open_transaction_is_treated_as_one,
    a_deadlock_ends_the_work_of_the_library_at_once,
    every_other_act_leaves_the_transaction_usable_or_says_to_roll_back,
);

// SQLite has one writer at a time, whatever it does.
on_each_server!(strangers_can_register_while_a_host_has_met_an_existing_account);

/// A pooled connection is lent as it is, without being taken out of its wrapper.
macro_rules! lend_a_pooled_connection {
    ($test:ident, $connection:ty) => {
        #[test]
        fn $test() {
            let db = TestDb::<$connection>::new();
            let mut pooled = db.pool.get().unwrap();
            let prepared = db.users.prepare(alice()).unwrap();
            let created = pooled.transaction(|conn| db.users.on(conn).create_user(&prepared));
            assert!(created.unwrap().is_created());
            assert!(!db.users.on(&mut pooled).create_user(&prepared).unwrap().is_created());
        }
    };
}
#[cfg(feature = "mysql")]
lend_a_pooled_connection!(a_pooled_connection_of_mysql_can_be_lent, MysqlConnection);
#[cfg(feature = "postgres")]
lend_a_pooled_connection!(a_pooled_connection_of_postgres_can_be_lent, PgConnection);
#[cfg(feature = "sqlite")]
lend_a_pooled_connection!(a_pooled_connection_of_sqlite_can_be_lent, SqliteConnection);

fn an_account_and_a_host_row_are_committed_together<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    let prepared = db.users.prepare(alice()).unwrap();
    let creation = conn.transaction::<_, Error, _>(|conn| {
        insert_host_row(conn, 1)?;
        let creation = db.users.on(conn).create_user(&prepared)?;
        insert_host_row(conn, 2)?;
        Ok(creation)
    });
    assert!(creation.unwrap().is_created());
    assert_eq!((host_rows(&db), db.count()), (2, 1));
}

fn an_account_and_a_host_row_are_rolled_back_together<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    let prepared = db.users.prepare(alice()).unwrap();
    let rolled_back = conn.transaction::<(), Error, _>(|conn| {
        insert_host_row(conn, 1)?;
        assert!(db.users.on(conn).create_user(&prepared)?.is_created());
        Err(RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    assert_eq!((host_rows(&db), db.count()), (0, 0));
    // `Created` was a promise until the commit; the same creation can be made once more.
    assert!(db.users.create_prepared_user(&prepared).unwrap().is_created());
}

fn a_duplicate_leaves_the_transaction_usable<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    let id = db.create(alice()).id();
    for (username, email, matched) in [
        ("ALICE", "Alice@example.org", Matched::Both),
        ("ALICE", "other@example.org", Matched::Username),
        ("other", "ALICE@example.org", Matched::Email),
    ] {
        let prepared = db.users.prepare(NewUser::new(username, email, PASSWORD)).unwrap();
        conn.transaction::<_, Error, _>(|conn| {
            insert_host_row(conn, 1)?;
            let creation = db.users.on(conn).create_user(&prepared)?;
            let existing = assert_matches!(creation, Creation::Existing(existing) => existing);
            assert_eq!((existing.user_id(), existing.matched()), (id, matched));
            insert_host_row(conn, 2)
        })
        .unwrap();
    }
    assert_eq!((host_rows(&db), db.count()), (6, 1));
}

fn a_taken_name_leaves_the_transaction_usable<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    db.create(alice());
    db.create(bob());
    let both = NewUser::new("alice", "bob@example.org", PASSWORD);
    let prepared = db.users.prepare(both).unwrap();
    conn.transaction::<_, Error, _>(|conn| {
        insert_host_row(conn, 1)?;
        let refused = db.users.on(conn).create_user(&prepared);
        let taken = assert_matches!(refused, Err(Error::Taken(taken)) => taken);
        assert_eq!(taken.reason(), TakenReason::ByTwoAccounts);
        insert_host_row(conn, 2)
    })
    .unwrap();
    assert_eq!((host_rows(&db), db.count()), (2, 2));
}

fn a_refusal_by_a_constraint_of_the_host_leaves_the_transaction_usable<C: TestConnection>(
    db: TestDb<C>,
) {
    let mut conn = with_host_rows(&db);
    forbid_bob(&mut conn);
    let prepared = db.users.prepare(bob()).unwrap();
    conn.transaction::<_, Error, _>(|conn| {
        insert_host_row(conn, 1)?;
        assert_matches!(db.users.on(conn).create_user(&prepared), Err(Error::NotCreated(_)));
        insert_host_row(conn, 2)
    })
    .unwrap();
    assert_eq!((host_rows(&db), db.count()), (2, 0));
    // Outside a transaction it is the same answer, and not a conflict with somebody.
    assert_matches!(db.users.create_prepared_user(&prepared), Err(Error::NotCreated(_)));
    assert_matches!(db.users.on(&mut conn).create_user(&prepared), Err(Error::NotCreated(_)));
}

fn a_savepoint_of_the_host_can_be_rolled_back_alone<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    let prepared = db.users.prepare(alice()).unwrap();
    conn.transaction::<_, Error, _>(|conn| {
        insert_host_row(conn, 1)?;
        let inner = conn.transaction::<(), Error, _>(|conn| {
            insert_host_row(conn, 2)?;
            assert!(db.users.on(conn).create_user(&prepared)?.is_created());
            Err(RollbackTransaction.into())
        });
        assert!(inner.is_err());
        Ok(())
    })
    .unwrap();
    assert_eq!((host_rows(&db), db.count()), (1, 0));
}

fn the_own_account_is_found_inside_the_transaction_that_created_it<C: TestConnection>(
    db: TestDb<C>,
) {
    let mut conn = db.connect();
    let first = db.users.prepare(alice()).unwrap();
    let second = db.users.prepare(alice()).unwrap();
    conn.transaction::<_, Error, _>(|conn| {
        let mut accounts = db.users.on(conn);
        assert!(accounts.create_user(&first)?.is_created());
        let again = assert_matches!(accounts.create_user(&first)?, Creation::Existing(e) => e);
        assert!(again.is_same_creation());
        let other = assert_matches!(accounts.create_user(&second)?, Creation::Existing(e) => e);
        assert_eq!((other.user_id(), other.is_same_creation()), (first.id(), false));
        assert!(accounts.user_by_login("alice")?.is_some());
        Ok(())
    })
    .unwrap();
}

/// Another connection commits the account after the host's transaction has taken its snapshot.
fn a_winner_that_the_snapshot_cannot_see_is_found_or_the_host_must_roll_back<C: TestConnection>(
    db: TestDb<C>,
) {
    for (number, (isolation, setting)) in C::ISOLATIONS.iter().enumerate() {
        let person =
            || NewUser::new(format!("p{number}"), format!("p{number}@a.example"), PASSWORD);
        let prepared = db.users.prepare(person()).unwrap();
        let mut conn = db.connect();
        if !setting.is_empty() {
            conn.batch_execute(setting).unwrap();
        }
        let mut winner = None;
        let answer = begin_commit(&mut conn, isolation, |conn| {
            conn.number("SELECT COUNT(*) AS number FROM account_users");
            let blocked = C::ENGINE == Engine::Sqlite && *isolation != "DEFERRED"
                || C::ENGINE == Engine::Mysql && *isolation == "SERIALIZABLE";
            if !blocked {
                winner = Some(db.create(person()).id());
            }
            db.users.on(conn).create_user(&prepared)
        });
        let sees_latest = isolation.starts_with("READ") || setting.ends_with("OFF");
        match (winner, answer) {
            (Some(id), Ok(Creation::Existing(existing))) => assert_eq!(existing.user_id(), id),
            (Some(_), Err(Error::HostMustRollBack(_))) => {
                assert!(!sees_latest, "{isolation} {setting}");
            }
            // The host's own read kept everybody else from writing.
            (None, Ok(Creation::Created(_))) => {}
            (_, answer) => panic!("{isolation} {setting}: {answer:?}"),
        }
        // The second run sees the winner.
        let again = begin_commit(&mut conn, isolation, |conn| {
            conn.number("SELECT COUNT(*) AS number FROM account_users");
            db.users.on(conn).create_user(&prepared)
        });
        assert_matches!(again, Ok(Creation::Existing(_)));
    }
    assert_eq!(db.count(), C::ISOLATIONS.len() as i64);
}

fn a_transaction_begun_as_plain_sql_is_not_committed<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    db.create(bob());
    conn.batch_execute("BEGIN").unwrap();
    insert_host_row(&mut conn, 1).unwrap();
    for new_user in [alice(), bob()] {
        let prepared = db.users.prepare(new_user).unwrap();
        let _ = db.users.on(&mut conn).create_user(&prepared).unwrap();
    }
    conn.batch_execute("ROLLBACK").unwrap();
    assert_eq!((host_rows(&db), db.count()), (0, 1));
}

fn a_pooled_connection_with_an_open_transaction_is_treated_as_one<C: TestConnection>(
    db: TestDb<C>,
) {
    db.create(bob());
    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    pool.get().unwrap().begin_test_transaction().unwrap();
    assert!(users.create_user(alice()).unwrap().is_created());
    assert!(!users.create_user(bob()).unwrap().is_created());
    assert!(!users.create_user(alice()).unwrap().is_created());
    assert_eq!(db.count(), 1, "nothing is committed");
}

/// Two transactions want the same two names in opposite order. The victim's transaction is gone on
/// the server (MariaDB) or can only be rolled back (PostgreSQL), whatever Diesel believes.
fn a_deadlock_ends_the_work_of_the_library_at_once<C: TestConnection>(db: TestDb<C>) {
    if C::ENGINE == Engine::Sqlite {
        return one_writer_at_a_time(&db);
    }
    let mut first = with_host_rows(&db);
    let mut second = db.connect();
    let log = QueryLog::of(&mut second);
    let (alice, bob) = (db.users.prepare(alice()).unwrap(), db.users.prepare(bob()).unwrap());
    let other_alice = db.users.prepare(support::alice()).unwrap();
    let other_bob = db.users.prepare(support::bob()).unwrap();
    let outcomes = std::thread::scope(|scope| {
        let (ready, wait) = std::sync::mpsc::channel();
        let (done, go) = std::sync::mpsc::channel();
        let users = &db.users;
        let one = scope.spawn(move || {
            first.transaction::<_, Error, _>(|conn| {
                insert_host_row(conn, 1)?;
                assert!(users.on(conn).create_user(&alice)?.is_created());
                ready.send(()).unwrap();
                go.recv().unwrap();
                users.on(conn).create_user(&bob)
            })
        });
        let log = &log;
        let two = scope.spawn(move || {
            wait.recv().unwrap();
            let outcome = second.transaction::<_, Error, _>(|conn| {
                insert_host_row(conn, 2)?;
                assert!(users.on(conn).create_user(&other_bob)?.is_created());
                done.send(()).unwrap();
                log.take_all();
                users.on(conn).create_user(&other_alice)
            });
            (outcome, log.take_all())
        });
        (one.join().unwrap(), two.join().unwrap())
    });
    let (one, (two, statements)) = outcomes;
    // One of the two is the victim; the other one creates both.
    let committed = match (&one, &two) {
        (Ok(creation), Err(Error::HostMustRollBack(_))) => {
            assert_starts(
                &statements,
                match C::ENGINE {
                    Engine::Postgres => &[
                        "begin 2",
                        "SAVEPOINT",
                        "INSERT",
                        "rollback 2",
                        "ROLLBACK TO",
                        // Whether the session was ended.
                        "SELECT 1",
                        "rollback 1",
                        "ROLLBACK",
                    ],
                    _ => &["INSERT", "rollback 1", "ROLLBACK"],
                },
            );
            creation
        }
        (Err(Error::HostMustRollBack(_)), Ok(creation)) => creation,
        other => panic!("{other:?}"),
    };
    assert!(committed.is_created());
    assert_eq!((host_rows(&db), db.count()), (1, 2));
}

/// SQLite has no deadlocks: a transaction that has read, and would have to wait, is told at once.
fn one_writer_at_a_time<C: TestConnection>(db: &TestDb<C>) {
    let prepared = db.users.prepare(alice()).unwrap();
    let mut reader = db.connect();
    let log = QueryLog::of(&mut reader);
    let outcome = begin_commit(&mut reader, "DEFERRED", |conn| {
        conn.number("SELECT COUNT(*) AS number FROM account_users");
        db.create(bob());
        log.take_all();
        db.users.on(conn).create_user(&prepared)
    });
    assert_matches!(outcome, Err(Error::HostMustRollBack(_)));
    // The library asks whether the transaction is still there.
    assert_starts(&log.take_all(), &["INSERT", "BEGIN", "rollback 1", "ROLLBACK"]);
    assert_eq!(db.count(), 1);
}

/// The look-up of a loser must not lock what everybody else needs.
/// But for the one isolation level at which reading locks what is not there.
fn strangers_can_register_while_a_host_has_met_an_existing_account<C: TestConnection>(
    db: TestDb<C>,
) {
    db.create(alice());
    for (number, (isolation, setting)) in C::ISOLATIONS.iter().enumerate() {
        // Its id is the last so far: beside it all new ids go.
        let duplicate = db.users.prepare(alice()).unwrap();
        // Every read locks, that of an id which nobody has as well.
        let locks_the_end_of_the_ids = C::ENGINE == Engine::Mysql && *isolation == "SERIALIZABLE";
        let (mut host, mut stranger) = (db.connect(), db.connect());
        support::impatient(&mut stranger);
        if !setting.is_empty() {
            host.batch_execute(setting).unwrap();
        }
        let name = format!("stranger{number}");
        let new_user = NewUser::new(&*name, format!("{name}@example.org"), PASSWORD);
        let new_user = db.users.prepare(new_user).unwrap();
        begin_commit(&mut host, isolation, |host| {
            assert_matches!(db.users.on(host).create_user(&duplicate)?, Creation::Existing(_));
            let answer = stranger.transaction(|conn| db.users.on(conn).create_user(&new_user));
            match locks_the_end_of_the_ids {
                true => assert_matches!(answer, Err(Error::HostMustRollBack(_))),
                false => assert!(answer.unwrap().is_created(), "{isolation} {setting}"),
            }
            Ok(())
        })
        .unwrap();
    }
}

fn every_other_act_leaves_the_transaction_usable_or_says_to_roll_back<C: TestConnection>(
    db: TestDb<C>,
) {
    let mut conn = with_host_rows(&db);
    let id = db.create(alice()).id();
    conn.batch_execute(match C::ENGINE {
        Engine::Postgres => "CREATE TABLE refers (id uuid REFERENCES account_users (id))",
        Engine::Mysql => {
            "CREATE TABLE refers (id BINARY(16), FOREIGN KEY (id) REFERENCES account_users (id))"
        }
        _ => {
            "PRAGMA foreign_keys = ON; CREATE TABLE refers (id BLOB REFERENCES account_users (id))"
        }
    })
    .unwrap();
    conn.batch_execute("INSERT INTO refers SELECT id FROM account_users").unwrap();
    conn.transaction::<_, Error, _>(|conn| {
        insert_host_row(conn, 1)?;
        assert_matches!(db.users.on(conn).delete_user(id), Err(Error::Database(_)));
        assert_matches!(db.users.on(conn).disable_user(UserId::new()), Err(Error::UserNotFound));
        db.users.on(conn).disable_user(id)?;
        assert!(db.users.on(conn).user_by_id(id)?.is_some());
        insert_host_row(conn, 2)
    })
    .unwrap();
    assert_eq!(host_rows(&db), 2);
    assert!(!db.users.user_by_id(id).unwrap().unwrap().is_active());

    // A look-up that fails leaves nothing to go on with.
    let mut conn = db.connect();
    db.connect().batch_execute("DROP TABLE refers; DROP TABLE account_users").unwrap();
    type Read<'a, C> = &'a dyn Fn(&mut Accounts<'_, C>) -> Result<(), Error>;
    let reads: [Read<'_, C>; 6] = [
        &|accounts| accounts.user_by_id(id).map(drop),
        &|accounts| accounts.user_by_username("alice").map(drop),
        &|accounts| accounts.user_by_email("alice@example.org").map(drop),
        &|accounts| accounts.list_users(None, 1).map(drop),
        &|accounts| accounts.users_by_username_prefix("a", None, 1).map(drop),
        &|accounts| accounts.users_by_email_prefix("a", None, 1).map(drop),
    ];
    for read in reads {
        let failed = conn.transaction(|conn| read(&mut db.users.on(conn)));
        assert_matches!(failed, Err(Error::HostMustRollBack(Some(_))));
    }
}

/// Asserts what was sent, and nothing else, by the first words.
fn assert_starts(statements: &[String], starts: &[&str]) {
    let same = statements.len() == starts.len()
        && statements.iter().zip(starts).all(|(statement, start)| statement.starts_with(start));
    assert!(same, "{statements:#?} are not {starts:?}");
}

fn with_host_rows<C: TestConnection>(db: &TestDb<C>) -> C {
    let mut conn = db.connect();
    conn.batch_execute("CREATE TABLE host_rows (number INT)").unwrap();
    conn
}

fn insert_host_row<C: TestConnection>(conn: &mut C, number: i32) -> diesel_accounts::Result<()> {
    Ok(conn.batch_execute(&format!("INSERT INTO host_rows VALUES ({number})"))?)
}

fn host_rows<C: TestConnection>(db: &TestDb<C>) -> i64 {
    db.connect().number("SELECT COUNT(*) AS number FROM host_rows")
}

/// A rule of the host's own: nobody is called bob.
fn forbid_bob<C: TestConnection>(conn: &mut C) {
    let rule = match C::ENGINE {
        // SQLite cannot add a CHECK to a table, but can have a host's foreign key refer to nothing.
        Engine::Sqlite => {
            "CREATE TRIGGER no_bob BEFORE INSERT ON account_users WHEN NEW.username = 'bob' \
             BEGIN INSERT INTO required (name) VALUES (NULL); END; \
             CREATE TABLE required (name TEXT NOT NULL)"
        }
        _ => "ALTER TABLE account_users ADD CONSTRAINT no_bob CHECK (username <> 'bob')",
    };
    conn.batch_execute(rule).unwrap();
}
