//! Integration tests. Every test runs on every enabled engine, in a database of its own.
//!
//! `cargo test` runs them on SQLite, `scripts/test` on all three engines.

#![expect(
    clippy::cast_possible_wrap,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and owns its database"
)]
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres")),
    expect(dead_code, reason = "some tests are not for SQLite alone")
)]

mod auto_traits;
mod create;
mod doubles;
#[cfg(feature = "simd")]
mod engines;
mod examples;
mod import;
mod lengths;
mod lockout;
mod lookups;
mod nested;
mod passwords;
mod patience;
mod race;
mod schema;
mod schema_damages;
mod secrets;
#[cfg(all(target_os = "linux", feature = "mysql", feature = "postgres"))]
mod servers;
mod sessions;
mod sign_in;
mod spellings;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod support;
mod texts;
mod throttle;
mod transaction;
mod trouble;
mod trouble_of_one_engine;
mod wholeness;
