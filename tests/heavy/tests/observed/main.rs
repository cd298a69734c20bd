//! What a host hears of an operation: each is one span and one count, whatever it is made of, and
//! nothing is said of a person but the id.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod capture;
mod hashing;
mod hosts;
mod operations;
mod outcomes;
mod races;
mod secrets;
mod stage;
mod sums;
mod tries;

/// Runs each test, a function of `&Stage<C>`, on each engine; and nothing secret was told in it.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        $crate::on_engine!(mysql diesel::MysqlConnection: $($test),+);
        $crate::on_engine!(postgres diesel::PgConnection: $($test),+);
        $crate::on_engine!(sqlite diesel::SqliteConnection: $($test),+);
    };
}
pub(crate) use on_each_engine;

/// Runs each test on each engine that is a server.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        $crate::on_engine!(mysql_server diesel::MysqlConnection: $($test),+);
        $crate::on_engine!(postgres_server diesel::PgConnection: $($test),+);
    };
}
pub(crate) use on_each_server;

macro_rules! on_engine {
    ($engine:ident $connection:ty: $($test:ident),+) => {
        mod $engine {
            $(#[test] fn $test() {
                let stage = $crate::stage::Stage::<$connection>::new();
                super::$test(&stage);
                stage.told.assert_without(&$crate::stage::CANARIES);
            })+
        }
    };
}
pub(crate) use on_engine;
