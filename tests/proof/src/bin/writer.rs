//! A second process that writes to a SQLite database: it begins, creates an account, says so, and
//! ends its transaction as it is told on its standard input.
//!
//! `writer PATH USERNAME`

use std::io;

use diesel::SqliteConnection;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel_accounts::{Accounts, NewUser};
use diesel_accounts_proof::database::{ProofConnection, policy};

fn main() {
    let [_, path, username] = &std::env::args().collect::<Vec<_>>()[..] else {
        panic!("writer PATH USERNAME");
    };
    let policy = policy().build().unwrap();
    let mut conn = SqliteConnection::establish(path).unwrap();
    conn.set_up().unwrap();
    let email = format!("{username}@example.org");
    let prepared = policy.prepare(NewUser::new(username, email, "correct horse")).unwrap();
    conn.begin("IMMEDIATE").unwrap();
    assert!(Accounts::new(&policy, &mut conn).create_user(&prepared).unwrap().is_created());
    println!("created");
    let mut word = String::new();
    io::stdin().read_line(&mut word).unwrap();
    match word.trim() {
        "commit" => AnsiTransactionManager::commit_transaction(&mut conn).unwrap(),
        _ => AnsiTransactionManager::rollback_transaction(&mut conn).unwrap(),
    }
}
