//! One registration at a time: each answer of the API.

use diesel_accounts_proof::database::{Database, ProofConnection};
use serde_json::json;

use crate::client::{JSON, REGISTER};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;
use crate::table::count;

on_each_engine!(
    a_registration_is_answered_with_the_account_and_a_second_one_with_whose_it_is,
    a_name_of_one_and_an_address_of_another_are_a_conflict_that_tells_of_neither,
    what_cannot_be_read_or_is_not_valid_is_told_and_registers_nobody,
);

fn a_registration_is_answered_with_the_account_and_a_second_one_with_whose_it_is<
    C: ProofConnection,
>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = service.client();
    let alice = Person::new("alice");

    let created = client.register(&alice);
    assert_eq!(created.status, 201);
    let id = created.user_id();
    assert_eq!(created.json(), alice.shown(&id));

    // Whoever asks has proved nothing, and hears no address, not even the one just given.
    let existing = json!({
        "detail": "User already exists. Please log in instead.",
        "user_id": id,
        "username": alice.username,
    });
    let of_the_name = Person::named("alice", "mallory");
    let of_the_address = Person::named("mallory", "alice");
    for again in [&alice, &alice.spelt(0b10_1011), &of_the_name, &of_the_address] {
        let answer = client.register(again);
        assert_eq!((answer.status, answer.json()), (200, existing.clone()), "{again:?}");
        assert!(!answer.text.contains('@'), "{answer:?}");
    }
    assert_eq!(count(&database, "account_users"), 1);
    service.stop();
}

fn a_name_of_one_and_an_address_of_another_are_a_conflict_that_tells_of_neither<
    C: ProofConnection,
>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    for name in ["alice", "bob"] {
        service.client().registered(&Person::new(name));
    }
    let answer = service.client().register(&Person::named("alice", "bob"));
    let expected = json!({ "detail": "User with this username or email already exists." });
    assert_eq!((answer.status, answer.json()), (409, expected));
    assert_eq!(answer.retry_after(), None);
    assert_eq!(count(&database, "account_users"), 2);
}

fn what_cannot_be_read_or_is_not_valid_is_told_and_registers_nobody<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = service.client();

    for nothing in [json!({}), json!({ "username": " ", "email": "nobody", "password": "short" })] {
        let answer = client.post(REGISTER, &nothing);
        assert_eq!(answer.status, 400, "{answer:?}");
        let faults = answer.json();
        let fields: Vec<_> = faults.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["email", "password", "username"]);
        for texts in faults.as_object().unwrap().values() {
            assert!(texts[0].as_str().unwrap().ends_with('.'), "{faults}");
        }
    }
    let alice = Person::new("alice").registration();
    let body = alice.to_string();
    let padded = format!("{body}{}", " ".repeat(16 * 1024 + 1 - body.len()));
    let wrong_field = json!({ "username": 1, "email": "e", "password": "p" }).to_string();
    for (content_type, body, status) in [
        (None, &*body, 415),
        (Some("text/plain"), &*body, 415),
        (Some("application/x-www-form-urlencoded"), "username=alice", 415),
        (JSON, &*padded, 413),
        (JSON, "{", 422),
        (JSON, "[]", 422),
        (JSON, &*wrong_field, 422),
    ] {
        let answer = client.send("POST", REGISTER, content_type, body).unwrap();
        assert_eq!(answer.status, status, "{content_type:?} {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().ends_with('.'), "{answer:?}");
    }
    assert_eq!(count(&database, "account_users"), 0);
    // One byte less is read, and nothing of the above stands in the way.
    let answer = client.send("POST", REGISTER, JSON, &padded[..16 * 1024]).unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
}
