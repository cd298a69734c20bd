//! What ends an attack, what does not, and what an owner who is attacked can still do.

use std::time::Duration;

use diesel_accounts::{Error, RefusalReason, ThrottleRules, UserId};

use crate::doubles::{Attack, all_at_once, refused, secs, wrong};
use crate::support::{
    PASSWORD, TestConnection, TestDb, assert_matches, before_statement, bob, on_each_engine,
};

on_each_engine!(
    the_owner_signs_in_with_a_known_device_while_the_attack_goes_on,
    a_device_token_is_good_for_one_account_and_until_the_password_changes,
    a_known_device_has_a_limit_of_its_own,
    after_too_many_failures_in_a_row_the_password_is_disabled_until_it_is_set,
    of_many_devices_at_once_no_more_are_looked_at_than_the_password_survives,
    unlocking_ends_all_waits,
    unlocking_ends_the_waits_of_a_client_with_however_many_failures,
    unlocking_and_a_new_password_end_the_waits_of_no_other_account,
    a_clock_that_is_set_back_locks_nobody_for_longer_than_the_longest_wait,
    an_old_password_clears_no_count_of_the_new_one,
    a_clock_that_lags_a_little_does_not_get_past_the_longest_wait,
    old_attempts_are_forgotten_but_never_the_failures_in_a_row_of_an_account,
    an_old_count_that_is_touched_before_it_is_deleted_stays,
    two_first_attempts_that_cross_are_two,
    a_new_login_pays_for_old_ones_now_and_then,
    what_was_forgotten_does_not_tell_an_account_from_a_login_that_nobody_has,
    waits_go_on_for_two_days_and_begin_anew_after,
);

/// Three failures of all clients together bring a wait.
fn shared_waits() -> ThrottleRules {
    ThrottleRules::new().client(90, secs(1), secs(1)).account(3, secs(10), secs(70))
}

fn the_owner_signs_in_with_a_known_device_while_the_attack_goes_on<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, shared_waits());
    let mut device = attack.device("alice", PASSWORD);
    for _ in 0..4 {
        attack.fail_until_told_to_wait("alice");
        // The owner elsewhere waits, and at home does not.
        let elsewhere = attack.from("elsewhere").authenticate("alice", PASSWORD).unwrap();
        assert_eq!(refused(elsewhere).reason_for_audit(), RefusalReason::Throttled);
        let failures = attack.failures();
        let mistyped = attack.with_device(&device).authenticate("alice", "correct hrose").unwrap();
        assert_eq!(refused(mistyped).reason_for_audit(), RefusalReason::WrongPassword);
        assert_eq!(attack.failures(), failures + 1);
        assert!(attack.wrong().is_some(), "a mistake at home ends no wait of strangers");
        let accepted = attack.with_device(&device).authenticate("alice", PASSWORD).unwrap();
        let renewed = accepted.accepted().unwrap().device_token().unwrap().as_str().to_owned();
        assert_eq!(renewed, device, "the same device goes on to be itself");
        device = renewed;
    }
}

fn a_device_token_is_good_for_one_account_and_until_the_password_changes<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, shared_waits());
    let bob = db.create(bob()).id();
    let of_alice = attack.device("alice", PASSWORD);
    let of_bob = attack.device("bob", PASSWORD);
    let is_known = |token: &str, password: &str| {
        attack.fail_until_told_to_wait("bob");
        let users = attack.with_device(token);
        let is_known = users.authenticate("bob", password).unwrap().is_accepted();
        attack.users.unlock_user(bob).unwrap();
        is_known
    };
    assert!(is_known(&of_bob, PASSWORD));
    for other in [of_alice.as_str(), "", "x", &of_bob[1..], &format!("{of_bob}A")] {
        assert!(!is_known(other, PASSWORD), "{other:?}");
    }
    let changed = attack.users.change_password(bob, PASSWORD, "battery staple").unwrap();
    assert!(changed.is_changed());
    assert!(!is_known(&of_bob, "battery staple"));
    let of_bob = attack.device("bob", "battery staple");
    assert!(is_known(&of_bob, "battery staple"));
    attack.users.set_password(bob, PASSWORD).unwrap();
    assert!(!is_known(&of_bob, PASSWORD));
    let of_bob = attack.device("bob", PASSWORD);
    attack.users.disable_user(bob).unwrap();
    attack.users.enable_user(bob).unwrap();
    assert!(!is_known(&of_bob, PASSWORD));
}

fn a_known_device_has_a_limit_of_its_own<C: TestConnection>(db: TestDb<C>) {
    let rules = ThrottleRules::new().client(3, secs(10), secs(70)).account(5, secs(20), secs(70));
    let attack = Attack::on(&db, rules);
    let devices = [attack.device("alice", PASSWORD), attack.device("alice", PASSWORD)];
    assert_ne!(devices[0], devices[1]);
    for device in &devices {
        let users = attack.with_device(device);
        for _ in 0..3 {
            assert_eq!(wrong(&users, "alice"), None);
        }
        assert_eq!(wrong(&users, "alice"), Some(secs(10)));
        let right = users.authenticate("alice", PASSWORD).unwrap();
        assert_eq!(refused(right).retry_after(), Some(secs(10)));
    }
    // They count for the account, and the one of the client without its token is another.
    assert_eq!(attack.failures(), 6);
    assert_eq!(wrong(&attack.from("at home"), "alice"), None);
    assert!(wrong(&attack.from("elsewhere"), "alice").is_some());
    attack.clock.advance(secs(10));
    let owner = attack.with_device(&devices[0]);
    assert!(owner.authenticate("alice", PASSWORD).unwrap().is_accepted());
}

fn after_too_many_failures_in_a_row_the_password_is_disabled_until_it_is_set<C: TestConnection>(
    db: TestDb<C>,
) {
    let rules = ThrottleRules::new()
        .client(2, secs(1), secs(1))
        .account(4, secs(1), secs(1))
        .most_failures(9);
    let attack = Attack::on(&db, rules);
    let id = attack.alice();
    for (attacker_has_the_device, password) in [(false, PASSWORD), (true, "battery staple")] {
        let device = attack.device("alice", password);
        let owner = attack.with_device(&device);
        let attacker = if attacker_has_the_device { &owner } else { &attack.users };
        for _ in 0..9 {
            assert!(!attack.users.failed_attempts(id).unwrap().password_is_disabled());
            assert_eq!(wrong(attacker, "alice"), None);
            attack.clock.advance(secs(1));
        }
        assert!(attack.users.failed_attempts(id).unwrap().password_is_disabled());
        for _ in ["before and", "after unlocking"] {
            for users in [&attack.users, &attack.from("elsewhere"), &owner] {
                attack.tally.take();
                let refusal = refused(users.authenticate("alice", password).unwrap());
                assert_eq!(refusal.reason_for_audit(), RefusalReason::PasswordDisabled);
                assert_eq!(refusal.retry_after(), None);
                assert_eq!(attack.tally.take(), [8]);
                attack.clock.advance(secs(1));
            }
            let change = owner.change_password(id, password, "other staple").unwrap();
            assert!(!change.is_changed());
            attack.clock.advance(secs(1));
            attack.users.unlock_user(id).unwrap();
            assert_eq!(attack.failures(), 9);
        }
        attack.users.set_password(id, "battery staple").unwrap();
        assert_eq!(attack.failures(), 0);
        assert!(attack.users.authenticate("alice", "battery staple").unwrap().is_accepted());
    }
}

fn of_many_devices_at_once_no_more_are_looked_at_than_the_password_survives<C: TestConnection>(
    db: TestDb<C>,
) {
    let rules = ThrottleRules::new().account(5, secs(1), secs(1)).most_failures(9);
    let attack = Attack::on(&db, rules);
    let devices: Vec<_> = (0..10).map(|_| attack.device("alice", PASSWORD)).collect();
    let reasons = all_at_once(40, |thread| {
        let users = attack.with_device(&devices[thread % 10]);
        refused(users.authenticate("alice", "wrong horse").unwrap()).reason_for_audit()
    });
    let looked_at = reasons.iter().filter(|reason| **reason == RefusalReason::WrongPassword);
    assert_eq!(looked_at.count(), 9);
    assert_eq!(attack.failures(), 9);
}

fn unlocking_ends_all_waits<C: TestConnection>(db: TestDb<C>) {
    let rules = ThrottleRules::new().client(3, secs(10), secs(70)).account(5, secs(20), secs(70));
    let attack = Attack::on(&db, rules);
    for client in ["first", "first", "first", "second", "second"] {
        assert_eq!(wrong(&attack.from(client), "alice"), None);
    }
    assert!(wrong(&attack.from("third"), "alice").is_some());
    attack.users.unlock_user(attack.alice()).unwrap();
    // No administrator undoes what disables a password in the end.
    assert_eq!(attack.failures(), 5);
    for client in ["first", "second", "third"] {
        assert_eq!(wrong(&attack.from(client), "alice"), None);
    }
    assert!(attack.from("first").authenticate("alice", PASSWORD).unwrap().is_accepted());
    let nobody = UserId::from_bytes([1; 16]);
    assert_matches!(attack.users.unlock_user(nobody), Err(Error::UserNotFound));
    assert_matches!(attack.users.failed_attempts(nobody), Err(Error::UserNotFound));
}

fn unlocking_and_a_new_password_end_the_waits_of_no_other_account<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, shared_waits());
    let bob = db.create(bob()).id();
    attack.fail_until_told_to_wait("alice");
    attack.fail_until_told_to_wait("bob");
    attack.users.unlock_user(bob).unwrap();
    assert!(attack.wrong().is_some());
    assert_eq!(attack.failures(), 3);
    attack.users.set_password(bob, "battery staple").unwrap();
    assert!(attack.wrong().is_some());
    assert_eq!(attack.failures(), 3);
    assert!(attack.users.authenticate("bob", "battery staple").unwrap().is_accepted());
}

/// The owner signs in from elsewhere between the failures: the account has few in a row, and the
/// client has many.
fn unlocking_ends_the_waits_of_a_client_with_however_many_failures<C: TestConnection>(
    db: TestDb<C>,
) {
    let rules = ThrottleRules::new()
        .client(3, secs(10), secs(70))
        .account(5, secs(1), secs(1))
        .most_failures(6);
    let attack = Attack::on(&db, rules);
    let shared = attack.from("shared");
    for _ in 0..2 {
        for _ in 0..4 {
            assert_eq!(wrong(&shared, "alice"), None);
            attack.clock.advance(secs(70));
        }
        assert!(attack.from("elsewhere").authenticate("alice", PASSWORD).unwrap().is_accepted());
    }
    assert_eq!(wrong(&shared, "alice"), None);
    assert!(wrong(&shared, "alice").is_some());
    attack.users.unlock_user(attack.alice()).unwrap();
    assert!(shared.authenticate("alice", PASSWORD).unwrap().is_accepted());
}

fn a_clock_that_is_set_back_locks_nobody_for_longer_than_the_longest_wait<C: TestConnection>(
    db: TestDb<C>,
) {
    let year = secs(365 * 86_400);
    let of_client =
        ThrottleRules::new().client(3, secs(10), secs(70)).account(90, secs(1), secs(1));
    for rules in [of_client, shared_waits()] {
        let attack = Attack::on(&db, rules);
        attack.fail_until_told_to_wait("alice");
        attack.clock.set_back(year);
        assert_eq!(attack.wrong(), None, "the wait lies a year ahead");
        let waits = attack.wrong().expect("the lock re-arms");
        assert!(waits <= secs(70));
        attack.clock.advance(waits);
        assert!(attack.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
        // By less than the longest wait.
        attack.fail_until_told_to_wait("alice");
        attack.clock.set_back(secs(55));
        let waits = attack.wrong().unwrap();
        assert!(waits <= secs(70), "{waits:?}");
        attack.clock.advance(waits);
        assert!(attack.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
        attack.users.delete_user(attack.alice()).unwrap();
    }
}

/// The sign-in began with a password that was right then, and ends after another was set.
fn an_old_password_clears_no_count_of_the_new_one<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let (users, mut conn) = (&attack.users, db.connect());
    let attempt = users.on(&mut conn).begin_sign_in("alice").unwrap();
    let verified = users.policy().verify(attempt, PASSWORD);
    users.set_password(attack.alice(), "battery staple").unwrap();
    assert_eq!(attack.wrong(), None);
    let refused = refused(users.on(&mut conn).finish_sign_in(verified).unwrap());
    assert_eq!(refused.reason_for_audit(), RefusalReason::Superseded);
    assert_eq!(attack.failures(), 1);
}

/// That of another instance, or of a thread that was held up.
fn a_clock_that_lags_a_little_does_not_get_past_the_longest_wait<C: TestConnection>(db: TestDb<C>) {
    let rules = ThrottleRules::new().client(3, secs(70), secs(70)).account(90, secs(1), secs(1));
    let attack = Attack::on(&db, rules);
    attack.fail_until_told_to_wait("alice");
    attack.clock.set_back(secs(2));
    assert_eq!(attack.wrong(), Some(secs(70)), "never more than the longest is told");
}

fn old_attempts_are_forgotten_but_never_the_failures_in_a_row_of_an_account<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let rows = || db.connect().number("SELECT COUNT(*) AS number FROM account_attempts");
    let bob = db.create(bob()).id();
    for client in ["first", "second", "third"] {
        for login in ["alice", "bob", "nobody", "no body"] {
            assert_eq!(wrong(&attack.from(client), login), None);
        }
    }
    assert!(attack.from("first").authenticate("bob", PASSWORD).unwrap().is_accepted());
    assert_eq!(rows(), 16);
    assert_eq!(attack.users.forget_old_attempts(100).unwrap(), 0);
    attack.clock.advance(secs(86_400));
    assert_eq!(wrong(&attack.from("fourth"), "alice"), None);
    attack.clock.advance(secs(86_401));
    // At most as many as are asked for; then all but those of today, and alice's own.
    assert_eq!(attack.users.forget_old_attempts(4).unwrap(), 4);
    assert_eq!(attack.users.forget_old_attempts(100).unwrap(), 11);
    assert_eq!(attack.users.forget_old_attempts(100).unwrap(), 0);
    assert_eq!((rows(), attack.failures()), (2, 4));
    attack.clock.advance(secs(900 * 86_400));
    assert_eq!(attack.users.forget_old_attempts(100).unwrap(), 1);
    assert_eq!((rows(), attack.failures()), (1, 4));
    assert_eq!(attack.users.failed_attempts(bob).unwrap().count(), 0);
    // Of an account that the host deletes in its own way, nothing stays for long.
    db.connect().batch_execute("DELETE FROM account_users").unwrap();
    assert_eq!(attack.users.forget_old_attempts(100).unwrap(), 1);
    assert_eq!(rows(), 0);
}

fn an_old_count_that_is_touched_before_it_is_deleted_stays<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    assert_eq!(attack.wrong_for("nobody"), None);
    attack.clock.advance(secs(3 * 86_400));
    let (mut conn, users) = (db.connect(), attack.users.clone());
    before_statement(&mut conn, "DELETE", move || assert_eq!(wrong(&users, "nobody"), None));
    // Both counts of that login are old when they are found.
    assert_eq!(attack.users.on(&mut conn).forget_old_attempts(100).unwrap(), 0);
    assert_eq!(conn.number("SELECT COUNT(*) AS number FROM account_attempts"), 2);
}

/// Each finds no row, and each would make the first.
fn two_first_attempts_that_cross_are_two<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let (mut conn, users) = (db.connect(), attack.users.clone());
    before_statement(&mut conn, "INSERT", move || assert_eq!(wrong(&users, "nobody"), None));
    let mut accounts = attack.users.on(&mut conn);
    let attempt = accounts.begin_sign_in("nobody").unwrap();
    let verified = attack.users.policy().verify(attempt, "wrong");
    assert!(!accounts.finish_sign_in(verified).unwrap().is_accepted());
    let counts = "SELECT MIN(in_a_row) AS number FROM account_attempts";
    assert_eq!(conn.number(counts), 2);
    assert_eq!(conn.number("SELECT COUNT(*) AS number FROM account_attempts"), 2);
}

fn a_new_login_pays_for_old_ones_now_and_then<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    for number in 0..9 {
        assert_eq!(attack.wrong_for(&format!("nobody{number}")), None);
    }
    attack.clock.advance(secs(3 * 86_400));
    // A seed with which the turn of this thread comes at once.
    let draws = |seed: u64| {
        fastrand::seed(seed);
        fastrand::u32(..128)
    };
    fastrand::seed((0..).find(|seed| draws(*seed) == 0).unwrap());
    assert_eq!(attack.wrong(), None);
    let rows = db.connect().number("SELECT COUNT(*) AS number FROM account_attempts");
    // Two are those of this attempt; of the old ones, it deletes as many as it has time for.
    assert!((2..20).contains(&rows), "{rows}");
}

fn what_was_forgotten_does_not_tell_an_account_from_a_login_that_nobody_has<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, shared_waits());
    let logins = ["alice", "nobody"];
    for login in logins {
        attack.fail_until_told_to_wait(login);
    }
    attack.clock.advance(secs(3 * 86_400));
    attack.users.forget_old_attempts(100).unwrap();
    let [known, unknown] = logins.map(|login| [(); 5].map(|()| attack.wrong_for(login)));
    assert_eq!(known, unknown);
}

fn waits_go_on_for_two_days_and_begin_anew_after<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let (two_days, moment) = (secs(2 * 86_400), Duration::from_micros(1));
    attack.fail_until_told_to_wait("alice");
    attack.clock.advance(two_days);
    assert_eq!(attack.wrong(), None, "that wait is over");
    assert!(attack.wrong().is_some(), "the next comes at once");
    attack.clock.advance(two_days + moment);
    assert_eq!([attack.wrong(), attack.wrong()], [None, None]);
}
