//! Whose the account is that one try meets.

use diesel::prelude::*;

use super::{Attempt, Insertion};
use crate::accounts::Accounts;
use crate::creation::{Creation, Matched};
use crate::error::Error;
use crate::new_user::{NewUser, PreparedUser};
use crate::password::{Argon2Cost, Hashing};
use crate::policy::{Duplicates, Policy};
use crate::store::rows::InsertUser;
use crate::timestamp::Timestamp;
use crate::user::{RealmId, UserId};

fn policy() -> Policy {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    Policy::builder().hashing(Hashing::new().cost(cost)).build().unwrap()
}

fn database(policy: &Policy) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    Accounts::new(policy, &mut conn).migrate().unwrap();
    conn
}

fn prepared(policy: &Policy, username: &str) -> PreparedUser {
    let email = format!("{username}@example.org");
    policy.prepare(NewUser::new(username, email, "correct horse")).unwrap()
}

fn at(prepared: &PreparedUser, micros: i64) -> InsertUser<'_> {
    InsertUser::new(prepared, RealmId::NIL, Timestamp::from_micros(micros))
}

fn attempt(
    conn: &mut SqliteConnection,
    duplicates: Duplicates,
    wanted: &InsertUser<'_>,
    is_unanswered: bool,
) -> Attempt {
    super::attempt(conn, &Insertion { wanted, event: None, duplicates }, is_unanswered)
}

const POLICY: Duplicates = Duplicates::ReturnExisting;

fn is_created(attempt: &Attempt, id: UserId) -> bool {
    matches!(attempt, Attempt::Own(Creation::Created(user)) if user.id() == id)
}

#[test]
fn what_an_earlier_try_of_the_call_made_is_created_by_it() {
    let policy = policy();
    let (mut conn, alice) = (database(&policy), prepared(&policy, "alice"));
    let wanted = at(&alice, 1);
    assert!(is_created(&attempt(&mut conn, POLICY, &wanted, false), alice.id()));
    assert!(is_created(&attempt(&mut conn, POLICY, &wanted, true), alice.id()));
    // If every insertion of the call was answered, somebody else sent the first.
    let again = attempt(&mut conn, POLICY, &wanted, false);
    let Attempt::Own(Creation::Existing(existing)) = again else { panic!("{again:?}") };
    assert!(existing.is_same_creation());
}

/// It settles the creation even where an insertion is unanswered: that one fails on the row.
#[test]
fn what_an_earlier_call_made_is_its_own_and_exists() {
    let policy = policy();
    let (mut conn, alice) = (database(&policy), prepared(&policy, "alice"));
    assert!(is_created(&attempt(&mut conn, POLICY, &at(&alice, 1), false), alice.id()));
    for is_unanswered in [false, true] {
        let later = attempt(&mut conn, POLICY, &at(&alice, 2), is_unanswered);
        let Attempt::Own(Creation::Existing(existing)) = later else { panic!("{later:?}") };
        assert_eq!((existing.is_same_creation(), existing.matched()), (true, Matched::Both));
    }
}

#[test]
fn whoever_else_is_there_is_a_stranger() {
    let policy = policy();
    let mut conn = database(&policy);
    let (alice, again) = (prepared(&policy, "alice"), prepared(&policy, "ALICE"));
    assert!(is_created(&attempt(&mut conn, POLICY, &at(&alice, 1), false), alice.id()));
    for is_unanswered in [false, true] {
        let met = attempt(&mut conn, POLICY, &at(&again, 1), is_unanswered);
        let Attempt::Strangers(Ok(Creation::Existing(existing))) = met else { panic!("{met:?}") };
        assert_eq!((existing.user_id(), existing.is_same_creation()), (alice.id(), false));
        let met = attempt(&mut conn, Duplicates::Refuse, &at(&again, 1), is_unanswered);
        assert!(matches!(met, Attempt::Strangers(Err(Error::Taken(_)))), "{met:?}");
    }
}
