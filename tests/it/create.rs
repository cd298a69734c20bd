//! What a creation is answered.

use diesel_accounts::{
    Creation, Duplicates, Error, Existing, Field, Identifiers, Matched, NewUser, RealmId, Taken,
    TakenReason, UserId, UserState,
};

use crate::doubles::{Tally, counted_hashing};
use crate::support::{
    PASSWORD, TestConnection, TestDb, alice, assert_matches, bob, cheap_policy, id_of,
    on_each_engine,
};

on_each_engine!(
    a_creation_is_created_then_existing,
    every_spelling_of_one_person_is_one_account,
    one_matching_field_is_existing_and_says_which,
    the_username_of_one_and_the_email_of_another_are_taken_by_two,
    a_repetition_with_the_same_id_is_the_same_creation,
    a_repetition_of_a_creation_with_one_name_matches_that_name,
    an_id_that_belongs_to_somebody_else_is_reused,
    an_id_of_another_realm_is_reused,
    a_prepared_user_is_one_creation_however_often_it_is_inserted,
    a_policy_that_refuses_says_what_is_taken,
    a_policy_that_refuses_hashes_for_whoever_is_there_too,
    a_policy_that_refuses_still_knows_its_own_creation,
    the_names_of_a_reserved_account_are_taken_in_every_mode,
    an_existing_disabled_account_is_returned_as_disabled,
    two_realms_have_two_accounts_of_one_name,
    a_user_without_a_password_has_none,
    only_the_identifiers_that_the_policy_asks_for_are_required,
    accounts_without_a_username_do_not_conflict_with_each_other,
    what_was_typed_is_kept_without_outer_white_space,
    mail_goes_to_the_domain_that_was_judged,
    all_fields_at_fault_are_told_before_any_statement,
);

#[cfg(feature = "serde")]
#[test]
fn what_is_wrong_can_be_written_as_json() {
    let policy = cheap_policy().build().unwrap();
    let refused = policy.prepare(NewUser::new("a b", "a@localhost", "short"));
    let invalid = assert_matches!(refused, Err(Error::Invalid(invalid)) => invalid);
    assert_eq!(
        serde_json::to_value(&invalid).unwrap(),
        serde_json::json!([
            {
                "field": "username",
                "code": "character_not_allowed",
                "message": "the username has a character that is not allowed",
            },
            {
                "field": "email",
                "code": "invalid_domain",
                "message": "the email does not have a valid domain",
            },
            {
                "field": "password",
                "code": "too_short",
                "message": "the password must have at least 8 characters",
                "limit": 8,
            },
        ])
    );
    let id = UserId::new();
    assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
}

fn a_creation_is_created_then_existing<C: TestConnection>(db: TestDb<C>) {
    let user = assert_matches!(db.users.create_user(alice()), Ok(Creation::Created(user)) => user);
    assert_eq!(user.username(), Some("alice"));
    assert_eq!(user.email(), Some("alice@example.org"));
    assert_eq!(user.state(), UserState::Active);
    assert_eq!(user.password_changed_at(), Some(user.created_at()));
    assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user.clone()));

    let again = existing(db.users.create_user(alice()));
    assert_eq!(again.user_id(), user.id());
    assert_eq!(again.matched(), Matched::Both);
    assert!(!again.is_same_creation());
    assert_eq!(again.into_unauthenticated_user(), user);
    assert_eq!(db.count(), 1);
}

fn every_spelling_of_one_person_is_one_account<C: TestConnection>(db: TestDb<C>) {
    let new = |username: &str, email: &str| NewUser::new(username, email, PASSWORD);
    let id = db.create(new("Jos\u{e9}", "Jose@b\u{fc}cher.example")).id();
    for (username, email) in [
        ("JOS\u{c9}", "JOSE@B\u{dc}CHER.EXAMPLE"),
        ("jose\u{301}", "jose@xn--bcher-kva.example"),
        ("\u{ff2a}\u{ff4f}s\u{e9}", "jose@XN--BCHER-KVA.example"),
        ("  Jos\u{e9}\t", " jose@bu\u{308}cher.example\n"),
    ] {
        let found = existing(db.users.create_user(new(username, email)));
        assert_eq!((found.user_id(), found.matched()), (id, Matched::Both), "{username} {email}");
    }
    assert_eq!(db.count(), 1);
}

fn one_matching_field_is_existing_and_says_which<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let by_username = NewUser::new("ALICE", "other@example.org", PASSWORD);
    let found = existing(db.users.create_user(by_username));
    assert_eq!((found.user_id(), found.matched()), (id, Matched::Username));
    let by_email = NewUser::new("other", "Alice@example.org", PASSWORD);
    let found = existing(db.users.create_user(by_email));
    assert_eq!((found.user_id(), found.matched()), (id, Matched::Email));
    assert_eq!(db.count(), 1);
}

fn the_username_of_one_and_the_email_of_another_are_taken_by_two<C: TestConnection>(db: TestDb<C>) {
    let alice_id = db.create(alice()).id();
    let bob_id = db.create(bob()).id();
    let both = || NewUser::new("Alice", "Bob@example.org", PASSWORD);
    let prepared = db.users.prepare(both()).unwrap();
    for refused in [db.users.create_user(both()), db.users.create_prepared_user(&prepared)] {
        let taken = taken(refused);
        assert_eq!(taken.username_holder(), Some(alice_id));
        assert_eq!(taken.email_holder(), Some(bob_id));
        assert_eq!(taken.reason(), TakenReason::ByTwoAccounts);
        let text = taken.to_string();
        assert!(text.contains("username") && text.contains("email"), "{text}");
    }
    assert_eq!(db.count(), 2);
}

fn a_repetition_with_the_same_id_is_the_same_creation<C: TestConnection>(db: TestDb<C>) {
    let id = UserId::new();
    let created = db.users.create_user(alice().with_id(id)).unwrap();
    assert_eq!((created.is_created(), id_of(&created)), (true, id));
    let again = NewUser::new("ALICE", "Alice@Example.ORG", "another password").with_id(id);
    let found = existing(db.users.create_user(again));
    assert_eq!((found.user_id(), found.matched()), (id, Matched::Both));
    assert!(found.is_same_creation());
    // Nothing was overwritten.
    assert_eq!(found.unauthenticated_user().username(), Some("alice"));
    assert_eq!(db.users.user_by_id(id).unwrap(), created.created());
}

fn a_repetition_of_a_creation_with_one_name_matches_that_name<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(cheap_policy().identifiers(Identifiers::Either));
    for (username, email, matched) in
        [("alice", "", Matched::Username), ("", "alice@example.org", Matched::Email)]
    {
        let prepared = users.prepare(NewUser::new(username, email, PASSWORD)).unwrap();
        assert!(users.create_prepared_user(&prepared).unwrap().is_created());
        let found = existing(users.create_prepared_user(&prepared));
        assert_eq!((found.matched(), found.is_same_creation()), (matched, true));
    }
}

fn an_id_that_belongs_to_somebody_else_is_reused<C: TestConnection>(db: TestDb<C>) {
    let id = UserId::new();
    db.create(alice().with_id(id));
    for other in [
        bob(),
        NewUser::new("alice", "bob@example.org", PASSWORD),
        NewUser::new("bob", "alice@example.org", PASSWORD),
    ] {
        let prepared = db.users.prepare(other.with_id(id)).unwrap();
        let refused = db.users.create_prepared_user(&prepared);
        assert_matches!(refused, Err(Error::IdReused { id: reused, .. }) if reused == id);
    }
    assert_matches!(db.users.create_user(bob().with_id(id)), Err(Error::IdReused { .. }));
    assert_eq!(db.count(), 1);
}

fn an_id_of_another_realm_is_reused<C: TestConnection>(db: TestDb<C>) {
    let id = UserId::new();
    db.create(alice().with_id(id));
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    assert_matches!(elsewhere.create_user(alice().with_id(id)), Err(Error::IdReused { .. }));
}

fn a_prepared_user_is_one_creation_however_often_it_is_inserted<C: TestConnection>(db: TestDb<C>) {
    let prepared = db.users.prepare(alice()).unwrap();
    let created = db.users.create_prepared_user(&prepared).unwrap();
    assert_eq!((created.is_created(), id_of(&created)), (true, prepared.id()));
    for _ in 0..2 {
        let found = existing(db.users.create_prepared_user(&prepared));
        assert!(found.is_same_creation());
    }
    assert_eq!(db.count(), 1);
}

fn a_policy_that_refuses_says_what_is_taken<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(cheap_policy().duplicates(Duplicates::Refuse));
    let id = id_of(&users.create_user(alice()).unwrap());
    for (new_user, holders) in [
        (alice(), (Some(id), Some(id))),
        (NewUser::new("Alice", "other@example.org", PASSWORD), (Some(id), None)),
        (NewUser::new("other", "ALICE@example.org", PASSWORD), (None, Some(id))),
    ] {
        let taken = taken(users.create_user(new_user));
        assert_eq!((taken.username_holder(), taken.email_holder()), holders);
        assert_eq!(taken.reason(), TakenReason::Policy);
    }
    assert_eq!(db.count(), 1);
}

/// Or the time of the refusal would tell a stranger who has an account.
fn a_policy_that_refuses_hashes_for_whoever_is_there_too<C: TestConnection>(db: TestDb<C>) {
    let tally = Tally::default();
    let hashing = counted_hashing(&tally);
    let users = db.users_with(cheap_policy().duplicates(Duplicates::Refuse).hashing(hashing));
    assert!(users.create_user(alice()).unwrap().is_created());
    let fresh = tally.take();
    assert_matches!(users.create_user(alice()), Err(Error::Taken(_)));
    assert_eq!(tally.take(), fresh);
}

fn a_policy_that_refuses_still_knows_its_own_creation<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(cheap_policy().duplicates(Duplicates::Refuse));
    let id = UserId::new();
    assert!(users.create_user(alice().with_id(id)).unwrap().is_created());
    assert!(existing(users.create_user(alice().with_id(id))).is_same_creation());
}

fn the_names_of_a_reserved_account_are_taken_in_every_mode<C: TestConnection>(db: TestDb<C>) {
    let id = UserId::new();
    db.create(alice().with_id(id));
    db.users.reserve_user(id).unwrap();
    let prepared = db.users.prepare(alice()).unwrap();
    let mut conn = db.connect();
    for refused in [
        db.users.create_user(alice()),
        db.users.create_prepared_user(&prepared),
        db.users.on(&mut conn).create_user(&prepared),
        conn.transaction(|conn| db.users.on(conn).create_user(&prepared)),
        db.users_with(cheap_policy().duplicates(Duplicates::Refuse)).create_user(alice()),
    ] {
        let taken = taken(refused);
        assert_eq!((taken.username_holder(), taken.email_holder()), (Some(id), Some(id)));
        assert_eq!(taken.reason(), TakenReason::Reserved);
    }
    // Nor does the account come back to life for the creation that once made it.
    let again = taken(db.users.create_user(alice().with_id(id)));
    assert_eq!(again.reason(), TakenReason::Reserved);
}

fn an_existing_disabled_account_is_returned_as_disabled<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    db.users.disable_user(id).unwrap();
    let found = existing(db.users.create_user(alice()));
    assert_eq!(found.unauthenticated_user().state(), UserState::Disabled);
}

fn two_realms_have_two_accounts_of_one_name<C: TestConnection>(db: TestDb<C>) {
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    let here = db.users.create_user(alice()).unwrap();
    let there = elsewhere.create_user(alice()).unwrap();
    assert!(here.is_created() && there.is_created());
    assert_eq!(existing(db.users.create_user(alice())).user_id(), id_of(&here));
    assert_eq!(existing(elsewhere.create_user(alice())).user_id(), id_of(&there));
    assert_eq!(db.users.user_by_id(id_of(&there)).unwrap(), None);
    assert_matches!(db.users.delete_user(id_of(&there)), Err(Error::UserNotFound));
    assert_eq!(db.users.list_users(None, 10).unwrap().len(), 1);
}

fn a_user_without_a_password_has_none<C: TestConnection>(db: TestDb<C>) {
    let created = db.users.create_user(alice().without_password()).unwrap().created().unwrap();
    assert_eq!(created.password_changed_at(), None);
    let nulls = db
        .connect()
        .number("SELECT COUNT(*) AS number FROM account_users WHERE password_hash IS NULL");
    assert_eq!(nulls, 1);
}

fn only_the_identifiers_that_the_policy_asks_for_are_required<C: TestConnection>(db: TestDb<C>) {
    let missing = |identifiers, username: Option<&str>, email: Option<&str>| {
        let users = db.users_with(cheap_policy().identifiers(identifiers));
        let new_user = NewUser::new(username.unwrap_or(" "), email.unwrap_or(""), PASSWORD);
        match users.prepare(new_user) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(invalid)) => {
                assert!(invalid.errors().iter().all(|error| error.code() == "required"));
                invalid.errors().iter().map(|error| error.field()).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let (name, mail) = (Some("ann"), Some("ann@example.org"));
    assert_eq!(missing(Identifiers::Both, None, None), [Field::Username, Field::Email]);
    assert_eq!(missing(Identifiers::Both, name, None), [Field::Email]);
    assert_eq!(missing(Identifiers::Both, None, mail), [Field::Username]);
    assert_eq!(missing(Identifiers::EmailRequired, None, None), [Field::Email]);
    assert_eq!(missing(Identifiers::EmailRequired, name, None), [Field::Email]);
    assert_eq!(missing(Identifiers::EmailRequired, None, mail), []);
    assert_eq!(missing(Identifiers::UsernameRequired, None, mail), [Field::Username]);
    assert_eq!(missing(Identifiers::UsernameRequired, name, None), []);
    assert_eq!(missing(Identifiers::Either, None, None), [Field::Username, Field::Email]);
    assert_eq!(missing(Identifiers::Either, name, None), []);
    assert_eq!(missing(Identifiers::Either, None, mail), []);
    assert_eq!(missing(Identifiers::Either, name, mail), []);
}

fn accounts_without_a_username_do_not_conflict_with_each_other<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(cheap_policy().identifiers(Identifiers::Either));
    let ann = || NewUser::with_email("ann@example.org", PASSWORD);
    let first = users.create_user(ann()).unwrap();
    assert!(first.is_created());
    assert!(
        users.create_user(NewUser::with_email("ben@example.org", PASSWORD)).unwrap().is_created()
    );
    assert!(users.create_user(NewUser::with_username("ann", PASSWORD)).unwrap().is_created());
    assert!(users.create_user(NewUser::with_username("ben", PASSWORD)).unwrap().is_created());
    let found = existing(users.create_user(ann()));
    assert_eq!((found.user_id(), found.matched()), (id_of(&first), Matched::Email));
    assert_eq!(found.unauthenticated_user().username(), None);
    let both = NewUser::new("ann", "ann@example.org", PASSWORD);
    assert_eq!(taken(users.create_user(both)).reason(), TakenReason::ByTwoAccounts);
    // A repetition without the field that the account has is another person's.
    let id = UserId::new();
    let cat =
        users.create_user(NewUser::new("cat", "cat@example.org", PASSWORD).with_id(id)).unwrap();
    assert!(cat.is_created());
    let less = users.create_user(NewUser::with_username("cat", PASSWORD).with_id(id));
    assert_matches!(less, Err(Error::IdReused { .. }));
    assert_eq!(db.count(), 5);
}

fn what_was_typed_is_kept_without_outer_white_space<C: TestConnection>(db: TestDb<C>) {
    let typed = NewUser::new(" \u{ff21}lice\u{a0}", "\tAlice@B\u{dc}CHER.example \n", PASSWORD);
    let id = db.create(typed).id();
    let stored = db.users.user_by_id(id).unwrap().unwrap();
    assert_eq!(stored.username(), Some("\u{ff21}lice"));
    assert_eq!(stored.email(), Some("Alice@B\u{dc}CHER.example"));
}

fn mail_goes_to_the_domain_that_was_judged<C: TestConnection>(db: TestDb<C>) {
    let user = db.create(NewUser::new("ann", "Ann@stra\u{df}e.example", PASSWORD));
    assert_eq!(user.email(), Some("Ann@stra\u{df}e.example"));
    assert_eq!(user.mailbox().as_deref(), Some("Ann@xn--strae-oqa.example"));
    let users = db.users_with(cheap_policy().identifiers(Identifiers::UsernameRequired));
    let bob = users.create_user(NewUser::new("bob", "", PASSWORD)).unwrap().created().unwrap();
    assert_eq!(bob.mailbox(), None);
}

fn all_fields_at_fault_are_told_before_any_statement<C: TestConnection>(db: TestDb<C>) {
    let long = "x".repeat(10_000_000);
    for (username, email, password) in [
        ("", "", ""),
        (" ", "\t", "1234567"),
        ("a b", "a@b", "short"),
        ("a@b", "Ann <ann@example.org>", "short"),
        ("a\0b", "a\0@example.org", "a\0b"),
        ("a\u{202e}b", "a\u{200b}@example.org", "short"),
        ("a\nb", "ann@example.org\r\nBcc: x@example.org", "short"),
        ("\u{1f600}", "\"a b\"@example.org", "short"),
        (&long, &long, &long),
    ] {
        // Nobody can be reached at this pool: a statement would be an error of another kind.
        let unreachable = TestDb::<C>::unreachable();
        let refused = unreachable.create_user(NewUser::new(username, email, password));
        let invalid = assert_matches!(refused, Err(Error::Invalid(invalid)) => invalid);
        for field in [Field::Username, Field::Email, Field::Password] {
            let start = &username[..username.len().min(20)];
            assert!(invalid.of(field).next().is_some(), "{field} {start:?}");
        }
        assert_eq!(invalid.to_string(), "invalid username, email, password");
    }
    assert_eq!(db.count(), 0);
}

fn existing(answer: diesel_accounts::Result<Creation>) -> Existing {
    assert_matches!(answer, Ok(Creation::Existing(existing)) => existing)
}

fn taken(answer: diesel_accounts::Result<Creation>) -> Taken {
    assert_matches!(answer, Err(Error::Taken(taken)) => taken)
}
