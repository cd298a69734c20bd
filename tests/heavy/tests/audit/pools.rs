//! What is recorded needs no second connection, and pools that hold a test's transaction work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::r2d2::{ConnectionManager, HandleEvent, Pool, event::CheckoutEvent};
use diesel_accounts::{Error, NewUser, UserManager};
use diesel_accounts_proof::database::policy;

use crate::on_each_engine;
use crate::support::{
    Heard, Host, NEW_PASSWORD, PASSWORD, REALM, Stage, WRONG, assert_matches, context, email_of,
    person,
};

on_each_engine!(
    a_pool_of_one_suffices_for_everything,
    a_pooled_connection_with_an_open_transaction_is_recorded_on_and_nothing_is_committed,
    a_sink_alone_is_told_without_a_connection,
);

fn a_pool_of_one_suffices_for_everything<C: Host>(stage: Stage<C>) {
    let users = UserManager::with_policy(stage.database.pool(1), stage.policy().build().unwrap());
    let users = users.with(context()).in_realm(REALM);
    let id = users.create_user(person("alice")).unwrap().created().unwrap().id();
    assert!(!users.create_user(person("alice")).unwrap().is_created());
    let prepared = users.prepare(person("alice")).unwrap();
    assert!(!users.create_prepared_user(&prepared).unwrap().is_created());
    stage.create("bob");
    let two = NewUser::new("alice", email_of("bob"), PASSWORD);
    assert_matches!(users.create_user(two), Err(Error::Taken(_)));
    assert!(!users.authenticate("alice", WRONG).unwrap().is_accepted());
    assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert!(users.change_password(id, PASSWORD, NEW_PASSWORD).unwrap().is_changed());
    users.disable_user(id).unwrap();
    users.delete_user(id).unwrap();
    let mut told: Vec<_> = stage.told();
    told.sort();
    let mut expected = [
        "create created",
        "create existing",
        "create existing",
        "create taken",
        "sign_in wrong_password",
        "sign_in accepted",
        "change_password changed",
        "disable done",
        "delete done",
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
}

fn a_pooled_connection_with_an_open_transaction_is_recorded_on_and_nothing_is_committed<C: Host>(
    stage: Stage<C>,
) {
    let bob = stage.create("bob").id();
    let pool = stage.database.pool(1);
    pool.get().unwrap().begin_test_transaction().unwrap();
    let users = UserManager::with_policy(pool.clone(), stage.policy().build().unwrap());
    let users = users.with(context()).in_realm(REALM);
    assert!(users.create_user(person("alice")).unwrap().is_created());
    assert!(!users.create_user(person("bob")).unwrap().is_created());
    assert!(!users.create_user(person("alice")).unwrap().is_created());
    let two = NewUser::new("alice", email_of("bob"), PASSWORD);
    assert_matches!(users.create_user(two), Err(Error::Taken(_)));
    users.disable_user(bob).unwrap();
    users.delete_user(bob).unwrap();
    assert_eq!(pool.get().unwrap().records().len(), 6);
    assert_eq!((stage.count("account_users"), stage.records()), (1, vec![]), "none is committed");
    assert_eq!(stage.heard.take().len(), 6);
}

/// A look-up that answers is one check-out, whoever hears of it.
fn a_sink_alone_is_told_without_a_connection<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let outs = Outs::default();
    let pool = Pool::builder()
        .max_size(1)
        .event_handler(Box::new(outs.clone()))
        .build(ConnectionManager::<C>::new(stage.database.url()))
        .unwrap();
    pool.get().unwrap().set_up().unwrap();
    let heard = Heard::default();
    let policy = policy().audit_sink(heard.clone()).build().unwrap();
    let users = UserManager::with_policy(pool, policy).in_realm(REALM);
    let before = outs.0.load(Ordering::SeqCst);
    assert!(!users.create_user(person("alice")).unwrap().is_created());
    assert_eq!(heard.take().iter().map(|event| event.user_id()).collect::<Vec<_>>(), [Some(id)]);
    assert_eq!(outs.0.load(Ordering::SeqCst) - before, 1, "check-outs");
}

/// How often a connection was taken out of a pool.
#[derive(Clone, Debug, Default)]
struct Outs(Arc<AtomicUsize>);

impl HandleEvent for Outs {
    fn handle_checkout(&self, _: CheckoutEvent) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
