#![no_main]
//! Any text as the database URL of the examples.

#[path = "../../examples/support/url.rs"]
mod url;

use libfuzzer_sys::fuzz_target;

use self::url::Target;

fuzz_target!(|text: &str| match Target::of(text) {
    Ok(Target::Mysql(url)) => assert!(url == text && url.starts_with("mysql://")),
    Ok(Target::Postgres(url)) => assert!(url == text && url.starts_with("postgres")),
    Ok(Target::Sqlite(path)) => assert_eq!(format!("sqlite://{path}"), text),
    // The text of the error is a constant.
    Err(_) => {}
});
