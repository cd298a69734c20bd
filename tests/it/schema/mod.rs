//! Making the tables, and telling what is wrong with them.

use std::sync::Barrier;
use std::time::Duration;

use diesel_accounts::{
    Engine, Error, Finding, Identifiers, SchemaFailure, SchemaProblem, SchemaReport, migrations,
};

use crate::support::{
    QueryLog, TestConnection, TestDb, alice, assert_matches, bob, cheap_policy, on_each_engine,
    on_each_server,
};

#[cfg(feature = "mysql")]
mod mysql_only;
#[cfg(feature = "postgres")]
mod postgres_only;
#[cfg(feature = "sqlite")]
mod sqlite_only;

on_each_engine!(
    a_migrated_database_has_no_finding,
    migrating_again_changes_nothing,
    instances_that_start_at_once_all_migrate,
    the_ledger_of_the_hosts_own_migrations_is_left_alone,
    a_foreign_table_under_our_name_is_refused_and_left_untouched,
    a_foreign_ledger_under_our_name_is_refused_and_left_untouched,
    a_foreign_ledger_with_versions_of_its_own_is_refused,
    migrating_inside_a_transaction_is_refused_and_leaves_it_to_the_host,
    migrating_in_a_transaction_of_plain_sql_is_refused_and_leaves_it_to_the_host,
    checking_in_a_transaction_harms_nothing_or_says_to_roll_back,
    a_migration_that_others_keep_waiting_is_busy_at_the_deadline,
    the_exported_migrations_make_the_same_schema,
    every_earlier_schema_is_brought_up_to_date_with_its_accounts,
    a_foreign_table_under_the_name_of_a_later_one_is_refused,
    a_newer_schema_is_a_warning_and_is_left_as_it_is,
    a_schema_that_is_not_in_the_ledger_is_older,
    an_empty_database_misses_the_table,
    keys_of_another_version_are_found,
    a_column_of_a_type_that_cannot_be_read_is_found,
    an_id_of_another_type_is_found,
    a_column_of_the_hosts_that_must_have_a_value_is_found,
    a_key_that_must_have_a_value_is_found_if_accounts_may_lack_it,
    another_unique_index_is_found,
);

on_each_server!(
    a_migration_of_a_table_in_use_is_busy_at_the_deadline,
    a_migration_whose_ledger_is_in_use_is_busy_at_the_deadline,
    each_step_of_a_migration_waits_for_what_is_left_of_the_time,
);

/// One that Diesel knows nothing of: it would be committed, or lost.
fn migrating_in_a_transaction_of_plain_sql_is_refused_and_leaves_it_to_the_host<
    C: TestConnection,
>(
    _: TestDb<C>,
) {
    let begins: &[&str] = match C::ENGINE {
        Engine::Mysql => &["SET SESSION autocommit = 0", "BEGIN"],
        Engine::Postgres => &["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"],
        _ => &["BEGIN", "BEGIN IMMEDIATE"],
    };
    for begin in begins {
        let db = TestDb::<C>::empty();
        let mut conn = db.connect();
        conn.batch_execute("CREATE TABLE host (name VARCHAR(20))").unwrap();
        conn.batch_execute(begin).unwrap();
        conn.batch_execute("INSERT INTO host VALUES ('x')").unwrap();
        assert_matches!(db.users.on(&mut conn).migrate(), Err(Error::TransactionOpen));
        assert_eq!(conn.number("SELECT COUNT(*) AS number FROM host"), 1, "{begin}");
        conn.batch_execute("ROLLBACK").unwrap();
        assert_eq!(conn.number("SELECT COUNT(*) AS number FROM host"), 0, "{begin}");
        // With autocommit off the reading began another one.
        if C::ENGINE == Engine::Mysql {
            conn.batch_execute("COMMIT").unwrap();
        }
        for _ in 0..2 {
            db.users.on(&mut conn).migrate().unwrap();
        }
        assert_sound(&db.users.check().unwrap());
    }
}

fn checking_in_a_transaction_harms_nothing_or_says_to_roll_back<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    conn.transaction::<_, Error, _>(|conn| {
        assert_sound(&db.users.on(conn).check()?);
        Ok(())
    })
    .unwrap();
    // A ledger that is there, and fails whoever reads it.
    let (fails, text) = match C::ENGINE {
        Engine::Postgres => ("1 / (random() * 0)::int", "text"),
        Engine::Mysql => ("(SELECT 1 UNION SELECT 2)", "CHAR"),
        _ => ("abs(-9223372036854775807 - 1)", "TEXT"),
    };
    db.connect()
        .batch_execute(&format!(
            "ALTER TABLE account_migrations RENAME TO ledger; \
             CREATE VIEW account_migrations AS SELECT {fails} AS version, \
                 CAST('account_users' AS {text}) AS name, compatible_from, applied_at FROM ledger"
        ))
        .unwrap();
    let failed = conn.transaction(|conn| db.users.on(conn).check());
    assert_matches!(failed, Err(Error::HostMustRollBack(Some(_))));
}

fn a_migrated_database_has_no_finding<C: TestConnection>(db: TestDb<C>) {
    assert_sound(&db.users.check().unwrap());
    db.create(alice());
    assert_sound(&db.users.check().unwrap());
}

fn migrating_again_changes_nothing<C: TestConnection>(db: TestDb<C>) {
    let user = db.create(alice());
    for _ in 0..3 {
        db.users.migrate().unwrap();
    }
    assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user));
    assert_eq!(ledger_entries(&db), versions::<C>());
    assert_sound(&db.users.check().unwrap());
}

fn instances_that_start_at_once_all_migrate<C: TestConnection>(_: TestDb<C>) {
    const INSTANCES: usize = 8;
    for _ in 0..5 {
        let db = TestDb::<C>::empty();
        let instances: Vec<_> = (0..INSTANCES).map(|_| db.users_with_pool_of(1)).collect();
        let start = Barrier::new(INSTANCES);
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = instances
                .iter()
                .map(|users| {
                    scope.spawn(|| {
                        start.wait();
                        users.migrate()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(ledger_entries(&db), versions::<C>());
        assert_sound(&db.users.check().unwrap());
    }
}

fn the_ledger_of_the_hosts_own_migrations_is_left_alone<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let ledger = "CREATE TABLE __diesel_schema_migrations \
                  (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL); \
                  INSERT INTO __diesel_schema_migrations VALUES ('2026', '2026-01-02 03:04:05')";
    db.connect().batch_execute(ledger).unwrap();
    db.users.migrate().unwrap();
    db.users.migrate().unwrap();
    for (condition, expected) in
        [("version = '2026' AND run_on = '2026-01-02 03:04:05'", 1), ("1 = 1", 1)]
    {
        let count =
            format!("SELECT COUNT(*) AS number FROM __diesel_schema_migrations WHERE {condition}");
        assert_eq!(db.connect().number(&count), expected, "{condition}");
    }
    assert_sound(&db.users.check().unwrap());
}

fn a_foreign_table_under_our_name_is_refused_and_left_untouched<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let mut conn = db.connect();
    conn.batch_execute(
        "CREATE TABLE account_users (name VARCHAR(20)); INSERT INTO account_users VALUES ('x')",
    )
    .unwrap();
    for _ in 0..2 {
        assert_matches!(db.users.migrate(), Err(Error::Schema(SchemaFailure::ForeignTable)));
    }
    let untouched = "SELECT COUNT(*) AS number FROM account_users WHERE name = 'x'";
    assert_eq!(conn.number(untouched), 1);
    assert!(!has_table(&db, "account_migrations"));
    assert!(!db.users.check().unwrap().is_sound());
}

fn a_foreign_ledger_under_our_name_is_refused_and_left_untouched<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let mut conn = db.connect();
    conn.batch_execute(
        "CREATE TABLE account_migrations (note VARCHAR(20)); \
         INSERT INTO account_migrations VALUES ('x')",
    )
    .unwrap();
    assert_matches!(db.users.migrate(), Err(Error::Schema(SchemaFailure::ForeignTable)));
    let untouched = "SELECT COUNT(*) AS number FROM account_migrations WHERE note = 'x'";
    assert_eq!(conn.number(untouched), 1);
    assert!(!has_table(&db, "account_users"));
}

/// Such as that of a program that moves accounts from one bank to another.
fn a_foreign_ledger_with_versions_of_its_own_is_refused<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    db.connect()
        .batch_execute(
            "CREATE TABLE account_migrations (version INTEGER NOT NULL, bank VARCHAR(20)); \
             INSERT INTO account_migrations VALUES (20260102, 'x')",
        )
        .unwrap();
    assert_matches!(db.users.migrate(), Err(Error::Schema(SchemaFailure::ForeignTable)));
}

fn migrating_inside_a_transaction_is_refused_and_leaves_it_to_the_host<C: TestConnection>(
    _: TestDb<C>,
) {
    let db = TestDb::<C>::empty();
    let mut conn = db.connect();
    conn.batch_execute("CREATE TABLE host (name VARCHAR(20))").unwrap();
    let mut insert_and_migrate = |name: &str, commit: bool| {
        conn.transaction(|conn| {
            conn.batch_execute(&format!("INSERT INTO host VALUES ('{name}')"))?;
            let refused = db.users.on(conn).migrate();
            assert_matches!(refused, Err(Error::TransactionOpen));
            match commit {
                true => Ok(()),
                false => Err(diesel::result::Error::RollbackTransaction),
            }
        })
    };
    insert_and_migrate("kept", true).unwrap();
    insert_and_migrate("dropped", false).unwrap_err();
    for (name, rows) in [("kept", 1), ("dropped", 0)] {
        let count = format!("SELECT COUNT(*) AS number FROM host WHERE name = '{name}'");
        assert_eq!(db.connect().number(&count), rows, "{name}");
    }
    assert!(!has_table(&db, "account_users"));
    db.users.on(&mut conn).migrate().unwrap();
}

fn a_migration_that_others_keep_waiting_is_busy_at_the_deadline<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let users = db.users_with(cheap_policy().deadline(Duration::from_millis(300)));
    let mut other = db.connect();
    let mut conn = db.connect();
    match C::ENGINE {
        Engine::Mysql => {
            let lock = "SELECT GET_LOCK(CONCAT('diesel-accounts ', MD5(DATABASE())), 0) AS number";
            assert_eq!(other.number(lock), 1);
        }
        // "accounts" in ASCII.
        Engine::Postgres => {
            other.batch_execute("SELECT pg_advisory_lock(x'6163636f756e7473'::bigint)").unwrap()
        }
        _ => {
            conn.batch_execute("PRAGMA busy_timeout = 50").unwrap();
            other.batch_execute("BEGIN IMMEDIATE").unwrap();
        }
    }
    assert_matches!(users.on(&mut conn).migrate(), Err(Error::Busy));
    drop(other);
    assert!(!has_table(&db, "account_users"));
    db.users.on(&mut conn).migrate().unwrap();
}

/// As by a report that reads for hours in one transaction: whoever waits for it keeps others waiting.
fn a_migration_of_a_table_in_use_is_busy_at_the_deadline<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let mut conn = db.connect();
    conn.batch_execute(migrations(C::ENGINE)[0].sql()).unwrap();
    let mut reader = db.connect();
    reader.begin("READ COMMITTED").unwrap();
    assert_eq!(reader.number("SELECT COUNT(*) AS number FROM account_users"), 0);
    let patience = |conn: &mut C| {
        conn.number(match C::ENGINE {
            Engine::Mysql => "SELECT CAST(@@lock_wait_timeout AS SIGNED) AS number",
            _ => "SELECT setting::bigint AS number FROM pg_settings WHERE name = 'lock_timeout'",
        })
    };
    let before = patience(&mut conn);
    let users = db.users_with(cheap_policy().deadline(Duration::from_millis(300)));
    assert_matches!(users.on(&mut conn).migrate(), Err(Error::Busy));
    assert_eq!(patience(&mut conn), before);
    reader.batch_execute("ROLLBACK").unwrap();
    // By another, for the lock of migrations was let go.
    db.users.migrate().unwrap();
    assert_sound(&db.users.check().unwrap());
}

fn a_migration_whose_ledger_is_in_use_is_busy_at_the_deadline<C: TestConnection>(db: TestDb<C>) {
    let mut holder = db.connect();
    holder
        .batch_execute(match C::ENGINE {
            Engine::Mysql => "LOCK TABLES account_migrations WRITE",
            _ => "BEGIN; LOCK TABLE account_migrations IN ACCESS EXCLUSIVE MODE",
        })
        .unwrap();
    let users = db.users_with(cheap_policy().deadline(Duration::from_millis(300)));
    assert_matches!(users.on(&mut db.connect()).migrate(), Err(Error::Busy));
    drop(holder);
    db.users.migrate().unwrap();
}

/// Not each of them for all of it.
fn each_step_of_a_migration_waits_for_what_is_left_of_the_time<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let users = db.users_with(cheap_policy().deadline(Duration::from_secs(3_000)));
    users.on(&mut conn).migrate().unwrap();
    let entries = log.take_all();
    let first = entries.iter().position(|entry| entry.contains("account_migrations")).unwrap();
    let mut least = 3_000_000;
    let mut limits = 0;
    for pair in entries[first..].windows(2) {
        if pair[1].starts_with("CREATE") || pair[1].starts_with("INSERT") {
            let limit = pair[0].rsplit_once("_timeout = ");
            let limit: i64 = limit.expect(&pair[0]).1.parse().unwrap();
            assert!(limit <= least, "{limit} is more than {least}");
            least = limit;
            limits += 1;
        }
    }
    assert!(limits >= 4, "{entries:#?}");
}

fn the_exported_migrations_make_the_same_schema<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    for migration in migrations(C::ENGINE) {
        db.connect().batch_execute(migration.sql()).unwrap();
    }
    assert_sound(&db.users.check().unwrap());
    let user = db.create(alice());
    db.users.migrate().unwrap();
    assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user));
    assert_eq!(ledger_entries(&db), versions::<C>());
    assert_sound(&db.users.check().unwrap());
}

/// And the version before goes on working on the new schema: it knows none of the new columns.
fn every_earlier_schema_is_brought_up_to_date_with_its_accounts<C: TestConnection>(_: TestDb<C>) {
    let all = migrations(C::ENGINE);
    let id = match C::ENGINE {
        Engine::Postgres => "'00000000-0000-0000-0000-00000000000N'",
        _ => "X'0000000000000000000000000000000N'",
    };
    let insert = |number: &str| {
        format!(
            "INSERT INTO account_users (id, realm, username, username_key, state, created_at, \
                 updated_at) \
             VALUES ({}, {}, 'person{number}', 'person{number}', 0, 1, 1)",
            id.replace('N', number),
            id.replace('N', "0"),
        )
    };
    for version in 1..all.len() {
        let db = TestDb::<C>::empty();
        let mut conn = db.connect();
        for migration in &all[..version] {
            conn.batch_execute(migration.sql()).unwrap();
        }
        conn.batch_execute(&insert("1")).unwrap();
        let older = (SchemaProblem::SchemaOlder, "account_migrations");
        assert!(problems(&db.users.check().unwrap()).contains(&older));
        db.users.migrate().unwrap();
        assert_sound(&db.users.check().unwrap());
        conn.batch_execute(&insert("2")).unwrap();
        for name in ["person1", "person2"] {
            let found = db.users.user_by_username(name).unwrap().unwrap();
            assert!(found.is_active() && !found.must_change_password());
        }
    }
}

fn a_foreign_table_under_the_name_of_a_later_one_is_refused<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let mut conn = db.connect();
    conn.batch_execute(migrations(C::ENGINE)[0].sql()).unwrap();
    conn.batch_execute("CREATE TABLE account_attempts (name VARCHAR(20))").unwrap();
    let refused = db.users.migrate();
    assert_matches!(refused, Err(Error::Schema(SchemaFailure::ForeignTable)));
    assert_eq!(ledger_entries(&db), 1);
}

fn a_newer_schema_is_a_warning_and_is_left_as_it_is<C: TestConnection>(db: TestDb<C>) {
    db.connect()
        .batch_execute(
            "INSERT INTO account_migrations VALUES (1000, 'later', 1, 0); \
             ALTER TABLE account_users ADD COLUMN later INTEGER",
        )
        .unwrap();
    db.users.migrate().unwrap();
    let report = db.users.check().unwrap();
    assert_eq!(problems(&report), [(SchemaProblem::SchemaNewer, "account_migrations")]);
    assert!(report.is_sound() && report.findings().iter().all(Finding::is_warning));
    assert_eq!(ledger_entries(&db), versions::<C>() + 1);
    db.create(alice());
}

fn a_schema_that_is_not_in_the_ledger_is_older<C: TestConnection>(db: TestDb<C>) {
    for damage in ["DELETE FROM account_migrations", "DROP TABLE account_migrations"] {
        db.connect().batch_execute(damage).unwrap();
        let report = db.users.check().unwrap();
        assert_eq!(problems(&report), [(SchemaProblem::SchemaOlder, "account_migrations")]);
        assert!(!report.is_sound(), "{damage}");
    }
}

fn an_empty_database_misses_the_table<C: TestConnection>(_: TestDb<C>) {
    let report = TestDb::<C>::empty().users.check().unwrap();
    assert_eq!(problems(&report), [(SchemaProblem::MissingTable, "account_users")]);
    assert!(!report.is_sound());
    assert_eq!(report.to_string(), "problem: account_users: is missing\n");
}

fn keys_of_another_version_are_found<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let id = db.create(bob()).id();
    for column in ["username_key_version", "email_key_version"] {
        let set = |version: i16| {
            let update =
                format!("UPDATE account_users SET {column} = {version} WHERE username = 'bob'");
            db.connect().batch_execute(&update).unwrap();
            db.users.check().unwrap()
        };
        let report = set(2);
        assert_eq!(
            problems(&report),
            [(SchemaProblem::MixedKeyVersions, "account_users")],
            "{column}"
        );
        assert!(!report.is_sound());
        assert_sound(&set(1));
    }
    assert!(db.users.user_by_id(id).unwrap().is_some());
}

fn a_column_of_a_type_that_cannot_be_read_is_found<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let sql = changed_schema::<C>(match C::ENGINE {
        Engine::Mysql => ("created_at BIGINT", "created_at DATETIME(6)"),
        Engine::Postgres => ("created_at bigint", "created_at timestamptz"),
        _ => ("created_at INTEGER", "created_at BLOB"),
    });
    db.connect().batch_execute(&sql).unwrap();
    let report = db.users.check().unwrap();
    // Whatever is told, it must not be that all is well: nobody can be created here.
    assert_matches!(db.users.create_user(alice()), Err(_));
    assert_eq!(problems(&report), [(SchemaProblem::WrongType, "created_at")]);
}

fn an_id_of_another_type_is_found<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let sql = changed_schema::<C>(match C::ENGINE {
        Engine::Mysql => ("id BINARY(16)", "id CHAR(36)"),
        Engine::Postgres => ("id uuid", "id text"),
        _ => ("id BLOB", "id TEXT"),
    });
    db.connect().batch_execute(&sql).unwrap();
    let report = db.users.check().unwrap();
    assert!(problems(&report).contains(&(SchemaProblem::WrongType, "id")), "{report}");
}

fn a_column_of_the_hosts_that_must_have_a_value_is_found<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let sql =
        changed_schema::<C>(("    created_at ", "    tenant INTEGER NOT NULL,\n    created_at "));
    db.connect().batch_execute(&sql).unwrap();
    let report = db.users.check().unwrap();
    assert_matches!(db.users.create_user(alice()), Err(Error::NotCreated(_)));
    assert_eq!(problems(&report), [(SchemaProblem::ColumnRequired, "tenant")]);
    assert!(!report.is_sound());
}

fn a_key_that_must_have_a_value_is_found_if_accounts_may_lack_it<C: TestConnection>(_: TestDb<C>) {
    let [username, email] = match C::ENGINE {
        Engine::Mysql => ["username_key VARBINARY(400)", "email_key VARBINARY(1016)"],
        Engine::Postgres => ["username_key text COLLATE \"C\"", "email_key text COLLATE \"C\""],
        _ => ["username_key TEXT COLLATE BINARY", "email_key TEXT COLLATE BINARY"],
    };
    let (no_username, no_email) = (Identifiers::EmailRequired, Identifiers::UsernameRequired);
    for (column, may_lack_it, has_it) in
        [(username, no_username, no_email), (email, no_email, no_username)]
    {
        let db = TestDb::<C>::empty();
        let sql = changed_schema::<C>((column, &format!("{column} NOT NULL")));
        db.connect().batch_execute(&sql).unwrap();
        let name = column.split(' ').next().unwrap();
        for identifiers in [Identifiers::Both, has_it] {
            let users = db.users_with(cheap_policy().identifiers(identifiers));
            assert_sound(&users.check().unwrap());
        }
        for identifiers in [may_lack_it, Identifiers::Either] {
            let users = db.users_with(cheap_policy().identifiers(identifiers));
            let report = users.check().unwrap();
            assert_eq!(
                problems(&report),
                [(SchemaProblem::ColumnRequired, name)],
                "{identifiers:?}"
            );
        }
    }
}

/// An index of the host's that refuses what no key of ours is in the way of.
fn another_unique_index_is_found<C: TestConnection>(db: TestDb<C>) {
    db.connect()
        .batch_execute("CREATE UNIQUE INDEX hosts ON account_users (realm, state)")
        .unwrap();
    let report = db.users.check().unwrap();
    db.create(alice());
    assert_matches!(db.users.create_user(bob()), Err(Error::HiddenConflict));
    assert!(!report.is_sound(), "the cause of it is not told");
}

/// Our schema with one thing in it replaced by another.
pub(crate) fn changed_schema<C: TestConnection>((from, to): (&str, &str)) -> String {
    let sql: String = migrations(C::ENGINE).iter().map(|step| step.sql()).collect();
    assert!(sql.contains(from), "{from}");
    sql.replace(from, to)
}

fn assert_sound(report: &SchemaReport) {
    assert_eq!(report.findings(), []);
    assert!(report.is_sound());
    assert_eq!(report.to_string(), "");
}

pub(crate) fn problems(report: &SchemaReport) -> Vec<(SchemaProblem, &str)> {
    report.findings().iter().map(|finding| (finding.problem(), finding.subject())).collect()
}

/// How many versions of the schema there are.
fn versions<C: TestConnection>() -> i64 {
    migrations(C::ENGINE).len() as i64
}

fn ledger_entries<C: TestConnection>(db: &TestDb<C>) -> i64 {
    db.connect().number("SELECT COUNT(*) AS number FROM account_migrations")
}

fn has_table<C: TestConnection>(db: &TestDb<C>, name: &str) -> bool {
    let count = match C::ENGINE {
        Engine::Mysql => format!(
            "SELECT COUNT(*) AS number FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '{name}'"
        ),
        Engine::Postgres => format!(
            "SELECT COUNT(*) AS number FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = '{name}'"
        ),
        _ => format!("SELECT COUNT(*) AS number FROM sqlite_schema WHERE name = '{name}'"),
    };
    db.connect().number(&count) > 0
}
