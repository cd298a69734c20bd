//! What a creation costs beside its hash, and beside an insertion written by hand.
//!
//!     scripts/with-servers cargo bench -p diesel-accounts-compare --bench creation
//!     ... -- [--simd 1] [--rounds N] [DATABASE_URL ...]
//!
//! All subjects of one table are measured in turn, round after round. Each figure is the median of the
//! rounds, with the least and the most in brackets; each ratio is that of the ratios within a round.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, Argon2Engine, Hashing, NewUser, Policy, PreparedUser,
    UserManager,
};
use diesel_accounts_compare::by_hand::{ByHand, Person};
use diesel_accounts_compare::drivers::Driver;
use diesel_accounts_compare::load::{self, Subject, measure};

#[path = "../support/mod.rs"]
mod common;
#[path = "../../examples/support/mod.rs"]
#[expect(dead_code, reason = "a bench takes its arguments from cargo, among others")]
mod support;

use common::{Spread, Table};
use support::{Database, with_pool};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for url in common::urls("creation") {
        let database = Database::connect(Some(url.clone()), CONNECTIONS)?;
        let engine = database.engine();
        with_pool!(database, |pool| {
            ByHand::create_table(&mut *pool.get()?)?;
            UserManager::new(pool.clone()).migrate()?;
            for threads in [1, 2, 16] {
                with_hash(engine, &pool, threads)?;
            }
            without_hash(engine, &pool, &url)?;
        })
    }
    Ok(())
}

/// At the cost that passwords really have.
fn with_hash<C>(database: &str, pool: &Pool<ConnectionManager<C>>, threads: usize) -> Result<()>
where
    C: AccountConnection + ByHand + R2D2Connection + 'static,
{
    let is_fast = common::number("--simd", 0) > 0;
    let hashing = load::hashing(is_fast)?.longest_wait(Duration::from_secs(600));
    let policy = Policy::builder().hashing(hashing).build()?;
    let users = UserManager::with_policy(pool.clone(), policy);
    let engine = load::engine(is_fast)?;
    let hasher = |is_kept| hasher(engine.another(), Argon2Cost::OWASP_19_MIB, is_kept);
    let subjects = [
        Subject::new("the hash, memory kept", || {
            let mut hash = hasher(true);
            move || drop(hash(&Person::unknown()))
        }),
        Subject::new("the hash, fresh memory", || {
            let mut hash = hasher(false);
            move || drop(hash(&Person::unknown()))
        }),
        Subject::new("the hash, behind the gate", || {
            || drop(users.prepare(new_user(&Person::unknown())).expect("a valid user"))
        }),
        Subject::new("hash and insertion by hand", || {
            let mut hash = hasher(true);
            move || {
                let person = Person::unknown();
                let hash = hash(&person);
                pool.get().expect("a connection").insert_person(&person, &hash).expect("inserted");
            }
        }),
        Subject::new("create_user", || || create(&users, &Person::unknown())),
    ];
    let count = WITH_HASH * threads.min(2) / threads;
    let results = measure(&subjects, threads, count, common::number("--rounds", 7));
    println!("\n{database}, {threads} threads, at m=19456 KiB, t=2, p=1, creations a second:");
    let table = Table::new(&[
        ("what", 26),
        ("a second", 22),
        ("to the hash, kept", 18),
        ("to the hash, gated", 18),
    ]);
    for (subject, rates) in subjects.iter().zip(&results) {
        let rates: Vec<f64> = rates.iter().map(|time| 1.0 / time).collect();
        let to = |place: usize| {
            let baseline = results.get(place).into_iter().flatten().map(|time| 1.0 / time);
            Spread::of_ratios(&rates, &baseline.collect::<Vec<_>>())
        };
        table.row(&[
            subject.name.to_owned(),
            format!("{:.1}", Spread::of(rates.iter().copied())),
            to(0).to_string(),
            to(2).to_string(),
        ]);
    }
    Ok(())
}

/// At a cost of nothing, so that what is left is our own.
fn without_hash<C>(engine: &str, pool: &Pool<ConnectionManager<C>>, url: &str) -> Result<()>
where
    C: AccountConnection + ByHand + R2D2Connection + 'static,
{
    let trivial = Argon2Cost::new(8, 1, 1)?;
    let hashing = Hashing::new().cost(trivial);
    let policy = Policy::builder().hashing(hashing).build()?;
    let users = UserManager::with_policy(pool.clone(), policy);
    let prepare = || users.prepare(new_user(&Person::unknown())).expect("a valid user");
    let taken = Person::unknown();
    create(&users, &taken);
    let prepared_again = users.prepare(new_user(&taken))?;
    let hash = hasher(load::engine(false)?, trivial, true)(&taken);
    let lend = || pool.get().expect("a connection");
    let driver = Driver::connect(url)?.map(Mutex::new);
    let mut subjects = vec![
        Subject::prepared("a table of the host's, Diesel by hand", Person::unknown, |person| {
            lend().insert_person(person, &hash).expect("inserted");
        }),
        Subject::prepared("our table, Diesel by hand", Person::unknown, |person| {
            lend().insert_account(person, &hash).expect("inserted");
        }),
        Subject::prepared("create_prepared_user", prepare, |prepared: &PreparedUser| {
            let creation = users.create_prepared_user(prepared).expect("an answer");
            assert!(creation.is_created());
        }),
        Subject::new("create_user", || || create(&users, &Person::unknown())),
        Subject::new("create_prepared_user, duplicate", || {
            || {
                let creation = users.create_prepared_user(&prepared_again).expect("an answer");
                assert!(!creation.is_created());
            }
        }),
        Subject::new("create_user, duplicate", || {
            || {
                let creation = users.create_user(new_user(&taken)).expect("an answer");
                assert!(!creation.is_created());
            }
        }),
    ];
    if let Some(driver) = &driver {
        let insert = |person: &Person| {
            let mut driver = driver.lock().expect("one thread");
            driver.insert_account(person, &hash).expect("inserted");
        };
        subjects.push(Subject::prepared("our table, the driver alone", Person::unknown, insert));
    }
    let rounds = common::number("--rounds", 7);
    let results = measure(&subjects, 1, WITHOUT_HASH, rounds);
    println!("\n{engine}, 1 thread, at m=8 KiB, t=1, p=1, microseconds a call:");
    report(&subjects, &results);

    // All threads create the same people, one after the other.
    let threads = 16;
    let people: Vec<PreparedUser> = (0..(rounds + 1) * RACES).map(|_| prepare()).collect();
    let next = AtomicUsize::new(0);
    let raced = Subject::new("create_prepared_user, raced by 16 threads", || {
        || {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let person = people.get(turn / threads % people.len()).expect("there are enough");
            drop(users.create_prepared_user(person).expect("an answer"));
        }
    });
    let raced = [raced];
    report(&raced, &measure(&raced, threads, RACES, rounds));
    Ok(())
}

/// Times in microseconds, and what they are to the insertions by hand.
fn report(subjects: &[Subject<'_>], results: &[Vec<f64>]) {
    let table = Table::new(&[
        ("what", 42),
        ("microseconds", 26),
        ("to a table of the host's", 24),
        ("to our table by hand", 20),
    ]);
    for (subject, times) in subjects.iter().zip(results) {
        let to = |place: usize| match results.get(place) {
            Some(baseline) if results.len() > 1 => Spread::of_ratios(times, baseline).to_string(),
            _ => String::new(),
        };
        let micros = Spread::of(times.iter().map(|time| time * 1e6));
        table.row(&[subject.name.to_owned(), format!("{micros:.1}"), to(0), to(1)]);
    }
}

fn create<C>(users: &UserManager<C>, person: &Person)
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let creation = users.create_user(new_user(person)).expect("an answer");
    assert!(creation.is_created());
}

fn new_user(person: &Person) -> NewUser {
    NewUser::new(&*person.username, &*person.email, "correct horse battery")
}

/// Hashes as a program does that has nothing but an engine.
fn hasher(
    mut engine: Box<dyn Argon2Engine>,
    cost: Argon2Cost,
    is_kept: bool,
) -> impl FnMut(&Person) -> String {
    move |person| {
        if !is_kept {
            engine = engine.another();
        }
        load::phc(&mut *engine, cost, person.id.as_bytes())
    }
}

/// Connections of the pool.
const CONNECTIONS: u32 = 4;

/// Creations of one subject in one round, on one thread.
const WITH_HASH: usize = 40;
const WITHOUT_HASH: usize = 1000;

/// People in one round who are created by all threads at once.
const RACES: usize = 100;
