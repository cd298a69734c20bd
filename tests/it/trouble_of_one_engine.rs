//! What goes wrong in one engine only.

#[cfg(feature = "sqlite")]
mod sqlite_only {
    use std::collections::BTreeSet;
    use std::thread;
    use std::time::Duration;

    use diesel::SqliteConnection;
    use diesel::connection::{InstrumentationEvent, SimpleConnection};

    use diesel::prelude::*;
    use diesel_accounts::{Accounts, Engine, Error, NewUser, migrations};

    use crate::support::{
        LoadNumber, PASSWORD, TestConnection, TestDb, alice, assert_matches, cheap_policy,
    };

    #[test]
    fn a_full_disk_is_told_and_nothing_is_half_written() {
        let db = TestDb::<SqliteConnection>::new();
        let mut conn = db.connect();
        // No page more than there are.
        conn.batch_execute("PRAGMA max_page_count = 1").unwrap();
        let mut created = 0;
        let error = loop {
            let name = format!("user{created}");
            let email = format!("{name}@{}example.org", "long.".repeat(30));
            let prepared = db.users.prepare(NewUser::new(name, email, PASSWORD)).unwrap();
            match db.users.on(&mut conn).create_user(&prepared) {
                Ok(creation) => created += i64::from(creation.is_created()),
                Err(error) => break error,
            }
        };
        assert_matches!(error, Error::NotCreated(_));
        assert_eq!(db.count(), created);
    }

    /// Each of its writes has to wait for less than the deadline, and all together for longer.
    #[test]
    fn a_sign_in_has_one_deadline() {
        const DEADLINE: Duration = Duration::from_millis(400);
        let db = TestDb::<SqliteConnection>::new();
        db.create(alice());
        let mut conn = db.connect();
        conn.batch_execute("PRAGMA busy_timeout = 0").unwrap();
        let url = db.url.clone();
        let mut met = BTreeSet::new();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            let InstrumentationEvent::StartQuery { query, .. } = event else { return };
            let query = query.to_string();
            let writes = ["INSERT", "UPDATE", "DELETE"].iter().any(|word| query.starts_with(word));
            if writes && met.insert(query) {
                let mut other = SqliteConnection::establish(&url).unwrap();
                other.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").unwrap();
                thread::spawn(move || {
                    thread::sleep(DEADLINE * 3 / 4);
                    other.batch_execute("ROLLBACK").unwrap();
                });
            }
        });
        let policy = cheap_policy().deadline(DEADLINE).build().unwrap();
        let mut accounts = Accounts::new(&policy, &mut conn);
        assert_matches!(accounts.begin_sign_in("alice"), Err(Error::Busy));
    }

    /// Servers keep ids of another length out.
    #[test]
    fn a_row_that_cannot_be_read_leaves_the_transaction_usable() {
        let db = TestDb::<SqliteConnection>::new();
        let id = db.create(alice()).id();
        let again = db.users.prepare(alice()).unwrap();
        let mut conn = db.connect();
        conn.batch_execute("UPDATE account_users SET id = x'00'").unwrap();
        conn.transaction::<_, Error, _>(|conn| {
            assert_matches!(db.users.on(conn).user_by_username("alice"), Err(Error::Database(_)));
            assert_matches!(db.users.on(conn).create_user(&again), Err(Error::Database(_)));
            diesel::sql_query("UPDATE account_users SET id = ?")
                .bind::<diesel::sql_types::Binary, _>(id.as_bytes().to_vec())
                .execute(conn)?;
            assert!(db.users.on(conn).user_by_username("alice")?.is_some());
            Ok(())
        })
        .unwrap();
        assert!(db.users.user_by_id(id).unwrap().is_some());
    }

    /// And not that there is no transaction to roll back any more.
    #[test]
    fn where_sqlite_has_rolled_back_itself_the_error_tells_why() {
        let why = |error: Error| {
            let failure = assert_matches!(error, Error::Database(failure) => failure);
            failure.diesel_error().to_string()
        };
        let db = TestDb::<SqliteConnection>::new();
        let id = db.create(alice()).id();
        db.connect()
            .batch_execute(
                "CREATE TRIGGER ends BEFORE UPDATE ON account_users \
                 BEGIN SELECT RAISE(ROLLBACK, 'this is why'); END",
            )
            .unwrap();
        let refused = db.users.on(&mut db.connect()).reserve_user(id);
        assert_eq!(why(refused.unwrap_err()), "this is why");
        assert!(db.users.user_by_id(id).unwrap().is_some());

        let db = TestDb::<SqliteConnection>::empty();
        let first = migrations(Engine::Sqlite)[0].sql();
        db.connect()
            .batch_execute(&format!(
                "{first} CREATE TRIGGER ends BEFORE INSERT ON account_migrations \
                 BEGIN SELECT RAISE(ROLLBACK, 'and this'); END"
            ))
            .unwrap();
        let refused = db.users.on(&mut db.connect()).migrate();
        assert_eq!(why(refused.unwrap_err()), "and this");
    }

    /// `FAIL` stops a statement, and keeps what it did before.
    #[test]
    fn a_row_that_a_trigger_refuses_and_keeps_is_created() {
        for in_transaction in [false, true] {
            for trigger in FAILING_TRIGGERS {
                let db = TestDb::<SqliteConnection>::new();
                let mut conn = db.connect();
                add_trigger(&mut conn, "INSERT", trigger);
                let alice = db.users.prepare(alice()).unwrap();
                let created = match in_transaction {
                    false => db.users.create_prepared_user(&alice),
                    true => conn.transaction(|conn| db.users.on(conn).create_user(&alice)),
                };
                match created {
                    Ok(creation) => {
                        assert!(creation.is_created(), "{trigger}: {creation:?}");
                        assert_eq!(db.count(), 1);
                    }
                    // Its error is none of a constraint.
                    Err(Error::HostMustRollBack(Some(_))) => {
                        assert!(in_transaction && trigger.contains("RAISE"), "{trigger}");
                        assert_eq!(db.count(), 0);
                    }
                    Err(other) => panic!("{trigger}: {other:?}"),
                }
            }
        }
    }

    /// What is undone is not created, whoever has a trigger.
    #[test]
    fn a_row_that_a_trigger_refuses_is_not_created() {
        for in_transaction in [false, true] {
            let db = TestDb::<SqliteConnection>::new();
            let mut conn = db.connect();
            add_trigger(&mut conn, "INSERT", "INSERT INTO audit VALUES (NULL, 1, 1)");
            let alice = db.users.prepare(alice()).unwrap();
            let refused = match in_transaction {
                false => db.users.create_prepared_user(&alice),
                true => conn.transaction(|conn| {
                    let refused = db.users.on(conn).create_user(&alice);
                    assert_matches!(refused, Err(Error::NotCreated(_)));
                    conn.batch_execute("INSERT INTO audit VALUES (1, 1, 1)")?;
                    refused
                }),
            };
            assert_matches!(refused, Err(Error::NotCreated(_)));
            assert_eq!(db.count(), 0);
        }
    }

    /// Nobody can be found who is in the way.
    #[test]
    fn a_duplicate_of_a_row_of_the_hosts_is_a_hidden_conflict() {
        let db = TestDb::<SqliteConnection>::new();
        let mut conn = db.connect();
        add_trigger(&mut conn, "INSERT", "INSERT INTO audit VALUES (1, 1, 1)");
        conn.batch_execute("CREATE UNIQUE INDEX one ON audit (strict)").unwrap();
        db.create(alice());
        let bob = NewUser::new("bob", "bob@example.org", PASSWORD);
        assert_matches!(db.users.create_user(bob), Err(Error::HiddenConflict));
        assert_eq!(db.count(), 1);
    }

    #[test]
    fn a_change_that_a_trigger_refuses_and_keeps_means_to_roll_back() {
        for trigger in FAILING_TRIGGERS {
            let db = TestDb::<SqliteConnection>::new();
            let id = db.create(alice()).id();
            let mut conn = db.connect();
            add_trigger(&mut conn, "UPDATE", trigger);
            let disabled = conn.transaction(|conn| db.users.on(conn).disable_user(id));
            assert_matches!(disabled, Err(Error::HostMustRollBack(Some(_))));
            assert!(db.users.user_by_id(id).unwrap().unwrap().is_active(), "{trigger}");
        }
    }

    const FAILING_TRIGGERS: [&str; 3] = [
        "SELECT RAISE(FAIL, 'no')",
        "INSERT INTO audit VALUES (1, NULL, 2)",
        "INSERT INTO audit VALUES (1, 2, 7)",
    ];

    /// To accounts, and a table with some constraints in which there is something.
    fn add_trigger(conn: &mut SqliteConnection, event: &str, body: &str) {
        conn.batch_execute(&format!(
            "CREATE TABLE audit (strict NOT NULL, kept NOT NULL ON CONFLICT FAIL, \
                                 sole UNIQUE ON CONFLICT FAIL); \
             INSERT INTO audit VALUES (0, 0, 7); \
             CREATE TRIGGER audits AFTER {event} ON account_users BEGIN {body}; END"
        ))
        .unwrap();
    }

    /// With RETURNING, SQLite gives out a row before the commit fails.
    #[test]
    fn a_commit_that_an_open_reader_prevents_is_not_created() {
        let url = SqliteConnection::fresh_database();
        let connect = || SqliteConnection::establish(&url).unwrap();
        let policy = cheap_policy().deadline(Duration::from_millis(200)).build().unwrap();
        // As Diesel opens it: with a rollback journal, and without a time-out.
        let (mut conn, mut reader) = (connect(), connect());
        Accounts::new(&policy, &mut conn).migrate().unwrap();
        let prepared = policy.prepare(alice()).unwrap();
        reader
            .transaction::<_, Error, _>(|reader| {
                reader.number("SELECT COUNT(*) AS number FROM account_users");
                let answer = Accounts::new(&policy, &mut conn).create_user(&prepared);
                assert_matches!(answer, Err(Error::Busy));
                Ok(())
            })
            .unwrap();
        assert_eq!(connect().number("SELECT COUNT(*) AS number FROM account_users"), 0);
        assert!(Accounts::new(&policy, &mut conn).create_user(&prepared).unwrap().is_created());
        SqliteConnection::drop_database(&url);
    }
}

#[cfg(feature = "mysql")]
mod mysql_only {
    use diesel::MysqlConnection;
    use diesel::connection::SimpleConnection;

    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use diesel::prelude::*;
    use diesel_accounts::{Accounts, Creation, Error};

    use crate::support::{
        LoadNumber, TestDb, alice, assert_matches, before_statement, begin_commit, bob,
        cheap_policy, impatient,
    };

    /// At READ UNCOMMITTED the row of the very id can be seen, which somebody else inserts in vain.
    #[test]
    fn a_row_that_is_never_committed_is_in_nobodys_way() {
        let db = TestDb::<MysqlConnection>::new();
        let id = db.create(alice()).id();
        let again = db.users.prepare(alice()).unwrap();
        let other = db.users.prepare(bob().with_id(again.id())).unwrap();
        let (mut conn, mut holder) = (db.connect(), db.connect());
        let users = db.users.clone();
        let ((inserted, has_inserted), (started, has_started)) = (channel(), channel());
        let creation = begin_commit(&mut conn, "READ UNCOMMITTED", |conn| {
            before_statement(conn, "SELECT", move || {
                let holder = thread::spawn(move || {
                    holder.transaction::<(), Error, _>(|holder| {
                        assert!(users.on(holder).create_user(&other)?.is_created());
                        inserted.send(()).unwrap();
                        // The host waits, or does not.
                        thread::sleep(Duration::from_millis(300));
                        Err(Error::from(diesel::result::Error::RollbackTransaction))
                    })
                });
                has_inserted.recv().unwrap();
                started.send(holder).unwrap();
            });
            db.users.on(conn).create_user(&again)
        });
        let existing = assert_matches!(creation, Ok(Creation::Existing(existing)) => existing);
        assert_eq!(existing.user_id(), id);
        let rolled_back = has_started.recv().unwrap().join().unwrap();
        assert_matches!(rolled_back, Err(Error::Database(_)));
    }

    #[test]
    fn the_language_of_the_server_changes_no_answer() {
        let db = TestDb::<MysqlConnection>::new();
        db.create(alice());
        let mut conn = db.connect();
        conn.batch_execute("SET lc_messages = 'de_DE'").unwrap();
        let prepared = db.users.prepare(alice()).unwrap();
        assert!(!db.users.on(&mut conn).create_user(&prepared).unwrap().is_created());
        impatient(&mut conn);
        let policy = cheap_policy().deadline(Duration::from_millis(300)).build().unwrap();
        let (mut holder, held) = (db.connect(), db.users.prepare(bob()).unwrap());
        holder
            .transaction::<_, Error, _>(|holder| {
                let _ = db.users.on(holder).create_user(&held)?;
                let waiting = policy.prepare(bob()).unwrap();
                let answer = Accounts::new(&policy, &mut conn).create_user(&waiting);
                assert_matches!(answer, Err(Error::Busy));
                Ok(())
            })
            .unwrap();
        conn.batch_execute("DROP TABLE account_users").unwrap();
        assert_matches!(db.users.on(&mut conn).create_user(&prepared), Err(Error::NotCreated(_)));
    }

    /// It would be taken for that of a later error of which the server knows nothing.
    #[test]
    fn the_number_of_an_error_does_not_stay_in_the_session() {
        let db = TestDb::<MysqlConnection>::new();
        let prepared = db.users.prepare(alice()).unwrap();
        let mut conn = db.connect();
        conn.batch_execute("DROP TABLE account_users").unwrap();
        assert_matches!(db.users.on(&mut conn).create_user(&prepared), Err(Error::NotCreated(_)));
        let left = "SELECT CAST(@diesel_accounts_errno IS NOT NULL AS SIGNED) AS number";
        assert_eq!(conn.number(left), 0);
    }
}

#[cfg(feature = "postgres")]
mod postgres_only {
    use std::thread;

    use diesel::PgConnection;
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel_accounts::Error;

    use crate::support::{LoadNumber, QueryLog, TestDb, alice, assert_matches, wait_until};

    /// It says why, and it may be the next statement that finds it gone: Diesel's rollback, whose
    /// error the host would hear.
    #[test]
    fn a_session_that_is_ended_in_the_middle_of_a_look_up_means_to_roll_back() {
        let db = TestDb::<PgConnection>::new();
        let id = db.create(alice()).id();
        let (mut holder, mut conn) = (db.connect(), db.connect());
        holder.batch_execute("BEGIN; LOCK TABLE account_users").unwrap();
        let session = conn.number("SELECT pg_backend_pid()::bigint AS number");
        let answer = thread::scope(|scope| {
            let look_up =
                || conn.transaction::<_, Error, _>(|conn| db.users.on(conn).user_by_id(id));
            let look_up = scope.spawn(look_up);
            let waits = format!(
                "SELECT COUNT(*) AS number FROM pg_locks WHERE NOT granted AND pid = {session}"
            );
            wait_until(|| holder.number(&waits) == 1);
            let end = format!("SELECT pg_terminate_backend({session})::int::bigint AS number");
            assert_eq!(holder.number(&end), 1);
            look_up.join().unwrap()
        });
        assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
    }

    /// It may be a deadlock, or a time-out: of what Diesel has no name for, only an English text tells.
    #[test]
    fn a_change_that_is_refused_in_an_unknown_language_is_tried_a_few_times() {
        let db = TestDb::<PgConnection>::new();
        let id = db.create(alice()).id();
        // A sequence goes on, whatever is rolled back.
        db.connect()
            .batch_execute(
                "CREATE SEQUENCE refusals; \
                 CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN IF nextval(''refusals'') IN (1, 2, 3, 5, 6) THEN RAISE EXCEPTION ''Verklemmung entdeckt''; \
                  END IF; RETURN NEW; END'; \
                 CREATE TRIGGER refuse BEFORE UPDATE ON account_users \
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
            )
            .unwrap();
        let mut conn = db.connect();
        let log = QueryLog::of(&mut conn);
        let updates =
            |sent: &[String]| sent.iter().filter(|sent| sent.starts_with("UPDATE")).count();
        assert_matches!(db.users.on(&mut conn).disable_user(id), Err(Error::Database(_)));
        let sent = log.take();
        // After each, whether the session was ended.
        assert_eq!((updates(&sent), sent.len()), (3, 6), "{sent:#?}");
        db.users.on(&mut conn).disable_user(id).unwrap();
        assert_eq!(log.take().len(), 1);
        // The third time it is done, wholly.
        db.users.on(&mut conn).set_unusable_password(id).unwrap();
        let sent = log.take();
        assert_eq!(updates(&sent), 3, "{sent:#?}");
        let user = db.users.user_by_id(id).unwrap().unwrap();
        assert!(!user.is_active());
        assert_eq!(user.session_generation(), 2);
    }
}
