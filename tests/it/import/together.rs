//! Imports of many rows: repeated, interrupted, at once, and in a transaction of the host's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use diesel_accounts::{Engine, Error, PreparedImport, User, UserCursor, UserManager};

use super::{VECTOR_PASSWORD, counts, import, importing, people, row, told};
use crate::support::{
    TestConnection, TestDb, alice, assert_matches, before_statement, bob, on_each_engine,
    on_each_server, transaction_is_open,
};

on_each_engine!(
    rows_of_many_batches_are_numbered_through,
    a_second_run_finds_everybody_and_changes_nothing,
    an_import_that_panics_half_way_is_resumed,
    an_import_that_stops_half_way_is_resumed,
    a_listener_that_panics_loses_nothing,
    four_imports_of_the_same_rows_create_each_once,
    an_account_that_is_created_meanwhile_is_found,
    a_name_that_is_taken_meanwhile_is_taken,
    an_import_in_a_transaction_goes_with_it,
    an_import_in_a_transaction_of_plain_sql_goes_with_it,
    one_call_takes_more_rows_than_one_statement_can,
    a_conflict_leaves_the_host_transaction_usable,
);
on_each_server!(an_account_that_is_created_meanwhile_spoils_no_host_transaction);

fn rows_of_many_batches_are_numbered_through<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let mut rows: Vec<_> = people(0..1203).collect();
    rows[500] = rows[499].clone();
    rows[1100] = rows[3].clone();
    rows[999] = row("a b", "user999@example.org");
    rows[1000] = row("user1000", "user3@example.org");
    let (heard, summary) = import(&users, rows);
    for (number, told) in heard.iter().enumerate() {
        let expected = match number {
            500 | 1100 => "existing",
            999 => "invalid: username character_not_allowed",
            1000 => "ByAnother: the email is taken",
            _ => "created",
        };
        assert_eq!(told, expected, "{number}");
    }
    assert_eq!(counts(summary), [1199, 2, 1, 1, 0]);
    assert_eq!(db.count(), 1199);
}

fn a_second_run_finds_everybody_and_changes_nothing<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    assert_eq!(counts(import(&users, people(0..620)).1), [620, 0, 0, 0, 0]);
    let before = everybody(&users);
    // What the row says now makes no difference.
    let again = people(0..620).map(|person| person.password_hash("!").disabled());
    assert_eq!(counts(import(&users, again).1), [0, 620, 0, 0, 0]);
    assert_eq!(everybody(&users), before);
    assert_eq!(db.count(), 620);
    assert!(users.authenticate("user619", VECTOR_PASSWORD).unwrap().is_accepted());
    // Nor does a run put back what somebody changed since.
    assert_eq!(counts(import(&users, people(0..620)).1), [0, 620, 0, 0, 0]);
    let foreign =
        "SELECT COUNT(*) AS number FROM account_users WHERE password_hash LIKE 'foreign%'";
    assert_eq!(db.connect().number(foreign), 619);
}

fn an_import_that_panics_half_way_is_resumed<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let broken = people(0..1203).enumerate().map(|(number, person)| {
        assert!(number < 1100, "the source is gone");
        person
    });
    let mut heard = 0;
    let end = catch_unwind(AssertUnwindSafe(|| users.import_users(broken, |_, _| heard += 1)));
    assert!(end.is_err());
    // A batch was committed and told of. The next was read ahead, and nothing came of it.
    assert_eq!((heard, db.count()), (500, 500));
    assert_eq!(counts(import(&users, people(0..1203)).1), [703, 500, 0, 0, 0]);
    assert_eq!(db.count(), 1203);
}

fn an_import_that_stops_half_way_is_resumed<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    assert_eq!(counts(import(&users, people(0..700)).1), [700, 0, 0, 0, 0]);
    assert_eq!(counts(import(&users, people(0..1203)).1), [503, 700, 0, 0, 0]);
    assert_eq!(counts(import(&users, people(700..1203)).1), [0, 503, 0, 0, 0]);
    assert_eq!(db.count(), 1203);
}

fn a_listener_that_panics_loses_nothing<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let end = catch_unwind(AssertUnwindSafe(|| {
        users.import_users(people(0..1203), |number, _| assert!(number < 600, "enough"))
    }));
    assert!(end.is_err());
    assert_eq!(db.count(), 1000);
    assert_eq!(counts(import(&users, people(0..1203)).1), [203, 1000, 0, 0, 0]);
}

fn four_imports_of_the_same_rows_create_each_once<C: TestConnection>(db: TestDb<C>) {
    const THREADS: usize = 4;
    let users = importing(&db);
    let start_line = Barrier::new(THREADS);
    let heard: Vec<Vec<String>> = thread::scope(|scope| {
        let import_all = || {
            start_line.wait();
            import(&users, people(0..2000)).0
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(import_all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for number in 0..2000 {
        let of_row = || heard.iter().map(|heard| heard[number].as_str());
        assert_eq!(of_row().filter(|told| *told == "created").count(), 1, "{number}");
        assert_eq!(of_row().filter(|told| *told == "existing").count(), THREADS - 1, "{number}");
    }
    assert_eq!(db.count(), 2000);
    assert_eq!(everybody(&users).len(), 2000);
}

fn an_account_that_is_created_meanwhile_is_found<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch = prepared(&users, 0..10);
    let mut conn = db.connect();
    let other = users.clone();
    before_statement(&mut conn, "INSERT", move || {
        let _ = other.import_users(people(4..6), |_, _| {}).unwrap();
    });
    let outcomes = users.on(&mut conn).import_users(&batch).unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        let expected = if (4..6).contains(&number) { "existing" } else { "created" };
        assert_eq!(told(outcome), expected, "{number}");
    }
    assert_eq!(db.count(), 10);
}

fn a_name_that_is_taken_meanwhile_is_taken<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch = prepared(&users, 0..10);
    let mut conn = db.connect();
    let other = users.clone();
    before_statement(&mut conn, "INSERT", move || {
        let rows = [row("user4", "else@example.org"), row("else", "user5@example.org")];
        let _ = other.import_users(rows, |_, _| {}).unwrap();
    });
    let outcomes = users.on(&mut conn).import_users(&batch).unwrap();
    let told: Vec<_> = outcomes.iter().map(told).collect();
    assert_eq!(told[4], "ByAnother: the username is taken");
    assert_eq!(told[5], "ByAnother: the email is taken");
    assert_eq!(told.iter().filter(|told| *told == "created").count(), 8);
    assert_eq!(db.count(), 10);
}

fn an_import_in_a_transaction_goes_with_it<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch = prepared(&users, 0..10);
    let mut conn = db.connect();
    let rolled_back = conn.transaction(|conn| {
        let outcomes = users.on(conn).import_users(&batch)?;
        assert!(outcomes.iter().all(|outcome| told(outcome) == "created"));
        Err::<(), _>(Error::from(diesel::result::Error::RollbackTransaction))
    });
    assert!(rolled_back.is_err());
    assert_eq!(db.count(), 0);
    // The same batch once more: the same accounts, with the same ids.
    let outcomes = conn.transaction(|conn| users.on(conn).import_users(&batch)).unwrap();
    assert!(outcomes.iter().all(|outcome| told(outcome) == "created"));
    let outcomes = conn.transaction(|conn| users.on(conn).import_users(&batch)).unwrap();
    assert!(outcomes.iter().all(|outcome| told(outcome) == "existing"));
    assert_eq!(db.count(), 10);
}

/// Of one that Diesel knows nothing of, nothing may be committed.
fn an_import_in_a_transaction_of_plain_sql_goes_with_it<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let mut conn = db.connect();
    conn.batch_execute("BEGIN").unwrap();
    let outcomes = users.on(&mut conn).import_users(&prepared(&users, 0..10)).unwrap();
    assert!(outcomes.iter().all(|outcome| told(outcome) == "created"));
    conn.batch_execute("ROLLBACK").unwrap();
    assert_eq!(db.count(), 0);
}

/// 16 values each; PostgreSQL takes 65,535 in a statement.
fn one_call_takes_more_rows_than_one_statement_can<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let mut rows = prepared(&users, 0..4_200);
    // The second of two in different statements.
    rows[4_000] = prepared(&users, 10..11).remove(0);
    let outcomes = users.on(&mut db.connect()).import_users(&rows).unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(told(outcome), if number == 4_000 { "existing" } else { "created" });
    }
    assert_eq!((outcomes.len(), db.count()), (4_200, 4_199));
}

fn a_conflict_leaves_the_host_transaction_usable<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    db.create(alice());
    db.create(bob());
    let rows = [
        row("ann", "ann@example.org"),
        row("ANN", "ann@example.org"),
        row("ann", "other@example.org"),
        row("alice", "alice@example.org"),
        row("alice", "bob@example.org"),
        row("ben", "ben@example.org"),
    ];
    let batch: Vec<_> =
        rows.iter().map(|row| users.policy().prepare_import(row).unwrap().unwrap()).collect();
    let mut conn = db.connect();
    conn.batch_execute("CREATE TABLE profiles (number INTEGER)").unwrap();
    let heard = conn
        .transaction(|conn| {
            conn.batch_execute("INSERT INTO profiles VALUES (1)")?;
            let outcomes = users.on(conn).import_users(&batch)?;
            conn.batch_execute("INSERT INTO profiles VALUES (2)")?;
            Ok::<_, Error>(outcomes.iter().map(told).collect::<Vec<_>>())
        })
        .unwrap();
    assert_eq!(
        heard,
        [
            "created",
            "existing",
            "ByAnother: the username is taken",
            "existing",
            "ByTwoAccounts: the username and the email are taken by two different accounts",
            "created",
        ]
    );
    assert!(!transaction_is_open(&mut conn));
    assert_eq!(conn.number("SELECT COUNT(*) AS number FROM profiles"), 2);
    assert_eq!(db.count(), 4);
}

/// On SQLite nobody else can write meanwhile.
fn an_account_that_is_created_meanwhile_spoils_no_host_transaction<C: TestConnection>(
    db: TestDb<C>,
) {
    // There MariaDB locks what is read, and nobody gets in between.
    let locks_reads = |isolation| C::ENGINE == Engine::Mysql && isolation == "SERIALIZABLE";
    let isolations = C::ISOLATIONS.iter().filter(|(isolation, _)| !locks_reads(*isolation));
    for (number, &(isolation, setting)) in isolations.enumerate() {
        let users = importing(&db);
        let first = 100 * number;
        let batch = prepared(&users, first..first + 10);
        let mut conn = db.connect();
        if !setting.is_empty() {
            conn.batch_execute(setting).unwrap();
        }
        let other = users.clone();
        let outcomes = crate::support::begin_commit(&mut conn, isolation, |conn| {
            before_statement(conn, "INSERT", move || {
                let _ = other.import_users(people(first + 4..first + 6), |_, _| {}).unwrap();
            });
            users.on(conn).import_users(&batch)
        });
        let here = db.count() - 10 * number as i64;
        match outcomes {
            Ok(outcomes) => {
                let heard: Vec<_> = outcomes.iter().map(told).collect();
                assert_eq!(heard.iter().filter(|told| *told == "created").count(), 8, "{heard:?}");
                assert_eq!((heard[4].as_str(), heard[5].as_str()), ("existing", "existing"));
                assert_eq!(here, 10, "{isolation} {setting}");
            }
            // At the stricter levels the server insists on another transaction.
            Err(error) => {
                assert_matches!(error, Error::HostMustRollBack(_));
                assert!(isolation != "READ COMMITTED" || C::ENGINE == Engine::Mysql, "{isolation}");
                assert_eq!(here, 2, "{isolation} {setting}");
                let again = conn.transaction(|conn| users.on(conn).import_users(&batch)).unwrap();
                assert_eq!(again.iter().filter(|outcome| told(outcome) == "created").count(), 8);
            }
        }
    }
}

pub(super) fn prepared<C: TestConnection>(
    users: &UserManager<C>,
    numbers: std::ops::Range<usize>,
) -> Vec<PreparedImport> {
    people(numbers).map(|person| users.policy().prepare_import(&person).unwrap().unwrap()).collect()
}

/// Every account, with all that can be read of it.
fn everybody<C: TestConnection>(users: &UserManager<C>) -> Vec<User> {
    let mut everybody = Vec::<User>::new();
    loop {
        let after: Option<UserCursor> = everybody.last().map(User::cursor);
        let page = users.list_users(after, 1000).unwrap();
        if page.is_empty() {
            return everybody;
        }
        everybody.extend(page);
    }
}
