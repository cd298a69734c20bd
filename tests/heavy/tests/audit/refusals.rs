//! Each reason for which a password is refused is recorded by its name.

use std::time::Duration;

use diesel_accounts::{PasswordChange, RefusalReason, SignIn, ThrottleRules, UserId, UserManager};

use crate::on_each_engine;
use crate::support::{
    Host, NEW_PASSWORD, PASSWORD, Stage, WRONG, assert_matches, email_of, person,
};

on_each_engine!(
    a_sign_in_is_accepted_by_username_and_by_address,
    each_refusal_of_a_sign_in_is_recorded_by_its_reason,
    each_refusal_of_a_change_is_recorded_by_its_reason,
    a_password_that_was_changed_meanwhile_is_superseded,
    an_address_that_is_not_verified_is_a_reason,
);

fn a_sign_in_is_accepted_by_username_and_by_address<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    // The second time it is not due to be written down in the account.
    for login in ["alice", "ALICE", &email_of("alice")] {
        let accepted = [("sign_in", "accepted", Some(id))];
        let sign_in = || stage.users.authenticate(login, PASSWORD);
        assert!(stage.is_recorded(&accepted, sign_in).unwrap().is_accepted());
    }
}

fn each_refusal_of_a_sign_in_is_recorded_by_its_reason<C: Host>(stage: Stage<C>) {
    let refused = |users: &UserManager<C>, login: &str, password, reason, id| {
        let sign_in = || users.authenticate(login, password).unwrap();
        let refusal = stage.is_recorded(&[("sign_in", code(reason), id)], sign_in);
        let refusal = assert_matches!(refusal, SignIn::Refused(refusal) => refusal);
        assert_eq!(refusal.reason_for_audit(), reason);
    };
    let Kinds { alice, disabled, without, broken } = Kinds::new(&stage);
    let users = &stage.users;
    refused(users, "nobody", PASSWORD, RefusalReason::UnknownLogin, None);
    refused(users, "no body", PASSWORD, RefusalReason::UnknownLogin, None);
    refused(users, "alice", WRONG, RefusalReason::WrongPassword, Some(alice));
    refused(users, "disabled", PASSWORD, RefusalReason::Disabled, Some(disabled));
    refused(users, "without", PASSWORD, RefusalReason::NoPassword, Some(without));
    refused(users, "broken", PASSWORD, RefusalReason::StoredHashUnusable, Some(broken));

    let users = &stage.users_with(stage.policy().throttle(strict()));
    refused(users, "alice", WRONG, RefusalReason::WrongPassword, Some(alice));
    refused(users, "alice", PASSWORD, RefusalReason::Throttled, Some(alice));
    refused(users, "nothing", PASSWORD, RefusalReason::UnknownLogin, None);
    refused(users, "nothing", PASSWORD, RefusalReason::Throttled, None);
    stage.clock.advance(A_DAY);
    refused(users, "alice", WRONG, RefusalReason::WrongPassword, Some(alice));
    stage.clock.advance(A_DAY);
    refused(users, "alice", PASSWORD, RefusalReason::PasswordDisabled, Some(alice));
}

fn each_refusal_of_a_change_is_recorded_by_its_reason<C: Host>(stage: Stage<C>) {
    let refused = |users: &UserManager<C>, id: UserId, current, reason| {
        let change = || users.change_password(id, current, NEW_PASSWORD).unwrap();
        let recorded = [("change_password", code(reason), Some(id))];
        let refusal = stage.is_recorded(&recorded, change);
        let refusal = assert_matches!(refusal, PasswordChange::Refused(refusal) => refusal);
        assert_eq!(refusal.reason_for_audit(), reason);
    };
    let Kinds { alice, disabled, without, broken } = Kinds::new(&stage);
    let users = &stage.users;
    refused(users, alice, WRONG, RefusalReason::WrongPassword);
    refused(users, disabled, PASSWORD, RefusalReason::Disabled);
    refused(users, without, PASSWORD, RefusalReason::NoPassword);
    refused(users, broken, PASSWORD, RefusalReason::StoredHashUnusable);

    let users = &stage.users_with(stage.policy().throttle(strict()));
    refused(users, alice, WRONG, RefusalReason::WrongPassword);
    refused(users, alice, PASSWORD, RefusalReason::Throttled);
    stage.clock.advance(A_DAY);
    refused(users, alice, WRONG, RefusalReason::WrongPassword);
    stage.clock.advance(A_DAY);
    refused(users, alice, PASSWORD, RefusalReason::PasswordDisabled);
}

fn a_password_that_was_changed_meanwhile_is_superseded<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let (users, mut conn) = (&stage.users, stage.database.connect());
    let attempt = users.on(&mut conn).begin_sign_in("alice").unwrap();
    let sign_in = users.policy().verify(attempt, PASSWORD);
    let attempt = users.on(&mut conn).begin_password_change(id, NEW_PASSWORD).unwrap();
    let change = users.policy().verify_password_change(attempt, PASSWORD);
    stage.quiet.set_password(id, NEW_PASSWORD).unwrap();
    let superseded = [("sign_in", "superseded", Some(id))];
    let answer = stage.is_recorded(&superseded, || users.on(&mut conn).finish_sign_in(sign_in));
    assert!(!answer.unwrap().is_accepted());
    let superseded = [("change_password", "superseded", Some(id))];
    let change = || users.on(&mut conn).finish_password_change(change);
    assert!(!stage.is_recorded(&superseded, change).unwrap().is_changed());
}

fn an_address_that_is_not_verified_is_a_reason<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let users = stage.users_with(stage.policy().require_verified_email(true));
    let refused = [("sign_in", "email_not_verified", Some(id))];
    let answer = stage.is_recorded(&refused, || users.authenticate("alice", PASSWORD));
    assert!(!answer.unwrap().is_accepted());
}

/// Accounts with a password each that is right, and is refused but for the first.
struct Kinds {
    alice: UserId,
    disabled: UserId,
    without: UserId,
    broken: UserId,
}

impl Kinds {
    fn new<C: Host>(stage: &Stage<C>) -> Self {
        let without = person("without").without_password();
        let kinds = Self {
            alice: stage.create("alice").id(),
            disabled: stage.create("disabled").id(),
            without: stage.quiet.create_user(without).unwrap().created().unwrap().id(),
            broken: stage.create("broken").id(),
        };
        stage.quiet.disable_user(kinds.disabled).unwrap();
        stage.execute(
            "UPDATE account_users SET password_hash = 'foreign$nothing' WHERE username = 'broken'",
        );
        kinds
    }
}

fn code(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Disabled => "disabled",
        RefusalReason::NoPassword => "no_password",
        RefusalReason::PasswordDisabled => "password_disabled",
        RefusalReason::StoredHashUnusable => "stored_hash_unusable",
        RefusalReason::Throttled => "throttled",
        RefusalReason::UnknownLogin => "unknown_login",
        RefusalReason::WrongPassword => "wrong_password",
        other => panic!("{other:?} is tested by itself"),
    }
}

/// One waits from the second failure on, and the password is disabled with the third.
fn strict() -> ThrottleRules {
    ThrottleRules::new().client(1, HOUR, HOUR).account(2, HOUR, HOUR).most_failures(3)
}

const HOUR: Duration = Duration::from_secs(3600);
const A_DAY: Duration = Duration::from_secs(86_400);
