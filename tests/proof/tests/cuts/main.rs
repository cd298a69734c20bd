//! The connection is cut at every message of every operation that writes: before the message, in
//! the middle of it, and after it, when the server has done what it asks for and nobody hears of it.
//!
//! What must hold then is read from the database by a connection that is never cut.

mod audit;
mod create;
mod faults;
mod host_transaction;
mod import;
mod migrate;
mod passwords;
mod pool;
mod scene;
mod sign_in;
mod state;
mod stragglers;

/// Runs each test on every engine that is a server.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        mod mariadb {
            $(#[test] fn $test() {
                super::$test::<diesel::MysqlConnection>();
            })+
        }
        mod postgres {
            $(#[test] fn $test() {
                super::$test::<diesel::PgConnection>();
            })+
        }
    };
}
pub(crate) use on_each_server;
