//! The pages, as a browser without JavaScript has them.

use std::sync::Barrier;
use std::thread;

use diesel_accounts_proof::database::{Database, ProofConnection};

use crate::client::{Answer, Browser, FORM};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;
use crate::table::count;

on_each_engine!(
    somebody_registers_logs_in_and_logs_out,
    two_clicks_are_one_account_and_both_are_welcome,
    of_many_clicks_on_one_form_none_is_refused,
    everything_that_is_wrong_is_shown_by_its_field,
    whoever_has_an_account_is_sent_to_log_in_and_a_taken_name_is_told,
    a_form_that_is_not_ours_is_refused,
);

fn somebody_registers_logs_in_and_logs_out<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (mut browser, alice) = (Browser::new(service.client()), Person::new("alice"));
    let form = browser.get("/");
    assert_eq!((form.status, going_to(&submit(&mut browser, &form, &alice))), (200, "/welcome"));
    assert!(browser.get("/welcome").text.contains("<h1>Welcome</h1>"));

    let log_in = |browser: &mut Browser, password: &str| {
        let token = browser.get("/login").hidden("token");
        let login = ("login", &*alice.email);
        browser.submit("/login", &[("token", &token), login, ("password", password)])
    };
    let refused = log_in(&mut browser, "canary-horse wrong");
    assert_eq!(refused.status, 401);
    assert!(refused.text.contains("The login or the password is not right."), "{refused:?}");
    assert!(refused.text.contains(&format!("value=\"{}\"", alice.email)), "{refused:?}");
    assert_eq!(going_to(&log_in(&mut browser, &alice.password)), "/account");

    let account = browser.get("/account");
    assert!(account.text.contains(&alice.username) && account.text.contains(&alice.email));
    let token = account.hidden("token");
    assert_eq!(going_to(&browser.submit("/logout", &[("token", &token)])), "/login");
    assert_eq!(going_to(&browser.get("/account")), "/login");
    assert_eq!(count(&database, "account_users"), 1);
    service.stop();
}

fn two_clicks_are_one_account_and_both_are_welcome<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    for round in 0..5 {
        let (mut browser, person) =
            (Browser::new(service.client()), Person::new(&format!("user{round}")));
        let form = browser.get("/");
        let together = Barrier::new(2);
        let click = || {
            let mut browser = browser.clone();
            together.wait();
            going_to(&submit(&mut browser, &form, &person)).to_owned()
        };
        let clicks = thread::scope(|scope| {
            [scope.spawn(click), scope.spawn(click)].map(|thread| thread.join().unwrap())
        });
        assert_eq!(clicks, ["/welcome"; 2]);
        // So is one who goes back and sends it again.
        assert_eq!(going_to(&submit(&mut browser, &form, &person)), "/welcome");
        assert_eq!(count(&database, "account_users"), round + 1);
    }
}

/// What is sent again is the same request, and paid for: a client has 60, and an address 30.
fn of_many_clicks_on_one_form_none_is_refused<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).set("RATE_LIMIT", "database").start();
    let mut browser = Browser::new(service.client());
    let (form, person) = (browser.get("/"), Person::new("alice"));
    thread::scope(|scope| {
        let click = || going_to(&submit(&mut browser.clone(), &form, &person)).to_owned();
        let clicks: Vec<_> = (0..65).map(|_| scope.spawn(click)).collect();
        for click in clicks {
            assert_eq!(click.join().unwrap(), "/welcome");
        }
    });
    assert_eq!(count(&database, "account_users"), 1);
}

fn everything_that_is_wrong_is_shown_by_its_field<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let mut browser = Browser::new(service.client());
    let form = browser.get("/");
    let nobody = Person {
        username: "<b>\"canary\"</b>".to_owned(),
        email: "<i>canary</i>".to_owned(),
        password: "<u>".to_owned(),
    };
    let refused = submit(&mut browser, &form, &nobody);
    assert_eq!(refused.status, 400);
    for field in ["username", "email", "password"] {
        let begin = format!("<ul class=\"errors\" id=\"{field}-errors\" aria-live=\"polite\">");
        let errors = refused.text.split_once(&begin).unwrap_or_else(|| panic!("{refused:?}")).1;
        assert!(errors.starts_with("<li>"), "{field} {refused:?}");
    }
    // What was typed is there again, but for the password.
    for typed in ["&lt;b&gt;&quot;canary&quot;&lt;/b&gt;", "&lt;i&gt;canary&lt;/i&gt;"] {
        assert!(refused.text.contains(&format!("value=\"{typed}\"")), "{refused:?}");
    }
    for raw in ["<b>", "<i>", "<u>", "&lt;u&gt;"] {
        assert!(!refused.text.contains(raw), "{raw} {refused:?}");
    }
    // The page that came back can be sent.
    assert_eq!(going_to(&submit(&mut browser, &refused, &Person::new("alice"))), "/welcome");
    assert_eq!(count(&database, "account_users"), 1);
}

fn whoever_has_an_account_is_sent_to_log_in_and_a_taken_name_is_told<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    for name in ["alice", "bob"] {
        service.client().registered(&Person::new(name));
    }
    let mut browser = Browser::new(service.client());
    for again in [Person::new("alice"), Person::named("mallory", "alice")] {
        let form = browser.get("/");
        assert_eq!(going_to(&submit(&mut browser, &form, &again)), "/login?next=exists");
    }
    let login = browser.get("/login?next=exists");
    assert!(login.text.contains("You already have an account: log in."), "{login:?}");
    assert!(!browser.get("/login?next=%3Cb%3E").text.contains("already have"));

    let form = browser.get("/");
    let taken = submit(&mut browser, &form, &Person::named("alice", "mallory"));
    assert_eq!(taken.status, 200);
    assert!(taken.text.contains("This name is taken"), "{taken:?}");
    assert!(!taken.text.contains("canary_alice@"), "{taken:?}");
    let of_two = submit(&mut browser, &form, &Person::named("alice", "bob"));
    assert_eq!(of_two.status, 409);
    assert!(of_two.text.contains("This name or address is taken"), "{of_two:?}");
    assert_eq!(count(&database, "account_users"), 2);
    // Another name, in the page that came back.
    let carol = Person::named("carol", "mallory");
    assert_eq!(going_to(&submit(&mut browser, &taken, &carol)), "/welcome");
}

fn a_form_that_is_not_ours_is_refused<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let alice = Person::new("alice");
    let mut browser = Browser::new(service.client());
    let form = browser.get("/");
    let of_another = Browser::new(service.client()).get("/");
    assert_eq!(submit(&mut browser, &of_another, &alice).status, 403);
    assert_eq!(submit(&mut Browser::new(service.client()), &form, &alice).status, 403);
    for site in ["cross-site", "same-site"] {
        let mut framed = browser.with("sec-fetch-site", site);
        assert_eq!(submit(&mut framed, &form, &alice).status, 403, "{site}");
    }
    let without_token = "token=&username=a&email=b&password=c";
    for path in ["/", "/login"] {
        let body = format!("{without_token}&login=a");
        assert_eq!(browser.send("POST", path, FORM, &body).status, 403, "{path}");
        assert_eq!(browser.send("POST", path, FORM, "login=a").status, 422, "{path}");
        assert_eq!(browser.send("POST", path, Some("text/plain"), &body).status, 415, "{path}");
        let long = format!("{body}&more={}", "a".repeat(16 * 1024));
        assert_eq!(browser.send("POST", path, FORM, &long).status, 413, "{path}");
    }
    assert_eq!(count(&database, "account_users"), 0);
    let mut ours = browser.with("sec-fetch-site", "same-origin");
    assert_eq!(going_to(&submit(&mut ours, &form, &alice)), "/welcome");
}

/// Fills the form of a page, and sends it.
fn submit(browser: &mut Browser, page: &Answer, person: &Person) -> Answer {
    let token = page.hidden("token");
    browser.submit(
        "/",
        &[
            ("token", &token),
            ("username", &person.username),
            ("email", &person.email),
            ("password", &person.password),
        ],
    )
}

/// Where a browser goes next.
fn going_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location").unwrap()
}
