//! Many threads register the same people at once, each in a spelling of its own; then the database
//! is checked: one account for each person, and `created` heard exactly once.
//!
//!     cargo run --example concurrent_registration -- --threads 16 --accounts 50
//!
//! Exit status: 0 all is well, 1 a violation or trouble with the database, 2 wrong arguments.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the command line")]

use std::collections::{BTreeMap, HashSet};
use std::error::Error as StdError;
use std::process::ExitCode;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Instant;

use diesel::r2d2::R2D2Connection;
use diesel_accounts::{AccountConnection, Creation, Error, NewUser, Result, UserId, UserManager};
use indicatif::{ProgressBar, ProgressStyle};

mod support;

use support::{Database, arguments, with_pool};

const USAGE: &str =
    "usage: concurrent_registration [--threads N] [--accounts N] [--database-url URL]";

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(violations) if violations.is_empty() => {
            println!("no violation: one account for each person, created exactly once");
            ExitCode::SUCCESS
        }
        Ok(violations) => {
            violations.iter().for_each(|violation| eprintln!("VIOLATION: {violation}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Vec<String>, Box<dyn StdError>> {
    let Arguments { threads, accounts, database_url } = arguments;
    let database = Database::connect(database_url, 4)?;
    println!("{threads} threads register {accounts} people on {}", database.engine());
    with_pool!(database, |pool| {
        let users = UserManager::new(pool);
        users.migrate()?;
        // Names that no earlier run has used: the end of a fresh id.
        let run = UserId::new().to_string().split_off(24);
        let started = Instant::now();
        let answers = register_all(&users, &run, threads, accounts);
        print_table(&answers, started);
        Ok(violations(&users, &run, &answers)?)
    })
}

/// Every person from all threads at once; the answers for each person.
fn register_all<C>(
    users: &UserManager<C>,
    run: &str,
    threads: usize,
    accounts: usize,
) -> Vec<Vec<Result<Creation>>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let bar = ProgressBar::new((threads * accounts) as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec}").unwrap());
    let answers: Vec<_> = (0..accounts).map(|_| Mutex::new(Vec::new())).collect();
    let start_line = Barrier::new(threads);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (bar, answers, start_line) = (&bar, &answers, &start_line);
            scope.spawn(move || {
                for (person, answers) in answers.iter().enumerate() {
                    start_line.wait();
                    let answer = users.create_user(spelling(run, person, thread));
                    answers.lock().unwrap().push(answer);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    answers.into_iter().map(|answers| answers.into_inner().unwrap()).collect()
}

/// One person, as many threads would spell the name and the address.
fn spelling(run: &str, person: usize, thread: usize) -> NewUser {
    let username = match thread % 5 {
        0 => format!("jos\u{e9}-{run}-{person}"),
        1 => format!("JOS\u{c9}-{run}-{person}"),
        2 => format!("jose\u{301}-{run}-{person}"),
        3 => format!("\u{ff4a}\u{ff4f}\u{ff53}\u{e9}-{run}-{person}"),
        _ => format!("  Jose\u{301}-{run}-{person} "),
    };
    let email = match thread % 4 {
        0 => format!("jose.{run}.{person}@b\u{fc}cher.example"),
        1 => format!("JOSE.{run}.{person}@b\u{fc}cher.example"),
        2 => format!("jose.{run}.{person}@xn--bcher-kva.example"),
        _ => format!("Jose.{run}.{person}@XN--BCHER-KVA.Example"),
    };
    NewUser::new(username, email, "correct horse battery")
}

fn print_table(answers: &[Vec<Result<Creation>>], started: Instant) {
    let mut outcomes = BTreeMap::<String, usize>::new();
    for answer in answers.iter().flatten() {
        let outcome = match answer {
            Ok(Creation::Created(_)) => "created".to_owned(),
            Ok(Creation::Existing(existing)) => format!("existing ({})", existing.matched()),
            Err(error) => format!("error: {error}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{:<40} {:>8}", "outcome", "calls");
    for (outcome, calls) in outcomes {
        println!("{outcome:<40} {calls:>8}");
    }
    println!("{:<40} {:>7.1}s", "time", started.elapsed().as_secs_f64());
}

/// The account that an answer tells of.
fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}

/// What is not as it must be, seen from the answers and from the database.
fn violations<C>(
    users: &UserManager<C>,
    run: &str,
    answers: &[Vec<Result<Creation>>],
) -> Result<Vec<String>, Error>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let mut violations = Vec::new();
    for (person, answers) in answers.iter().enumerate() {
        let created = answers.iter().flatten().filter(|creation| creation.is_created()).count();
        if created != 1 {
            violations.push(format!("person {person}: `created` was heard {created} times"));
        }
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            violations.push(format!("person {person}: {error}"));
        }
        let heard: HashSet<_> = answers.iter().flatten().map(id_of).collect();
        let by_name = users.user_by_username(&format!("jos\u{e9}-{run}-{person}"))?;
        let by_email = users.user_by_email(&format!("jose.{run}.{person}@b\u{fc}cher.example"))?;
        let stored: HashSet<_> =
            [by_name, by_email].into_iter().flatten().map(|u| u.id()).collect();
        if heard.len() != 1 || heard != stored {
            violations.push(format!("person {person}: {} accounts were heard of", heard.len()));
        }
    }
    let rows = users.users_by_email_prefix(&format!("jose.{run}."), None, 1000)?.len();
    if rows != answers.len().min(1000) {
        violations.push(format!("{rows} accounts in the database for {} people", answers.len()));
    }
    Ok(violations)
}

struct Arguments {
    threads: usize,
    accounts: usize,
    database_url: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn StdError>> {
        let mut given = arguments(&["threads", "accounts", "database-url"], USAGE)?;
        let mut positive = |name, default| match given.remove(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number @ 1..) => Ok(number),
                _ => Err(format!("--{name} takes a number above 0")),
            },
        };
        Ok(Self {
            threads: positive("threads", 16)?,
            accounts: positive("accounts", 25)?,
            database_url: given.remove("database-url"),
        })
    }
}
