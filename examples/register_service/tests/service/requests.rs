//! What holds of every request, whatever it asks for.

use std::collections::BTreeSet;

use diesel::SqliteConnection;
use diesel_accounts_proof::database::{Database, ProofConnection};

use crate::client::{LOGIN, ME, PASSWORD, REGISTER};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;

on_each_engine!(
    a_plain_request_id_of_our_own_proxy_is_taken_over_and_no_other,
    every_route_is_guarded_and_none_takes_what_it_does_not_know,
);

fn a_plain_request_id_of_our_own_proxy_is_taken_over_and_no_other<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let strangers = Setup::on(&database).start();
    let given = strangers.client().with("x-request-id", "4711").get("/");
    assert_ne!(given.header("x-request-id"), Some("4711"));
    let mut service = Setup::on(&database).set("TRUSTED_PROXIES", "127.0.0.0/8").start();
    let client = service.client();
    let longest = "a".repeat(64);
    for id in ["4711", "a-b_c.D", &longest] {
        assert_eq!(client.with("x-request-id", id).get("/").header("x-request-id"), Some(id));
    }
    let id = "registration-1";
    let created = client.with("x-request-id", id).register(&Person::new("alice"));
    assert_eq!(created.header("x-request-id"), Some(id));

    let mut made = BTreeSet::new();
    let too_long = "b".repeat(65);
    let odd = ["odd id", "odd\"id", "odd,id", "{odd}", "odd\tid", "", &too_long];
    for id in odd {
        let answer = client.with("x-request-id", id).get("/");
        let other = answer.header("x-request-id").unwrap().to_owned();
        assert!(!other.contains("odd") && other.len() == 22, "{id} {other}");
        made.insert(other);
    }
    made.insert(client.get("/nowhere").header("x-request-id").unwrap().to_owned());
    assert_eq!(made.len(), odd.len() + 1);

    // The log has them, with what was answered: all of it when the service has ended.
    service.signal("TERM");
    service.ended();
    let answered = |id: &str| {
        let log = service.log();
        let lines = log.iter().filter(|line| line["message"] == "answered");
        let lines: Vec<_> =
            lines.filter(|line| line["span"]["request_id"] == id).cloned().collect();
        assert_eq!(lines.len(), 1, "{id} {log:?}");
        lines[0].clone()
    };
    let line = answered(id);
    assert_eq!((&line["status"], &line["span"]["route"]), (&201.into(), &REGISTER.into()));
    for id in made {
        answered(&id);
    }
    assert!(!service.output().contains("odd") && !service.output().contains(&too_long));
    // And so has the record of what was done.
    let events =
        database.users(1).events_of_user(created.user_id().parse().unwrap(), None, 10).unwrap();
    assert_eq!(events[0].request_id(), Some(id));
}

/// What holds of every answer is looked at by the client.
fn every_route_is_guarded_and_none_takes_what_it_does_not_know<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = service.client();
    for (path, takes, status) in [
        ("/", "GET HEAD POST", 200),
        ("/welcome", "GET HEAD", 200),
        ("/login", "GET HEAD POST", 200),
        ("/logout", "POST", 405),
        ("/account", "GET HEAD", 303),
        ("/admin/users", "GET HEAD", 404),
        (REGISTER, "POST", 405),
        (LOGIN, "POST", 405),
        (ME, "GET HEAD", 401),
        (PASSWORD, "POST", 405),
        ("/healthz", "GET HEAD", 200),
        ("/readyz", "GET HEAD", 200),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let answer = client.send(method, path, None, "").unwrap();
            let is_known = takes.split(' ').any(|known| known == method);
            assert_eq!(answer.status != 405, is_known, "{method} {path} {answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        }
        assert_eq!(client.get(path).status, status, "{path}");
    }
    for asset in ["/assets/page.js", "/assets/style.css", "/assets/icon.svg", "/openapi.json"] {
        let answer = client.get(asset);
        assert_eq!((answer.status, answer.text.is_empty()), (200, false), "{asset}");
        assert_eq!(client.send("POST", asset, None, "").unwrap().status, 405, "{asset}");
    }
    for nowhere in ["/nowhere", "/api/v1/accounts", "/assets/../Cargo.toml", "/%2e%2e/", "//"] {
        let answer = client.get(nowhere);
        assert_eq!((answer.status, answer.text.contains("nothing here")), (404, true), "{nowhere}");
    }
}

#[test]
fn browsers_are_told_to_stay_with_tls_only_where_they_come_over_it() {
    let database = Database::<SqliteConnection>::empty();
    for (https, told) in [("on", Some("max-age=31536000")), ("off", None)] {
        let service = Setup::on(&database).set("HTTPS", https).start();
        for path in ["/", "/healthz", "/nowhere", "/assets/page.js", ME] {
            let answer = service.client().get(path);
            assert_eq!(answer.header("strict-transport-security"), told, "{https} {path}");
        }
    }
}
