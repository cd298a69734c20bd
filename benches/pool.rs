//! How long a reader waits for the pool while others create users.
//!
//!     cargo bench --bench pool --all-features
//!     cargo bench --bench pool --all-features -- --pool 4 --creators 64 --seconds 10 --rounds 3
//!     cargo bench --bench pool [-- DATABASE_URL ...]
//!
//! One thread takes a connection and looks a user up, again and again with a millisecond between:
//! first alone, then beside many threads that only hash, then beside as many that create users, then
//! beside as many who hold their connections while they hash, as `create_user` does not. What
//! creations do to the processor is done in all of them; the difference is the pool. A reader that
//! waits does not ask meanwhile, so that each long wait counts once.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{AccountConnection, NewUser, UserId, UserManager};

#[path = "support/mod.rs"]
mod common;
#[path = "../examples/support/mod.rs"]
#[expect(dead_code, reason = "a bench takes its arguments from cargo, among others")]
mod support;

use common::{Spread, Table, number};
use support::{Database, with_pool};

fn main() -> Result<(), Box<dyn Error>> {
    let connections = number("--pool", 4).try_into()?;
    let columns = [&["engine", "load", "p50 / none"], &TITLES[..]].concat();
    let columns: Vec<_> = columns.into_iter().map(|title| (title, 22)).collect();
    let table = Table::new(&columns);
    common::urls("pool").into_iter().try_for_each(|url| {
        let database = Database::connect(Some(url), connections)?;
        let engine = database.engine();
        with_pool!(database, |pool| compare(&table, engine, pool))
    })
}

/// All loads, interleaved, so that whatever else the machine does is done to all.
fn compare<C: Connection>(
    table: &Table,
    engine: &str,
    pool: Pool<ConnectionManager<C>>,
) -> Result<(), Box<dyn Error>> {
    let users = UserManager::new(pool.clone());
    users.migrate()?;
    let known = users.create_user(somebody())?.created().ok_or("the name is in use")?.id();
    let bench = Bench { pool, users, known };
    let mut runs = LOADS.map(|load| (load, Vec::new()));
    for _ in 0..number("--rounds", 3) {
        for (load, figures) in &mut runs {
            figures.push(bench.measure(*load)?);
        }
    }
    let medians = |figures: &[Figures]| figures.iter().map(|[p50, ..]| *p50).collect::<Vec<_>>();
    let quiet = runs.first().map(|(_, figures)| medians(figures)).unwrap_or_default();
    for (load, figures) in &runs {
        let ratio = Spread::of_ratios(&medians(figures), &quiet);
        let head = [engine.to_owned(), load.name().to_owned(), ratio.to_string()];
        let cells = DIGITS.iter().enumerate().map(|(place, digits)| {
            let values = figures.iter().filter_map(|figures| figures.get(place).copied());
            format!("{:.digits$}", Spread::of(values))
        });
        table.row(&[&head[..], &cells.collect::<Vec<_>>()].concat());
    }
    Ok(())
}

/// What a manager's pool is of.
trait Connection: AccountConnection + R2D2Connection + 'static {}

impl<C: AccountConnection + R2D2Connection + 'static> Connection for C {}

struct Bench<C: Connection> {
    pool: Pool<ConnectionManager<C>>,
    users: UserManager<C>,
    known: UserId,
}

impl<C: Connection> Bench<C> {
    /// What a reader sees for some seconds, and what the creators come to meanwhile.
    fn measure(&self, load: Load) -> Result<Figures, Box<dyn Error>> {
        let done = AtomicBool::new(false);
        let [created, failed] = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let creators = if load == Load::None { 0 } else { number("--creators", 64) };
        let reads = thread::scope(|scope| {
            for _ in 0..creators {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let count = if self.create(load).is_ok() { &created } else { &failed };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            thread::sleep(UNTIL_ALL_WAIT);
            [&created, &failed].into_iter().for_each(|count| count.store(0, Ordering::Relaxed));
            let reads = self.read();
            let counts = [&created, &failed].map(|count| count.load(Ordering::Relaxed) as f64);
            done.store(true, Ordering::Relaxed);
            reads.map(|reads| (reads, counts))
        });
        let ((look_ups, checkouts), [created, failed]) = reads?;
        let count = look_ups.len() as f64;
        let ([p50, p99, most], [of_pool, of_pool_p99, of_pool_most]) =
            (quantiles(look_ups), quantiles(checkouts));
        Ok([p50, p99, most, of_pool, of_pool_p99, of_pool_most, count, created, failed])
    }

    fn create(&self, load: Load) -> Result<(), Box<dyn Error>> {
        let created = match load {
            Load::None => return Ok(()),
            Load::Hashes => return Ok(self.users.prepare(somebody()).map(drop)?),
            Load::CreateUser => self.users.create_user(somebody())?,
            Load::HoldingConnections => {
                let mut conn = self.pool.get()?;
                let prepared = self.users.prepare(somebody())?;
                self.users.on(&mut *conn).create_user(&prepared)?
            }
        };
        if created.is_created() { Ok(()) } else { Err("the name is in use".into()) }
    }

    /// How long each look-up took, and how long the pool alone took of that, in milliseconds.
    fn read(&self) -> Result<(Vec<f64>, Vec<f64>), Box<dyn Error>> {
        let until = Instant::now() + Duration::from_secs(number("--seconds", 10).try_into()?);
        let (mut look_ups, mut checkouts) = (Vec::new(), Vec::new());
        while Instant::now() < until {
            let started = Instant::now();
            let millis = || started.elapsed().as_secs_f64() * 1e3;
            let conn = self.pool.get();
            checkouts.push(millis());
            // A pool that gives nothing has been waited for all the same.
            if let Ok(mut conn) = conn {
                let user = self.users.on(&mut *conn).user_by_id(self.known)?;
                user.ok_or("the user is gone")?;
            }
            look_ups.push(millis());
            thread::sleep(Duration::from_millis(1));
        }
        Ok((look_ups, checkouts))
    }
}

/// What the creators do.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    None,
    Hashes,
    CreateUser,
    HoldingConnections,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hashes => "hashes, no connection",
            Self::CreateUser => "create_user",
            Self::HoldingConnections => "holding connections",
        }
    }
}

fn somebody() -> NewUser {
    let name = format!("person-{}", UserId::new());
    NewUser::new(&*name, format!("{name}@example.org"), "correct horse")
}

/// The median, the 99th percentile and the longest.
fn quantiles(mut times: Vec<f64>) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    [50, 99, 100].map(|part| times.get(last * part / 100).copied().unwrap_or(f64::NAN))
}

const LOADS: [Load; 4] = [Load::None, Load::Hashes, Load::CreateUser, Load::HoldingConnections];

/// What is measured under a load.
type Figures = [f64; TITLES.len()];

const TITLES: [&str; 9] = [
    "p50 ms",
    "p99 ms",
    "longest ms",
    "checkout p50",
    "checkout p99",
    "checkout longest",
    "look-ups",
    "creations",
    "failures",
];
/// Behind the point.
const DIGITS: [usize; TITLES.len()] = [3, 3, 3, 3, 3, 3, 0, 0, 0];

/// Until all creators have begun and wait for the gate or the pool.
const UNTIL_ALL_WAIT: Duration = Duration::from_millis(500);
