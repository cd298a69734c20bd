//! The program, run as a host runs it, on every enabled engine.
//!
//! `cargo test -p import_django_users` runs it on SQLite; on the servers as well it is
//! `scripts/with-servers cargo test -p import_django_users --all-features`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod command_line;
mod interrupted;
mod program;
mod rows;

#[path = "../../../../tests/it/support.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "what other tests need as well")]
mod support;
