//! A creation that another one overtakes between its look-up and its insertion.

use std::thread;

use diesel_accounts::{Duplicates, UserId, UserManager};
use diesel_accounts_proof::workload::Connection;

use crate::stage::{Heard, Meanwhile, Stage, counts, event, hashing, person, policy};
use crate::{on_each_engine, on_each_server};

on_each_engine!(
    a_creation_that_is_overtaken_is_told_as_recovered,
    a_duplicate_that_was_there_before_is_no_race,
    a_policy_that_refuses_recovers_from_no_race,
);

on_each_server!(a_duplicate_whose_look_up_failed_is_no_race);

fn a_creation_that_is_overtaken_is_told_as_recovered<C: Connection>(stage: &Stage<C>) {
    let id = UserId::new();
    let rival = overtake(&stage.users, id);
    let users = stage.users_with(policy().hashing(hashing().engine(rival)));
    let Heard { answer, events } =
        stage.is_told("create_user", "existing", Some(id), || users.create_user(person("alice")));
    assert!(!answer.unwrap().is_created());
    let message = "another creation of the same person came first";
    let about = [("user_id", &*id.to_string())];
    assert_eq!(events, [event("INFO", "create_user", message, about)]);
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_create_total{outcome=existing}", 1),
            ("account_create_race_recovered_total", 1),
        ])
    );
}

fn a_duplicate_that_was_there_before_is_no_race<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let Heard { answer, events } = stage
        .is_told("create_user", "existing", Some(id), || stage.users.create_user(person("alice")));
    assert!(!answer.unwrap().is_created());
    assert_eq!(events, []);
    assert_eq!(stage.told.counters(), counts([("account_create_total{outcome=existing}", 1)]));
}

/// Nobody knows that there was nobody.
fn a_duplicate_whose_look_up_failed_is_no_race<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let users = stage.manager_of_one(|conn| stage.end_session_before(conn, "SELECT"));
    let Heard { events, .. } =
        stage.is_told("create_user", "existing", Some(id), || users.create_user(person("alice")));
    assert_eq!(events, []);
    assert_eq!(stage.told.counters(), counts([("account_create_total{outcome=existing}", 1)]));
}

fn a_policy_that_refuses_recovers_from_no_race<C: Connection>(stage: &Stage<C>) {
    let rival = overtake(&stage.users, UserId::new());
    let refusing = policy().hashing(hashing().engine(rival)).duplicates(Duplicates::Refuse);
    let users = stage.users_with(refusing);
    let Heard { events, .. } =
        stage.is_told("create_user", "taken", None, || users.create_user(person("alice")));
    assert_eq!(events, []);
    assert_eq!(stage.told.counters(), counts([("account_create_total{outcome=taken}", 1)]));
}

/// Another process creates alice while her password is hashed.
fn overtake<C: Connection>(users: &UserManager<C>, id: UserId) -> Meanwhile {
    let users = users.clone();
    Meanwhile::doing(move || {
        let created = thread::spawn(move || users.create_user(person("alice").with_id(id)));
        assert!(created.join().unwrap().unwrap().is_created());
    })
}
