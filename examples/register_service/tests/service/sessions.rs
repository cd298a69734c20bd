//! Signing in and out.

use diesel::SqliteConnection;
use diesel_accounts_proof::database::{Database, ProofConnection};
use serde_json::json;

use crate::client::{Browser, JSON, LOGIN, ME, PASSWORD};
use crate::on_each_engine;
use crate::people::{OTHER_SECRET_KEY, Person};
use crate::process::Setup;
use crate::table::{count, execute};

on_each_engine!(
    one_signs_in_by_name_or_address_and_nobody_learns_which_of_them_is_wrong,
    the_cookies_are_kept_from_scripts_and_from_other_sites,
    behind_tls_the_cookies_are_kept_to_it_and_to_this_host,
    each_sign_in_has_a_new_session_whatever_cookie_it_came_with,
    whoever_logs_out_by_the_form_is_out_and_other_sites_cannot_do_it,
    a_new_password_ends_all_other_sessions,
    a_disabled_account_has_no_session,
    a_session_outlives_the_process_if_the_key_does,
);

fn one_signs_in_by_name_or_address_and_nobody_learns_which_of_them_is_wrong<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    let id = client.registered(&alice);

    for login in [&alice.username, &alice.email, &alice.email.to_uppercase()] {
        let mut browser = Browser::new(client);
        assert_eq!(browser.get(ME).status, 401);
        let credentials = json!({ "login": login, "password": alice.password });
        let answer = browser.post(LOGIN, &credentials);
        assert_eq!((answer.status, answer.json()), (200, alice.shown(&id)));
        let me = browser.get(ME);
        assert_eq!((me.status, me.json()), (200, alice.shown(&id)));
    }
    let mut refused = Vec::new();
    for (login, password) in [("canary_alice", "canary-horse wrong"), ("canary_nobody", "x")] {
        let mut browser = Browser::new(client);
        let answer = browser.post(LOGIN, &json!({ "login": login, "password": password }));
        assert_eq!(answer.status, 401);
        assert!(browser.jar.is_empty(), "{answer:?}");
        refused.push(answer.json());
    }
    assert_eq!(refused[0], refused[1]);
    for (content_type, body, status) in
        [(Some("text/plain"), "{}", 415), (JSON, "{}", 422), (JSON, &*" ".repeat(20_000), 413)]
    {
        assert_eq!(client.send("POST", LOGIN, content_type, body).unwrap().status, status);
    }
}

fn the_cookies_are_kept_from_scripts_and_from_other_sites<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    client.registered(&alice);
    let answer = client.post(LOGIN, &alice.credentials());
    for cookie in
        [answer.cookie("session"), answer.cookie("device"), client.get("/").cookie("form")]
    {
        for attribute in ["httponly", "samesite=lax", "path=/"] {
            assert!(cookie.has(attribute), "{attribute} {cookie:?}");
        }
        // Nobody would send it back to a loopback address without TLS.
        assert!(!cookie.has("secure"), "{cookie:?}");
        assert!(cookie.value.len() >= 22, "{cookie:?}");
    }
}

fn behind_tls_the_cookies_are_kept_to_it_and_to_this_host<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).set("TRUSTED_PROXIES", "127.0.0.0/8").start();
    let alice = Person::new("alice");
    let mut browser = Browser::new(service.client());
    service.client().registered(&alice);
    let signed_in = browser.post(LOGIN, &alice.credentials());
    let page = browser.get("/account");
    let cookies = [
        signed_in.cookie("__Host-session"),
        signed_in.cookie("__Host-device"),
        page.cookie("__Host-form"),
    ];
    let out = browser.submit("/logout", &[("token", &page.hidden("token"))]);
    assert_eq!(out.status, 303);
    // A browser takes no cookie of such a name without all of that, not even to remove it
    // (RFC 6265bis, section 4.1.3.2).
    for cookie in cookies.into_iter().chain([out.cookie("__Host-session")]) {
        for attribute in ["httponly", "samesite=lax", "path=/", "secure"] {
            assert!(cookie.has(attribute), "{attribute} {cookie:?}");
        }
        assert!(!cookie.attributes.iter().any(|attribute| attribute.starts_with("domain")));
    }
}

fn each_sign_in_has_a_new_session_whatever_cookie_it_came_with<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice, mallory) = (service.client(), Person::new("alice"), Person::new("mallory"));
    for person in [&alice, &mallory] {
        client.registered(person);
    }
    // One that nobody has, and one that somebody else has and gave away.
    let strangers = Browser::of(client, &mallory).jar["session"].clone();
    for given in ["AAAAAAAAAAAAAAAAAAAAAA", "no such thing", &strangers] {
        let mut browser = Browser::new(client);
        browser.jar.insert("session".to_owned(), given.to_owned());
        assert_eq!(browser.post(LOGIN, &alice.credentials()).status, 200);
        let first = browser.jar["session"].clone();
        assert_ne!(first, given);
        assert_eq!(browser.post(LOGIN, &alice.credentials()).status, 200);
        assert_ne!(browser.jar["session"], first);
        assert_eq!(browser.get(ME).json()["username"], alice.username);
        for old in [given, &first] {
            let mut other = Browser::new(client);
            other.jar.insert("session".to_owned(), old.to_owned());
            assert_eq!(other.get(ME).status, 401, "{old} is a session");
        }
    }
    assert_eq!(count(&database, "service_sessions"), 3);
}

fn whoever_logs_out_by_the_form_is_out_and_other_sites_cannot_do_it<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    client.registered(&alice);
    let mut browser = Browser::of(client, &alice);
    let token = browser.get("/account").hidden("token");

    let of_another = Browser::new(client).get("/").hidden("token");
    assert_eq!(browser.submit("/logout", &[("token", "")]).status, 403);
    assert_eq!(browser.submit("/logout", &[("token", &of_another)]).status, 403);
    assert_eq!(browser.submit("/logout", &[]).status, 422);
    for site in ["cross-site", "same-site", ""] {
        let mut framed = browser.with("sec-fetch-site", site);
        assert_eq!(framed.submit("/logout", &[("token", &token)]).status, 403, "{site}");
    }
    assert_eq!(browser.get(ME).status, 200);

    let before = browser.clone();
    let mut ours = browser.with("sec-fetch-site", "same-origin");
    let answer = ours.submit("/logout", &[("token", &token)]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
    assert!(!ours.jar.contains_key("session"));
    assert_eq!(before.clone().get(ME).status, 401);
    let answer = before.clone().get("/account");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
    assert_eq!(count(&database, "service_sessions"), 0);
}

fn a_new_password_ends_all_other_sessions<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    client.registered(&alice);
    let [mut ours, mut other] = [(); 2].map(|()| Browser::of(client, &alice));
    let mut stolen = ours.clone();

    let change =
        |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let new = "canary-horse battery";
    assert_eq!(Browser::new(client).post(PASSWORD, &change(&alice.password, new)).status, 401);
    assert_eq!(ours.post(PASSWORD, &change("canary-horse wrong", new)).status, 401);
    let short = ours.post(PASSWORD, &change(&alice.password, "short"));
    assert_eq!((short.status, short.json().as_object().unwrap().len()), (400, 1), "{short:?}");
    assert_eq!(other.get(ME).status, 200);

    let changed = ours.post(PASSWORD, &change(&alice.password, new));
    assert_eq!((changed.status, &*changed.text), (204, ""));
    assert_eq!(ours.get(ME).json()["username"], alice.username);
    assert_eq!(other.get(ME).status, 401);
    // The cookie of before is not the one of after.
    assert_eq!(stolen.get(ME).status, 401);
    assert_eq!(Browser::new(client).post(LOGIN, &alice.credentials()).status, 401);
    let credentials = json!({ "login": alice.email, "password": new });
    assert_eq!(Browser::new(client).post(LOGIN, &credentials).status, 200);
}

fn a_disabled_account_has_no_session<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    let id = client.registered(&alice);
    let mut browser = Browser::of(client, &alice);
    assert_eq!(browser.get(ME).status, 200);
    database.users(1).disable_user(id.parse().unwrap()).unwrap();
    assert_eq!(browser.get(ME).status, 401);
    assert_eq!(browser.get("/account").status, 303);
    let passwords = json!({ "current_password": alice.password, "new_password": "canary-horse 2" });
    assert_eq!(browser.post(PASSWORD, &passwords).status, 401);
    let wrong = json!({ "login": "canary_nobody", "password": "x" });
    let refused = Browser::new(client).post(LOGIN, &alice.credentials());
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json(), Browser::new(client).post(LOGIN, &wrong).json());
}

fn a_session_outlives_the_process_if_the_key_does<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database);
    let service = setup.start();
    let alice = Person::new("alice");
    service.client().registered(&alice);
    let browser = Browser::of(service.client(), &alice);
    service.stop();

    let service = setup.start();
    assert_eq!(browser.moved_to(service.client()).get(ME).status, 200);
    // At another instance too.
    let service = setup.start();
    assert_eq!(browser.moved_to(service.client()).get(ME).status, 200);
    for other in [OTHER_SECRET_KEY, ""] {
        let service = setup.clone().set("SECRET_KEY", other).start();
        assert_eq!(browser.moved_to(service.client()).get(ME).status, 401);
    }
}

/// The row is written twice, by us and by the layer, and it is the second time that it fails.
#[test]
fn a_session_that_cannot_be_written_to_its_end_is_told_as_not_now() {
    let database = Database::<SqliteConnection>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    client.registered(&alice);
    execute(
        &database,
        "CREATE TRIGGER full BEFORE UPDATE ON service_sessions \
         BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    let answer = client.post(LOGIN, &alice.credentials());
    assert_eq!((answer.status, answer.retry_after().is_some()), (503, true), "{answer:?}");
    assert!(answer.json()["detail"].is_string(), "{answer:?}");
    // Whoever is at the page gets a page.
    let mut browser = Browser::new(client);
    let token = browser.get("/login").hidden("token");
    let fields = [("token", &*token), ("login", &alice.username), ("password", &alice.password)];
    let answer = browser.submit("/login", &fields);
    assert_eq!((answer.status, answer.retry_after().is_some()), (503, true), "{answer:?}");
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{answer:?}");
    assert!(answer.text.contains("trying again does no harm"), "{answer:?}");
}
