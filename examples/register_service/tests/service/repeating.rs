//! Requests that are sent again: the header `Idempotency-Key`.

use std::sync::Barrier;
use std::thread;

use diesel::result::Error::RollbackTransaction;
use diesel_accounts::{Engine, Error, UserManager};
use diesel_accounts_proof::database::{Database, ProofConnection, policy};
use diesel_accounts_proof::wait::wait_until;

use crate::client::{Client, JSON, REGISTER};
use crate::people::Person;
use crate::process::Setup;
use crate::table::{count, execute};
use crate::{on_each_engine, on_each_server};

on_each_engine!(
    the_same_request_again_is_answered_as_the_first_by_every_instance,
    a_request_that_is_being_answered_is_refused_until_later,
    ten_at_once_with_one_key_make_one_account,
    a_key_that_cannot_be_read_is_refused,
    the_key_of_another_client_is_another_key,
    a_key_is_forgotten_when_it_has_expired,
    what_has_expired_is_found_by_an_index,
);
on_each_server!(a_request_that_waits_for_the_database_is_still_being_answered);

fn the_same_request_again_is_answered_as_the_first_by_every_instance<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database);
    let (first, second) = (setup.start(), setup.start());
    let alice = Person::new("alice");

    let created = keyed(first.client(), KEY).register(&alice);
    assert_eq!(created.status, 201);
    for client in [first.client(), second.client()] {
        // With quotes, as the draft writes it, it is the same key.
        for key in [KEY, &format!("\"{KEY}\"")] {
            let again = keyed(client, key).register(&alice);
            assert_eq!((again.status, again.json()), (201, created.json()), "{key}");
        }
        let other = keyed(client, KEY).register(&Person::new("bob"));
        assert_eq!((other.status, other.retry_after()), (422, None));
        // Another request for the same person is no repetition.
        for client in [client, &keyed(client, "canary-other-key")] {
            assert_eq!(client.register(&alice).status, 200);
        }
    }
    assert_eq!(count(&database, "account_users"), 1);
    // A repetition is heard after a restart too.
    first.stop();
    let again = keyed(setup.start().client(), KEY).register(&alice);
    assert_eq!((again.status, again.json()), (201, created.json()));
}

/// The lease of an instance that answers, and is not heard of.
fn a_request_that_is_being_answered_is_refused_until_later<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = keyed(service.client(), KEY);
    let alice = Person::new("alice");
    let created = client.register(&alice);

    execute(&database, "UPDATE service_requests SET running_until = 9000000000000000");
    let answer = client.register(&alice);
    assert_eq!((answer.status, answer.retry_after()), (409, Some(1)));
    // What the key was for is looked at before.
    assert_eq!(client.register(&Person::new("bob")).status, 422);

    execute(&database, "UPDATE service_requests SET running_until = 1");
    let again = client.register(&alice);
    assert_eq!((again.status, again.json()), (201, created.json()));
    assert_eq!(count(&database, "service_requests WHERE running_until = 0"), 1);
}

fn a_request_that_waits_for_the_database_is_still_being_answered<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database);
    let (first, second) = (setup.start(), setup.start());
    let alice = Person::new("alice");
    let users = UserManager::with_policy(database.pool(1), policy().build().unwrap());
    let of_another = users.prepare(alice.new_user()).unwrap();

    thread::scope(|scope| {
        let mut waiting = None;
        let let_go = database.connect().transaction::<(), Error, _>(|holder| {
            // The name is held, and nobody sees by whom.
            assert!(users.on(holder).create_user(&of_another)?.is_created());
            waiting = Some(scope.spawn(|| keyed(first.client(), KEY).register(&alice)));
            let held = "service_requests WHERE running_until > 0";
            wait_until("the request is begun", || count(&database, held) == 1);
            for client in [first.client(), second.client()] {
                let answer = keyed(client, KEY).register(&alice);
                assert_eq!((answer.status, answer.retry_after()), (409, Some(1)), "{answer:?}");
            }
            Err(RollbackTransaction.into())
        });
        assert!(let_go.is_err());
        let created = waiting.unwrap().join().unwrap();
        assert_eq!(created.status, 201);
        let again = keyed(second.client(), KEY).register(&alice);
        assert_eq!((again.status, again.json()), (201, created.json()));
    });
    assert_eq!(count(&database, "account_users"), 1);
}

fn ten_at_once_with_one_key_make_one_account<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (keyed(service.client(), KEY), Person::new("alice"));
    let together = Barrier::new(10);
    let register = || {
        together.wait();
        client.register(&alice)
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(register)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let created: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(!created.is_empty(), "{answers:?}");
    for answer in &answers {
        match answer.status {
            201 => assert_eq!(answer.json(), created[0].json()),
            _ => assert_eq!((answer.status, answer.retry_after()), (409, Some(1)), "{answer:?}"),
        }
    }
    assert_eq!(client.register(&alice).json(), created[0].json());
    assert_eq!(count(&database, "account_users"), 1);
}

fn a_key_that_cannot_be_read_is_refused<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    for key in ["", "\"\"", "canary key", "canary\"key", "\"", "canary\\key", &"a".repeat(256)] {
        assert_eq!(keyed(client, key).register(&alice).status, 400, "{key}");
    }
    assert_eq!(keyed(&keyed(client, KEY), KEY).register(&alice).status, 400);
    assert_eq!(count(&database, "account_users"), 0);
    assert_eq!(keyed(client, &"a".repeat(255)).register(&alice).status, 201);
}

fn the_key_of_another_client_is_another_key<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).set("TRUSTED_PROXIES", "127.0.0.0/8").start();
    let client = |address: &str| keyed(service.client(), KEY).with("x-forwarded-for", address);
    let alice = Person::new("alice");

    let created = client("203.0.113.7").register(&alice);
    assert_eq!(created.status, 201);
    let of_another = client("203.0.113.8").register(&alice);
    assert_eq!((of_another.status, of_another.user_id()), (200, created.user_id()));
    assert!(!of_another.text.contains('@'), "{of_another:?}");
    assert_eq!(client("203.0.113.9").register(&Person::new("bob")).status, 201);
    assert_eq!(client("203.0.113.7").register(&alice).json(), created.json());
}

fn a_key_is_forgotten_when_it_has_expired<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database);
    let service = setup.start();
    let client = service.client();
    for (key, name) in [(KEY, "alice"), ("canary-younger-key", "bob")] {
        assert_eq!(keyed(client, key).register(&Person::new(name)).status, 201);
    }
    let id = service.client().register(&Person::new("alice")).user_id();
    let expire = format!("UPDATE service_requests SET expires_at = 1 WHERE user_id = '{id}'");
    execute(&database, &expire);
    assert_eq!(keyed(client, KEY).register(&Person::new("carol")).status, 201);
    let younger = keyed(client, "canary-younger-key");
    assert_eq!(younger.register(&Person::new("bob")).status, 201);
    assert_eq!(younger.send("POST", REGISTER, JSON, "{}").unwrap().status, 422);

    // Nobody need ask for it: it is swept up at the start, and later.
    execute(&database, "UPDATE service_requests SET expires_at = 1");
    service.stop();
    let _service = setup.start();
    wait_until("all are forgotten", || count(&database, "service_requests") == 0);
}

fn what_has_expired_is_found_by_an_index<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let _service = Setup::on(&database).start();
    let indexes = match C::ENGINE {
        Engine::Sqlite => "sqlite_master WHERE type = 'index' AND name",
        Engine::Postgres => "pg_indexes WHERE schemaname = current_schema() AND indexname",
        _ => "information_schema.statistics WHERE table_schema = DATABASE() AND index_name",
    };
    assert_eq!(count(&database, &format!("{indexes} LIKE 'service_%_expiry'")), 2);
}

fn keyed(client: &Client, key: &str) -> Client {
    client.with("idempotency-key", key)
}

const KEY: &str = "canary-key-8e03978e-40d5-43dd-bc93-6894a57f9324";
