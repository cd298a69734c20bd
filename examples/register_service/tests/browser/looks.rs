//! What the pages look like: by day and by night, on a desk and on a telephone.

use serde::Deserialize;
use serde_json::json;

use crate::browser::{Browser, Javascript};
use crate::in_each_browser;
use crate::people::{ALICE, BOB, Person};
use crate::stage::{Stage, run};

in_each_browser!(every_page_can_be_read_by_day_and_by_night_and_on_a_telephone);

fn every_page_can_be_read_by_day_and_by_night_and_on_a_telephone(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    assert_can_be_read(browser, "form", &["Create your account", "Username", "Create account"]);
    browser.fill_in(&Person { username: "al ice", email: "alice", password: "horse" });
    browser.submit();
    assert_can_be_read(browser, "errors", &["not an email address", "al ice", "Password"]);

    browser.fill_in(&ALICE);
    // As it is between the click and the answer, when a page cannot be asked.
    browser.script("document.querySelector('button').ariaDisabled = 'true'", Vec::new());
    assert_can_be_read(browser, "under-way", &[ALICE.email, "Create account"]);
    browser.submit();
    assert_can_be_read(browser, "welcome", &["Welcome", "Log in"]);

    browser.open("/");
    browser.fill_in(&Person { username: ALICE.username, ..BOB });
    browser.submit();
    assert_can_be_read(browser, "taken", &["This name is taken", "log in"]);
    browser.fill_in(&Person { password: BOB.password, ..ALICE });
    browser.submit();
    assert_can_be_read(browser, "exists", &["You already have an account"]);

    browser.fill("login", ALICE.username);
    browser.fill("password", BOB.password);
    browser.submit();
    assert_can_be_read(browser, "refused", &["The login or the password is not right."]);
    browser.fill("password", ALICE.password);
    browser.submit();
    assert_can_be_read(browser, "account", &["Your account", ALICE.email, "Log out"]);
    browser.open("/nowhere");
    assert_can_be_read(browser, "nowhere", &["That did not work", "Back to the start"]);
}

/// The measure itself: grey on white, and a line that is too long.
#[test]
fn what_cannot_be_read_is_found() {
    run(Javascript::Off, |stage| {
        let browser = &stage.browser;
        browser.show(
            "<body style='background: white'><p style='color: rgb(153, 153, 153)'>grey</p><p>black</p>\
             <button style='background: black; color: white; opacity: 0.2'>faded</button>\
             <input style='border: 1px solid rgb(153, 153, 153); background: white'>",
        );
        let contrasts = contrasts(browser);
        let contrasts = contrasts.iter().map(|found| (found.contrast * 100.0).round());
        // White on black that fades is white on a grey of 204.
        assert_eq!(contrasts.collect::<Vec<_>>(), [285.0, 2100.0, 161.0, 285.0]);
        assert!(!is_wider_than_the_window(browser));
        browser.show("<p style='width: 2000px'>wide</p>");
        assert!(is_wider_than_the_window(browser));
    });
}

/// All that can be seen, these texts among it, stands out enough, and nobody has to scroll sideways.
pub(crate) fn assert_can_be_read(browser: &Browser, step: &str, texts: &[&str]) {
    let grounds = ["light", "dark"].map(|scheme| {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
        for (device, width, height) in [("desk", 900, 860), ("telephone", 360, 740)] {
            let size = json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
            });
            browser.devtools("Emulation.setDeviceMetricsOverride", &size);
            browser.keep_picture(&format!("{step}-{scheme}-{device}"));
            assert_eq!(browser.script("return innerWidth", Vec::new()), width);
            assert!(!is_wider_than_the_window(browser), "{step} on a {device}");
        }
        let contrasts = contrasts(browser);
        for text in texts {
            let is_there = contrasts.iter().any(|found| found.what.contains(text));
            assert!(is_there, "{step}: {text}: {contrasts:?}");
        }
        for found in contrasts {
            assert!(found.contrast >= found.least, "{step}, {scheme}: {found:?}");
        }
        browser.script("return getComputedStyle(document.body).backgroundColor", Vec::new())
    });
    assert_ne!(grounds[0], grounds[1], "day and night differ");
    browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
    browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": [] }));
}

fn is_wider_than_the_window(browser: &Browser) -> bool {
    let wider = "const page = document.documentElement; return page.scrollWidth > page.clientWidth";
    browser.script(wider, Vec::new()).as_bool().unwrap()
}

fn contrasts(browser: &Browser) -> Vec<Contrast> {
    let found = browser.script(include_str!("looks.js"), Vec::new());
    serde_json::from_value(found).unwrap()
}

#[derive(Debug, Deserialize)]
struct Contrast {
    what: String,
    contrast: f64,
    /// What it must be.
    least: f64,
}
