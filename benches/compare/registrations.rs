//! Registrations by this library, for the comparison with its peers: `benches/peers`.
//!
//!     registrations --database URL --count N [--memory-kib M] [--passes T] [--simd] [--prepare]
//!                   [--count-statements] [--bulk N]
//!
//! One process registers people one after the other, as one worker of a service does: a request in
//! JSON goes in, an answer in JSON comes out. It prints its figures as a line of JSON. It says `ready` when it has warmed up, and begins at a line on its standard input.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use diesel::connection::{Connection, InstrumentationEvent};
use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, ForeignHashes, ImportUser, NewUser, Policy, UserId, UserManager,
};
use diesel_accounts_compare::load;
use lexopt::{Arg, Parser, ValueExt as _};
use serde_json::{Value, json};
use uuid::Uuid;

#[path = "../../examples/support/mod.rs"]
#[expect(dead_code, reason = "its arguments are not these")]
mod support;

use support::{Database, with_pool};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let database = Database::connect(Some(arguments.database.clone()), 1)?;
    with_pool!(database, |pool| run(&arguments, pool))
}

fn run<C>(arguments: &Arguments, pool: Pool<ConnectionManager<C>>) -> Result<()>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let cost = Argon2Cost::new(arguments.memory_kib, arguments.passes, 1)?;
    let foreign = ForeignHashes::none().argon2(Argon2Cost::OWASP_19_MIB);
    let hashing = load::hashing(arguments.is_fast)?.cost(cost).accept(foreign);
    let policy = Policy::builder().hashing(hashing).build()?;
    let users = UserManager::with_policy(pool.clone(), policy);
    if arguments.prepares {
        return Ok(users.migrate()?);
    }
    if arguments.bulk > 0 {
        return bulk(arguments, &users);
    }
    register(&users, WARM_UP)?;
    let statements = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    if arguments.counts_statements {
        count_statements(&mut *pool.get()?, Arc::clone(&statements));
    }
    wait_for_the_start()?;
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    register(&users, arguments.count)?;
    let elapsed = started.elapsed().as_secs_f64();
    let answer = json!({
        "elapsed_s": elapsed,
        "cpu_s": cpu_seconds()? - cpu,
        "created": arguments.count,
        "statements": statements.0.load(Ordering::Relaxed),
        "transaction_statements": statements.1.load(Ordering::Relaxed),
        "peak_kib": peak_kib()?,
    });
    println!("{answer}");
    Ok(())
}

fn register<C>(users: &UserManager<C>, count: u64) -> Result<()>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    for _ in 0..count {
        let username = unknown_name();
        let email = format!("{username}@example.org");
        let request = json!({ "username": username, "email": email, "password": PASSWORD });
        answer(users, &request.to_string())?;
    }
    Ok(())
}

/// What a service does between the body of a request and that of the answer.
fn answer<C>(users: &UserManager<C>, request: &str) -> Result<String>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let request: Value = serde_json::from_str(request)?;
    let field = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    let person = NewUser::new(field("username"), field("email"), field("password"));
    let user = users.create_user(person)?.created().ok_or("somebody was there")?;
    let answer = json!({
        "user_id": user.id().to_string(),
        "username": user.username(),
        "email": user.email(),
    });
    Ok(answer.to_string())
}

/// As the peers' programs make them: in no order.
fn unknown_name() -> String {
    format!("person{}", Uuid::new_v4().simple())
}

fn bulk<C>(arguments: &Arguments, users: &UserManager<C>) -> Result<()>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let hash = load::phc(
        &mut *load::engine(false)?,
        Argon2Cost::new(arguments.memory_kib, arguments.passes, 1)?,
        UserId::new().as_bytes(),
    );
    let import = |_| {
        let username = unknown_name();
        let email = format!("{username}@example.org");
        ImportUser::new().username(username).email(email).password_hash(&*hash)
    };
    let people: Vec<_> = (0..arguments.bulk).map(import).collect();
    wait_for_the_start()?;
    let started = Instant::now();
    let created = users.import_users(people, |_, _| ())?.created();
    println!("{}", json!({ "elapsed_s": started.elapsed().as_secs_f64(), "created": created }));
    Ok(())
}

/// All workers begin at once.
fn wait_for_the_start() -> Result<()> {
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

/// Counts the statements of acts, and those that begin and end transactions.
fn count_statements<C: Connection>(conn: &mut C, counts: Arc<(AtomicU64, AtomicU64)>) {
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let InstrumentationEvent::StartQuery { query, .. } = event else {
            return;
        };
        let query = query.to_string();
        if OF_TRANSACTIONS.iter().any(|start| query.starts_with(start)) {
            counts.1.fetch_add(1, Ordering::Relaxed);
        } else {
            counts.0.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// The time of all threads of this process, on Linux.
fn cpu_seconds() -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += times.split_whitespace().next().ok_or("no time")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// The most memory that this process ever had, on Linux.
fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(number.parse()?)
}

struct Arguments {
    database: String,
    count: u64,
    memory_kib: u32,
    passes: u32,
    bulk: u64,
    is_fast: bool,
    prepares: bool,
    counts_statements: bool,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut arguments = Self {
            database: String::new(),
            count: 0,
            memory_kib: 19_456,
            passes: 2,
            bulk: 0,
            is_fast: false,
            prepares: false,
            counts_statements: false,
        };
        let mut parser = Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("database") => arguments.database = parser.value()?.string()?,
                Arg::Long("count") => arguments.count = parser.value()?.parse()?,
                Arg::Long("memory-kib") => arguments.memory_kib = parser.value()?.parse()?,
                Arg::Long("passes") => arguments.passes = parser.value()?.parse()?,
                Arg::Long("bulk") => arguments.bulk = parser.value()?.parse()?,
                Arg::Long("simd") => arguments.is_fast = true,
                Arg::Long("prepare") => arguments.prepares = true,
                Arg::Long("count-statements") => arguments.counts_statements = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(arguments)
    }
}

/// Registrations before those that count.
const WARM_UP: u64 = 5;

const PASSWORD: &str = "correct horse battery staple";

const OF_TRANSACTIONS: [&str; 5] = ["BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT"];
