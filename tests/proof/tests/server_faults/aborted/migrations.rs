//! Migrations: the next process completes what one has left.

use diesel_accounts::{Engine, RefusalReason, SignIn, UserManager, migrations};
use diesel_accounts_proof::acts::{Act, NEW, OLD, WRONG, id_of, person};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::workload::Connection;

use super::{Victim, die_everywhere, literal_of, users_of};
use crate::support::{assert_matches, number, on_each_engine};

on_each_engine!(
    a_migration_that_dies_anywhere_is_completed_by_the_next,
    an_upgrade_that_dies_anywhere_is_completed_by_the_next_and_loses_nobody,
);

fn a_migration_that_dies_anywhere_is_completed_by_the_next<C: Connection>() {
    let statements = die_everywhere::<C>(Act::Migrate, |statement| {
        let database = Database::<C>::empty();
        let seen = die_and_complete(&database, statement);
        expect_works(&users_of(&database));
        seen
    });
    assert!(statements > 8);
}

/// From each version that there was, with somebody in it.
fn an_upgrade_that_dies_anywhere_is_completed_by_the_next_and_loses_nobody<C: Connection>() {
    let all = migrations(C::ENGINE);
    for version in 1..all.len() {
        die_everywhere::<C>(Act::Migrate, |statement| {
            let database = Database::<C>::empty();
            let mut conn = database.connect();
            all[..version].iter().for_each(|step| conn.batch_execute(step.sql()).unwrap());
            let veteran = format!(
                "INSERT INTO account_users (id, username, username_key, created_at, updated_at) \
                 VALUES ({}, 'veteran', 'veteran', 1, 1)",
                literal_of::<C>("veteran")
            );
            conn.batch_execute(&veteran).unwrap();
            let seen = die_and_complete(&database, statement);
            let users = users_of(&database);
            let found = users.user_by_username("veteran").unwrap().unwrap();
            assert_eq!((found.id(), found.created_at().as_micros()), (id_of("veteran"), 1));
            users.set_password(found.id(), NEW).unwrap();
            assert!(users.authenticate("veteran", NEW).unwrap().is_accepted());
            expect_works(&users);
            seen
        });
    }
}

/// Where tables are made in transactions there are all of a migration or none of them.
fn die_and_complete<C: Connection>(database: &Database<C>, statement: u32) -> (Victim, bool) {
    let before = tables(database);
    let victim = Victim::run(database, Act::Migrate, "nobody", statement);
    let was_made = users_of(database).check().unwrap().findings().is_empty();
    let all = i64::try_from(migrations(C::ENGINE).len() + 1).unwrap();
    match C::ENGINE {
        Engine::Mysql => assert!((before..=all).contains(&tables(database))),
        _ => assert_eq!(tables(database), if was_made { all } else { before }),
    }
    for _ in 0..2 {
        assert!(!Victim::run(database, Act::Migrate, "nobody", NEVER).has_died);
        let report = users_of(database).check().unwrap();
        assert!(report.findings().is_empty(), "{report}");
        assert_eq!(tables(database), all);
        let entries = number(&mut database.connect(), "account_migrations");
        assert_eq!(usize::try_from(entries).unwrap(), migrations(C::ENGINE).len());
    }
    (victim, was_made)
}

fn tables<C: Connection>(database: &Database<C>) -> i64 {
    let tables = match C::ENGINE {
        Engine::Sqlite => "sqlite_master WHERE type = 'table'",
        Engine::Postgres => "information_schema.tables WHERE table_schema = current_schema()",
        Engine::Mysql => "information_schema.tables WHERE table_schema = DATABASE()",
        _ => panic!("another engine"),
    };
    number(&mut database.connect(), tables)
}

fn expect_works<C: Connection>(users: &UserManager<C>) {
    let alice = id_of("alice");
    assert!(users.create_user(person("alice")).unwrap().is_created());
    assert!(!users.create_user(person("alice")).unwrap().is_created());
    let refused = users.authenticate("alice", WRONG).unwrap();
    assert_matches!(
        refused,
        SignIn::Refused(why) if why.reason_for_audit() == RefusalReason::WrongPassword
    );
    assert_eq!(users.failed_attempts(alice).unwrap().count(), 1);
    assert!(users.authenticate("alice", OLD).unwrap().is_accepted());
    assert!(users.change_password(alice, OLD, NEW).unwrap().is_changed());
    users.require_password_change(alice).unwrap();
    assert!(users.user_by_id(alice).unwrap().unwrap().must_change_password());
    users.disable_user(alice).unwrap();
    users.delete_user(alice).unwrap();
    assert!(users.create_user(person("alice")).unwrap().is_created());
}

/// There are fewer statements.
const NEVER: u32 = 1000;
