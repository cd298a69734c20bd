//! What has exactly the greatest length that is allowed.

use diesel_accounts::{Error, NewUser, UsernameRules, Violation};

use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, cheap_policy, debug_of,
    on_each_engine,
};

on_each_engine!(
    a_username_of_the_greatest_length_is_an_account_like_any_other,
    an_address_of_the_greatest_length_is_an_account_like_any_other,
    a_login_of_the_greatest_length_is_looked_at,
    a_username_that_nobody_can_have_is_not_looked_for,
);

#[test]
fn a_policy_can_ask_for_one_length_and_not_for_an_impossible_one() {
    let policy = |rules: UsernameRules| cheap_policy().usernames(rules).build();
    let rules = UsernameRules::new;
    assert!(policy(rules().min_length(100).max_length(100)).is_ok());
    assert!(policy(rules().min_length(1).max_length(101)).is_err());
    assert!(policy(rules().min_length(3).max_length(2)).is_err());
    assert!(policy(rules().min_length(0)).is_err());
}

/// As typed: decomposed, a syllable takes nine bytes.
fn a_username_of_the_greatest_length_is_an_account_like_any_other<C: TestConnection>(
    db: TestDb<C>,
) {
    let users = db.users_with(cheap_policy().usernames(UsernameRules::new().max_length(100)));
    let typed = |letters: usize| {
        format!("{}{}", "\u{1112}\u{1161}\u{11ab}".repeat(56), "a".repeat(letters))
    };
    assert_eq!(typed(8).len(), 512);
    let created = users.create_user(NewUser::new(typed(8), "a@example.org", PASSWORD)).unwrap();
    let found = users.user_by_username(&format!("{}AAAAAAAA", "\u{d55c}".repeat(56))).unwrap();
    assert_eq!(found, created.created());
    let longer = users.create_user(NewUser::new(typed(9), "b@example.org", PASSWORD));
    let invalid = assert_matches!(longer, Err(Error::Invalid(invalid)) => invalid);
    assert_eq!((invalid.errors()[0].code(), invalid.errors()[0].limit()), ("too_long", Some(100)));
}

fn an_address_of_the_greatest_length_is_an_account_like_any_other<C: TestConnection>(
    db: TestDb<C>,
) {
    let local = "a".repeat(64);
    let typed = format!("{local}@{}e.org", "b.".repeat(92));
    assert_eq!(typed.len(), 254);
    // Each label of one letter takes three bytes as typed, and eight as an A-label.
    let in_ascii = format!("{}@{}org", "a".repeat(42), "\u{fc}.".repeat(26));
    assert_eq!(in_ascii.len() + 26 * 5, 254);
    for (number, email) in [&typed, &in_ascii].into_iter().enumerate() {
        let user = NewUser::new(format!("user{number}"), email.as_str(), PASSWORD);
        let id = db.create(user).id();
        let found = db.users.user_by_email(&email.to_uppercase()).unwrap();
        assert_eq!(found.map(|found| found.id()), Some(id));
    }
    let longer = [format!("a{typed}"), typed.replace("@", "b@"), format!("a{in_ascii}")];
    for email in longer {
        let refused = db.users.create_user(NewUser::new("other", email.as_str(), PASSWORD));
        let invalid = assert_matches!(refused, Err(Error::Invalid(invalid)) => invalid);
        assert!(
            invalid.errors().iter().any(|error| matches!(
                error.violation(),
                Violation::TooManyBytes { .. } | Violation::LocalPartTooLong { .. }
            )),
            "{}",
            debug_of(&invalid)
        );
    }
    assert_eq!(db.count(), 2);
}

/// With the white space around it; a longer one is nobody's.
fn a_login_of_the_greatest_length_is_looked_at<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let padded = |length: usize| format!("alice{}", " ".repeat(length - 5));
    assert!(db.users.authenticate(&padded(2048), PASSWORD).unwrap().is_accepted());
    assert!(!db.users.authenticate(&padded(2049), PASSWORD).unwrap().is_accepted());
}

fn a_username_that_nobody_can_have_is_not_looked_for<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    for (length, look_ups) in [(400, 1), (401, 0), (2000, 0)] {
        let nobody = "a".repeat(length);
        assert_eq!(db.users.on(&mut conn).user_by_username(&nobody).unwrap(), None);
        assert_eq!(log.take().len(), look_ups, "{length}");
    }
}
