//! The back button.

use crate::browser::{BUTTON, Browser};
use crate::in_each_browser;
use crate::people::{ALICE, BOB};
use crate::stage::Stage;

in_each_browser!(
    a_form_that_the_browser_has_kept_can_be_sent_again,
    a_form_that_is_loaded_anew_can_be_sent_again,
);

/// The page comes back as it was left, its script as well.
fn a_form_that_the_browser_has_kept_can_be_sent_again(stage: &mut Stage) {
    send_again(stage, ALICE.password);
}

/// A browser that keeps no pages fills in what was typed, but no password.
fn a_form_that_is_loaded_anew_can_be_sent_again(stage: &mut Stage) {
    stage.browser = Browser::start_with(
        stage.browser.javascript(),
        &stage.service.url(""),
        &["--disable-features=BackForwardCache"],
    );
    send_again(stage, "");
}

fn send_again(stage: &Stage, kept_password: &str) {
    let browser = &stage.browser;
    browser.open("/");
    browser.fill_in(&ALICE);
    browser.submit();
    assert_eq!(browser.heading(), "Welcome");

    browser.back();
    browser.keep_picture("back");
    assert_eq!(browser.text(BUTTON), "Create account");
    assert_eq!(browser.attribute(BUTTON, "aria-disabled"), None);
    let fields = ["username", "email", "password"].map(|field| browser.value(field));
    assert_eq!(fields, [ALICE.username, ALICE.email, kept_password]);
    browser.fill("password", ALICE.password);
    browser.submit();
    browser.keep_picture("unchanged");
    assert_eq!(browser.heading(), "Welcome");
    assert_eq!(stage.service.accounts(), 1);

    browser.back();
    browser.fill_in(&BOB);
    browser.submit();
    browser.keep_picture("changed");
    assert_eq!(browser.heading(), "Welcome");
    assert_eq!(stage.service.accounts(), 2);
}
