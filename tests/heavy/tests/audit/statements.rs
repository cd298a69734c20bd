//! How many statements an act sends, recorded and not.

use std::sync::{Arc, Mutex};

use diesel_accounts::{Engine, Error, UserId, UserManager};
use diesel_accounts_proof::database::policy;
use diesel_accounts_proof::statements::before_each_statement;

use crate::on_each_engine;
use crate::support::{Heard, Host, PASSWORD, REALM, Stage, person};

on_each_engine!(
    a_creation_that_nobody_records_is_one_insertion,
    a_creation_that_is_only_heard_of_is_one_insertion,
    a_recorded_creation_is_a_transaction_of_two_insertions,
    a_recorded_act_is_a_transaction_and_one_that_is_not_is_a_statement,
    a_recorded_creation_in_a_transaction_of_the_host_is_one_insertion_more,
);

fn a_creation_that_nobody_records_is_one_insertion<C: Host>(stage: Stage<C>) {
    expect_one_insertion(&stage, &stage.quiet);
}

fn a_creation_that_is_only_heard_of_is_one_insertion<C: Host>(stage: Stage<C>) {
    let policy = policy().audit_sink(Heard::default()).build().unwrap();
    let users = UserManager::with_policy(stage.database.pool(1), policy).in_realm(REALM);
    expect_one_insertion(&stage, &users);
}

fn expect_one_insertion<C: Host>(stage: &Stage<C>, users: &UserManager<C>) {
    let (mut conn, sent) = stage.listened_to();
    let [fresh, again] = [(); 2].map(|()| users.prepare(person("alice")).unwrap());
    assert!(users.on(&mut conn).create_user(&fresh).unwrap().is_created());
    assert_eq!(sent.take(), ["INSERT account_users"]);
    assert!(!users.on(&mut conn).create_user(&again).unwrap().is_created());
    assert_eq!(sent.take(), ["INSERT account_users", "SELECT account_users"]);
}

fn a_recorded_creation_is_a_transaction_of_two_insertions<C: Host>(stage: Stage<C>) {
    let (mut conn, sent) = stage.listened_to();
    let [fresh, again] = [(); 2].map(|()| stage.users.prepare(person("alice")).unwrap());
    assert!(stage.users.on(&mut conn).create_user(&fresh).unwrap().is_created());
    let both = ["BEGIN", "INSERT account_users", "INSERT account_events", "COMMIT"];
    assert_eq!(sent.take(), both);
    assert!(!stage.users.on(&mut conn).create_user(&again).unwrap().is_created());
    // MariaDB refuses the row, and the others take none.
    let end = match C::ENGINE {
        Engine::Mysql => "ROLLBACK",
        _ => "COMMIT",
    };
    let existing =
        ["BEGIN", "INSERT account_users", end, "SELECT account_users", "INSERT account_events"];
    assert_eq!(sent.take(), existing);
}

fn a_recorded_act_is_a_transaction_and_one_that_is_not_is_a_statement<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let (mut conn, sent) = stage.listened_to();
    stage.quiet.on(&mut conn).disable_user(id).unwrap();
    assert_eq!(sent.take(), ["UPDATE account_users"]);
    stage.quiet.on(&mut conn).unlock_user(id).unwrap();
    assert_eq!(sent.take(), ["SELECT account_users", "UPDATE account_attempts"]);
    stage.users.on(&mut conn).disable_user(id).unwrap();
    let both = ["BEGIN", "UPDATE account_users", "INSERT account_events", "COMMIT"];
    assert_eq!(sent.take(), both);
    // Of nobody nothing is recorded.
    let nobody = UserId::new();
    assert!(stage.users.on(&mut conn).disable_user(nobody).is_err());
    assert_eq!(sent.take(), ["BEGIN", "UPDATE account_users", "COMMIT"]);
    stage.quiet.enable_user(id).unwrap();
    let attempt = stage.users.on(&mut conn).begin_sign_in("alice").unwrap();
    let verified = stage.users.policy().verify(attempt, PASSWORD);
    sent.take();
    assert!(stage.users.on(&mut conn).finish_sign_in(verified).unwrap().is_accepted());
    let all = [
        "BEGIN",
        "UPDATE account_users",
        "UPDATE account_attempts",
        "INSERT account_events",
        "COMMIT",
    ];
    assert_eq!(sent.take(), all);
}

fn a_recorded_creation_in_a_transaction_of_the_host_is_one_insertion_more<C: Host>(
    stage: Stage<C>,
) {
    let (mut conn, sent) = stage.listened_to();
    let alice = stage.users.prepare(person("alice")).unwrap();
    conn.transaction(|conn| {
        sent.take();
        let creation = stage.users.on(conn).create_user(&alice);
        let both = ["INSERT account_users", "INSERT account_events"];
        let expected: Vec<_> = match C::ENGINE {
            Engine::Postgres => ["SAVEPOINT"].into_iter().chain(both).chain(["RELEASE"]).collect(),
            _ => both.into(),
        };
        assert_eq!(sent.take(), expected);
        assert!(creation?.is_created());
        Ok::<_, Error>(())
    })
    .unwrap();
}

impl<C: Host> Stage<C> {
    /// A connection, and what it sends.
    fn listened_to(&self) -> (C, Sent) {
        let (mut conn, sent) = (self.database.connect(), Sent::default());
        let listening = sent.clone();
        before_each_statement(&mut conn, move |statement| {
            let kind = statement.trim_start_matches('(');
            let kind = kind.split_whitespace().next().unwrap_or_default();
            let table = TABLES.iter().find(|table| statement.contains(**table));
            let words: Vec<_> = [kind].into_iter().chain(table.copied()).collect();
            listening.0.lock().unwrap().push(words.join(" "));
        });
        (conn, sent)
    }
}

/// The first words of statements, and the tables.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl Sent {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

const TABLES: [&str; 3] = ["account_events", "account_attempts", "account_users"];
