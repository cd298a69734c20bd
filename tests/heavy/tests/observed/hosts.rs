//! What hosts do in the midst of an operation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel_accounts::{ImportUser, UserId};
use diesel_accounts_proof::workload::Connection;

use crate::capture::Fields;
use crate::on_each_engine;
use crate::stage::{
    Heard, Meanwhile, PASSWORD, Stage, counts, email, engine_of, hashing, person, policy, username,
};

on_each_engine!(
    what_a_host_does_in_the_midst_of_an_import_is_a_part_of_it,
    what_a_host_does_while_it_hashes_is_a_part_of_the_creation,
    after_a_panic_in_an_import_the_thread_tells_the_next_operation,
    after_a_panic_in_a_hash_the_thread_tells_the_next_operation,
);

fn what_a_host_does_in_the_midst_of_an_import_is_a_part_of_it<C: Connection>(stage: &Stage<C>) {
    let users = &stage.users;
    let mut heard = 0;
    let Heard { answer: summary, events } = stage.is_told("import_users", "ok", None, || {
        users.import_users(imports(), |_, _| {
            heard += 1;
            assert!(users.user_by_email(&email("alice")).unwrap().is_some());
            assert_eq!(users.create_user(person("bob")).unwrap().is_created(), heard == 1);
            assert!(users.authenticate(&username("bob"), PASSWORD).unwrap().is_accepted());
        })
    });
    assert_eq!((summary.unwrap().created(), heard), (2, 2));
    assert_eq!(events, []);
    assert_eq!(stage.told.counters(), counts([]));
    stage.is_told("user_by_email", "absent", None, || users.user_by_email("nobody@serin.example"));
}

fn what_a_host_does_while_it_hashes_is_a_part_of_the_creation<C: Connection>(stage: &Stage<C>) {
    let other = stage.users.clone();
    let engine = Meanwhile::doing(move || {
        assert!(other.create_user(person("bob")).unwrap().is_created());
    });
    let users = stage.users_with(policy().hashing(hashing().engine(engine)));
    let id = UserId::new();
    stage.is_told("create_user", "created", Some(id), || {
        users.create_user(person("alice").with_id(id))
    });
    assert_eq!(stage.told.counters(), counts([("account_create_total{outcome=created}", 1)]));
}

fn after_a_panic_in_an_import_the_thread_tells_the_next_operation<C: Connection>(stage: &Stage<C>) {
    panics(stage, "import_users", || {
        let _ = stage.users.import_users(imports(), |_, _| panic!("a host fails"));
    });
}

fn after_a_panic_in_a_hash_the_thread_tells_the_next_operation<C: Connection>(stage: &Stage<C>) {
    let engine = Meanwhile::doing(|| panic!("a host fails"));
    let users = stage.users_with(policy().hashing(hashing().engine(engine)));
    panics(stage, "create_user", || {
        let _ = users.create_user(person("alice"));
    });
    // The hash that failed keeps nobody else from hashing.
    assert!(users.create_user(person("carol")).unwrap().is_created());
}

/// The operation has no outcome, and the next ones are told as ever.
fn panics<C: Connection>(stage: &Stage<C>, name: &str, act: impl FnOnce()) {
    let panicked = catch_unwind(AssertUnwindSafe(|| stage.told.hear(act)));
    assert!(panicked.is_err());
    let said = stage.told.take();
    assert_eq!(said.spans.len(), 1);
    assert_eq!(said.spans[0].name, name);
    assert_eq!(said.spans[0].fields, Fields::from([("engine", engine_of::<C>())]));
    assert_eq!(stage.told.counters(), counts([]));
    let id = UserId::new();
    stage.is_told("create_user", "created", Some(id), || {
        stage.users.create_user(person("bob").with_id(id))
    });
    stage.is_told("user_by_id", "found", Some(id), || stage.users.user_by_id(id));
    assert_eq!(stage.told.counters(), counts([("account_create_total{outcome=created}", 1)]));
}

fn imports() -> [ImportUser; 2] {
    ["alice", "carl"].map(|name| ImportUser::new().username(username(name)).email(email(name)))
}
