//! Transactions in transactions: what the host hears when all of them are over.

use diesel::result::Error::BrokenTransactionManager;
use diesel_accounts::{Engine, Error, Result};

use crate::support::{TestConnection, TestDb, alice, assert_matches, bob, on_each_engine};

on_each_engine!(
    a_host_hears_that_it_must_roll_back_however_deep_it_is,
    a_host_that_goes_on_all_the_same_is_told_or_can_begin_anew,
);

/// The depths at which a host calls.
const DEPTHS: [u32; 3] = [1, 2, 3];

fn a_host_hears_that_it_must_roll_back_however_deep_it_is<C: TestConnection>(_: TestDb<C>) {
    for depth in DEPTHS {
        // Beside what was deleted before, MariaDB would lock more than a row.
        let db = TestDb::<C>::new();
        let mut conn = with_host_rows(&db);
        let (alice, bob) = (db.users.prepare(alice()).unwrap(), db.users.prepare(bob()).unwrap());
        let outcome = nested(&mut conn, depth, &mut |conn| {
            insert_host_row(conn)?;
            assert!(db.users.on(conn).create_user(&alice)?.is_created());
            end_transaction_at(&db, conn, "bob");
            db.users.on(conn).create_user(&bob).map(drop)
        });
        assert_matches!(outcome, Err(Error::HostMustRollBack(Some(_))));
        assert_eq!(host_rows(&db), 0, "depth {depth}");
        assert!(db.users.user_by_username("alice").unwrap().is_none(), "depth {depth}");
        clean_up(&db, &mut conn);
        // The second run is on the same connection, but for SQLite, where Diesel could not end it.
        let again = nested(&mut conn, depth, &mut |conn| {
            insert_host_row(conn)?;
            db.users.on(conn).create_user(&alice).map(drop)
        });
        match C::ENGINE {
            Engine::Sqlite => assert_matches!(again, Err(Error::Database(_))),
            _ => {
                again.unwrap();
                assert_eq!((host_rows(&db), db.count()), (1, 1));
            }
        }
    }
}

/// It takes the error of the inner transaction for the end of that one alone.
fn a_host_that_goes_on_all_the_same_is_told_or_can_begin_anew<C: TestConnection>(db: TestDb<C>) {
    let mut conn = with_host_rows(&db);
    let bob = db.users.prepare(bob()).unwrap();
    let outcome = conn.transaction::<_, Error, _>(|conn| {
        insert_host_row(conn)?;
        let inner = conn.transaction(|conn| {
            end_transaction_at(&db, conn, "bob");
            db.users.on(conn).create_user(&bob)
        });
        assert_matches!(inner, Err(Error::HostMustRollBack(Some(_))));
        Ok(())
    });
    match (C::ENGINE, outcome) {
        // It lost its row, and hears so.
        (Engine::Sqlite, Err(Error::Database(failure))) => {
            assert_matches!(failure.diesel_error(), BrokenTransactionManager);
            assert_eq!(host_rows(&db), 0);
        }
        // The inner one was a savepoint that could be rolled back.
        (Engine::Postgres, Ok(())) => assert_eq!(host_rows(&db), 1),
        // MariaDB commits what there is, which is nothing: hence "must".
        (Engine::Mysql, Ok(())) => {
            assert_eq!(host_rows(&db), 0);
            clean_up(&db, &mut conn);
            conn.transaction(|conn| insert_host_row(conn)).unwrap();
            assert_eq!(host_rows(&db), 1);
        }
        (_, outcome) => panic!("{outcome:?}"),
    }
}

/// So many transactions in one another.
fn nested<C: TestConnection>(
    conn: &mut C,
    depth: u32,
    act: &mut dyn FnMut(&mut C) -> Result<()>,
) -> Result<()> {
    conn.transaction(|conn| match depth {
        1 => act(conn),
        _ => nested(conn, depth - 1, act),
    })
}

/// Sees to it that the creation of somebody ends the transaction on the server, by an error that
/// Diesel does not know to do so.
fn end_transaction_at<C: TestConnection>(db: &TestDb<C>, conn: &mut C, username: &str) {
    match C::ENGINE {
        Engine::Sqlite => conn.batch_execute(&format!(
            "CREATE TEMP TRIGGER ends BEFORE INSERT ON main.account_users \
             WHEN NEW.username = '{username}' BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
        )),
        // It spoils the innermost transaction only.
        Engine::Postgres => conn.batch_execute(&format!(
            "CREATE FUNCTION pg_temp.ends() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER ends BEFORE INSERT ON account_users FOR EACH ROW \
             WHEN (NEW.username = '{username}') EXECUTE FUNCTION pg_temp.ends()"
        )),
        // The snapshot is there already, and is older than this row, which the look-up locks.
        _ => {
            db.create(bob());
            Ok(())
        }
    }
    .unwrap();
}

fn clean_up<C: TestConnection>(db: &TestDb<C>, conn: &mut C) {
    match C::ENGINE {
        Engine::Sqlite => conn.batch_execute("DROP TRIGGER IF EXISTS ends").unwrap(),
        Engine::Mysql => {
            let bob = db.users.user_by_username("bob").unwrap().unwrap();
            db.users.delete_user(bob.id()).unwrap();
        }
        _ => {}
    }
}

/// A connection that ends its transactions at a row which is newer than its snapshot.
fn with_host_rows<C: TestConnection>(db: &TestDb<C>) -> C {
    let mut conn = db.connect();
    if C::ENGINE == Engine::Mysql {
        conn.batch_execute("SET SESSION innodb_snapshot_isolation = ON").unwrap();
    }
    conn.batch_execute("CREATE TABLE host_rows (number INT)").unwrap();
    conn
}

/// And takes the snapshot.
fn insert_host_row<C: TestConnection>(conn: &mut C) -> Result<()> {
    conn.batch_execute("INSERT INTO host_rows VALUES (1)")?;
    conn.number("SELECT COUNT(*) AS number FROM account_users");
    Ok(())
}

fn host_rows<C: TestConnection>(db: &TestDb<C>) -> i64 {
    db.connect().number("SELECT COUNT(*) AS number FROM host_rows")
}

#[cfg(feature = "sqlite")]
mod sqlite_only {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    use diesel_accounts::ImportUser;

    use super::*;

    /// A constraint of the host's that says `OR ROLLBACK` is none like the others.
    #[test]
    fn a_constraint_that_ends_the_transaction_means_to_roll_back() {
        for (constraint, there) in
            [("CHECK (name <> 'bob')", "ann"), ("UNIQUE ON CONFLICT ROLLBACK", "bob")]
        {
            let db = TestDb::<SqliteConnection>::new();
            let bob = db.users.prepare(bob()).unwrap();
            with_host_rows(&db)
                .batch_execute(&format!(
                    "CREATE TABLE audit (name TEXT {constraint}); \
                     INSERT INTO audit VALUES ('{there}'); \
                     CREATE TRIGGER audits AFTER INSERT ON account_users \
                     BEGIN INSERT OR ROLLBACK INTO audit VALUES (NEW.username); END"
                ))
                .unwrap();
            for depth in DEPTHS {
                let outcome = nested(&mut db.connect(), depth, &mut |conn| {
                    insert_host_row(conn)?;
                    db.users.on(conn).create_user(&bob).map(drop)
                });
                assert_matches!(outcome, Err(Error::HostMustRollBack(Some(_))));
                assert_eq!((host_rows(&db), db.count()), (0, 0), "{constraint} {depth}");
            }
        }
    }

    /// It would be committed on its own.
    #[test]
    fn nothing_is_imported_where_the_transaction_is_known_to_be_over() {
        let db = TestDb::<SqliteConnection>::new();
        let mut conn = db.connect();
        let bob = db.users.prepare(bob()).unwrap();
        let carol = ImportUser::new().username("carol").email("carol@example.org");
        let carol = db.users.policy().prepare_import(&carol).unwrap().unwrap();
        let outcome = conn.transaction::<_, Error, _>(|conn| {
            end_transaction_at(&db, conn, "bob");
            let over = db.users.on(conn).create_user(&bob);
            assert_matches!(over, Err(Error::HostMustRollBack(Some(_))));
            db.users.on(conn).import_users(&[carol])
        });
        assert_matches!(outcome, Err(Error::HostMustRollBack(Some(_))));
        assert_eq!(db.count(), 0);
    }
}
