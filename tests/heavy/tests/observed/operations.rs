//! Each operation is one span, of its own name.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel_accounts::{
    DatabaseLimiter, ImportUser, LimitedBy, Quota, RateLimiter, Result, Timestamp, UserId,
};
use diesel_accounts_proof::workload::Connection;

use crate::on_each_engine;
use crate::stage::{CLIENT, PASSWORD, Stage, WRONG, email, engine_of, person, username};

on_each_engine!(
    each_operation_of_a_manager_is_one_span,
    each_operation_of_accounts_is_one_span,
    each_check_of_a_limit_is_one_span,
);

/// What a manager and `Accounts` have in common. Neither is left at the end.
macro_rules! tell_what_both_can {
    ($stage:ident, $accounts:expr, $alice:ident, $bob:ident, $nobody:ident) => {
        let (name, address) = (&*username("alice"), &*email("alice"));
        migration_is_told($stage, || $accounts.migrate());
        each_is_told!($stage, $accounts;
            check() "ok", None;
            user_by_id($alice) "found", Some($alice);
            user_by_id($nobody) "absent", Some($nobody);
            user_by_username(name) "found", Some($alice);
            user_by_username("nobody") "absent", None;
            user_by_email(address) "found", Some($alice);
            user_by_email("nobody@serin.example") "absent", None;
            user_by_login(name) "found", Some($alice);
            user_by_login(address) "found", Some($alice);
            user_by_login("nobody") "absent", None;
            list_users(None, 10) "ok", None;
            users_by_username_prefix("linnet", None, 10) "ok", None;
            users_by_email_prefix("alice", None, 10) "ok", None;
            disable_user($alice) "ok", Some($alice);
            enable_user($alice) "ok", Some($alice);
            require_password_change($alice) "ok", Some($alice);
            set_unusable_password($alice) "ok", Some($alice);
            unlock_user($alice) "ok", Some($alice);
            failed_attempts($alice) "ok", Some($alice);
            forget_old_attempts(10) "ok", None;
            events_of_user($alice, None, 10) "ok", Some($alice);
            forget_old_events(Timestamp::now(), 10) "ok", None;
            reserve_user($bob) "ok", Some($bob);
            delete_user($alice) "ok", Some($alice);
            disable_user($nobody) "user_not_found", Some($nobody);
            enable_user($nobody) "user_not_found", Some($nobody);
            require_password_change($nobody) "user_not_found", Some($nobody);
            set_unusable_password($nobody) "user_not_found", Some($nobody);
            unlock_user($nobody) "user_not_found", Some($nobody);
            failed_attempts($nobody) "user_not_found", Some($nobody);
            reserve_user($nobody) "user_not_found", Some($nobody);
            delete_user($nobody) "user_not_found", Some($nobody);
        );
    };
}
macro_rules! each_is_told {
    ($stage:ident, $accounts:expr;
     $($method:ident($($argument:expr),*) $outcome:literal, $about:expr;)+) => {
        $($stage.is_told(stringify!($method), $outcome, $about, || {
            $accounts.$method($($argument),*)
        });)+
    };
}
fn each_operation_of_a_manager_is_one_span<C: Connection>(stage: &Stage<C>) {
    let users = &stage.users;
    let [alice, nobody] = [UserId::new(), UserId::new()];
    stage.is_told("create_user", "created", Some(alice), || {
        users.create_user(person("alice").with_id(alice))
    });
    let prepared = users.prepare(person("bob")).unwrap();
    let bob = prepared.id();
    stage.is_told("create_prepared_user", "created", Some(bob), || {
        users.create_prepared_user(&prepared)
    });
    stage.is_told("import_users", "ok", None, || {
        users.import_users([import("carol"), import("dan")], |_, _| {})
    });
    stage.is_told("authenticate", "accepted", Some(alice), || {
        users.authenticate(&username("alice"), PASSWORD)
    });
    stage.is_told("change_password", "changed", Some(alice), || {
        users.change_password(alice, PASSWORD, WRONG)
    });
    stage.is_told("change_password", "refused", Some(alice), || {
        users.change_password(alice, PASSWORD, WRONG)
    });
    stage.is_told("set_password", "ok", Some(alice), || users.set_password(alice, PASSWORD));
    stage.is_told("set_password", "user_not_found", Some(nobody), || {
        users.set_password(nobody, PASSWORD)
    });
    tell_what_both_can!(stage, users, alice, bob, nobody);
    assert_eq!(stage.told.names(), operations_of_a_manager());
}

fn each_operation_of_accounts_is_one_span<C: Connection>(stage: &Stage<C>) {
    let (users, policy) = (&stage.users, stage.users.policy());
    let conn = &mut stage.database.connect();
    let prepared = users.prepare(person("alice")).unwrap();
    let (alice, nobody) = (prepared.id(), UserId::new());
    let mut accounts = users.on(conn);
    stage.is_told("create_user", "created", Some(alice), || accounts.create_user(&prepared));
    let imports = [import("bob")].map(|user| policy.prepare_import(&user).unwrap().unwrap());
    stage.is_told("import_users", "ok", None, || accounts.import_users(&imports));
    let bob = accounts.user_by_username(&username("bob")).unwrap().unwrap().id();
    let begun = stage
        .is_told("begin_sign_in", "ok", Some(alice), || accounts.begin_sign_in(&username("alice")));
    let verified = policy.verify(begun.answer.unwrap(), PASSWORD);
    stage.is_told("finish_sign_in", "accepted", Some(alice), || accounts.finish_sign_in(verified));
    let begun = stage.is_told("begin_sign_in", "ok", None, || accounts.begin_sign_in("nobody"));
    let verified = policy.verify(begun.answer.unwrap(), PASSWORD);
    stage.is_told("finish_sign_in", "refused", None, || accounts.finish_sign_in(verified));
    let begun = stage.is_told("begin_password_change", "ok", Some(alice), || {
        accounts.begin_password_change(alice, WRONG)
    });
    let verified = policy.verify_password_change(begun.answer.unwrap(), PASSWORD);
    stage.is_told("finish_password_change", "changed", Some(alice), || {
        accounts.finish_password_change(verified)
    });
    let user = accounts.user_by_id(alice).unwrap().unwrap();
    let password = policy.prepare_password(&user, PASSWORD).unwrap();
    stage.is_told("set_password", "ok", Some(alice), || accounts.set_password(alice, &password));
    tell_what_both_can!(stage, accounts, alice, bob, nobody);
}

fn each_check_of_a_limit_is_one_span<C: Connection>(stage: &Stage<C>) {
    let quota = Quota::new(1, Duration::from_secs(3600)).unwrap();
    let limiter = DatabaseLimiter::new(&stage.users);
    let [first, second] =
        [CLIENT, WRONG].map(|key| stage.users.limit_key("sign up", LimitedBy::Client(key)));
    for outcome in ["admitted", "refused"] {
        stage.is_told("check_limit", outcome, None, || limiter.check(first, quota));
    }
    let mut conn = stage.database.connect();
    let mut accounts = stage.users.on(&mut conn);
    for outcome in ["admitted", "refused"] {
        stage.is_told("check_limit", outcome, None, || accounts.check_limit(second, quota));
    }
}

/// A host finds our operations below its own spans.
#[test]
fn an_operation_is_told_within_the_span_of_the_host() {
    let stage = Stage::<SqliteConnection>::new();
    stage.told.hear(|| {
        tracing::info_span!("request").in_scope(|| stage.users.user_by_email("nobody")).unwrap()
    });
    let names: Vec<_> =
        stage.told.take().spans.iter().map(|span| (span.name, span.parent)).collect();
    assert_eq!(names, [("request", None), ("user_by_email", Some("request"))]);
}

/// How often it is tried depends on the other tests: on PostgreSQL all schemas of a database are
/// migrated one after the other.
fn migration_is_told<C: Connection>(stage: &Stage<C>, migrate: impl FnOnce() -> Result<()>) {
    stage.told.hear(migrate).unwrap();
    let spans = stage.told.take().spans;
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].name, &*spans[0].fields.0["outcome"]), ("migrate", "ok"));
    assert_eq!(spans[0].fields.0["engine"], engine_of::<C>());
}

fn import(name: &str) -> ImportUser {
    ImportUser::new().username(username(name)).email(email(name))
}

/// The methods of `UserManager` that can fail, but for the one that needs no database: whoever adds
/// one has it told, and adds it to the test above.
fn operations_of_a_manager() -> BTreeSet<&'static str> {
    let sources = [
        include_str!("../../../../src/manager/mod.rs"),
        include_str!("../../../../src/manager/create.rs"),
        include_str!("../../../../src/manager/import.rs"),
        include_str!("../../../../src/manager/sign_in.rs"),
    ];
    let methods = sources.iter().flat_map(|source| source.split("\n    pub fn ").skip(1));
    let operations = methods.filter_map(|method| {
        let signature = method.split(" {\n").next()?;
        let name = signature.split(['(', '<']).next()?;
        (signature.contains("-> Result<") && name != "prepare").then_some(name)
    });
    operations.collect()
}
