//! Many registrations at once.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use diesel_accounts_proof::database::{Database, ProofConnection};

use crate::client::{Answer, Client};
use crate::people::Person;
use crate::process::{Service, Setup};
use crate::table::{count, username};
use crate::{on_each_engine, on_each_server};

on_each_engine!(
    fifty_requests_at_once_make_one_account_and_forty_nine_hear_whose_it_is,
    crossing_registrations_end_in_answers_that_agree_with_the_table,
);
on_each_server!(
    three_instances_make_one_account_of_fifty_requests,
    three_instances_can_start_at_once_on_an_empty_database,
    crossing_registrations_through_three_instances_agree_with_the_table,
);

fn fifty_requests_at_once_make_one_account_and_forty_nine_hear_whose_it_is<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    one_account(&[&service], &vec![alice; 50]);
    one_account(&[&service], &(0..50).map(|number| bob.spelt(number)).collect::<Vec<_>>());
    assert_eq!(count(&database, "account_users"), 2);
    service.stop();
}

fn three_instances_make_one_account_of_fifty_requests<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let services = three_instances(&database);
    let services: Vec<_> = services.iter().collect();
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    one_account(&services, &vec![alice; 50]);
    one_account(&services, &(0..50).map(|number| bob.spelt(number)).collect::<Vec<_>>());
    assert_eq!(count(&database, "account_users"), 2);
}

fn three_instances_can_start_at_once_on_an_empty_database<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let services = three_instances(&database);
    for service in services {
        assert_eq!(service.client().get("/readyz").status, 200);
        service.stop();
    }
}

fn crossing_registrations_end_in_answers_that_agree_with_the_table<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    crossing(&database, &[&service]);
}

fn crossing_registrations_through_three_instances_agree_with_the_table<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let services = three_instances(&database);
    crossing(&database, &services.iter().collect::<Vec<_>>());
}

fn one_account(services: &[&Service], people: &[Person]) {
    let answers = all_at_once(services, people);
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    let ids: BTreeSet<_> = answers.iter().map(Answer::user_id).collect();
    assert_eq!(ids.len(), 1);
}

fn crossing<C: ProofConnection>(database: &Database<C>, services: &[&Service]) {
    for round in 0..5 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let pairs = [(&a, &b), (&b, &a), (&a, &a), (&b, &b)];
        let people: Vec<_> = pairs
            .iter()
            .cycle()
            .take(16)
            .map(|(name, address)| Person::named(name, address))
            .collect();
        let answers = all_at_once(services, &people);

        let mut ids = BTreeSet::new();
        for (person, answer) in people.iter().zip(&answers) {
            match answer.status {
                // It is there as it was asked for.
                201 => {
                    let id = answer.user_id();
                    assert_eq!(answer.json(), person.shown(&id));
                    let user = database.users(1).user_by_id(id.parse().unwrap()).unwrap().unwrap();
                    let stored = (user.username().unwrap(), user.email().unwrap());
                    assert_eq!(stored, (&*person.username, &*person.email));
                    assert!(ids.insert(id), "two created one account");
                }
                // It shares one of them, and is told by its own name.
                200 => {
                    let user =
                        database.users(1).user_by_id(answer.user_id().parse().unwrap()).unwrap();
                    let user = user.expect("there is such an account");
                    let shares_name = user.username() == Some(&person.username);
                    let shares_address = user.email() == Some(&person.email);
                    assert!(shares_name || shares_address, "{person:?} {answer:?}");
                    assert_eq!(answer.json()["username"], username(database, &answer.user_id()));
                }
                409 => assert_eq!(answer.retry_after(), None),
                _ => panic!("{answer:?}"),
            }
        }
        let rows = count(database, &format!("account_users WHERE username LIKE '%{round}'"));
        assert_eq!(i64::try_from(ids.len()).unwrap(), rows, "{answers:?}");
        // A conflict takes two accounts to conflict with.
        let conflicts = answers.iter().filter(|answer| answer.status == 409).count();
        assert!(rows == 2 || (rows == 1 && conflicts == 0), "{rows} {answers:?}");
    }
}

fn all_at_once(services: &[&Service], people: &[Person]) -> Vec<Answer> {
    let together = Barrier::new(people.len());
    let register = |client: &Client, person| {
        together.wait();
        client.register(person)
    };
    thread::scope(|scope| {
        let register = &register;
        let clients = services.iter().cycle().map(|service| service.client());
        let threads: Vec<_> = people
            .iter()
            .zip(clients)
            .map(|(person, client)| scope.spawn(move || register(client, person)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn three_instances<C: ProofConnection>(database: &Database<C>) -> Vec<Service> {
    let setup = Setup::on(database).set("CONNECTIONS", "4");
    setup.start_all(3)
}
