//! A client that dies: it aborts just before it sends a statement, counted from 0, or, with the
//! number of all statements, after the last one before it tells anybody. A statement that is sent
//! again at once counts as one, and of the rows of an import, where each is a statement, only the first
//! two of a batch count and one in its middle.
//!
//! `abort_before STATEMENT ENGINE URL ACT NAME`, with an act of [`diesel_accounts_proof::acts`]. It
//! ends as usual if there are not so many statements.
//!
//! It logs as hosts do: answers on its standard output, and on its standard error a line that
//! begins with `statement` for each statement, and a line `hash` whenever a password is looked at.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "this is how it logs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::{Argon2Engine, Argon2Input, Hashing, HashingFailure, UserManager};
use diesel_accounts_proof::acts::{Act, dearer_hashing, person};
use diesel_accounts_proof::database::{ProofConnection, policy, pool_at};
use diesel_accounts_proof::statements::before_each_statement;

fn main() {
    let [_, statement, engine, url, act, name] = &std::env::args().collect::<Vec<_>>()[..] else {
        panic!("abort_before STATEMENT ENGINE URL ACT NAME");
    };
    let act = Act::ALL.into_iter().find(|known| known.name() == act).expect("the act is known");
    let statement = statement.parse().expect("STATEMENT is a number");
    match engine.as_str() {
        "Sqlite" => run::<SqliteConnection>(statement, url, act, name),
        "Postgres" => run::<PgConnection>(statement, url, act, name),
        "Mysql" => run::<MysqlConnection>(statement, url, act, name),
        _ => panic!("there is no engine {engine}"),
    }
}

fn run<C: ProofConnection>(statement: u32, url: &str, act: Act, name: &str) {
    let pool = pool_at::<C>(url, 1);
    let sent = Arc::new(AtomicU32::new(0));
    let counter = sent.clone();
    let (mut last, mut row) = (String::new(), 0);
    before_each_statement(&mut *pool.get().unwrap(), move |query| {
        // Asked again because others are at it: how often is up to them.
        if query == last {
            return;
        }
        query.clone_into(&mut last);
        row = if query.starts_with("INSERT INTO `account_users`") { row + 1 } else { 0 };
        if row > 2 && row != A_ROW_IN_THE_MIDDLE {
            return;
        }
        eprintln!("statement {query}");
        if counter.fetch_add(1, Ordering::Relaxed) == statement {
            std::process::abort();
        }
    });
    let hashing = dearer_hashing().engine(Logged(Hashing::default_engine()));
    let policy = policy().hashing(hashing).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    println!("{users:?} {:?}", person(name));
    // What sign-ins do by chance they do in each run, or in none: all have as many statements.
    fastrand::seed(0);
    let answer = act.run(&users, &pool, name);
    if sent.load(Ordering::Relaxed) == statement {
        std::process::abort();
    }
    println!("{answer}");
}

const A_ROW_IN_THE_MIDDLE: u32 = 250;

/// Says when it is used.
#[derive(Debug)]
struct Logged(Box<dyn Argon2Engine>);

impl Argon2Engine for Logged {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self(self.0.another()))
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        eprintln!("hash");
        self.0.compute(input, tag)
    }
}
