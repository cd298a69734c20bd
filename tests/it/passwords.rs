//! Changing and setting passwords, and which ones are allowed.

use std::sync::{Arc, Mutex};

use diesel::result::Error::RollbackTransaction;
use diesel_accounts::{
    BreachCheck, BreachCheckUnavailable, Demand, Error, NewUser, PasswordChange, PasswordRules,
    RefusalReason, Result, UserId, UserManager, WhenUnavailable,
};

use crate::doubles::{Tally, cost, counted_hashing, refused};
use crate::support::{
    PASSWORD, TestConnection, TestDb, alice, assert_matches, cheap_policy, on_each_engine,
};

on_each_engine!(
    a_person_changes_the_password_with_the_current_one_only,
    a_change_is_refused_where_a_sign_in_would_be,
    a_new_password_that_is_not_allowed_is_told_before_anything_is_counted,
    a_change_does_not_undo_what_somebody_else_set_meanwhile,
    a_password_is_set_taken_away_and_set_again,
    whoever_must_change_the_password_must_take_another_one,
    nobody_who_is_not_there_gets_a_password,
    what_a_host_rolls_back_did_not_happen,
    the_rules_for_passwords_hold_for_new_users,
    a_password_of_10_mb_is_refused_at_every_entry,
    a_breached_password_is_refused_at_every_entry,
    a_breach_check_that_is_not_available_is_an_error_or_none,
);

const NEW: &str = "battery staple";

fn a_person_changes_the_password_with_the_current_one_only<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let before = db.users.user_by_id(id).unwrap().unwrap();
    for wrong in ["wrong horse", "", NEW] {
        let refusal = change(&db.users, id, wrong, NEW).unwrap_err();
        assert_eq!(refusal, RefusalReason::WrongPassword);
    }
    assert!(signs_in(&db.users, PASSWORD) && !signs_in(&db.users, NEW));
    let changed = db.users.change_password(id, PASSWORD, NEW).unwrap();
    let user = assert_matches!(changed, PasswordChange::Changed(user) => *user);
    assert_eq!(user.session_generation(), before.session_generation() + 1);
    assert_eq!(Some(&user), db.users.user_by_id(id).unwrap().as_ref());
    assert!(user.password_changed_at() >= before.password_changed_at());
    assert!(signs_in(&db.users, NEW) && !signs_in(&db.users, PASSWORD));
    assert_eq!(change(&db.users, id, PASSWORD, NEW), Err(RefusalReason::WrongPassword));
}

fn a_change_is_refused_where_a_sign_in_would_be<C: TestConnection>(db: TestDb<C>) {
    let tally = Tally::default();
    let hashing = counted_hashing(&tally).cost(cost(16, 2));
    let users = db.users_with(cheap_policy().hashing(hashing));
    let id = users.create_user(alice()).unwrap().created().unwrap().id();
    let refused = |current: &str| {
        tally.take();
        let reason = change(&users, id, current, NEW).unwrap_err();
        assert_eq!(tally.take(), [32], "{reason:?}");
        reason
    };
    assert_eq!(refused("wrong horse"), RefusalReason::WrongPassword);
    users.disable_user(id).unwrap();
    assert_eq!(refused(PASSWORD), RefusalReason::Disabled);
    users.enable_user(id).unwrap();
    assert_eq!(change(&users, id, PASSWORD, PASSWORD), Ok(()));
    assert_eq!(tally.take(), [32; 2], "one for the current password, and one for the new");
    users.set_unusable_password(id).unwrap();
    assert_eq!(refused(PASSWORD), RefusalReason::NoPassword);
    users.reserve_user(id).unwrap();
    assert_matches!(users.change_password(id, PASSWORD, NEW), Err(Error::UserNotFound));
}

fn a_new_password_that_is_not_allowed_is_told_before_anything_is_counted<C: TestConnection>(
    db: TestDb<C>,
) {
    let id = db.create(alice()).id();
    for (new, expected) in [
        ("short", &["too_short"][..]),
        ("password", &["common_password"]),
        ("alice@example.org", &["personal_password"]),
        ("alice\u{378}1", &["too_short", "unassigned_character", "personal_password"]),
    ] {
        for current in [PASSWORD, "wrong horse"] {
            assert_eq!(codes(db.users.change_password(id, current, new)), expected, "{new}");
        }
        assert_eq!(codes(db.users.set_password(id, new)), expected, "{new}");
    }
    assert_eq!(db.users.failed_attempts(id).unwrap().count(), 0);
    assert!(signs_in(&db.users, PASSWORD));
}

fn a_change_does_not_undo_what_somebody_else_set_meanwhile<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let mut conn = db.connect();
    let attempt = db.users.on(&mut conn).begin_password_change(id, NEW).unwrap();
    let verified = db.users.policy().verify_password_change(attempt, PASSWORD);
    db.users.set_password(id, "set by an administrator").unwrap();
    let change = db.users.on(&mut conn).finish_password_change(verified).unwrap();
    assert!(!change.is_changed());
    assert!(signs_in(&db.users, "set by an administrator") && !signs_in(&db.users, NEW));
}

fn a_password_is_set_taken_away_and_set_again<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    db.users.set_password(id, NEW).unwrap();
    assert!(signs_in(&db.users, NEW) && !signs_in(&db.users, PASSWORD));
    db.users.set_unusable_password(id).unwrap();
    for typed in [NEW, PASSWORD, ""] {
        let refusal = refused(db.users.authenticate("alice", typed).unwrap());
        assert_eq!(refusal.reason_for_audit(), RefusalReason::NoPassword);
    }
    assert_eq!(db.users.user_by_id(id).unwrap().unwrap().password_changed_at(), None);
    db.users.set_password(id, PASSWORD).unwrap();
    assert!(signs_in(&db.users, PASSWORD));
    // What sets it ends the waits of those who tried.
    for _ in 0..9 {
        assert!(!signs_in(&db.users, "wrong horse"));
    }
    assert!(!signs_in(&db.users, PASSWORD));
    db.users.set_password(id, NEW).unwrap();
    assert!(signs_in(&db.users, NEW));
}

fn whoever_must_change_the_password_must_take_another_one<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(NewUser::new("alice", "alice@example.org", "caf\u{e9} noir")).id();
    let demanded = |password: &str| {
        let accepted = db.users.authenticate("alice", password).unwrap().accepted().unwrap();
        accepted.demands().contains(&Demand::ChangePassword)
    };
    assert!(!demanded("caf\u{e9} noir"));
    // Otherwise the same one may be set again.
    assert_eq!(change(&db.users, id, "caf\u{e9} noir", "caf\u{e9} noir"), Ok(()));
    db.users.require_password_change(id).unwrap();
    assert!(demanded("caf\u{e9} noir"));
    for _ in 0..9 {
        let same = db.users.change_password(id, "caf\u{e9} noir", "cafe\u{301} noir");
        assert_eq!(codes(same), ["unchanged_password"]);
    }
    assert_eq!(db.users.failed_attempts(id).unwrap().count(), 0);
    assert_eq!(change(&db.users, id, "caf\u{e9} noir", NEW), Ok(()));
    assert!(!demanded(NEW));
    db.users.require_password_change(id).unwrap();
    db.users.set_password(id, PASSWORD).unwrap();
    assert!(!demanded(PASSWORD), "an administrator asks for it after setting one, if at all");
}

fn nobody_who_is_not_there_gets_a_password<C: TestConnection>(db: TestDb<C>) {
    let reserved = db.create(alice()).id();
    db.users.reserve_user(reserved).unwrap();
    let elsewhere = db.users.in_realm(diesel_accounts::RealmId::from_bytes([1; 16]));
    let bob = db.create(crate::support::bob()).id();
    let nobody = UserId::from_bytes([1; 16]);
    for (users, id) in [(&db.users, nobody), (&db.users, reserved), (&elsewhere, bob)] {
        for answer in [
            users.set_password(id, NEW),
            users.set_unusable_password(id),
            users.require_password_change(id),
            users.change_password(id, PASSWORD, NEW).map(|_| ()),
        ] {
            assert_matches!(answer, Err(Error::UserNotFound));
        }
    }
    assert!(db.users.authenticate("bob", PASSWORD).unwrap().is_accepted());
}

fn what_a_host_rolls_back_did_not_happen<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    for _ in 0..9 {
        assert!(!signs_in(&db.users, "wrong horse"));
    }
    let state = || {
        let failed = db.users.failed_attempts(id).unwrap();
        (db.users.user_by_id(id).unwrap().unwrap(), failed.count())
    };
    let before = state();
    assert_eq!(before.1, 5);
    let prepared = db.users.policy().prepare_password(&before.0, NEW).unwrap();
    let mut conn = db.connect();
    let change_all = |conn: &mut C| -> Result<()> {
        let mut accounts = db.users.on(conn);
        accounts.set_unusable_password(id)?;
        accounts.set_password(id, &prepared)?;
        accounts.require_password_change(id)
    };
    let rolled_back = conn.transaction::<(), Error, _>(|conn| {
        change_all(conn)?;
        assert_eq!(db.users.on(conn).failed_attempts(id)?.count(), 0);
        Err(RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    assert_eq!(state(), before);
    conn.transaction(change_all).unwrap();
    let (user, failures) = state();
    assert_eq!(user.session_generation(), before.0.session_generation() + 3);
    assert!(user.must_change_password() && failures == 0);
    assert!(signs_in(&db.users, NEW) && !signs_in(&db.users, PASSWORD));
}

fn the_rules_for_passwords_hold_for_new_users<C: TestConnection>(db: TestDb<C>) {
    let with = |rules: PasswordRules| db.users_with(cheap_policy().passwords(rules));
    let codes_of = |users: &UserManager<C>, password: &str| {
        codes(users.create_user(NewUser::new("alice", "al.ice@wonder-land.example", password)))
    };
    let usual = with(PasswordRules::new().service_names(["Mail Box"]).blocked(["Tr0ub4dor&3"]));
    for (password, expected) in [
        ("", &["too_short"][..]),
        ("1234567", &["too_short"]),
        ("cafe\u{301}e\u{301}e\u{301}e\u{301}", &["too_short"]),
        ("PassWord123", &["common_password"]),
        ("tr0ub4dor&3", &["common_password"]),
        ("alice2026", &["personal_password"]),
        ("ALICE-alice-1", &["personal_password"]),
        ("Wonderland1", &["personal_password"]),
        ("mailbox2026", &["personal_password"]),
        ("1234567\u{378}8", &["unassigned_character"]),
    ] {
        assert_eq!(codes_of(&usual, password), expected, "{password:?}");
    }
    let nist = with(PasswordRules::nist_single_factor());
    assert_eq!(codes_of(&nist, "TestPass123!"), ["too_short"]);
    assert_eq!(db.count(), 0);
    // All that is wrong at once, also with the names.
    let everything = codes(usual.create_user(NewUser::new("a b", "nowhere", "1234567")));
    assert_eq!(everything, ["character_not_allowed", "malformed", "too_short"]);

    // No rules of composition, parts of a password are free, and a NUL is a character as any other.
    let allowed = ["TestPass123!", "        ", "aaaaaaab", "password123 of mine", "nul\0nul\0nul"];
    for (number, password) in allowed.into_iter().enumerate() {
        let name = format!("allowed{number}");
        let new_user = NewUser::new(&name, format!("{name}@example.org"), password);
        assert!(usual.create_user(new_user).unwrap().is_created(), "{password:?}");
        assert!(usual.authenticate(&name, password).unwrap().is_accepted(), "{password:?}");
    }
    for other in ["nul", "nul\0nul\0nuL"] {
        assert!(!usual.authenticate("allowed4", other).unwrap().is_accepted());
    }
}

fn a_password_of_10_mb_is_refused_at_every_entry<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let tally = Tally::default();
    let users = db.users_with(cheap_policy().hashing(counted_hashing(&tally)));
    for long in ["a".repeat(1025), "a".repeat(10_000_000)] {
        let new_user = NewUser::new("bob", "bob@example.org", &long);
        assert_eq!(codes(users.create_user(new_user)), ["too_many_bytes"]);
        assert_eq!(codes(users.set_password(id, &long)), ["too_many_bytes"]);
        assert_eq!(codes(users.change_password(id, PASSWORD, &long)), ["too_many_bytes"]);
        let user = users.user_by_id(id).unwrap().unwrap();
        assert_eq!(codes(users.policy().prepare_password(&user, &long)), ["too_many_bytes"]);
        assert_eq!(tally.take(), [0; 0], "no hash of what is not allowed");
        assert_eq!(change(&users, id, &long, NEW), Err(RefusalReason::WrongPassword));
        assert!(!signs_in(&users, &long));
        assert_eq!(tally.take(), [8; 2]);
    }
    users.unlock_user(id).unwrap();
    let longest = "\u{1f600}".repeat(256);
    assert_eq!(change(&users, id, PASSWORD, &longest), Ok(()));
    assert!(signs_in(&users, &longest) && !signs_in(&users, &longest[4..]));
}

fn a_breached_password_is_refused_at_every_entry<C: TestConnection>(db: TestDb<C>) {
    let service = Service::default();
    let rules = PasswordRules::new().breach_check(service.clone(), WhenUnavailable::Refuse);
    let users = db.users_with(cheap_policy().passwords(rules));
    let _ = users.create_user(alice()).unwrap();
    let id = users.user_by_username("alice").unwrap().unwrap().id();
    let stolen = NewUser::new("bob", "bob@example.org", STOLEN);
    assert_eq!(codes(users.create_user(stolen)), ["breached_password"]);
    assert_eq!(codes(users.set_password(id, STOLEN)), ["breached_password"]);
    for _ in 0..9 {
        assert_eq!(codes(users.change_password(id, PASSWORD, STOLEN)), ["breached_password"]);
    }
    assert_eq!(users.failed_attempts(id).unwrap().count(), 0);
    // Nobody is asked at a sign-in, with a wrong current password, or for what is not allowed
    // anyway.
    service.take_asked();
    assert!(signs_in(&users, PASSWORD) && !signs_in(&users, STOLEN));
    assert_eq!(change(&users, id, "wrong horse", STOLEN), Err(RefusalReason::WrongPassword));
    assert_eq!(codes(users.set_password(id, "short")), ["too_short"]);
    assert_eq!(service.take_asked(), 0);
    assert_eq!((db.count(), change(&users, id, PASSWORD, NEW)), (1, Ok(())));
    assert_eq!(service.take_asked(), 1);
}

fn a_breach_check_that_is_not_available_is_an_error_or_none<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let with = |when_unavailable| {
        let service = Service { is_down: true, ..Service::default() };
        let rules = PasswordRules::new().breach_check(service, when_unavailable);
        db.users_with(cheap_policy().passwords(rules))
    };
    let users = with(WhenUnavailable::Refuse);
    for _ in 0..9 {
        for failed in [
            users.change_password(id, PASSWORD, NEW).map(|_| ()),
            users.set_password(id, NEW),
            users.create_user(crate::support::bob()).map(|_| ()),
        ] {
            let error =
                assert_matches!(failed, Err(error @ Error::BreachCheckUnavailable) => error);
            assert!(error.is_retryable());
        }
    }
    assert_eq!((db.count(), users.failed_attempts(id).unwrap().count()), (1, 0));
    assert!(signs_in(&users, PASSWORD));
    assert_eq!(change(&with(WhenUnavailable::Allow), id, PASSWORD, STOLEN), Ok(()));
}

const STOLEN: &str = "hunter2hunter2 stolen";

/// Knows one password, and counts how often it is asked.
#[derive(Clone, Debug, Default)]
struct Service {
    asked: Arc<Mutex<usize>>,
    is_down: bool,
}

impl Service {
    fn take_asked(&self) -> usize {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl BreachCheck for Service {
    fn is_breached(&self, password: &str) -> std::result::Result<bool, BreachCheckUnavailable> {
        *self.asked.lock().unwrap() += 1;
        if self.is_down { Err(BreachCheckUnavailable) } else { Ok(password == STOLEN) }
    }
}

fn signs_in<C: TestConnection>(users: &UserManager<C>, password: &str) -> bool {
    users.authenticate("alice", password).unwrap().is_accepted()
}

/// Changes a password, or tells why not.
fn change<C: TestConnection>(
    users: &UserManager<C>,
    id: UserId,
    current: &str,
    new: &str,
) -> std::result::Result<(), RefusalReason> {
    match users.change_password(id, current, new).unwrap() {
        PasswordChange::Changed(_) => Ok(()),
        PasswordChange::Refused(refusal) => Err(refusal.reason_for_audit()),
        other => panic!("{other:?}"),
    }
}

/// Everything that is wrong with the input.
fn codes<T: std::fmt::Debug>(answer: Result<T>) -> Vec<&'static str> {
    let invalid = assert_matches!(answer, Err(Error::Invalid(invalid)) => invalid);
    invalid.errors().iter().map(|error| error.code()).collect()
}
