//! What has exactly the greatest length that is allowed.

use diesel_accounts::{Error, NewUser, Violation};

use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, debug_of, on_each_engine,
};

on_each_engine!(
    an_address_of_the_greatest_length_is_an_account_like_any_other,
    a_login_of_the_greatest_length_is_looked_at,
    a_username_that_nobody_can_have_is_not_looked_for,
);

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
