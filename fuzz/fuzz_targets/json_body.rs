#![no_main]
//! Any bytes as the body of a registration: read as JSON says, and judged without a panic.

use diesel_accounts::Error;
use diesel_accounts_fuzz::with_accounts;
use libfuzzer_sys::fuzz_target;
use register_service::{MOST_BYTES, Registration, UnreadableBody};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let read = Registration::read(Some("application/json"), body);
    assert!(Registration::read(None, body).is_err());
    let value = serde_json::from_slice::<Value>(body);
    let fields = value.as_ref().ok().and_then(Value::as_object);
    let registration = match read {
        Ok(registration) => registration,
        Err(UnreadableBody::TooLong) => {
            assert!(body.len() > MOST_BYTES);
            return;
        }
        Err(_) => {
            // A field that is there twice is all that a map does not show.
            let is_text = |name: &str| {
                fields.is_some_and(|fields| {
                    fields.get(name).is_none_or(|value| value.is_string() || value.is_null())
                })
            };
            if ["username", "email", "password"].into_iter().all(is_text) {
                assert!(is_repeated(body), "{:?}", String::from_utf8_lossy(body));
            }
            return;
        }
    };
    let shown = format!("{registration:?}");
    assert!(shown.contains("Password(..)"), "{shown}");
    // What it skips it does not read as numbers, which may be too large for a value.
    if let Some(fields) = fields {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let (username, email) = (text("username"), text("email"));
        assert!(
            shown.starts_with(&format!(
                "Registration {{ username: {username:?}, email: {email:?}, "
            ))
        );
    }
    with_accounts(|_, policy| match policy.prepare(registration.into_new_user()) {
        Ok(_) | Err(Error::Invalid(_)) => {}
        Err(other) => panic!("{other}"),
    });
});

/// Whether a name may be there twice: written as it is, or with escapes.
fn is_repeated(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let count = |name: &str| text.matches(name).count();
    text.contains('\\')
        || ["\"username\"", "\"email\"", "\"password\""].iter().any(|name| count(name) > 1)
}
