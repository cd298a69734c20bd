//! Whoever has no mouse, or does not see the page.

use fantoccini::key::Key;

use crate::browser::Browser;
use crate::in_each_browser;
use crate::people::ALICE;
use crate::stage::Stage;

in_each_browser!(
    the_keyboard_leads_through_the_page_in_order,
    the_keyboard_is_enough_to_register_and_to_log_in_and_out,
    everything_that_is_filled_in_or_pressed_has_a_name,
);

fn the_keyboard_leads_through_the_page_in_order(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    for expected in ["username", "email", "password", "Create account", "Log in"] {
        browser.press(Key::Tab);
        browser.keep_picture(&expected.replace(' ', "-"));
        assert_eq!(browser.focused(), expected);
        assert_focus_is_seen(browser);
    }
}

fn the_keyboard_is_enough_to_register_and_to_log_in_and_out(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    for text in [ALICE.username, ALICE.email, ALICE.password] {
        browser.press(Key::Tab);
        browser.type_keys(text);
    }
    browser.arrive(|| browser.press(Key::Enter));
    assert_eq!(browser.heading(), "Welcome");
    assert_eq!(stage.service.accounts(), 1);

    browser.press(Key::Tab);
    browser.arrive(|| browser.press(Key::Enter));
    assert_eq!(browser.heading(), "Log in");
    browser.type_keys(ALICE.username);
    browser.press(Key::Tab);
    browser.type_keys(ALICE.password);
    browser.arrive(|| browser.press(Key::Enter));
    assert_eq!(browser.heading(), "Your account");

    browser.press(Key::Tab);
    browser.arrive(|| browser.press(Key::Space));
    assert_eq!(browser.heading(), "Log in");
}

fn everything_that_is_filled_in_or_pressed_has_a_name(stage: &mut Stage) {
    let browser = &stage.browser;
    let pages: [(&str, &[(&str, &str)]); 2] = [
        ("/", &[("username", "Username"), ("email", "Email"), ("password", "Password")]),
        ("/login", &[("login", "Username or email"), ("password", "Password")]),
    ];
    for (path, fields) in pages {
        browser.open(path);
        let there = browser.script(FIELDS, Vec::new());
        let expected: Vec<_> = fields.iter().map(|(id, _)| *id).collect();
        assert_eq!(there, serde_json::json!(expected), "{path}");
        for (id, name) in fields {
            assert_eq!(browser.text(&format!("label[for={id}]")), *name);
            assert_eq!(browser.accessible_name(&format!("#{id}")), *name);
        }
        let button = browser.text("main form button");
        assert_eq!(browser.accessible_name("main form button"), button);
    }
}

/// It has a line around it that is broad enough (WCAG 2.2, 2.4.13); `looks` tells whether it stands out.
fn assert_focus_is_seen(browser: &Browser) {
    let seen = browser.script(
        "const focused = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(focused);
        return focused.matches(':focus-visible') && outlineStyle === 'solid'
            && parseFloat(outlineWidth) >= 2;",
        Vec::new(),
    );
    assert_eq!(seen, true, "{}", browser.focused());
}

/// Everything that is to be filled in.
const FIELDS: &str =
    "return [...document.querySelectorAll('input:not([type=hidden])')].map((input) => input.id)";
