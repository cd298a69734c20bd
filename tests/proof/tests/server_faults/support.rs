//! What the tests share.

use diesel::result::Error::RollbackTransaction;
use diesel_accounts::{Creation, Error, NewUser, UserId};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::workload::Connection;

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

pub(crate) use diesel_accounts_proof::schedule_on_each_engine as on_each_engine;

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

/// Has another transaction hold the name of `alice`, does something, and lets go.
pub(crate) fn while_alice_is_held<C: Connection>(database: &Database<C>, act: impl FnOnce()) {
    let users = database.users(1);
    let alice = users.prepare(person("alice")).unwrap();
    let let_go = database.connect().transaction::<(), Error, _>(|holder| {
        assert!(users.on(holder).create_user(&alice)?.is_created());
        act();
        Err(RollbackTransaction.into())
    });
    assert!(let_go.is_err());
}

/// A name by which a server tells our sessions from others.
pub(crate) fn session_name() -> String {
    format!("s{}_{}", std::process::id(), fastrand::u32(..))
}

/// How many accounts there are of a name.
pub(crate) fn count_of<C: Connection>(database: &Database<C>, name: &str) -> i64 {
    number(&mut database.connect(), &format!("account_users WHERE username = '{name}'"))
}

pub(crate) fn number<C: Connection>(conn: &mut C, rows: &str) -> i64 {
    conn.numbers(&format!("SELECT COUNT(*) AS number FROM {rows}")).unwrap()[0]
}

/// Whose account it is.
pub(crate) fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}
