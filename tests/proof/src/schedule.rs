//! Every interleaving of a few actors: who takes which statement when is chosen, never met by
//! chance.
//!
//! Each actor is a thread with a connection of its own, which is parked before each statement. The
//! scheduler lets one actor take one statement, waits until all others are parked, blocked by a
//! lock or at their end, and chooses again; it explores the tree of its choices to the end, each
//! schedule from the start and with new names. With three actors it leaves out what differs from
//! another order by swaps alone that nobody can notice ("sleep sets", after Godefroid).

pub mod actor;
pub mod cases;
pub mod choices;
pub mod gates;
pub mod model;
pub mod places;
pub mod run;
pub mod story;
mod swaps;
pub mod watch;

/// Makes a test of each function for each engine, so that they run side by side.
#[macro_export]
macro_rules! schedule_on_each_engine {
    ($($group:ident),+ $(,)?) => {$(
        mod $group {
            #[test]
            fn on_sqlite() {
                super::$group::<::diesel::SqliteConnection>();
            }

            #[test]
            fn on_postgres() {
                super::$group::<::diesel::PgConnection>();
            }

            #[test]
            fn on_mariadb() {
                super::$group::<::diesel::MysqlConnection>();
            }
        }
    )+};
}
