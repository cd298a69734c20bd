//! What a host keeps in a session, and that no secret is in any log.

use std::time::Duration;

use diesel_accounts::{
    ConfigurationFailure, Context, Error, Hashing, NewUser, PolicyBuilder, RealmId, SecretKey,
    SessionAuthHash, User,
};

use crate::doubles::{cost, secret_key};
use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, bob, cheap_policy, debug_of,
    on_each_engine,
};

on_each_engine!(
    the_session_generation_rises_with_each_change_and_with_nothing_else,
    a_session_holds_over_a_rehash_and_ends_with_each_change,
    a_sign_in_ends_in_the_realm_in_which_it_began,
    whoever_is_made_anew_with_the_id_of_a_deleted_account_inherits_nothing,
    without_a_secret_key_there_is_no_session_auth_hash_and_no_device_token,
    no_secret_and_no_device_token_of_a_sign_in_is_in_any_log,
);

fn the_session_generation_rises_with_each_change_and_with_nothing_else<C: TestConnection>(
    db: TestDb<C>,
) {
    let id = db.create(alice()).id();
    let generation = || db.users.user_by_id(id).unwrap().unwrap().session_generation();
    let mut last = generation();
    let mut assert_rose = |by: i64| {
        assert_eq!(generation(), last + by);
        last += by;
    };
    assert!(db.users.change_password(id, PASSWORD, "battery staple").unwrap().is_changed());
    assert_rose(1);
    db.users.set_password(id, PASSWORD).unwrap();
    assert_rose(1);
    db.users.require_password_change(id).unwrap();
    assert_rose(1);
    db.users.disable_user(id).unwrap();
    assert_rose(1);
    db.users.enable_user(id).unwrap();
    db.users.unlock_user(id).unwrap();
    assert!(db.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
    assert!(!db.users.change_password(id, "wrong horse", "other horse").unwrap().is_changed());
    assert!(db.users.set_password(id, "short").is_err());
    assert_rose(0);
    db.users.set_unusable_password(id).unwrap();
    assert_rose(1);
}

fn a_session_holds_over_a_rehash_and_ends_with_each_change<C: TestConnection>(db: TestDb<C>) {
    let keyed = |memory| with_key(Hashing::new().cost(cost(memory, 1)));
    let (users, dearer) = (db.users_with(keyed(8)), db.users_with(keyed(16)));
    let (policy, id) = (users.policy(), db.create(alice()).id());
    let bob = db.create(bob());
    let now = || users.user_by_id(id).unwrap().unwrap();
    let holds = |session: &SessionAuthHash, user: &User| {
        policy.is_session_auth_hash(user, session.as_str()).unwrap()
    };
    let session = policy.session_auth_hash(&now()).unwrap();
    assert!(dearer.authenticate("alice", PASSWORD).unwrap().is_accepted());
    let rehashed =
        "SELECT COUNT(*) AS number FROM account_users WHERE password_hash LIKE '%m=16,%'";
    assert_eq!(db.connect().number(rehashed), 1);
    assert!(holds(&session, &now()) && !holds(&session, &bob));
    assert!(!policy.is_session_auth_hash(&now(), "").unwrap());
    let other_key = SecretKey::new([8; 32]).unwrap();
    let other = cheap_policy().secret_key(other_key).build().unwrap();
    assert!(!other.is_session_auth_hash(&now(), session.as_str()).unwrap());

    let changes: [&dyn Fn(); 5] = [
        &|| assert!(users.change_password(id, PASSWORD, "battery staple").unwrap().is_changed()),
        &|| users.set_password(id, PASSWORD).unwrap(),
        &|| users.require_password_change(id).unwrap(),
        &|| users.set_unusable_password(id).unwrap(),
        &|| users.disable_user(id).unwrap(),
    ];
    for change in changes {
        let session = policy.session_auth_hash(&now()).unwrap();
        assert!(holds(&session, &now()));
        change();
        assert!(!holds(&session, &now()));
    }
}

fn a_sign_in_ends_in_the_realm_in_which_it_began<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let elsewhere = RealmId::from_bytes([7; 16]);
    let mut conn = db.connect();
    // The first is written down, the second is not: too little time has passed.
    for _ in 0..2 {
        let attempt = db.users.on(&mut conn).begin_sign_in("alice").unwrap();
        let verified = db.users.policy().verify(attempt, PASSWORD);
        let mut accounts = db.users.on(&mut conn).in_realm(elsewhere);
        let accepted = accounts.finish_sign_in(verified).unwrap().accepted().unwrap();
        assert_eq!(accepted.user().realm(), RealmId::NIL);
    }
}

fn whoever_is_made_anew_with_the_id_of_a_deleted_account_inherits_nothing<C: TestConnection>(
    db: TestDb<C>,
) {
    let users = db.users_with(with_key(Hashing::new().cost(cost(8, 1))));
    let policy = users.policy();
    for is_in_transaction in [false, true] {
        let user = db.create(alice());
        let session = policy.session_auth_hash(&user).unwrap();
        let accepted = users.authenticate("alice", PASSWORD).unwrap().accepted().unwrap();
        let device = accepted.device_token().unwrap().as_str().to_owned();
        for _ in 0..3 {
            assert!(!users.authenticate("alice", "wrong horse").unwrap().is_accepted());
        }
        assert_eq!(users.failed_attempts(user.id()).unwrap().count(), 3);
        let gone = |conn: &mut C| users.on(conn).delete_user(user.id());
        match is_in_transaction {
            true => db.connect().transaction(gone).unwrap(),
            false => users.delete_user(user.id()).unwrap(),
        }
        assert_eq!(attempts(&db), 0);
        assert_matches!(users.delete_user(user.id()), Err(Error::UserNotFound));

        let again = db.create(alice().with_id(user.id()));
        assert_eq!(again.session_generation(), user.session_generation());
        assert!(!policy.is_session_auth_hash(&again, session.as_str()).unwrap());
        assert_eq!(users.failed_attempts(user.id()).unwrap().count(), 0);
        let with_device = users.with(Context::new().known_device(device.as_str()));
        let accepted = with_device.authenticate("alice", PASSWORD).unwrap().accepted().unwrap();
        assert_ne!(accepted.device_token().unwrap().as_str(), device, "the device is a new one");
        assert!(!users.authenticate("alice", "wrong horse").unwrap().is_accepted());
        assert!(attempts(&db) > 0);
        users.reserve_user(user.id()).unwrap();
        assert_eq!(attempts(&db), 0, "nobody can sign in to a reserved account");
        users.delete_user(user.id()).unwrap();
    }
}

/// How many counts are kept.
fn attempts<C: TestConnection>(db: &TestDb<C>) -> i64 {
    db.connect().number("SELECT COUNT(*) AS number FROM account_attempts")
}

fn without_a_secret_key_there_is_no_session_auth_hash_and_no_device_token<C: TestConnection>(
    db: TestDb<C>,
) {
    let alice = db.create(alice());
    for failed in [
        db.users.policy().session_auth_hash(&alice).map(|_| true),
        db.users.policy().is_session_auth_hash(&alice, "x"),
    ] {
        assert_matches!(failed, Err(Error::Configuration(ConfigurationFailure::NoSecretKey)));
    }
    let accepted = db.users.authenticate("alice", PASSWORD).unwrap().accepted().unwrap();
    assert!(accepted.device_token().is_none());
}

fn no_secret_and_no_device_token_of_a_sign_in_is_in_any_log<C: TestConnection>(db: TestDb<C>) {
    const CANARY: &str = "canary-password-4711";
    let users = db.users_with(with_key(Hashing::new().cost(cost(16, 1))));
    let id = db.create(NewUser::new("canary-name", "canary@example.org", CANARY)).id();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let mut texts = String::new();
    let mut token: Option<String> = None;
    for (round, typed) in [CANARY, "canary-password-4712", CANARY].into_iter().enumerate() {
        let context = match &token {
            None => Context::new().client("canary-client"),
            Some(token) => Context::new().client("canary-client").known_device(token.as_str()),
        };
        let users = users.with(context);
        let attempt = users.on(&mut conn).begin_sign_in("canary-name").unwrap();
        texts.push_str(&debug_of(&attempt));
        let verified = users.policy().verify(attempt, typed);
        texts.push_str(&debug_of(&verified));
        let sign_in = users.on(&mut conn).finish_sign_in(verified).unwrap();
        texts.push_str(&(debug_of(&sign_in) + &debug_of(&users)));
        assert_eq!(sign_in.is_accepted(), round != 1);
        if let Some(accepted) = sign_in.accepted() {
            texts.push_str(&debug_of(&accepted.device_token()));
            token = accepted.device_token().map(|token| token.as_str().to_owned());
        }
    }
    let change = users.on(&mut conn).begin_password_change(id, "canary-password-4713").unwrap();
    texts.push_str(&debug_of(&change));
    let verified = users.policy().verify_password_change(change, CANARY);
    texts.push_str(&debug_of(&verified));
    let changed = users.on(&mut conn).finish_password_change(verified).unwrap();
    texts.push_str(&debug_of(&changed));
    let user = users.user_by_id(id).unwrap().unwrap();
    let session = users.policy().session_auth_hash(&user).unwrap();
    let prepared = users.policy().prepare_password(&user, "canary-password-4714").unwrap();
    users.on(&mut conn).set_password(id, &prepared).unwrap();
    texts.push_str(&(debug_of(&session) + &debug_of(&prepared) + &debug_of(users.policy())));
    let log = log.take().join("\n");
    // What is searched for can be found: the log does hold the other bound values.
    assert!(log.contains("canary-name") && log.contains("UPDATE"), "{log}");
    let token = token.unwrap();
    for text in [&texts, &log] {
        for secret in ["canary-password", "argon2id$", "canary-client", &token, session.as_str()] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    assert!(!texts.contains("canary"), "{texts}");
}

fn with_key(hashing: Hashing) -> PolicyBuilder {
    cheap_policy().hashing(hashing.longest_wait(Duration::from_secs(60))).secret_key(secret_key())
}
