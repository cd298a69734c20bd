//! Somebody is not registered, or not logged in, and is told why.

use crate::browser::Browser;
use crate::in_each_browser;
use crate::people::{ALICE, BOB, Person};
use crate::stage::Stage;

in_each_browser!(
    everything_that_is_wrong_is_told_at_its_field,
    who_has_an_account_is_led_to_the_log_in,
    whose_name_is_taken_chooses_another,
    a_wrong_password_is_told_and_the_login_kept,
);

fn everything_that_is_wrong_is_told_at_its_field(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    for field in FIELDS {
        assert_eq!(error_of(browser, field), None);
    }
    browser.fill_in(&Person { username: "al ice", email: "alice", password: "horse" });
    browser.submit();
    browser.keep_picture("all");
    for (field, reason) in FIELDS.into_iter().zip([
        "has a character that is not allowed",
        "is not an email address",
        "must have at least 8 characters",
    ]) {
        let error = error_of(browser, field).unwrap().to_lowercase();
        assert!(error.contains(reason), "{field}: {error}");
    }
    assert_eq!(browser.focused(), "username");
    assert_eq!(FIELDS.map(|field| browser.value(field)), ["al ice", "alice", ""]);

    browser.fill("username", ALICE.username);
    browser.fill("password", ALICE.password);
    browser.submit();
    browser.keep_picture("one");
    assert_eq!(error_of(browser, "username"), None);
    assert!(error_of(browser, "email").is_some());
    assert_eq!(error_of(browser, "password"), None);
    assert_eq!(browser.focused(), "email");
    assert_eq!(stage.service.accounts(), 0);

    browser.fill_in(&ALICE);
    browser.submit();
    assert_eq!(browser.heading(), "Welcome");
    assert_eq!(stage.service.accounts(), 1);
}

fn who_has_an_account_is_led_to_the_log_in(stage: &mut Stage) {
    let browser = &stage.browser;
    register(browser, &ALICE);
    register(browser, &Person { username: BOB.username, ..ALICE });
    browser.keep_picture("login");
    assert_eq!((&*browser.heading(), &*browser.path()), ("Log in", "/login"));
    assert_eq!(browser.text("[role=status]"), "You already have an account: log in.");
    assert_eq!(stage.service.accounts(), 1);
}

fn whose_name_is_taken_chooses_another(stage: &mut Stage) {
    let browser = &stage.browser;
    register(browser, &ALICE);
    register(browser, &Person { username: ALICE.username, ..BOB });
    browser.keep_picture("taken");
    assert_eq!(
        browser.text("[role=status]"),
        "This name is taken: choose another, or log in if it is yours."
    );
    assert_eq!(browser.attribute("[role=status] a", "href").as_deref(), Some("/login"));
    assert_eq!(browser.focused(), "username");
    assert_eq!(FIELDS.map(|field| browser.value(field)), [ALICE.username, BOB.email, ""]);

    browser.fill("username", BOB.username);
    browser.fill("password", BOB.password);
    browser.submit();
    assert_eq!(browser.heading(), "Welcome");
    assert_eq!(stage.service.accounts(), 2);
}

fn a_wrong_password_is_told_and_the_login_kept(stage: &mut Stage) {
    let browser = &stage.browser;
    register(browser, &ALICE);
    browser.open("/login");
    browser.fill("login", ALICE.username);
    browser.fill("password", BOB.password);
    browser.submit();
    browser.keep_picture("refused");
    assert_eq!(browser.text("[role=alert]"), "The login or the password is not right.");
    assert_eq!(["login", "password"].map(|field| browser.value(field)), [ALICE.username, ""]);
    browser.open("/account");
    assert_eq!(browser.path(), "/login");
}

fn register(browser: &Browser, person: &Person) {
    browser.open("/");
    browser.fill_in(person);
    browser.submit();
}

/// What is wrong with a field, as it is told to everybody.
fn error_of(browser: &Browser, field: &str) -> Option<String> {
    let input = format!("#{field}");
    let is_wrong = browser.attribute(&input, "aria-invalid").as_deref() == Some("true");
    let described = browser.attribute(&input, "aria-describedby");
    assert_eq!(is_wrong, described.is_some(), "{field}");
    described.map(|described| browser.text(&format!("#{described}")))
}

const FIELDS: [&str; 3] = ["username", "email", "password"];
