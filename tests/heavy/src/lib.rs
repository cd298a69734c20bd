//! Nothing but tests, in `tests`, what they share, and one here whose message from the compiler is too long to be
//! compared: a backend can be named,
//!
//! ```
//! use diesel_accounts::AccountBackend;
//!
//! fn needs<C, B: AccountBackend<C>>() {}
//!
//! struct Elsewhere;
//! ```
//!
//! and not implemented outside the crate, for its supertraits are private.
//!
//! ```compile_fail,E0277
//! use diesel_accounts::AccountBackend;
//!
//! struct Elsewhere;
//!
//! impl<C> AccountBackend<C> for Elsewhere {}
//! ```

/// Runs each test, a function of the test crate's own `support::Stage<C>`, on every engine.
#[macro_export]
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        $crate::on_engine!(mysql diesel::MysqlConnection: $($test),+);
        $crate::on_engine!(postgres diesel::PgConnection: $($test),+);
        $crate::on_engine!(sqlite diesel::SqliteConnection: $($test),+);
    };
}

/// The same on every engine that is a server.
#[macro_export]
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        $crate::on_engine!(mysql_server diesel::MysqlConnection: $($test),+);
        $crate::on_engine!(postgres_server diesel::PgConnection: $($test),+);
    };
}

/// The same on one.
#[expect(clippy::crate_in_macro_def, reason = "the stage is that of the test crate")]
#[macro_export]
macro_rules! on_engine {
    ($engine:ident $connection:ty: $($test:ident),+) => {
        mod $engine {
            $(#[test] fn $test() {
                super::$test(crate::support::Stage::<$connection>::new());
            })+
        }
    };
}
