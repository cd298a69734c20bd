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

/// Runs each test, a function of `Stage<C>`, on every engine.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        mod mysql {
            $(#[test] fn $test() {
                super::$test($crate::support::Stage::<diesel::MysqlConnection>::new());
            })+
        }
        mod postgres {
            $(#[test] fn $test() {
                super::$test($crate::support::Stage::<diesel::PgConnection>::new());
            })+
        }
        mod sqlite {
            $(#[test] fn $test() {
                super::$test($crate::support::Stage::<diesel::SqliteConnection>::new());
            })+
        }
    };
}
pub(crate) use on_each_engine;
