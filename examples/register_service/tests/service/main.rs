//! The service as its clients meet it: the program runs, on every engine, and is asked over HTTP.
//!
//! `scripts/with-servers cargo test --workspace --all-features --test service`

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod admin;
mod busy;
mod client;
mod killed;
mod leaving;
mod limits;
mod metrics;
mod pages;
mod people;
mod process;
mod races;
mod registering;
mod repeating;
mod requests;
mod secrets;
mod sessions;
mod settings;
mod table;

pub(crate) use diesel_accounts_proof::schedule_on_each_engine as on_each_engine;

/// One test on each engine that has a server.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn on_postgres() {
                super::$test::<diesel::PgConnection>();
            }

            #[test]
            fn on_mariadb() {
                super::$test::<diesel::MysqlConnection>();
            }
        }
    )+};
}
pub(crate) use on_each_server;
