//! The operations for asynchronous hosts: what is awaited is what the blocking twin answers; what
//! is dropped or comes too late is done once or not at all; and no more is done at once than the
//! bounds allow.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod bounds;
#[path = "../observed/capture.rs"]
#[expect(dead_code, reason = "only some of what is told matters here")]
mod capture;
mod crowd;
mod deadlines;
mod drops;
mod edges;
mod endings;
mod races;
mod spans;
mod stage;
mod turnstile;
mod twins;

/// Runs each test, a function of `Stage<C>`, on each engine and on both runtimes of tokio.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        $crate::on_engine!(mysql diesel::MysqlConnection: $($test),+);
        $crate::on_engine!(postgres diesel::PgConnection: $($test),+);
        $crate::on_engine!(sqlite diesel::SqliteConnection: $($test),+);
    };
}
pub(crate) use on_each_engine;

macro_rules! on_engine {
    ($engine:ident $connection:ty: $($test:ident),+) => {
        mod $engine {
            mod current_thread {
                $(#[test] fn $test() {
                    use $crate::stage::{Flavour, Stage};
                    super::super::$test(Stage::<$connection>::new(Flavour::CurrentThread));
                })+
            }
            mod multi_thread {
                $(#[test] fn $test() {
                    use $crate::stage::{Flavour, Stage};
                    super::super::$test(Stage::<$connection>::new(Flavour::MultiThread));
                })+
            }
        }
    };
}
pub(crate) use on_engine;
