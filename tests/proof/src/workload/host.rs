//! A host's transaction around a creation: rows of the host's own before and after it.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_accounts::{Error, PreparedUser, Result, UserManager};
use fastrand::Rng;

use super::acts::creation_answer;
use super::execute;
use super::people::Person;
use super::server::WorkloadConnection;
use crate::checker::{HOST_FAILED, NOT_BEGUN};
use crate::history::{Answer, End, Recorder};

/// The tables of the host.
pub(super) fn make_tables<C: WorkloadConnection>(conn: &mut C) {
    execute(conn, "CREATE TABLE host_rows (number BIGINT)");
    execute(conn, "CREATE TABLE host_locks (id BIGINT PRIMARY KEY, number BIGINT)");
    for id in 0..LOCKS {
        execute(conn, &format!("INSERT INTO host_locks VALUES ({id}, 0)"));
    }
}

/// What the host does around the creation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    pub(super) isolation: (&'static str, &'static str),
    pub(super) reads_first: bool,
    pub(super) commits: bool,
    /// Rows of the host's that it changes before and after, as others do in another order.
    pub(super) locks: Option<(i64, i64)>,
}

impl Intent {
    pub(super) fn by_chance<C: WorkloadConnection>(chance: &mut Rng) -> Self {
        let locks = (chance.i64(0..LOCKS), chance.i64(0..LOCKS));
        Self {
            isolation: *chance.choice(C::ISOLATIONS).expect("there is one"),
            reads_first: chance.u8(0..3) == 0,
            commits: chance.u8(0..4) > 0,
            locks: (chance.u8(0..4) == 0).then_some(locks),
        }
    }
}

/// Runs a host's transaction once, and tells whether the connection can be used again.
pub(super) fn transact<C: WorkloadConnection>(
    conn: &mut C,
    users: &UserManager<C>,
    (person, prepared): (Person, &PreparedUser),
    intent: Intent,
    call: u64,
    recorder: &Recorder,
) -> (Answer, bool) {
    let (isolation, setting) = intent.isolation;
    let begun = match setting {
        "" => Ok(()),
        setting => conn.batch_execute(setting),
    };
    if begun.and_then(|()| conn.begin(isolation)).is_err() {
        let error = NOT_BEGUN.to_owned();
        return (Answer::NotDone { error }, false);
    }
    let (answer, goes_on) = act(conn, users, prepared, intent, call);
    let inside = match answer {
        Some(answer) => creation_answer(recorder, person, answer),
        None => Answer::NotDone { error: HOST_FAILED.to_owned() },
    };
    let (end, is_usable) = match goes_on && intent.commits {
        true => commit(conn),
        false => (End::RolledBack, AnsiTransactionManager::rollback_transaction(conn).is_ok()),
    };
    (Answer::Transaction { inside: Box::new(inside), end }, is_usable)
}

/// All between begin and end: the library's answer if it was asked, and whether the transaction can
/// go on.
fn act<C: WorkloadConnection>(
    conn: &mut C,
    users: &UserManager<C>,
    prepared: &PreparedUser,
    intent: Intent,
    call: u64,
) -> (Option<Result<diesel_accounts::Creation>>, bool) {
    let lock = |conn: &mut C, id: i64| {
        conn.batch_execute(&format!("UPDATE host_locks SET number = number + 1 WHERE id = {id}"))
    };
    let before = |conn: &mut C| {
        if intent.reads_first {
            conn.numbers("SELECT COUNT(*) AS number FROM account_users")?;
        }
        conn.batch_execute(&format!("INSERT INTO host_rows VALUES ({call})"))?;
        intent.locks.map_or(Ok(()), |(first, _)| lock(conn, first))
    };
    if before(conn).is_err() {
        return (None, false);
    }
    let answer = users.on(conn).create_user(prepared);
    if answer.as_ref().is_err_and(Error::is_host_must_roll_back) {
        return (Some(answer), false);
    }
    let after = intent.locks.map_or(Ok(()), |(_, second)| lock(conn, second));
    (Some(answer), after.is_ok())
}

fn commit<C: WorkloadConnection>(conn: &mut C) -> (End, bool) {
    match AnsiTransactionManager::commit_transaction(conn) {
        Ok(()) => (End::Committed, true),
        // The server says so itself.
        Err(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => {
            (End::RolledBack, false)
        }
        Err(_) => (End::Unknown, false),
    }
}

pub(super) const LOCKS: i64 = 4;
