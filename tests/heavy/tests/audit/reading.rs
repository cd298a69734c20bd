//! Records are read by pages, and forgotten when they are old.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel_accounts::{AuditEvent, Clock, Error, RealmId, Timestamp, UserId, UserManager};

use crate::on_each_engine;
use crate::support::{Host, PASSWORD, Record, Stage, WRONG, assert_matches, hex, person};

on_each_engine!(
    the_pages_of_one_account_have_no_gap_and_no_repeat,
    only_those_of_the_account_and_of_the_realm_are_read,
    records_outlive_the_account,
    what_is_read_is_what_was_heard,
    only_old_ones_are_forgotten_a_few_at_a_time,
    old_ones_of_all_realms_are_forgotten,
    in_a_transaction_of_the_host_they_are_read_and_forgotten,
    a_table_that_cannot_be_read_is_an_error,
);

/// Also where many have one time.
fn the_pages_of_one_account_have_no_gap_and_no_repeat<C: Host>(stage: Stage<C>) {
    let id = stage.users.create_user(person("alice")).unwrap().created().unwrap().id();
    for number in 0..20 {
        stage.users.enable_user(id).unwrap();
        if number % 7 == 6 {
            stage.clock.advance(Duration::from_micros(1));
        }
    }
    let mut expected = stage.records();
    expected.reverse();
    assert_eq!(expected.len(), 21);
    for limit in [1, 2, 3, 7, 20, 21, 22, 1_000, u32::MAX] {
        let mut read: Vec<AuditEvent> = Vec::new();
        loop {
            let page = stage.users.events_of_user(id, read.last(), limit).unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read.iter().map(Record::of).collect::<Vec<_>>(), expected, "{limit}");
    }
    assert_eq!(stage.users.events_of_user(id, None, 0).unwrap(), []);
}

fn only_those_of_the_account_and_of_the_realm_are_read<C: Host>(stage: Stage<C>) {
    let id = UserId::new();
    let elsewhere = stage.users.in_realm(RealmId::NIL);
    let create = |users: &UserManager<C>, name: &str, id| {
        let created = users.create_user(person(name).with_id(id)).unwrap().is_created();
        assert!(created);
    };
    create(&stage.users, "alice", id);
    create(&stage.users, "bob", UserId::new());
    assert!(!stage.users.authenticate("nobody", PASSWORD).unwrap().is_accepted());
    stage.users.delete_user(id).unwrap();
    // The same id in another realm.
    stage.clock.advance(Duration::from_secs(1));
    create(&elsewhere, "alice", id);
    let told = |users: &UserManager<C>| -> BTreeSet<String> {
        let events = users.events_of_user(id, None, 100).unwrap();
        assert!(events.iter().all(|event| event.realm() == users.realm()));
        events.iter().map(|event| format!("{} {}", event.action(), event.outcome())).collect()
    };
    assert_eq!(
        told(&stage.users),
        BTreeSet::from(["create created", "delete done"].map(String::from))
    );
    assert_eq!(told(&elsewhere), BTreeSet::from(["create created".to_owned()]));
    assert_eq!(
        stage.users.in_realm(RealmId::from_bytes([8; 16])).events_of_user(id, None, 9).unwrap(),
        []
    );
}

fn records_outlive_the_account<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    stage.users.delete_user(id).unwrap();
    let [deleted] = stage.users.events_of_user(id, None, 10).unwrap().try_into().unwrap();
    assert_eq!((deleted.action(), deleted.outcome()), ("delete", "done"));
}

fn what_is_read_is_what_was_heard<C: Host>(stage: Stage<C>) {
    let id = stage.users.create_user(person("alice")).unwrap().created().unwrap().id();
    stage.clock.advance(Duration::from_secs(1));
    assert!(!stage.users.authenticate("alice", WRONG).unwrap().is_accepted());
    let mut heard = stage.heard.take();
    heard.reverse();
    let read = stage.users.events_of_user(id, None, 10).unwrap();
    assert_eq!(read, heard);
    assert_eq!(hex(read[0].id().as_bytes()), read[0].id().to_string().replace('-', ""));
}

fn only_old_ones_are_forgotten_a_few_at_a_time<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    for _ in 0..10 {
        stage.users.enable_user(id).unwrap();
        stage.users.disable_user(id).unwrap();
        stage.clock.advance(Duration::from_secs(1));
    }
    let all = stage.records();
    let before = Timestamp::from_micros(all[14].occurred_at);
    assert_eq!(stage.users.forget_old_events(before, 0).unwrap(), 0);
    assert_eq!(stage.records(), all);
    let mut left = 14;
    for expected in [5, 5, 4, 0] {
        assert_eq!(stage.users.forget_old_events(before, 5).unwrap(), expected);
        left -= expected;
        let records = stage.records();
        assert_eq!(records.len(), 6 + left);
        // The oldest went first; of two of one time it may be either.
        let is_oldest = |record: &Record| record.occurred_at < records[0].occurred_at;
        assert!(all.iter().filter(|record| is_oldest(record)).all(|gone| !records.contains(gone)));
    }
    assert_eq!(stage.records(), all[14..], "those of that very time stay");
    let after_all = Timestamp::from_micros(stage.clock.now().as_micros() + 1);
    assert_eq!(stage.users.forget_old_events(after_all, u32::MAX).unwrap(), 6);
    assert_eq!(stage.records(), []);
    assert_eq!(stage.count("account_users"), 1);
}

fn old_ones_of_all_realms_are_forgotten<C: Host>(stage: Stage<C>) {
    for realm in [1, 2] {
        let users = stage.users.in_realm(RealmId::from_bytes([realm; 16]));
        assert!(users.create_user(person("alice")).unwrap().is_created());
    }
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.quiet.forget_old_events(stage.clock.now(), 10).unwrap(), 2);
    assert_eq!((stage.records(), stage.count("account_users")), (vec![], 2));
}

fn in_a_transaction_of_the_host_they_are_read_and_forgotten<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    stage.users.disable_user(id).unwrap();
    stage.clock.advance(Duration::from_secs(1));
    let rolled_back = stage.database.connect().transaction(|conn| {
        let mut accounts = stage.users.on(conn);
        accounts.enable_user(id)?;
        assert_eq!(accounts.events_of_user(id, None, 10)?.len(), 2);
        assert_eq!(accounts.forget_old_events(stage.clock.now(), 10)?, 1);
        assert_eq!(accounts.events_of_user(id, None, 10)?.len(), 1);
        Err::<(), Error>(diesel::result::Error::NotFound.into())
    });
    assert!(rolled_back.is_err());
    assert_eq!(stage.told(), ["disable done"]);
}

fn a_table_that_cannot_be_read_is_an_error<C: Host>(stage: Stage<C>) {
    stage.execute("DROP TABLE account_events");
    let now = stage.clock.now();
    assert_matches!(stage.users.events_of_user(UserId::new(), None, 1), Err(Error::Database(_)));
    assert_matches!(stage.users.forget_old_events(now, 1), Err(Error::Database(_)));
    let mut conn = stage.database.connect();
    let read = conn
        .transaction(|conn| stage.users.on(conn).events_of_user(UserId::new(), None, 1).map(drop));
    assert_matches!(read, Err(Error::HostMustRollBack(_)));
    let forget = conn.transaction(|conn| stage.users.on(conn).forget_old_events(now, 1).map(drop));
    assert_matches!(forget, Err(Error::HostMustRollBack(_)));
}
