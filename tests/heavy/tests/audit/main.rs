//! What is done to accounts is recorded: in the transaction of the act, and as it was done.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod acts;
mod hosts;
mod imports;
mod once;
mod one_engine;
mod pools;
mod reading;
mod refusals;
mod refused_records;
mod refusing;
mod schema;
mod statements;
mod support;
mod texts;

pub(crate) use diesel_accounts_heavy_tests::on_each_engine;
