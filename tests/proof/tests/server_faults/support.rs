//! What the tests share.

use std::thread;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel_accounts::{Engine, Error, NewUser, UserId};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::workload::Connection as Conn;

/// One test on each engine that has a server.
macro_rules! on_each_server {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn on_postgres() {
                super::$name::<diesel::PgConnection>();
            }

            #[test]
            fn on_mariadb() {
                super::$name::<diesel::MysqlConnection>();
            }
        }
    )+};
}
pub(crate) use on_each_server;

/// One test on each engine.
macro_rules! on_each_engine {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn on_sqlite() {
                super::$name::<diesel::SqliteConnection>();
            }

            #[test]
            fn on_postgres() {
                super::$name::<diesel::PgConnection>();
            }

            #[test]
            fn on_mariadb() {
                super::$name::<diesel::MysqlConnection>();
            }
        }
    )+};
}
pub(crate) use on_each_engine;

/// Asserts that a value matches a pattern, and gives what it binds.
macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)? => $result:expr) => {
        match $value {
            $pattern $(if $guard)? => $result,
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
    ($value:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {
        assert_matches!($value, $pattern $(if $guard)? => ())
    };
}
pub(crate) use assert_matches;

pub(crate) fn person(name: &str) -> NewUser {
    NewUser::new(name, format!("{name}@example.org"), "correct horse")
}

/// A name by which a server tells our sessions from others.
pub(crate) fn session_name() -> String {
    format!("s{}_{}", std::process::id(), fastrand::u32(..))
}

/// How many accounts there are of a name.
pub(crate) fn count_of<C: Conn>(database: &Database<C>, name: &str) -> i64 {
    number(&mut database.connect(), &format!("account_users WHERE username = '{name}'"))
}

/// How many rows of the host's own there are.
pub(crate) fn host_rows<C: Conn>(database: &Database<C>) -> i64 {
    number(&mut database.connect(), "host_rows")
}

pub(crate) fn number<C: Conn>(conn: &mut C, rows: &str) -> i64 {
    conn.numbers(&format!("SELECT COUNT(*) AS number FROM {rows}")).unwrap()[0]
}

/// A table of the host's own.
pub(crate) fn make_host_table<C: Conn>(database: &Database<C>) {
    database.connect().batch_execute("CREATE TABLE host_rows (number BIGINT NOT NULL)").unwrap();
}

pub(crate) fn insert_host_row<C: Conn>(conn: &mut C) -> QueryResult<()> {
    conn.batch_execute("INSERT INTO host_rows (number) VALUES (1)")
}

/// The host's transaction, as its guide says: rolled back and run again, with pauses.
pub(crate) fn run_again<C: Conn, T>(
    conn: &mut C,
    isolation: &str,
    mut act: impl FnMut(&mut C) -> Result<T, Error>,
) -> (T, u32) {
    for reruns in 0..100_u32 {
        let result = in_transaction(conn, isolation, &mut act);
        match result {
            Ok(value) => return (value, reruns),
            Err(Error::HostMustRollBack(_)) => {
                thread::sleep(Duration::from_millis(fastrand::u64(0..=10 * u64::from(reruns + 1))));
            }
            Err(error) => panic!("{isolation}: {error:?}"),
        }
    }
    panic!("{isolation}: the host never got through");
}

/// One run of it.
pub(crate) fn in_transaction<C: Conn, T>(
    conn: &mut C,
    isolation: &str,
    act: impl FnOnce(&mut C) -> Result<T, Error>,
) -> Result<T, Error> {
    begin(conn, isolation)?;
    let value = match act(conn) {
        Ok(value) => value,
        Err(error) => {
            // Of a session that has ended nothing can be rolled back.
            let _ = AnsiTransactionManager::rollback_transaction(conn);
            return Err(error);
        }
    };
    AnsiTransactionManager::commit_transaction(conn).map_err(|error| match error {
        error if is_worth_repeating(&error) => Error::HostMustRollBack(None),
        error => error.into(),
    })?;
    Ok(value)
}

/// SQLite says that another is at it when a transaction begins.
fn begin<C: Conn>(conn: &mut C, isolation: &str) -> Result<(), Error> {
    conn.begin(isolation).map_err(|error| match C::ENGINE {
        Engine::Sqlite => Error::HostMustRollBack(None),
        _ => error.into(),
    })
}

fn is_worth_repeating(error: &diesel::result::Error) -> bool {
    let text = error.to_string();
    ["serialize", "Deadlock", "locked"].iter().any(|part| text.contains(part))
}

/// Whose account it is.
pub(crate) fn id_of(creation: &diesel_accounts::Creation) -> UserId {
    match creation {
        diesel_accounts::Creation::Created(user) => user.id(),
        diesel_accounts::Creation::Existing(existing) => existing.user_id(),
    }
}
