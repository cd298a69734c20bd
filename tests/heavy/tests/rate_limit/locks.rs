//! Locks that somebody else holds on the row of a key, or on one that is about to be made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::TransactionManager;
use diesel_accounts::{Error, LimitKey, Quota};
use diesel_accounts_proof::database::{ProofConnection, policy};
use diesel_accounts_proof::statements::before_each_statement;

use crate::support::{HOUR, MINUTE, Stage, admitted, client, impatient, on_each_engine, quota};

on_each_engine!(
    what_the_holder_of_the_row_commits_counts,
    what_the_holder_of_the_row_rolls_back_does_not_count,
    a_first_request_that_the_holder_commits_counts,
    a_first_request_that_the_holder_rolls_back_does_not_count,
    a_row_that_is_not_let_go_in_time_is_busy_and_nothing_is_taken,
    a_first_request_that_is_not_decided_in_time_is_busy_and_nothing_is_taken,
);

fn what_the_holder_of_the_row_commits_counts<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = subject(&stage);
    assert_eq!(stage.check(key, quota), None);
    let answer = while_held(&stage, TAKE_THE_OTHER, C::TransactionManager::commit_transaction);
    assert_eq!(answer, Some(30 * MINUTE));
}

fn what_the_holder_of_the_row_rolls_back_does_not_count<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = subject(&stage);
    assert_eq!(stage.check(key, quota), None);
    let answer = while_held(&stage, TAKE_THE_OTHER, C::TransactionManager::rollback_transaction);
    assert_eq!(answer, None);
    assert_eq!(stage.check(key, quota), Some(30 * MINUTE));
}

fn a_first_request_that_the_holder_commits_counts<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = subject(&stage);
    put_aside(&stage);
    let answer = while_held(&stage, PUT_BACK, C::TransactionManager::commit_transaction);
    assert_eq!(answer, None);
    assert_eq!(stage.check(key, quota), Some(30 * MINUTE));
}

fn a_first_request_that_the_holder_rolls_back_does_not_count<C: ProofConnection>(stage: Stage<C>) {
    let (key, quota) = subject(&stage);
    put_aside(&stage);
    let answer = while_held(&stage, PUT_BACK, C::TransactionManager::rollback_transaction);
    assert_eq!(answer, None);
    assert_eq!(admitted(&stage.limiter, key, quota, 3), 1);
}

fn a_row_that_is_not_let_go_in_time_is_busy_and_nothing_is_taken<C: ProofConnection>(
    stage: Stage<C>,
) {
    let (key, quota) = subject(&stage);
    assert_eq!(stage.check(key, quota), None);
    assert_is_busy_while_held(&stage, TAKE_THE_OTHER);
    assert_eq!(admitted(&stage.limiter, key, quota, 3), 1);
}

fn a_first_request_that_is_not_decided_in_time_is_busy_and_nothing_is_taken<C: ProofConnection>(
    stage: Stage<C>,
) {
    let (key, quota) = subject(&stage);
    put_aside(&stage);
    assert_is_busy_while_held(&stage, PUT_BACK);
    assert_eq!(stage.arrivals(), [0; 0]);
    assert_eq!(admitted(&stage.limiter, key, quota, 3), 2);
}

fn subject<C: ProofConnection>(stage: &Stage<C>) -> (LimitKey, Quota) {
    (client(&stage.users, "203.0.113.7"), quota(2, HOUR))
}

/// Takes the row of a first request out of the table, so that somebody can make it again.
fn put_aside<C: ProofConnection>(stage: &Stage<C>) {
    let (key, quota) = subject(stage);
    assert_eq!(stage.check(key, quota), None);
    stage.execute("CREATE TABLE aside AS SELECT * FROM account_limits");
    stage.execute("DELETE FROM account_limits");
}

/// What a connection is answered that does not wait for locks: of which there is one, by these
/// statements in a transaction of somebody's, that ends as soon as the connection comes again.
fn while_held<C: ProofConnection>(
    stage: &Stage<C>,
    statements: &str,
    end: fn(&mut C) -> QueryResult<()>,
) -> Option<Duration> {
    let mut holder = Some(holder_of(stage, statements));
    let mut conn = stage.database.connect();
    impatient(&mut conn);
    let has_waited = Arc::new(AtomicBool::new(false));
    let (waited, mut sent) = (has_waited.clone(), Vec::new());
    before_each_statement(&mut conn, move |statement| {
        let is_again = sent.iter().any(|earlier| earlier == statement);
        if !statement.starts_with("SELECT")
            && let Some(mut holder) = holder.take_if(|_| is_again)
        {
            end(&mut holder).unwrap();
            waited.store(true, Ordering::SeqCst);
        }
        sent.push(statement.to_owned());
    });
    let (key, quota) = subject(stage);
    let answer = stage.users.on(&mut conn).check_limit(key, quota).unwrap();
    assert!(has_waited.load(Ordering::SeqCst), "{answer:?} was answered in spite of the lock");
    answer.refused()
}

fn assert_is_busy_while_held<C: ProofConnection>(stage: &Stage<C>, statements: &str) {
    let mut holder = holder_of(stage, statements);
    let mut conn = stage.database.connect();
    impatient(&mut conn);
    let policy = policy().clock(stage.clock.clone()).deadline(Duration::from_millis(100));
    let users = stage.instance_with(policy);
    let (key, quota) = subject(stage);
    let answer = users.on(&mut conn).check_limit(key, quota);
    assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    C::TransactionManager::rollback_transaction(&mut holder).unwrap();
}

/// A connection in whose transaction something was done.
fn holder_of<C: ProofConnection>(stage: &Stage<C>, statements: &str) -> C {
    let mut holder = stage.database.connect();
    C::TransactionManager::begin_transaction(&mut holder).unwrap();
    holder.batch_execute(statements).unwrap();
    holder
}

/// By half an hour, in microseconds.
const TAKE_THE_OTHER: &str =
    "UPDATE account_limits SET theoretical_arrival = theoretical_arrival + 1800000000";

const PUT_BACK: &str = "INSERT INTO account_limits SELECT * FROM aside";
