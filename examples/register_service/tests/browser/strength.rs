//! The meter that tells how hard a password is to guess.

use fantoccini::key::Key;

use crate::browser::{Browser, Javascript};
use crate::stage::run;

#[test]
fn the_strength_grows_with_the_password() {
    run(Javascript::On, |stage| {
        let browser = &stage.browser;
        browser.open("/");
        browser.click("#password");
        browser.type_keys("c");
        assert_eq!(browser.accessible_name("meter"), "Strength of the password");
        browser.press(Key::Backspace);
        let password = "correct horse battery staple";
        let mut shown = Vec::new();
        for letter in password.chars() {
            browser.type_keys(&letter.to_string());
            let strength = strength(browser);
            if shown.last() != Some(&strength) {
                browser.keep_picture(&strength.1);
                shown.push(strength);
            }
        }
        let words = ["Very weak", "Weak", "Fair", "Good", "Strong"].map(str::to_owned);
        assert_eq!(shown, (0..5).zip(words).collect::<Vec<_>>());
        for _ in password.chars() {
            browser.press(Key::Backspace);
        }
        browser.keep_picture("empty");
        let text =
            browser.script("return document.getElementById('strength-text').textContent", vec![]);
        assert_eq!(text, "");
    });
}

#[test]
fn runs_of_characters_are_weak() {
    run(Javascript::On, |stage| {
        let browser = &stage.browser;
        browser.open("/");
        for password in ["aaaaaaaaaaaaaaaaaaaaaaaa", "abcdefghijklmnopqrstuvwxyz", "0123456789"] {
            browser.fill("password", password);
            assert_eq!(strength(browser), (0, "Very weak".to_owned()), "{password}");
        }
    });
}

#[test]
fn ones_own_name_adds_no_strength() {
    run(Javascript::On, |stage| {
        let browser = &stage.browser;
        browser.open("/");
        browser.fill("password", "Wolfgang.Amadeus.Mozart");
        let (before, _) = strength(browser);
        assert!(before > 2);
        for (field, name) in [
            ("username", "wolfgang.amadeus.mozart"),
            ("email", "wolfgang.amadeus.mozart@at.example"),
        ] {
            browser.fill(field, name);
            browser.keep_picture(field);
            assert_eq!(strength(browser), (0, "Very weak".to_owned()), "{field}");
            browser.fill(field, "nobody");
            assert_eq!(strength(browser).0, before);
        }
    });
}

#[test]
fn there_is_no_meter_without_javascript() {
    run(Javascript::Off, |stage| {
        let browser = &stage.browser;
        browser.open("/");
        browser.fill("password", "correct horse battery staple");
        browser.keep_picture("form");
        assert!(!browser.is_displayed(".strength") && !browser.is_displayed("meter"));
    });
}

/// What the meter shows, and what is written beside it.
fn strength(browser: &Browser) -> (i64, String) {
    let value = browser.script("return document.querySelector('meter').value", Vec::new());
    assert!(browser.is_displayed("meter"));
    (value.as_i64().unwrap(), browser.text("#strength-text"))
}
