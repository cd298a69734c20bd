//! What is left after the load: the tables, and the pools.

use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use diesel::connection::{AnsiTransactionManager, TransactionManager};

use super::manager::{Manager, is_whole};
use super::people::People;
use super::server::{AccountRow, WorkloadConnection};
use crate::history::{AccountId, Moment, Name, Password, PoolState, Row, State};

/// Reads the table of accounts, and the host's, as they stand at one moment: a commit that nobody
/// heard of may still be on its way.
pub(super) fn read<C: WorkloadConnection>(conn: &mut C, people: &People) -> (Vec<Row>, Vec<u64>) {
    conn.begin(C::SNAPSHOT).unwrap();
    let rows = conn.accounts().unwrap();
    let rows = rows.into_iter().map(|row| row_of(&row, people)).collect();
    let host_rows = conn.numbers("SELECT number FROM host_rows").unwrap();
    AnsiTransactionManager::commit_transaction(conn).unwrap();
    (rows, host_rows.into_iter().map(|call| u64::try_from(call).unwrap()).collect())
}

/// Takes all connections of a pool at once, and tries them.
pub(super) fn pool_state<C: WorkloadConnection>(
    manager: &Manager<'_, C>,
    from: Moment,
) -> PoolState {
    let (number, size) = (manager.settings.number, manager.settings.size);
    let mut taken: Vec<_> =
        (0..size).filter_map(|_| manager.pool.get_timeout(Duration::from_secs(30)).ok()).collect();
    let usable = taken.iter_mut().filter_map(|conn| {
        AnsiTransactionManager::begin_transaction(&mut **conn).ok()?;
        let answers = is_whole(&mut **conn);
        AnsiTransactionManager::rollback_transaction(&mut **conn).ok()?;
        answers.then_some(())
    });
    let usable = u32::try_from(usable.count()).unwrap();
    let (to, discarded) = (manager.recorder.now(), manager.discarded());
    PoolState { manager: number, from, to, size, usable, discarded }
}

fn row_of(row: &AccountRow, people: &People) -> Row {
    let id: AccountId = row.id.parse().expect("the id is in hexadecimal digits");
    let password = match &row.password_hash {
        None => Password::NONE,
        Some(hash) => password_of(hash, people.given_to(id)),
    };
    Row {
        id,
        username: row.username.as_deref().map(Name::of_username),
        email: row.email.as_deref().map(Name::of_email),
        state: match row.state {
            0 => State::Active,
            1 => State::Disabled,
            _ => State::Reserved,
        },
        password,
    }
}

/// Which of the passwords a hash is of, found out without the library.
fn password_of(hash: &str, given: &[Password]) -> Password {
    let Ok(hash) = PasswordHash::new(hash) else { return Password::STRANGE };
    let is_of = |password: &&Password| {
        Argon2::default().verify_password(password.text().as_bytes(), &hash).is_ok()
    };
    given.iter().rev().find(is_of).copied().unwrap_or(Password::STRANGE)
}
