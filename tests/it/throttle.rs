//! How often a wrong password may be tried: counts and waits.

use std::thread;
use std::time::Duration;

use diesel_accounts::{
    Clock, ConfigurationFailure, Context, Error, Hashing, PasswordChange, Pepper, RealmId, Refusal,
    RefusalReason, SignIn, ThrottleRules, UserManager,
};

use crate::doubles::{Attack, HeldEngine, all_at_once, cost, refused, secs, wrong};
use crate::support::{
    PASSWORD, TestConnection, TestDb, alice, assert_matches, bob, on_each_engine,
};

on_each_engine!(
    of_200_wrong_passwords_at_once_5_are_looked_at,
    of_50_clients_at_once_as_many_are_looked_at_as_the_account_allows,
    of_200_right_passwords_at_once_those_that_are_admitted_are_accepted,
    waits_double_up_to_the_longest_and_what_they_refuse_neither_counts_nor_extends_them,
    a_right_password_clears_the_count_and_the_waits_begin_anew,
    all_spellings_of_username_and_email_share_one_count,
    a_change_of_the_password_passes_the_same_door,
    unknown_logins_are_made_to_wait_exactly_like_known_ones,
    clients_have_separate_counts_and_the_account_joins_them,
    a_verification_that_finds_no_room_does_not_count,
    a_verification_whose_pepper_is_missing_does_not_count,
    a_verification_that_could_not_be_done_makes_no_later_wait_longer,
    a_verification_that_could_not_be_done_ends_no_wait_that_others_brought,
    a_verification_that_could_not_be_done_ends_no_wait_that_came_meanwhile,
);

fn of_200_wrong_passwords_at_once_5_are_looked_at<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let logins = ["alice", "ALICE", "alice@example.org", "Alice@EXAMPLE.org"];
    for login in [logins, ["nobody"; 4]] {
        attack.tally.take();
        let refusals = all_at_once(200, |thread| {
            refused(attack.users.authenticate(login[thread % 4], "wrong horse").unwrap())
        });
        let looked_at = attack.tally.take().len();
        assert!((1..=5).contains(&looked_at), "{looked_at} were looked at");
        let (waiting, told): (Vec<_>, Vec<_>) =
            refusals.into_iter().partition(|refusal| refusal.retry_after().is_some());
        assert_eq!((waiting.len(), told.len()), (200 - looked_at, looked_at));
        let throttled = |refusal: &Refusal| refusal.reason_for_audit() == RefusalReason::Throttled;
        assert!(waiting.iter().all(throttled) && !told.iter().any(throttled));
    }
    let right = || attack.users.authenticate("alice", PASSWORD).unwrap();
    let refusal = refused(right());
    assert_eq!(refusal.to_string(), "the login or the password is not right");
    assert_eq!(refusal.reason_for_audit(), RefusalReason::Throttled);
    assert_eq!(attack.tally.take().len(), 0);
    attack.clock.advance(refusal.retry_after().unwrap());
    assert!(right().is_accepted());
}

fn of_50_clients_at_once_as_many_are_looked_at_as_the_account_allows<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, ThrottleRules::new().account(7, secs(10), secs(70)));
    for (login, round) in [("alice", 1), ("nobody", 2)] {
        attack.tally.take();
        let waits = all_at_once(50, |thread| wrong(&attack.from(&format!("{thread}")), login));
        let looked_at = waits.iter().filter(|wait| wait.is_none()).count();
        assert_eq!((looked_at, attack.tally.take()), (7, vec![8; 7]));
        assert!(waits.iter().flatten().all(|wait| *wait == secs(10)), "{waits:?}");
        // Those that were refused do not count for their clients either.
        let counted = "SELECT COUNT(*) AS number FROM account_attempts WHERE failures > 0";
        assert_eq!(db.connect().number(counted), round * 8);
    }
}

fn of_200_right_passwords_at_once_those_that_are_admitted_are_accepted<C: TestConnection>(
    db: TestDb<C>,
) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let answers = all_at_once(200, |_| attack.users.authenticate("alice", PASSWORD).unwrap());
    let (accepted, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(SignIn::is_accepted);
    assert_eq!(attack.tally.take().len(), accepted.len());
    assert!(!accepted.is_empty());
    for other in others {
        assert_eq!(refused(other).reason_for_audit(), RefusalReason::Throttled);
    }
    assert!(attack.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert_eq!(attack.failures(), 0);
}

fn waits_double_up_to_the_longest_and_what_they_refuse_neither_counts_nor_extends_them<
    C: TestConnection,
>(
    db: TestDb<C>,
) {
    let of_client =
        ThrottleRules::new().client(3, secs(10), secs(70)).account(90, secs(1), secs(1));
    let of_all = ThrottleRules::new().client(90, secs(1), secs(1)).account(3, secs(10), secs(70));
    for rules in [of_client, of_all] {
        let attack = Attack::on(&db, rules);
        for _ in 0..2 {
            assert_eq!(attack.wrong(), None);
        }
        for (failures, wait) in [(3, 10), (4, 20), (5, 40), (6, 70), (7, 70)] {
            // One failure is enough to wait again.
            assert_eq!(attack.wrong(), None);
            for _ in 0..5 {
                assert_eq!(attack.wrong(), Some(secs(wait)));
            }
            attack.clock.advance(secs(wait) - Duration::from_micros(1));
            assert_eq!(attack.wrong(), Some(Duration::from_micros(1)));
            let right = attack.users.authenticate("alice", PASSWORD).unwrap();
            assert_eq!(refused(right).reason_for_audit(), RefusalReason::Throttled);
            attack.clock.advance(Duration::from_micros(1));
            assert_eq!(attack.failures(), failures);
        }
        assert!(attack.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
        attack.users.delete_user(attack.alice()).unwrap();
    }
}

fn a_right_password_clears_the_count_and_the_waits_begin_anew<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new().client(3, secs(10), secs(70)));
    for _ in 0..3 {
        for _ in 0..3 {
            assert_eq!(attack.wrong(), None);
        }
        assert_eq!(attack.wrong(), Some(secs(10)));
        attack.clock.advance(secs(10));
        assert!(attack.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
        assert_eq!(attack.failures(), 0);
    }
}

fn all_spellings_of_username_and_email_share_one_count<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let known = ["alice", "ALICE", "\u{ff41}lice", "alice@example.org", " Alice@EXAMPLE.ORG"];
    let unknown = ["nobody", "NOBODY", "\u{ff4e}obody", " nobody", "Nobody "];
    let impossible = ["no body", " no body", "no body ", "no body", "no body"];
    for spellings in [known, unknown, impossible] {
        for login in spellings {
            assert_eq!(attack.wrong_for(login), None, "{login}");
        }
        for login in spellings {
            assert_eq!(attack.wrong_for(login), Some(secs(30)), "{login}");
        }
    }
    // Another account, and one of the same name in another realm, are other accounts.
    db.create(bob());
    assert!(attack.users.authenticate("bob", PASSWORD).unwrap().is_accepted());
    let elsewhere = attack.users.in_realm(RealmId::from_bytes([1; 16]));
    let _ = elsewhere.create_user(alice()).unwrap();
    assert!(elsewhere.authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert_eq!(refused(elsewhere.authenticate("nobody", "x").unwrap()).retry_after(), None);
}

fn a_change_of_the_password_passes_the_same_door<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let id = attack.alice();
    let change = |current: &str| {
        let change = attack.users.change_password(id, current, "battery staple").unwrap();
        assert_matches!(change, PasswordChange::Refused(refusal) => refusal)
    };
    for _ in 0..3 {
        assert_eq!(change("wrong horse").reason_for_audit(), RefusalReason::WrongPassword);
    }
    assert_eq!(attack.tally.take(), [8; 3]);
    for _ in 0..2 {
        assert_eq!(attack.wrong(), None);
    }
    attack.tally.take();
    let refusal = change(PASSWORD);
    assert_eq!(refusal.reason_for_audit(), RefusalReason::Throttled);
    assert_eq!(refusal.retry_after(), Some(secs(30)));
    assert_eq!(refusal.to_string(), "the login or the password is not right");
    assert_eq!((attack.tally.take().len(), attack.failures()), (0, 5));
    attack.clock.advance(secs(30));
    let changed = attack.users.change_password(id, PASSWORD, "battery staple").unwrap();
    assert!(changed.is_changed());
    assert_eq!(attack.failures(), 0);
}

fn unknown_logins_are_made_to_wait_exactly_like_known_ones<C: TestConnection>(db: TestDb<C>) {
    let rules = ThrottleRules::new()
        .client(2, secs(10), secs(40))
        .account(5, secs(15), secs(60))
        .most_failures(12);
    let attack = Attack::on(&db, rules);
    let answers = |login: &str| -> Vec<_> {
        let attempt = |step: usize| {
            let users = attack.from(["first", "second", "third"][step % 3]);
            let refusal = refused(users.authenticate(login, "wrong horse").unwrap());
            attack.clock.advance(secs(4));
            (refusal.retry_after(), refusal.to_string(), format!("{refusal:?}"))
        };
        (0..300).map(attempt).collect()
    };
    let known = answers("alice");
    assert!(attack.users.failed_attempts(attack.alice()).unwrap().password_is_disabled());
    for login in ["nobody", "nobody@example.org", "no body", "", "@"] {
        assert_eq!(answers(login), known, "{login:?}");
    }
}

fn clients_have_separate_counts_and_the_account_joins_them<C: TestConnection>(db: TestDb<C>) {
    let rules = ThrottleRules::new().client(3, secs(10), secs(70)).account(5, secs(20), secs(70));
    let attack = Attack::on(&db, rules);
    let wrong_from = |client: &str| {
        refused(attack.from(client).authenticate("alice", "wrong horse").unwrap()).retry_after()
    };
    for _ in 0..3 {
        assert_eq!(wrong_from("first"), None);
    }
    assert_eq!(wrong_from("first"), Some(secs(10)));
    for _ in 0..2 {
        assert_eq!(wrong_from("second"), None);
    }
    let waits_until = attack.users.failed_attempts(attack.alice()).unwrap().waits_until();
    let until = attack.clock.now().as_micros() + 20_000_000;
    assert_eq!(waits_until.map(|time| time.as_micros()), Some(until));
    for client in ["first", "second", "third"] {
        assert_eq!(wrong_from(client), Some(secs(20)), "{client}");
    }
    assert_eq!(attack.failures(), 5);
    attack.clock.advance(secs(20));
    // The lock of all re-arms, and a client that had not failed yet has a count of its own.
    assert_eq!(wrong_from("third"), None);
    assert_eq!(wrong_from("fourth"), Some(secs(40)));
    attack.clock.advance(secs(40));
    assert!(attack.from("fourth").authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert_eq!(attack.failures(), 0);
}

fn a_verification_that_finds_no_room_does_not_count<C: TestConnection>(db: TestDb<C>) {
    let attack = Attack::on(&db, ThrottleRules::new());
    let id = attack.alice();
    let (engine, hold) = HeldEngine::new();
    let hashing =
        Hashing::new().cost(cost(8, 1)).engine(engine).concurrent_hashes(1).queue_length(0);
    let full = &db.users_with(attack.policy.clone().hashing(hashing));
    // The hold is dropped with the closure, so that no thread is held for ever if this one fails.
    thread::scope(move |scope| {
        let busy = scope.spawn(|| full.authenticate("nobody", PASSWORD));
        hold.wait_for_a_hash();
        for _ in 0..9 {
            for login in ["alice", "nobody", "somebody"] {
                let refused = full.authenticate(login, "wrong horse");
                let wait = assert_matches!(refused, Err(Error::HashingBusy { retry_after, .. }) => retry_after);
                assert!(wait > Duration::ZERO);
            }
            let change = full.change_password(id, "wrong horse", "battery staple");
            assert_matches!(change, Err(Error::HashingBusy { .. }));
        }
        hold.let_go();
        assert!(!busy.join().unwrap().unwrap().is_accepted());
    });
    assert_eq!(attack.failures(), 0);
    for _ in 0..5 {
        assert_eq!(attack.wrong(), None);
        assert_eq!(attack.wrong_for("somebody"), None);
    }
    assert!(attack.wrong().is_some() && attack.wrong_for("somebody").is_some());
}

fn a_verification_whose_pepper_is_missing_does_not_count<C: TestConnection>(db: TestDb<C>) {
    let (attack, failing) = attack_with_pepper(&db, ThrottleRules::new());
    for _ in 0..20 {
        assert_cannot_be_done(&failing, "wrong horse");
        assert_cannot_be_done(&failing, PASSWORD);
        let change = failing.change_password(attack.alice(), PASSWORD, "battery staple");
        assert_matches!(change, Err(Error::Configuration(_)));
    }
    assert_eq!(attack.failures(), 0);
    for _ in 0..5 {
        assert_eq!(attack.wrong(), None);
    }
    assert!(attack.wrong().is_some());
}

fn a_verification_that_could_not_be_done_makes_no_later_wait_longer<C: TestConnection>(
    db: TestDb<C>,
) {
    let rules = ThrottleRules::new().client(3, secs(10), secs(70)).account(3, secs(10), secs(70));
    let (attack, failing) = attack_with_pepper(&db, rules);
    for _ in 0..2 {
        assert_eq!(attack.wrong(), None);
    }
    for _ in 0..5 {
        assert_cannot_be_done(&failing, "wrong horse");
    }
    assert_eq!(attack.failures(), 2);
    assert_eq!(attack.wrong(), None);
    assert_eq!(attack.wrong(), Some(secs(10)), "it is the first wait");
}

/// The attempt of a known device brought none.
fn a_verification_that_could_not_be_done_ends_no_wait_that_others_brought<C: TestConnection>(
    db: TestDb<C>,
) {
    let (attack, failing) =
        attack_with_pepper(&db, ThrottleRules::new().account(3, secs(10), secs(70)));
    let device = attack.device("alice", PASSWORD);
    attack.fail_until_told_to_wait("alice");
    let at_home = Context::new().known_device(device);
    assert_cannot_be_done(&failing.with(at_home), PASSWORD);
    assert_eq!(attack.failures(), 3);
    assert_eq!(attack.wrong(), Some(secs(10)));
}

fn a_verification_that_could_not_be_done_ends_no_wait_that_came_meanwhile<C: TestConnection>(
    db: TestDb<C>,
) {
    let (attack, failing) =
        attack_with_pepper(&db, ThrottleRules::new().account(3, secs(10), secs(70)));
    let mut conn = db.connect();
    let attempt = failing.on(&mut conn).begin_sign_in("alice").unwrap();
    attack.clock.advance(secs(1));
    attack.fail_until_told_to_wait("alice");
    let verified = failing.policy().verify(attempt, PASSWORD);
    let outcome = failing.on(&mut conn).finish_sign_in(verified);
    assert_matches!(outcome, Err(Error::Configuration(_)));
    assert_eq!(attack.failures(), 2);
    assert_eq!(attack.wrong(), Some(secs(10)));
}

/// Alice's hash needs a pepper that the second manager does not have.
fn attack_with_pepper<C: TestConnection>(
    db: &TestDb<C>,
    rules: ThrottleRules,
) -> (Attack<C>, UserManager<C>) {
    let mut attack = Attack::on(db, rules);
    let failing = attack.users.clone();
    let peppered = Hashing::new().cost(cost(8, 1)).pepper(Pepper::new("1", [1; 32]).unwrap());
    attack.users = db.users_with(attack.policy.clone().hashing(peppered));
    attack.users.set_password(attack.alice(), PASSWORD).unwrap();
    (attack, failing)
}

fn assert_cannot_be_done<C: TestConnection>(users: &UserManager<C>, password: &str) {
    let failure = assert_matches!(
        users.authenticate("alice", password), Err(Error::Configuration(failure)) => failure
    );
    let key_id = assert_matches!(
        failure, ConfigurationFailure::PepperMissing { key_id, .. } => key_id
    );
    assert_eq!(key_id, "1");
}
