//! What the tests share.

use std::time::Duration;

use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, NopErrorHandler, Pool,
};
use diesel_accounts::{NewUser, UserManager};
use diesel_accounts_proof::database::{Database, ProofConnection, policy};
use diesel_accounts_proof::servers::Server;

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

/// The same database on another server.
pub(crate) fn url_on<C: ProofConnection>(
    database: &Database<C>,
    of: &Server,
    on: &Server,
) -> String {
    let (from, to) = (of.port().to_string(), on.port().to_string());
    database.url().replacen(&from, &to, 1)
}

/// A manager that gives up after some time, as the pool does.
pub(crate) fn users_at<C: ProofConnection>(
    url: &str,
    size: u32,
    deadline: Duration,
) -> UserManager<C> {
    let pool = Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(deadline)
        .connection_customizer(Box::new(SetUp))
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(ConnectionManager::new(url));
    UserManager::with_policy(pool, policy().deadline(deadline).build().unwrap())
}

#[derive(Debug)]
struct SetUp;

impl<C: ProofConnection> CustomizeConnection<C, R2d2Error> for SetUp {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        conn.set_up().map_err(R2d2Error::QueryError)
    }
}
