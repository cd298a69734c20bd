//! What comes of an operation is told in one word: the answer, or the code of the error.

use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel_accounts::{
    Argon2Engine, Argon2Input, Duplicates, HashingFailure, NewUser, Pepper, RefusalReason, SignIn,
    UserId, UserManager,
};
use diesel_accounts_proof::workload::Connection;

use crate::capture::HeardEvent;
use crate::on_each_engine;
use crate::stage::{
    Heard, PASSWORD, Stage, WRONG, counts, email, event, hashing, person, policy, username,
};

on_each_engine!(
    a_creation_is_created_existing_taken_or_invalid,
    a_sign_in_is_accepted_or_refused,
    each_refusal_is_told_with_its_reason,
    a_change_of_password_is_changed_or_refused,
    an_error_is_told_by_its_code,
    an_error_about_an_account_is_told_with_its_id,
);

fn a_creation_is_created_existing_taken_or_invalid<C: Connection>(stage: &Stage<C>) {
    let users = &stage.users;
    let refusing = stage.users_with(policy().duplicates(Duplicates::Refuse));
    let id = UserId::new();
    let told = |outcome, about, users: &UserManager<C>, new_user| {
        let Heard { events, .. } =
            stage.is_told("create_user", outcome, about, || users.create_user(new_user));
        assert_eq!(events, []);
    };
    told("created", Some(id), users, person("alice").with_id(id));
    told("existing", Some(id), users, person("alice"));
    told("existing", Some(id), users, NewUser::new("other", email("alice"), PASSWORD));
    stage.create("bob");
    told("taken", None, users, NewUser::new(username("alice"), email("bob"), PASSWORD));
    told("taken", None, &refusing, person("alice"));
    told("taken", None, &refusing, person("bob"));
    told("invalid", None, users, NewUser::new("", "", "short"));
    // What is counted of a creation does not depend on how it was asked for.
    let prepared = users.prepare(person("alice")).unwrap();
    stage.is_told("create_prepared_user", "existing", Some(id), || {
        users.create_prepared_user(&prepared)
    });
    let mut conn = stage.database.connect();
    stage.is_told("create_user", "existing", Some(id), || {
        users.on(&mut conn).create_user(&prepared)
    });
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_create_total{outcome=created}", 1),
            ("account_create_total{outcome=existing}", 4),
            ("account_create_total{outcome=taken}", 3),
            ("account_create_total{outcome=invalid}", 1),
        ])
    );
}

fn a_sign_in_is_accepted_or_refused<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let sign_in = |outcome, about, login: &str, password: &str| {
        let Heard { events, .. } = stage
            .is_told("authenticate", outcome, about, || stage.users.authenticate(login, password));
        events
    };
    assert_eq!(sign_in("accepted", Some(id), &username("alice"), PASSWORD), []);
    assert_eq!(sign_in("accepted", Some(id), &email("alice"), PASSWORD), []);
    sign_in("refused", None, &username("alice"), WRONG);
    sign_in("refused", None, &username("nobody"), PASSWORD);
    // The two halves are one sign-in.
    let mut conn = stage.database.connect();
    stage.told.hear(|| {
        let mut accounts = stage.users.on(&mut conn);
        let attempt = accounts.begin_sign_in(&username("alice")).unwrap();
        let verified = stage.users.policy().verify(attempt, WRONG);
        assert!(!accounts.finish_sign_in(verified).unwrap().is_accepted());
    });
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_sign_in_total{outcome=accepted}", 2),
            ("account_sign_in_total{outcome=refused}", 3),
        ])
    );
}

fn each_refusal_is_told_with_its_reason<C: Connection>(stage: &Stage<C>) {
    let mut sql = stage.database.connect();
    let id = stage.create("alice");
    let login = username("alice");
    let refused = |users: &UserManager<C>, password: &str, reason: RefusalReason, code: &str| {
        let Heard { answer, events } =
            stage.is_told("authenticate", "refused", None, || users.authenticate(&login, password));
        let Ok(SignIn::Refused(refused)) = answer else { panic!("{answer:?} for {code}") };
        assert_eq!(refused.reason_for_audit(), reason);
        assert_eq!(events, [refusal("authenticate", code, id)]);
    };
    let users = &stage.users;
    refused(users, WRONG, RefusalReason::WrongPassword, "wrong_password");
    sql.batch_execute("UPDATE account_attempts SET in_a_row = 1000").unwrap();
    refused(users, PASSWORD, RefusalReason::PasswordDisabled, "password_disabled");
    sql.batch_execute("DELETE FROM account_attempts").unwrap();
    for _ in 0..5 {
        assert!(!users.authenticate(&login, WRONG).unwrap().is_accepted());
    }
    refused(users, PASSWORD, RefusalReason::Throttled, "throttled");
    sql.batch_execute("DELETE FROM account_attempts").unwrap();
    let strict = stage.users_with(policy().require_verified_email(true));
    refused(&strict, PASSWORD, RefusalReason::EmailNotVerified, "email_not_verified");
    users.disable_user(id).unwrap();
    refused(users, PASSWORD, RefusalReason::Disabled, "disabled");
    users.enable_user(id).unwrap();
    sql.batch_execute("UPDATE account_users SET password_hash = 'unheard of'").unwrap();
    refused(users, PASSWORD, RefusalReason::StoredHashUnusable, "stored_hash_unusable");
    users.set_unusable_password(id).unwrap();
    refused(users, PASSWORD, RefusalReason::NoPassword, "no_password");

    users.set_password(id, PASSWORD).unwrap();
    let mut accounts = users.on(&mut sql);
    let attempt = accounts.begin_sign_in(&login).unwrap();
    let verified = users.policy().verify(attempt, PASSWORD);
    users.set_password(id, WRONG).unwrap();
    let Heard { events, .. } =
        stage.is_told("finish_sign_in", "refused", None, || accounts.finish_sign_in(verified));
    assert_eq!(events, [refusal("finish_sign_in", "superseded", id)]);

    // Of whom nothing is known, no id is told.
    let Heard { events, .. } = stage.is_told("authenticate", "refused", None, || {
        users.authenticate(&username("nobody"), PASSWORD)
    });
    let reason = [("reason", "unknown_login")];
    assert_eq!(events, [event("INFO", "authenticate", "a password was refused", reason)]);
}

fn a_change_of_password_is_changed_or_refused<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let change = |outcome, current: &str, new: &str| {
        let Heard { events, .. } = stage.is_told("change_password", outcome, Some(id), || {
            stage.users.change_password(id, current, new)
        });
        events
    };
    let wrong = refusal("change_password", "wrong_password", id);
    assert_eq!(change("refused", WRONG, "canary horse new"), [wrong]);
    assert_eq!(change("changed", PASSWORD, WRONG), []);
    assert_eq!(change("invalid", WRONG, "short"), []);
    assert_eq!(stage.told.counters(), counts([]), "it is no sign-in");
}

fn an_error_is_told_by_its_code<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    let (users, login) = (&stage.users, username("alice"));
    let no_engine = stage.users_with(policy().hashing(hashing().engine(NoEngine)));
    stage.is_told("create_user", "hashing", None, || no_engine.create_user(person("bob")));
    let pepper = || Pepper::new("siskin", [7; 32]).unwrap();
    let peppered = stage.users_with(policy().hashing(hashing().pepper(pepper())));
    peppered.set_password(id, PASSWORD).unwrap();
    stage.is_told("authenticate", "configuration", None, || users.authenticate(&login, PASSWORD));

    let pool = stage.database.pool(1);
    let _taken = pool.get().unwrap();
    let soon = policy().deadline(Duration::from_millis(1)).build().unwrap();
    let waiting = UserManager::with_policy(pool.clone(), soon);
    stage.is_told("create_user", "pool", None, || waiting.create_user(person("bob")));
    stage.is_told("user_by_id", "pool", Some(id), || waiting.user_by_id(id));

    let mut conn = stage.database.connect();
    AnsiTransactionManager::begin_transaction(&mut conn).unwrap();
    stage.is_told("begin_sign_in", "transaction_open", None, || {
        users.on(&mut conn).begin_sign_in(&login)
    });
    AnsiTransactionManager::rollback_transaction(&mut conn).unwrap();

    conn.batch_execute("ALTER TABLE account_users RENAME TO elsewhere").unwrap();
    stage.is_told("authenticate", "database", None, || users.authenticate(&login, PASSWORD));
    stage.is_told("list_users", "database", None, || users.list_users(None, 10));
    assert_eq!(
        stage.told.counters(),
        counts([
            ("account_create_total{outcome=hashing}", 1),
            ("account_create_total{outcome=pool}", 1),
            ("account_sign_in_total{outcome=configuration}", 1),
            ("account_sign_in_total{outcome=database}", 1),
        ])
    );
}

fn an_error_about_an_account_is_told_with_its_id<C: Connection>(stage: &Stage<C>) {
    let id = stage.create("alice");
    stage.is_told("create_user", "id_reused", Some(id), || {
        stage.users.create_user(person("bob").with_id(id))
    });
}

fn refusal(within: &'static str, code: &str, id: UserId) -> HeardEvent {
    let fields = [("reason", code), ("user_id", &*id.to_string())];
    event("INFO", within, "a password was refused", fields)
}

/// An engine that cannot hash.
#[derive(Debug)]
struct NoEngine;

impl Argon2Engine for NoEngine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self)
    }

    fn compute(&mut self, _: &Argon2Input<'_>, _: &mut [u8]) -> Result<(), HashingFailure> {
        Err(HashingFailure::Argon2)
    }
}
