//! How often something was tried, and why more than once.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel_accounts::{Accounts, Engine, Error, Policy};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::statements::before_each_statement;
use diesel_accounts_proof::workload::Connection;

use crate::capture::HeardEvent;
use crate::stage::{Heard, Stage, WRONG, counts, event, person, policy, username};
use crate::{on_each_engine, on_each_server};

on_each_engine!(
    a_change_that_met_a_lock_is_told_with_its_tries,
    a_creation_that_met_a_lock_is_told_with_its_tries,
    a_lock_that_is_not_let_go_is_busy_after_several_tries,
    a_migration_that_met_another_is_told_with_its_tries,
    a_sign_in_that_met_another_is_told_with_its_tries,
    a_refusal_that_cannot_be_told_apart_is_told_with_its_tries,
);

on_each_server!(
    a_creation_whose_connection_was_lost_is_told_with_its_tries,
    a_creation_of_which_nothing_is_known_is_told_with_its_id,
);

fn a_change_that_met_a_lock_is_told_with_its_tries<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let users = stage.manager_of_one(|conn| let_go_in_time(stage, conn, "UPDATE"));
    let Heard { events, .. } =
        stage.is_told_of_tries(2, "disable_user", "ok", Some(id), || users.disable_user(id));
    assert_eq!(events, [again("disable_user", "contention")]);
    assert_eq!(stage.told.counters(), counts([("account_db_retry_total{reason=contention}", 1)]));
    stage.is_told("enable_user", "ok", Some(id), || users.enable_user(id));
}

fn a_creation_that_met_a_lock_is_told_with_its_tries<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let users = stage.manager_of_one(|conn| let_go_in_time(stage, conn, "INSERT"));
    let prepared = users.prepare(person("alice")).unwrap();
    let Heard { events, .. } =
        stage.is_told_of_tries(2, "create_prepared_user", "existing", Some(id), || {
            users.create_prepared_user(&prepared)
        });
    assert_eq!(events, [again("create_prepared_user", "contention")]);
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_create_total{outcome=existing}", 1),
            ("account_db_retry_total{reason=contention}", 1),
        ])
    );
}

fn a_lock_that_is_not_let_go_is_busy_after_several_tries<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let _holder = stage.holder();
    let mut conn = stage.database.connect();
    do_not_wait(&mut conn);
    tries_until_busy(stage, |policy| {
        Accounts::new(policy, &mut conn).disable_user(id).unwrap_err()
    });
}

fn a_migration_that_met_another_is_told_with_its_tries<C: Connection>(stage: &Stage<C>) {
    let database = Database::<C>::empty();
    let (begin, begun) = mpsc::channel();
    let (let_go, released) = mpsc::channel::<()>();
    let mut other = database.connect();
    before_each_statement(&mut other, move |statement| {
        // On SQLite only what was written keeps others out.
        if statement.starts_with("INSERT") {
            let _ = begin.send(());
            // It fails when there is nobody left to send.
            let _ = released.recv();
        }
    });
    // What lets go is dropped with the closure, so that nobody is held for ever if this one fails.
    thread::scope(move |scope| {
        let migration =
            scope.spawn(move || Accounts::new(&policy().build().unwrap(), &mut other).migrate());
        begun.recv_timeout(Duration::from_secs(60)).expect("a migration begins");
        let mut conn = database.connect();
        do_not_wait(&mut conn);
        tries_until_busy(stage, |policy| Accounts::new(policy, &mut conn).migrate().unwrap_err());
        drop(let_go);
        migration.join().unwrap().unwrap();
    });
}

/// Each wants to count the failure after the same one.
fn a_sign_in_that_met_another_is_told_with_its_tries<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let login = username("alice");
    assert!(!stage.users.authenticate(&login, WRONG).unwrap().is_accepted());
    let rival = stage.users.clone();
    let users = stage.manager_of_one(|conn| {
        let mut rival = Some(move || rival.authenticate(&username("alice"), WRONG));
        before_each_statement(conn, move |statement| {
            if let Some(rival) = rival.take_if(|_| statement.starts_with("UPDATE")) {
                assert!(!thread::spawn(rival).join().unwrap().unwrap().is_accepted());
            }
        });
    });
    let Heard { events, .. } = stage
        .is_told_of_tries(2, "authenticate", "refused", None, || users.authenticate(&login, WRONG));
    let refused = [("reason", "wrong_password"), ("user_id", &*id.to_string())];
    assert_eq!(
        events,
        [
            again("authenticate", "changed"),
            event("INFO", "authenticate", "a password was refused", refused),
        ]
    );
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_db_retry_total{reason=changed}", 1),
            ("account_sign_in_total{outcome=refused}", 1),
        ])
    );
}

/// What a missing table is on each engine; it is asked for once more only if it may be another
/// thing.
fn a_refusal_that_cannot_be_told_apart_is_told_with_its_tries<C: Connection>(stage: &Stage<C>) {
    let mut conn = stage.database.connect();
    conn.batch_execute("ALTER TABLE account_users RENAME TO elsewhere").unwrap();
    let tries = if C::ENGINE == Engine::Postgres { 3 } else { 1 };
    let Heard { events, .. } =
        stage.is_told_of_tries(tries, "create_user", "not_created", None, || {
            stage.users.create_user(person("alice"))
        });
    assert_eq!(events, vec![again("create_user", "unexplained"); tries as usize - 1]);
    let retries = stage.told.counter("account_db_retry_total{reason=unexplained}");
    assert_eq!(retries, u64::from(tries) - 1);
    assert_eq!(stage.told.counter("account_create_total{outcome=not_created}"), 1);
}

fn a_creation_whose_connection_was_lost_is_told_with_its_tries<C: Connection>(stage: &Stage<C>) {
    let users = stage.manager_of_one(|conn| stage.end_session_before(conn, "INSERT"));
    let prepared = users.prepare(person("alice")).unwrap();
    let id = prepared.id();
    let Heard { events, .. } =
        stage.is_told_of_tries(2, "create_prepared_user", "created", Some(id), || {
            users.create_prepared_user(&prepared)
        });
    assert_eq!(events, [again("create_prepared_user", "connection_lost")]);
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_create_total{outcome=created}", 1),
            ("account_db_retry_total{reason=connection_lost}", 1),
        ])
    );
}

/// There is no other connection to ask on.
fn a_creation_of_which_nothing_is_known_is_told_with_its_id<C: Connection>(stage: &Stage<C>) {
    let mut conn = stage.database.connect();
    stage.end_session_before(&mut conn, "INSERT");
    let prepared = stage.users.prepare(person("alice")).unwrap();
    let id = prepared.id();
    let Heard { events, .. } = stage.is_told("create_user", "undetermined", Some(id), || {
        stage.users.on(&mut conn).create_user(&prepared)
    });
    let about = [("user_id", &*id.to_string())];
    let message = "the outcome of a creation is not known";
    assert_eq!(events, [event("WARN", "create_user", message, about)]);
    assert_eq!(stage.told.counters(), counts([("account_create_total{outcome=undetermined}", 1)]));
}

/// All accounts are locked until the connection, which does not wait for locks, sends a statement
/// with this start for the second time.
fn let_go_in_time<C: Connection>(stage: &Stage<C>, conn: &mut C, start: &'static str) {
    do_not_wait(conn);
    let mut holder = Some(stage.holder());
    let mut sent = 0;
    before_each_statement(conn, move |statement| {
        sent += u32::from(statement.starts_with(start));
        if let Some(mut holder) = holder.take_if(|_| sent == 2) {
            AnsiTransactionManager::rollback_transaction(&mut holder).unwrap();
        }
    });
}

/// Something that meets a lock until its deadline is tried more than once, and that is counted.
fn tries_until_busy<C: Connection>(stage: &Stage<C>, act: impl FnOnce(&Policy) -> Error) {
    let soon = policy().deadline(Duration::from_secs(2)).build().unwrap();
    assert!(matches!(stage.told.hear(|| act(&soon)), Error::Busy));
    let spans = stage.told.take().spans;
    assert_eq!(spans[0].fields.0["outcome"], "busy");
    let tries: u64 = spans[0].fields.0["tries"].parse().unwrap();
    assert!(tries > 1, "{spans:?}");
    let retries = counts([("account_db_retry_total{reason=contention}", tries - 1)]);
    assert_eq!(stage.told.counters(), retries);
}

fn do_not_wait<C: Connection>(conn: &mut C) {
    conn.batch_execute(match C::ENGINE {
        Engine::Sqlite => "PRAGMA busy_timeout = 0",
        Engine::Postgres => "SET lock_timeout = '20ms'",
        _ => "SET innodb_lock_wait_timeout = 0",
    })
    .unwrap();
}

fn again(within: &'static str, reason: &str) -> HeardEvent {
    event("DEBUG", within, "tried again", [("reason", reason)])
}
