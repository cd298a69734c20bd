//! How often one client may register.

use std::iter;
use std::time::Instant;

use diesel_accounts_proof::database::{Database, ProofConnection};
use serde_json::json;

use crate::client::{Answer, Browser, Client, LOGIN, PASSWORD, REGISTER};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;
use crate::table::count;

on_each_engine!(
    a_client_is_refused_after_sixty_registrations_and_another_one_is_not,
    what_a_client_says_of_its_address_is_not_believed,
    two_instances_share_a_limit_in_the_database,
    an_address_is_refused_after_thirty_registrations_whoever_asks,
    a_client_that_repeats_itself_for_ever_is_refused_in_the_end,
    a_client_is_refused_after_a_hundred_and_twenty_sign_ins_and_another_one_is_not,
);

fn a_client_is_refused_after_sixty_registrations_and_another_one_is_not<C: ProofConnection>() {
    for limits in ["process", "database"] {
        let database = Database::<C>::empty();
        let setup = Setup::on(&database).set("RATE_LIMIT", limits);
        let service = setup.set("TRUSTED_PROXIES", "127.0.0.0/8").start();
        let began = Instant::now();
        let client = |address: &str| service.client().with("x-forwarded-for", address);
        assert_eq!(client("203.0.113.7").register(&Person::new("alice")).status, 201);
        let refused = use_up(began, &[client("203.0.113.7")], 59);
        assert!((1..=600).contains(&refused.retry_after().unwrap()), "{refused:?}");
        // The page counts with the API.
        let mut browser = Browser::new(&client("203.0.113.7"));
        let token = browser.get("/").hidden("token");
        let fields = [("token", &*token), ("username", "c"), ("email", "c"), ("password", "c")];
        let refused = browser.submit("/", &fields);
        assert_eq!((refused.status, refused.retry_after().is_some()), (429, true), "{refused:?}");
        assert!(refused.text.contains("Too many requests"), "{refused:?}");
        assert_eq!(client("203.0.113.8").register(&Person::new("bob")).status, 201);
        // What it has not to do with registering is not limited with it.
        assert_eq!(client("203.0.113.7").get("/").status, 200);
    }
}

fn what_a_client_says_of_its_address_is_not_believed<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).set("RATE_LIMIT", "database").start();
    let clients: Vec<_> = (0..60)
        .map(|number| service.client().with("x-forwarded-for", &format!("203.0.113.{number}")))
        .collect();
    use_up(Instant::now(), &clients, 60);
}

fn two_instances_share_a_limit_in_the_database<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database).set("RATE_LIMIT", "database");
    let (first, second) = (setup.start(), setup.start());
    use_up(Instant::now(), &[first.client().clone(), second.client().clone()], 60);
}

fn an_address_is_refused_after_thirty_registrations_whoever_asks<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database).set("RATE_LIMIT", "database");
    let service = setup.set("TRUSTED_PROXIES", "127.0.0.0/8").start();
    let alice = Person::new("alice");
    let register = |number: usize| {
        let address = format!("203.0.113.{number}");
        service.client().with("x-forwarded-for", &address).register(&alice.spelt(number))
    };
    let began = Instant::now();
    assert_eq!(register(0).status, 201);
    for number in 1..30 {
        assert_eq!(register(number).status, 200);
    }
    // One more is allowed every twenty seconds: this machine may be slow.
    let refused = (30..60).map(&register).find(|answer| answer.status == 429).unwrap();
    assert!((1..=600).contains(&refused.retry_after().unwrap()), "{refused:?}");
    assert!(began.elapsed().as_secs() < 1_200, "{refused:?}");
    let bob = service.client().with("x-forwarded-for", "203.0.113.1").register(&Person::new("bob"));
    assert_eq!(bob.status, 201);
}

/// What is sent again, and what is refused for its key, is not counted with new registrations.
fn a_client_that_repeats_itself_for_ever_is_refused_in_the_end<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).set("RATE_LIMIT", "database").start();
    let client = service.client().with("idempotency-key", "canary-key");
    let bodies = [json!({}), json!({ "username": "canary" })];
    let began = Instant::now();
    let bodies = bodies.iter().cycle().take(3_000);
    let mut answers = bodies.map(|body| client.post(REGISTER, body)).enumerate();
    let (number, refused) =
        answers.find(|(_, answer)| !matches!(answer.status, 400 | 422)).unwrap();
    assert_eq!(refused.status, 429, "{number} {refused:?}");
    assert!((1..=600).contains(&refused.retry_after().unwrap()), "{refused:?}");
    // One more is allowed every second: this machine may be slow.
    let regained = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((600..=600 + regained).contains(&number), "{number}");
    // It was one new registration, all the same.
    assert_eq!(count(&database, "service_requests"), 1);
    // The page counts with the API.
    let mut browser = Browser::new(service.client());
    let token = browser.get("/").hidden("token");
    let fields = [("token", &*token), ("username", "c"), ("email", "c"), ("password", "c")];
    let refused = first_refused(|| browser.submit("/", &fields));
    assert!(refused.retry_after().is_some(), "{refused:?}");
}

/// Nobody's are enough: those of one account would have to wait for their own sake.
fn a_client_is_refused_after_a_hundred_and_twenty_sign_ins_and_another_one_is_not<
    C: ProofConnection,
>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database).set("RATE_LIMIT", "database");
    let service = setup.set("TRUSTED_PROXIES", "127.0.0.0/8").start();
    let client = |address: &str| service.client().with("x-forwarded-for", address);
    let (ours, alice) = (client("203.0.113.7"), Person::new("alice"));
    ours.registered(&alice);
    let mut names = (0..).map(|number| format!("canary_nobody{number}"));
    let began = Instant::now();
    let mut browser = Browser::of(&ours, &alice);
    let mut attempts = (1..600).map(|number| {
        let credentials = json!({ "login": names.next(), "password": "canary-horse" });
        (number, ours.post(LOGIN, &credentials))
    });
    let (number, refused) = attempts.find(|(_, answer)| answer.status != 401).unwrap();
    assert_eq!(refused.status, 429, "{number} {refused:?}");
    assert!((1..=600).contains(&refused.retry_after().unwrap()), "{refused:?}");
    // One more is allowed every five seconds: this machine may be slow.
    let regained = usize::try_from(began.elapsed().as_secs() / 5).unwrap();
    assert!((120..=120 + regained).contains(&number), "{number}");

    // The page counts with the API, and so does whoever tries passwords at their change. The right
    // one is given, for which nothing else would make anybody wait.
    let token = browser.get("/login").hidden("token");
    let fields = [("token", &*token), ("login", &alice.username), ("password", &alice.password)];
    let passwords = json!({ "current_password": alice.password, "new_password": "short" });
    let answers = [
        first_refused(|| browser.submit("/login", &fields)),
        first_refused(|| browser.post(PASSWORD, &passwords)),
    ];
    for refused in answers {
        assert!((1..=600).contains(&refused.retry_after().unwrap()), "{refused:?}");
    }
    let other = client("203.0.113.8").post(LOGIN, &alice.credentials());
    assert_eq!(other.status, 200, "{other:?}");
}

/// The first answer that is a refusal: meanwhile one more may have been allowed.
fn first_refused(attempt: impl FnMut() -> Answer) -> Answer {
    let mut answers = iter::repeat_with(attempt).take(60);
    answers.find(|answer| answer.status == 429).expect("there is a limit")
}

/// Asks until it is refused, which must not be before so many times; each after the other, by those
/// clients in turn, since the first of them began.
fn use_up(began: Instant, clients: &[Client], times: usize) -> Answer {
    // Each attempt that can be read counts, and this is the cheapest.
    let attempt = |client: &Client| client.post(REGISTER, &json!({}));
    let mut attempts = clients.iter().cycle().map(attempt).enumerate();
    let (number, refused) = attempts.find(|(_, answer)| answer.status != 400).unwrap();
    assert_eq!(refused.status, 429, "{number} {refused:?}");
    // One more is allowed every ten seconds: this machine may be slow.
    let regained = || usize::try_from(began.elapsed().as_secs() / 10).unwrap();
    assert!((times..=times + regained()).contains(&number), "{number} of {times}");
    for client in clients {
        let answer = attempt(client);
        assert!(answer.status == 429 || regained() > 0, "{answer:?}");
    }
    refused
}
