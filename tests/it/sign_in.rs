//! Signing in: one hash and one answer whatever comes of it, and what it leaves behind.

use std::thread;
use std::time::Duration;

use diesel_accounts::{
    Clock, ConfigurationFailure, Demand, Error, Hashing, Identifiers, NewUser, Pepper,
    RefusalReason, ThrottleRules, UserManager,
};

use crate::doubles::{HeldEngine, SetClock, Tally, all_at_once, cost, counted_hashing, refused};
use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, cheap_policy, debug_of,
    on_each_engine, pool_of,
};

on_each_engine!(
    each_of_the_nine_paths_takes_the_work_of_one_hash_and_refusals_are_told_alike,
    whether_the_password_of_a_disabled_account_is_right_cannot_be_measured,
    a_person_signs_in_by_username_and_by_email_in_any_spelling,
    an_obsolete_hash_is_replaced_at_sign_in_and_only_then,
    a_rehash_never_overwrites_a_newer_password,
    peppers_are_added_rotated_and_missed,
    what_else_is_asked_of_the_person_is_told,
    a_policy_can_insist_on_a_verified_email,
    the_last_sign_in_is_recorded_as_often_as_the_policy_wants,
    nothing_is_counted_on_a_connection_with_an_open_transaction,
    a_sign_in_is_seven_statements_a_repeated_one_six_and_a_refused_one_two,
    a_look_up_through_a_pool_of_one_succeeds_while_a_password_is_verified,
);

/// Today's hash is 16 KiB passed over twice; an obsolete one is 8 KiB, once.
fn each_of_the_nine_paths_takes_the_work_of_one_hash_and_refusals_are_told_alike<
    C: TestConnection,
>(
    db: TestDb<C>,
) {
    let (clock, tally, second) = (SetClock::new(), Tally::default(), Duration::from_secs(1));
    let hashing = counted_hashing(&tally).cost(cost(16, 2));
    let rules =
        ThrottleRules::new().client(2, second, second).account(2, second, second).most_failures(3);
    let users = db.users_with(cheap_policy().hashing(hashing).throttle(rules).clock(clock.clone()));
    let create = |name: &str| {
        let created = users.create_user(person(name, PASSWORD));
        created.unwrap().created().unwrap()
    };
    let malformed = ["", "x", "$argon2id$", "foreign$x$", "$argon2id$v=19$m=4194304,t=3,p=1$a$b"];
    let users_of_malformed: Vec<_> = (0..malformed.len()).map(|at| format!("odd{at}")).collect();
    let too_long = "a".repeat(1025);
    let far_too_long = PASSWORD.repeat(10_000_000 / PASSWORD.len());

    for name in ["right", "long1", "long2", "wrong"] {
        create(name);
    }
    db.create(person("none", "").without_password());
    users.disable_user(create("off").id()).unwrap();
    let locked = create("locked").id();
    for _ in 0..3 {
        assert!(!users.authenticate("locked", "wrong horse").unwrap().is_accepted());
        clock.advance(2 * second);
    }
    assert!(users.failed_attempts(locked).unwrap().password_is_disabled());
    for (name, stored) in users_of_malformed.iter().zip(malformed) {
        create(name);
        store_hash(&db, name, stored);
    }
    db.create(person("old", PASSWORD));

    let mut paths = vec![
        ("right", PASSWORD, None),
        ("nobody", PASSWORD, Some(RefusalReason::UnknownLogin)),
        ("no body at all", PASSWORD, Some(RefusalReason::UnknownLogin)),
        ("wrong", "wrong horse", Some(RefusalReason::WrongPassword)),
        ("none", PASSWORD, Some(RefusalReason::NoPassword)),
        ("off", PASSWORD, Some(RefusalReason::Disabled)),
        ("locked", PASSWORD, Some(RefusalReason::PasswordDisabled)),
        ("long1", &too_long, Some(RefusalReason::WrongPassword)),
        ("long2", &far_too_long, Some(RefusalReason::WrongPassword)),
        ("old", "wrong horse", Some(RefusalReason::WrongPassword)),
    ];
    for name in &users_of_malformed {
        paths.push((name, PASSWORD, Some(RefusalReason::StoredHashUnusable)));
    }
    tally.take();
    for (login, password, expected) in paths {
        let sign_in = users.authenticate(login, password).unwrap();
        let works = tally.take();
        assert_eq!(works.iter().sum::<u64>(), 32, "{login}: {works:?}");
        assert_eq!(works.len(), if login == "old" { 2 } else { 1 }, "{login}: {works:?}");
        let told = debug_of(&sign_in);
        let Some(expected) = expected else {
            assert!(sign_in.is_accepted(), "{login}");
            continue;
        };
        let refusal = refused(sign_in);
        assert_eq!(refusal.reason_for_audit(), expected, "{login}");
        assert_eq!(refusal.retry_after(), None, "{login}");
        assert_eq!(refusal.to_string(), "the login or the password is not right", "{login}");
        let alike = "Refused(Refusal(..)) Refused(\n    Refusal(..),\n)";
        assert_eq!(told, alike, "{login}");
    }
}

/// The stored hash is obsolete: nothing is gained by replacing it for somebody who is refused.
fn whether_the_password_of_a_disabled_account_is_right_cannot_be_measured<C: TestConnection>(
    db: TestDb<C>,
) {
    let id = db.create(alice()).id();
    let tally = Tally::default();
    let users = db.users_with(cheap_policy().hashing(counted_hashing(&tally).cost(cost(16, 2))));
    users.disable_user(id).unwrap();
    for password in ["wrong horse", PASSWORD] {
        let refusal = refused(users.authenticate("alice", password).unwrap());
        assert_eq!(refusal.reason_for_audit(), RefusalReason::Disabled);
        let works = tally.take();
        assert_eq!(works.iter().sum::<u64>(), 32, "{password}: {works:?}");
    }
}

fn a_person_signs_in_by_username_and_by_email_in_any_spelling<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(NewUser::new("Ann", "Ann@b\u{fc}cher.example", "caf\u{e9} noir")).id();
    for login in ["ann", "\u{ff21}NN", "ann@B\u{dc}CHER.example", " ANN@xn--bcher-kva.example "] {
        let sign_in = db.users.authenticate(login, "cafe\u{301} noir").unwrap();
        assert_eq!(sign_in.accepted().map(|accepted| accepted.user().id()), Some(id), "{login}");
    }
    for (login, password) in [("ann", "Caf\u{e9} noir"), ("ann", "caf\u{e9} noir "), ("ann", "")] {
        assert!(!db.users.authenticate(login, password).unwrap().is_accepted(), "{password:?}");
    }
    db.users.reserve_user(id).unwrap();
    let refusal = refused(db.users.authenticate("ann", "caf\u{e9} noir").unwrap());
    assert_eq!(refusal.reason_for_audit(), RefusalReason::UnknownLogin);
}

fn an_obsolete_hash_is_replaced_at_sign_in_and_only_then<C: TestConnection>(db: TestDb<C>) {
    let before = db.create(alice());
    let stored_as = |start: &str| {
        db.connect().number(&format!(
            "SELECT COUNT(*) AS number FROM account_users WHERE password_hash LIKE '{start}%'"
        ))
    };
    let tally = Tally::default();
    for (memory, start) in [(16, "$argon2id$v=19$m=16,"), (8, "$argon2id$v=19$m=8,")] {
        let hashing = counted_hashing(&tally).cost(cost(memory, 1));
        let users = db.users_with(cheap_policy().hashing(hashing));
        assert!(!users.authenticate("alice", "wrong horse").unwrap().is_accepted());
        assert_eq!(stored_as(start), 0);
        for _ in 0..2 {
            assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
            assert_eq!(stored_as(start), 1);
        }
        let after = users.user_by_id(before.id()).unwrap().unwrap();
        assert_eq!(after.session_generation(), before.session_generation());
        assert_eq!(after.password_changed_at(), before.password_changed_at());
        assert_eq!(after.updated_at(), before.updated_at());
    }
}

fn a_rehash_never_overwrites_a_newer_password<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let today = Hashing::new().cost(cost(16, 1)).longest_wait(Duration::from_secs(60));
    let users = db.users_with(cheap_policy().hashing(today));
    for round in 0..30 {
        let (old, new) = (format!("old horse {round}"), format!("new horse {round}"));
        db.users.set_password(id, &old).unwrap();
        all_at_once(3, |thread| match (thread, round % 2) {
            // The sign-ins may come too late for the old password.
            (0 | 1, _) => assert_matches!(users.authenticate("alice", &old), Ok(_)),
            (_, 0) => assert!(users.change_password(id, &old, &new).unwrap().is_changed()),
            _ => users.set_password(id, &new).unwrap(),
        });
        assert!(users.authenticate("alice", &new).unwrap().is_accepted(), "round {round}");
        assert!(!users.authenticate("alice", &old).unwrap().is_accepted(), "round {round}");
    }
}

fn peppers_are_added_rotated_and_missed<C: TestConnection>(db: TestDb<C>) {
    let pepper = |id: &str, byte| Pepper::new(id, [byte; 32]).unwrap();
    let with = |peppers: &[Pepper]| {
        let plain = Hashing::new().cost(cost(8, 1)).longest_wait(Duration::from_secs(60));
        let hashing = peppers.iter().cloned().fold(plain, Hashing::pepper);
        db.users_with(cheap_policy().hashing(hashing))
    };
    let (first, second) = (pepper("1", 1), pepper("2", 2));
    let (plain, with_first) = (with(&[]), with(std::slice::from_ref(&first)));
    let (with_both, with_second) = (with(&[first, second.clone()]), with(&[second]));
    let with_wrong = with(&[pepper("1", 9)]);
    let id = db.create(alice()).id();
    let signs_in = |users: &UserManager<C>, password: &str| {
        users.authenticate("alice", password).unwrap().is_accepted()
    };
    let needs = |users: &UserManager<C>, expected: &str| {
        for failed in [
            users.authenticate("alice", PASSWORD).map(|_| ()),
            users.authenticate("alice", "wrong horse").map(|_| ()),
            users.change_password(id, PASSWORD, "battery staple").map(|_| ()),
        ] {
            let failure = assert_matches!(failed, Err(Error::Configuration(failure)) => failure);
            let key_id = assert_matches!(
                failure, ConfigurationFailure::PepperMissing { key_id, .. } => key_id
            );
            assert_eq!(key_id, expected);
        }
        assert_eq!(users.failed_attempts(id).unwrap().count(), 0);
    };
    // Added: an old hash verifies, and is replaced by one that needs the key.
    assert!(signs_in(&with_second, PASSWORD) && signs_in(&with_second, PASSWORD));
    needs(&plain, "2");
    needs(&with_first, "2");
    db.users.set_password(id, PASSWORD).unwrap();
    assert!(signs_in(&with_first, PASSWORD));
    needs(&plain, "1");
    needs(&with_second, "1");
    // Another key under the same id cannot be told from a wrong password.
    assert!(!signs_in(&with_wrong, PASSWORD));
    // Rotated: both verify, and the sign-in upgrades.
    assert!(!signs_in(&with_both, "wrong horse"));
    assert!(signs_in(&with_first, PASSWORD), "only a right password upgrades");
    assert!(signs_in(&with_both, PASSWORD));
    assert!(signs_in(&with_second, PASSWORD), "the old key can be taken out");
    needs(&with_first, "2");
    // Set anew, whatever the old hash needs.
    with_first.set_password(id, "battery staple").unwrap();
    assert!(with_first.authenticate("alice", "battery staple").unwrap().is_accepted());
    assert!(with_both.change_password(id, "battery staple", PASSWORD).unwrap().is_changed());
    assert!(signs_in(&with_second, PASSWORD));
}

fn what_else_is_asked_of_the_person_is_told<C: TestConnection>(db: TestDb<C>) {
    let demands =
        |login: &str| db.users.authenticate(login, PASSWORD).unwrap().accepted().unwrap().demands();
    let alice = db.create(alice()).id();
    create_without_email(&db, "nameless");
    assert_eq!(demands("nameless"), []);
    assert_eq!(demands("alice"), [Demand::VerifyEmail]);
    db.users.require_password_change(alice).unwrap();
    assert_eq!(demands("alice"), [Demand::ChangePassword, Demand::VerifyEmail]);
    verify_email(&db, "alice");
    assert_eq!(demands("alice"), [Demand::ChangePassword]);
}

fn a_policy_can_insist_on_a_verified_email<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    create_without_email(&db, "nameless");
    let users = db.users_with(cheap_policy().require_verified_email(true));
    assert!(users.authenticate("nameless", PASSWORD).unwrap().is_accepted());
    for _ in 0..9 {
        let refusal = refused(users.authenticate("alice", PASSWORD).unwrap());
        assert_eq!(refusal.reason_for_audit(), RefusalReason::EmailNotVerified);
        assert_eq!(refusal.to_string(), "the login or the password is not right");
    }
    // A right password is no failure.
    assert_eq!(users.failed_attempts(id).unwrap().count(), 0);
    // One that was the right one is.
    let mut conn = db.connect();
    let attempt = users.on(&mut conn).begin_sign_in("alice").unwrap();
    let verified = users.policy().verify(attempt, PASSWORD);
    users.set_password(id, "battery staple").unwrap();
    refused(users.authenticate("alice", "wrong horse").unwrap());
    let refusal = refused(users.on(&mut conn).finish_sign_in(verified).unwrap());
    assert_eq!(refusal.reason_for_audit(), RefusalReason::Superseded);
    assert_eq!(users.failed_attempts(id).unwrap().count(), 1);
    users.set_password(id, PASSWORD).unwrap();
    let refusal = refused(users.authenticate("alice", "wrong horse").unwrap());
    assert_eq!(refusal.reason_for_audit(), RefusalReason::WrongPassword);
    verify_email(&db, "alice");
    assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
}

fn the_last_sign_in_is_recorded_as_often_as_the_policy_wants<C: TestConnection>(db: TestDb<C>) {
    let (clock, minute) = (SetClock::new(), Duration::from_secs(60));
    let policy = cheap_policy().clock(clock.clone()).sign_in_recorded_every(10 * minute);
    let users = db.users_with(policy);
    let id = db.create(alice()).id();
    let recorded = || users.user_by_id(id).unwrap().unwrap().last_sign_in_at();
    assert!(!users.authenticate("alice", "wrong horse").unwrap().is_accepted());
    assert_eq!(recorded(), None);
    let accepted = users.authenticate("alice", PASSWORD).unwrap().accepted().unwrap();
    assert_eq!(accepted.user().last_sign_in_at(), None, "that of an earlier sign-in");
    let first = clock.now();
    assert_eq!(recorded(), Some(first));
    clock.advance(9 * minute);
    assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert_eq!(recorded(), Some(first));
    clock.advance(minute);
    assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert_eq!(recorded(), Some(clock.now()));
}

fn nothing_is_counted_on_a_connection_with_an_open_transaction<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let mut conn = db.connect();
    let outside = |conn: &mut C| {
        let mut accounts = db.users.on(conn);
        let sign_in = accounts.begin_sign_in("alice").unwrap();
        let change = accounts.begin_password_change(id, "battery staple").unwrap();
        let policy = db.users.policy();
        (policy.verify(sign_in, PASSWORD), policy.verify_password_change(change, PASSWORD))
    };
    let (sign_in, change) = outside(&mut conn);
    conn.transaction::<_, Error, _>(|conn| {
        let mut accounts = db.users.on(conn);
        assert_matches!(accounts.begin_sign_in("alice"), Err(Error::TransactionOpen));
        assert_matches!(accounts.begin_sign_in("nobody"), Err(Error::TransactionOpen));
        let change_begun = accounts.begin_password_change(id, "battery staple");
        assert_matches!(change_begun, Err(Error::TransactionOpen));
        assert_matches!(accounts.finish_sign_in(sign_in), Err(Error::TransactionOpen));
        assert_matches!(accounts.finish_password_change(change), Err(Error::TransactionOpen));
        assert_matches!(accounts.unlock_user(id), Err(Error::TransactionOpen));
        assert_matches!(accounts.forget_old_attempts(9), Err(Error::TransactionOpen));
        Ok(())
    })
    .unwrap();
    assert_eq!(db.users.failed_attempts(id).unwrap().count(), 2, "what was counted outside");

    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    pool.get().unwrap().begin_test_transaction().unwrap();
    for login in ["alice", "nobody"] {
        assert_matches!(users.authenticate(login, PASSWORD), Err(Error::TransactionOpen));
    }
    let change = users.change_password(id, PASSWORD, "battery staple");
    assert_matches!(change, Err(Error::TransactionOpen));
    let rows = "SELECT COUNT(*) AS number FROM account_attempts WHERE failures = 2";
    assert_eq!(pool.get().unwrap().number(rows), 2, "the row of the account and of the client");
}

fn a_sign_in_is_seven_statements_a_repeated_one_six_and_a_refused_one_two<C: TestConnection>(
    db: TestDb<C>,
) {
    // One in 16 rows that are new pays for old ones: none of these, with such a seed.
    let draws_none = |seed: &u64| {
        fastrand::seed(*seed);
        (0..9).all(|_| fastrand::u32(..16) != 0)
    };
    fastrand::seed((0..).find(draws_none).unwrap());
    db.create(alice());
    let rules = ThrottleRules::new().client(2, Duration::from_secs(60), Duration::from_secs(60));
    let users = db.users_with(cheap_policy().throttle(rules).clock(SetClock::new()));
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let mut sign_in = |login: &str, password: &str| {
        let attempt = users.on(&mut conn).begin_sign_in(login).unwrap();
        let verified = users.policy().verify(attempt, password);
        let _ = users.on(&mut conn).finish_sign_in(verified).unwrap();
        let kind = |query: String| query.split(' ').next().unwrap().to_owned();
        log.take().into_iter().map(kind).collect::<Vec<_>>()
    };
    let looked_up = |rest: &[&'static str]| [&["SELECT", "SELECT"], rest].concat();
    // A row of all clients, one of this client, counted in both, recorded, and cleared.
    let first = looked_up(&["INSERT", "INSERT", "UPDATE", "UPDATE", "UPDATE"]);
    assert_eq!(sign_in("alice", PASSWORD), first);
    // Counted in both, looked at once more, and cleared.
    let again = looked_up(&["UPDATE", "UPDATE", "SELECT", "UPDATE"]);
    assert_eq!(sign_in("alice", PASSWORD), again);
    for _ in 0..2 {
        assert_eq!(sign_in("alice", "wrong horse"), looked_up(&["UPDATE"; 2]));
    }
    assert_eq!(sign_in("alice", PASSWORD), looked_up(&[]));
    // A stranger costs as much.
    assert_eq!(sign_in("nobody", PASSWORD), looked_up(&["INSERT", "INSERT", "UPDATE"]));
    assert_eq!(sign_in("nobody", PASSWORD), looked_up(&["UPDATE"; 2]));
    assert_eq!(sign_in("nobody", PASSWORD), looked_up(&[]));
}

fn a_look_up_through_a_pool_of_one_succeeds_while_a_password_is_verified<C: TestConnection>(
    db: TestDb<C>,
) {
    let id = db.create(alice()).id();
    let (engine, hold) = HeldEngine::new();
    let hashing = Hashing::new().cost(cost(8, 1)).engine(engine);
    let policy = cheap_policy().hashing(hashing).build().unwrap();
    let users = &UserManager::with_policy(pool_of::<C>(&db.url, 1), policy);
    // The hold is dropped with the closure, so that no thread is held for ever if this one fails.
    thread::scope(move |scope| {
        let signing_in = scope.spawn(|| users.authenticate("alice", PASSWORD));
        hold.wait_for_a_hash();
        assert!(users.user_by_id(id).unwrap().is_some());
        hold.let_go();
        assert!(signing_in.join().unwrap().unwrap().is_accepted());

        let changing = scope.spawn(move || users.change_password(id, PASSWORD, "battery staple"));
        for _ in ["the current one", "the new one"] {
            hold.wait_for_a_hash();
            assert!(users.user_by_id(id).unwrap().is_some());
            hold.let_go();
        }
        assert!(changing.join().unwrap().unwrap().is_changed());
    });
}

/// As somebody else would write it.
fn store_hash<C: TestConnection>(db: &TestDb<C>, name: &str, hash: &str) {
    let update = "UPDATE account_users SET password_hash";
    db.connect()
        .batch_execute(&format!("{update} = '{hash}' WHERE username_key = '{name}'"))
        .unwrap();
}

fn verify_email<C: TestConnection>(db: &TestDb<C>, name: &str) {
    let update = "UPDATE account_users SET email_verified_at = created_at";
    db.connect().batch_execute(&format!("{update} WHERE username_key = '{name}'")).unwrap();
}

fn person(name: &str, password: &str) -> NewUser {
    NewUser::new(name, format!("{name}@example.org"), password)
}

fn create_without_email<C: TestConnection>(db: &TestDb<C>, name: &str) {
    let users = db.users_with(cheap_policy().identifiers(Identifiers::Either));
    assert!(users.create_user(NewUser::with_username(name, PASSWORD)).unwrap().is_created());
}
