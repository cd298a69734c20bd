//! Integration tests. Every test runs on every enabled engine, in a database of its own.
//!
//! `cargo test` runs them on SQLite, `scripts/test` on all three engines.

mod auto_traits;
mod create;
mod lookups;
mod race;
mod schema;
mod secrets;
mod spellings;
mod statements;
mod support;
mod transaction;
mod trouble;
