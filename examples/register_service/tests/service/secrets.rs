//! What is nobody's business: in no log, no metric, no record of what was done, and what is secret
//! in no table either. The log and the metrics of every other test are searched as well, when their
//! service ends.

use std::fs;
use std::path::Path;

use diesel_accounts::Engine;
use diesel_accounts_proof::database::{Database, ProofConnection};
use serde_json::json;

use crate::client::{Browser, Client, LOGIN, ME, PASSWORD, REGISTER};
use crate::on_each_engine;
use crate::people::{MARK, OTHER_SECRET_KEY, PASSWORD_MARK, Person, SECRET_KEY};
use crate::process::{Setup, assert_clean};
use crate::table::{Column, columns, count};

on_each_engine!(
    nothing_of_anybody_is_told_and_no_secret_is_kept,
    nothing_of_anybody_is_told_whatever_is_logged,
);

fn nothing_of_anybody_is_told_and_no_secret_is_kept<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let cookies = everything(service.client());
    assert!(cookies.len() >= 6, "{}", cookies.len());
    assert_clean(&service.metrics(), &cookies);
    assert_clean(&service.output(), &cookies);
    assert!(service.metrics().contains("account_create_total"));
    assert!(service.output().contains("\"answered\""));
    service.stop();

    // What was done is recorded, and not of whom.
    assert!(count(&database, "account_events") > 5);
    let texts = "CONCAT(action, outcome, COALESCE(client, ''), COALESCE(request_id, ''))";
    let recorded =
        |what: &str| count(&database, &format!("account_events WHERE {texts} LIKE '%{what}%'"));
    assert!(recorded("127.0.0.1") > 5);
    assert_eq!(recorded(MARK), 0);

    let mut secrets = vec![PASSWORD_MARK.to_owned(), "canary-key".to_owned()];
    secrets.extend([SECRET_KEY.to_owned(), OTHER_SECRET_KEY.to_owned()]);
    secrets.extend(cookies.iter().cloned());
    let columns = columns(&database);
    for (table, filled) in FILLED {
        for column in filled {
            assert!(columns.iter().any(|known| known.table == table && known.column == *column));
            let rows = count(&database, &format!("{table} WHERE {column} LIKE '%'"));
            assert!(rows > 0, "{table}.{column} is empty");
        }
    }
    for Column { table, column, as_text } in &columns {
        let has = |secret: &String| format!("{as_text} LIKE '%{secret}%'");
        let has_any = secrets.iter().map(has).collect::<Vec<_>>().join(" OR ");
        let rows = count(&database, &format!("{table} WHERE {has_any}"));
        assert_eq!(rows, 0, "a secret is in {table}.{column}");
    }
    if C::ENGINE == Engine::Sqlite {
        the_file_has(database.url(), &secrets);
    }
}

/// `trace` is for the service and what it is made of.
fn nothing_of_anybody_is_told_whatever_is_logged<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).set("RUST_LOG", "trace").start();
    let cookies = everything(service.client());
    assert!(service.output().contains("\"TRACE\""));
    assert_clean(&service.output(), &cookies);
    service.stop();
}

/// Does everything that can be done, well and badly; the values of all cookies.
fn everything(client: &Client) -> Vec<String> {
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let keyed = client.with("idempotency-key", "canary-key-1");
    let unreadable = client.with("idempotency-key", "canary-key 2");
    for answer in [
        keyed.register(&alice),
        keyed.register(&alice),
        keyed.register(&bob),
        unreadable.register(&bob),
        client.register(&bob),
        client.register(&bob),
        client.register(&Person::named("alice", "bob")),
        client
            .post(REGISTER, &json!({ "username": "<canary>", "email": "canary", "password": "" })),
        client.post(REGISTER, &json!({ "canary-horse": { "canary": 1 }, "username": 2 })),
    ] {
        assert!((200..500).contains(&answer.status), "{answer:?}");
    }
    client.get("/canary?canary=canary-horse");
    client.get("/login?next=canary");
    client.send("CANARY", "/", None, "").unwrap();
    for (login, password) in
        [(&*alice.email, "canary-horse wrong"), ("canary_nobody", "canary-horse"), ("", "")]
    {
        let refused = client.post(LOGIN, &json!({ "login": login, "password": password }));
        assert_eq!(refused.status, 401);
    }
    let mut browser = Browser::of(client, &alice);
    browser.post(LOGIN, &alice.credentials());
    assert_eq!(browser.get(ME).status, 200);
    let passwords =
        json!({ "current_password": alice.password, "new_password": "canary-horse battery" });
    assert_eq!(browser.post(PASSWORD, &passwords).status, 204);
    let token = browser.get("/account").hidden("token");
    let mut bobs = Browser::new(client);
    bobs.jar.insert("session".to_owned(), "canary-session".to_owned());
    bobs.jar.insert("device".to_owned(), "canary-device".to_owned());
    assert_eq!(bobs.get(ME).status, 401);
    bobs.get("/login");
    assert_eq!(bobs.post(LOGIN, &bob.credentials()).status, 200);
    browser.submit("/logout", &[("token", "canary-token")]);
    // It stays behind, so that there is a session in the table.
    assert_eq!(browser.clone().get(ME).status, 200);
    bobs.submit("/logout", &[("token", &token)]);
    client.cookies()
}

/// Nothing of it is in the pages of the file either, used or free.
fn the_file_has(path: &str, none_of: &[String]) {
    for suffix in ["", "-wal"] {
        let path = format!("{path}{suffix}");
        if !Path::new(&path).exists() {
            continue;
        }
        let bytes = fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(MARK) || suffix == "-wal");
        for secret in none_of {
            assert!(!text.contains(secret.as_str()), "{secret} is in the file");
        }
    }
}

/// Columns that there must be something in, so that looking into them means something.
const FILLED: [(&str, &[&str]); 4] = [
    ("account_users", &["username", "email", "password_hash"]),
    ("account_events", &["action", "outcome", "client", "request_id"]),
    ("service_requests", &["id", "user_id", "body"]),
    ("service_sessions", &["id", "data"]),
];
