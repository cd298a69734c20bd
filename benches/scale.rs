//! How the cost of each act grows with the number of accounts.
//!
//!     cargo bench --bench scale
//!     scripts/with-servers cargo bench --bench scale --features postgres,mysql -- --most 10000000
//!     cargo bench --bench scale --features postgres -- postgres://localhost/test --csv scale.csv
//!
//! One table grows to 10,000 accounts, to 100,000 and so on up to `--most`, a million by default; on
//! MariaDB no further than that. At each size the acts are done in turn, each to somebody else, and
//! the database explains its plans for their queries: where one reads every account, the program
//! ends with an error when all is measured. On a server all of it is in a schema or database
//! `accounts_scale`, which is dropped before and after. The figures are also in `--csv`, by default
//! `target/tmp/scale.csv`, for `charts` in `benches/compare`.
//!
//! A name is eight hexadecimal digits in no order. A search for the first two finds a full page; one for the
//! first four finds more, the more accounts there are.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::cell::RefCell;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    Argon2Cost, Creation, ForeignHashes, Hashing, ImportOutcome, ImportUser, InvalidCursor,
    NewUser, Policy, Timestamp, UserCursor, UserId, UserManager,
};

use engines::Engine;
use plans::count_scans;

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "other benches need more of it")]
mod common;
#[path = "scale/engines.rs"]
mod engines;
#[path = "scale/plans.rs"]
mod plans;

fn main() -> Result<(), Box<dyn Error>> {
    let mut csv = File::create(csv_path())?;
    writeln!(csv, "engine,act,accounts,median_us,p99_us")?;
    let mut scans = 0;
    for url in common::urls("scale") {
        match url.split_once("://") {
            Some(("sqlite", path)) => scans += grow::<SqliteConnection>(path, &mut csv)?,
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => scans += grow::<PgConnection>(&url, &mut csv)?,
            #[cfg(feature = "mysql")]
            Some(("mysql", _)) => scans += grow::<MysqlConnection>(&url, &mut csv)?,
            _ => return Err("run with `--features postgres,mysql`".into()),
        }
    }
    match scans {
        0 => Ok(()),
        _ => Err(format!("{scans} plans read all accounts: see above").into()),
    }
}

fn csv_path() -> String {
    let given = std::env::args().skip_while(|word| word != "--csv").nth(1);
    given.unwrap_or_else(|| concat!(env!("CARGO_TARGET_TMPDIR"), "/scale.csv").to_owned())
}

/// Measures one engine; how many plans read all accounts.
fn grow<C: Engine>(url: &str, csv: &mut File) -> Result<usize, Box<dyn Error>> {
    println!("\n{}", C::NAME);
    let pool = engines::new_database::<C>(url)?;
    let users = UserManager::with_policy(pool.clone(), policy()?);
    users.migrate()?;
    let mut people = People::default();
    let (mut columns, mut scans) = (Vec::new(), 0);
    for size in sizes(C::MOST) {
        let rate = import(&users, &mut people, size)?;
        pool.get()?.batch_execute(C::SETTLE)?;
        let bytes = pool.get()?.bytes()? / f64::from(size);
        println!("{size} accounts: {rate:.0} imported a second, {bytes:.0} bytes each");
        let acts = acts(&users, &people);
        scans += count_scans(&pool, &acts)?;
        let figures = measure(&users, &people, &acts)?;
        for Figure { act, median, p99 } in &figures {
            writeln!(csv, "{},{act},{size},{median:.1},{p99:.1}", C::NAME)?;
        }
        columns.push((size, figures));
    }
    print_table(&columns);
    pool.get()?.batch_execute(C::DROP)?;
    Ok(scans)
}

fn policy() -> Result<Policy, Box<dyn Error>> {
    // The database is measured: a hash may cost nothing.
    let cheap = Hashing::new().cost(Argon2Cost::new(8, 1, 1)?);
    let imported = ForeignHashes::none().argon2(Argon2Cost::OWASP_19_MIB);
    Ok(Policy::builder().hashing(cheap.accept(imported)).build()?)
}

fn sizes(most_of_engine: usize) -> impl Iterator<Item = u32> {
    let most = common::number("--most", 1_000_000).min(most_of_engine);
    SIZES.into_iter().filter(move |size| usize::try_from(*size).is_ok_and(|size| size <= most))
}

/// Imports whoever is missing; how many in a second.
fn import<C: Engine>(
    users: &UserManager<C>,
    people: &mut People,
    size: u32,
) -> Result<f64, Box<dyn Error>> {
    let missing = people.count()..size;
    let count = f64::from(size - people.count());
    let mut failed = None;
    let started = Instant::now();
    let _ = users.import_users(missing.map(import_of), |_, outcome| match outcome {
        ImportOutcome::Created(id) => people.ids.push(*id),
        other => failed = Some(format!("an account was not imported: {other:?}")),
    })?;
    let rate = count / started.elapsed().as_secs_f64();
    failed.map_or(Ok(rate), |failed| Err(failed.into()))
}

fn import_of(number: u32) -> ImportUser {
    let name = name_of(number);
    let person = ImportUser::new().email(email_of(&name)).username(name);
    person.password_hash(HASH).created_at(created_at(number))
}

/// Who is in the table.
#[derive(Default)]
struct People {
    /// Of the person of each number.
    ids: Vec<UserId>,
    /// Who was created since the last round.
    created: RefCell<Vec<UserId>>,
}

impl People {
    fn count(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    fn id(&self) -> UserId {
        fastrand::choice(&self.ids).copied().unwrap_or_else(UserId::new)
    }

    fn name(&self) -> String {
        name_of(fastrand::u32(..self.count()))
    }

    /// What the name of somebody begins with.
    fn beginning(&self, digits: usize) -> String {
        self.name().chars().take(digits).collect()
    }

    /// A place that a full page comes after.
    fn place(&self) -> Result<UserCursor, InvalidCursor> {
        self.place_behind(fastrand::usize(..self.ids.len() - 50))
    }

    fn last_place(&self) -> Result<UserCursor, InvalidCursor> {
        self.place_behind(self.ids.len() - 51)
    }

    fn place_behind(&self, index: usize) -> Result<UserCursor, InvalidCursor> {
        let id = self.ids.get(index).copied().unwrap_or_else(UserId::new);
        let created_at = created_at(u32::try_from(index).unwrap_or(u32::MAX));
        format!("{}.{id}", created_at.as_micros()).parse()
    }

    /// How many were created.
    fn note(&self, creation: Creation) -> usize {
        let created = creation.created().map(|user| user.id());
        self.created.borrow_mut().extend(created);
        created.iter().count()
    }
}

fn nobody() -> String {
    name_of(fastrand::u32(LEAST_NOBODY..LEAST_STRANGER))
}

fn stranger() -> NewUser {
    person(name_of(fastrand::u32(LEAST_STRANGER..)))
}

fn person(name: String) -> NewUser {
    let email = email_of(&name);
    NewUser::new(name, email, "correct horse")
}

/// In no order, so that entries are made all over an index, as in life.
fn name_of(number: u32) -> String {
    format!("{:08x}", number.wrapping_mul(2_654_435_761))
}

fn email_of(name: &str) -> String {
    format!("{name}@example.org")
}

fn created_at(number: u32) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + i64::from(number))
}

/// Something to do, again and again.
struct Act<'a> {
    name: &'static str,
    /// In which rounds.
    every: usize,
    run: Box<dyn Fn() -> Result<Duration, Box<dyn Error>> + 'a>,
}

impl<'a> Act<'a> {
    /// Does something to whom is chosen beforehand, and is told how many were found or created.
    fn new<T>(
        name: &'static str,
        (least, most): (usize, usize),
        choose: impl Fn() -> T + 'a,
        act: impl Fn(T) -> Result<usize, Box<dyn Error>> + 'a,
    ) -> Self {
        let run = move || {
            let chosen = choose();
            let started = Instant::now();
            let count = act(chosen)?;
            let time = started.elapsed();
            match (least..=most).contains(&count) {
                true => Ok(time),
                false => Err(format!("{name}: {count} accounts").into()),
            }
        };
        Self { name, every: if most > 1 { 10 } else { 1 }, run: Box::new(run) }
    }
}

fn acts<'a, C: Engine>(users: &'a UserManager<C>, people: &'a People) -> Vec<Act<'a>> {
    let by_id = move |id| Ok(users.user_by_id(id)?.iter().count());
    let by_username = move |name: String| Ok(users.user_by_username(&name)?.iter().count());
    let by_email = move |email: String| Ok(users.user_by_email(&email)?.iter().count());
    let by_login = move |login: String| Ok(users.user_by_login(&login)?.iter().count());
    let create = move |person| Ok(people.note(users.create_user(person)?));
    let prepare = || users.prepare(stranger());
    let insert = |prepared: diesel_accounts::Result<_>| {
        Ok(people.note(users.create_prepared_user(&prepared?)?))
    };
    let page = move |place: Option<Result<_, InvalidCursor>>| {
        Ok(users.list_users(place.transpose()?, 50)?.len())
    };
    let search = move |start: String| Ok(users.users_by_username_prefix(&start, None, 50)?.len());
    let search_email = |start: String| Ok(users.users_by_email_prefix(&start, None, 50)?.len());
    vec![
        Act::new("user_by_id", ONE, || people.id(), by_id),
        Act::new("user_by_id of nobody", NONE, UserId::new, by_id),
        Act::new("user_by_username", ONE, || people.name(), by_username),
        Act::new("user_by_username of nobody", NONE, nobody, by_username),
        Act::new("user_by_email", ONE, || email_of(&people.name()), by_email),
        Act::new("user_by_email of nobody", NONE, || email_of(&nobody()), by_email),
        Act::new("user_by_login", ONE, || email_of(&people.name()), by_login),
        Act::new("user_by_login of nobody", NONE, || email_of(&nobody()), by_login),
        Act::new("create_user", ONE, stranger, create),
        Act::new("create_user of a duplicate", NONE, || person(people.name()), create),
        Act::new("create_prepared_user", ONE, prepare, insert),
        Act::new(FIRST_PAGE, PAGE, || None, page),
        Act::new("list_users in the middle", PAGE, || Some(people.place()), page),
        Act::new("list_users at the end", PAGE, || Some(people.last_place()), page),
        Act::new("users_by_username_prefix of 2 digits", SOME, || people.beginning(2), search),
        Act::new("users_by_username_prefix of 4 digits", SOME, || people.beginning(4), search),
        Act::new("users_by_email_prefix of 4 digits", SOME, || people.beginning(4), search_email),
    ]
}

/// What an act took, in microseconds.
struct Figure {
    act: &'static str,
    median: f64,
    p99: f64,
}

/// Does the acts in turn, so that whatever else the machine does is done to all.
fn measure<C: Engine>(
    users: &UserManager<C>,
    people: &People,
    acts: &[Act<'_>],
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut times = vec![Vec::with_capacity(ROUNDS); acts.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (act, times) in acts.iter().zip(&mut times) {
            if round % act.every == 0 {
                times.push((act.run)()?);
            }
        }
        people.created.take().into_iter().try_for_each(|id| users.delete_user(id))?;
        // What comes first in a round must not be the first to read after that.
        users.user_by_id(people.id())?;
        if round + 1 == WARM_UP {
            times.iter_mut().for_each(Vec::clear);
        }
    }
    Ok(acts.iter().zip(times).map(|(act, times)| figure(act.name, times)).collect())
}

fn figure(act: &'static str, mut times: Vec<Duration>) -> Figure {
    times.sort_unstable();
    let at =
        |hundredth: usize| times.get(times.len() * hundredth / 100).copied().unwrap_or_default();
    let micros = |hundredth| at(hundredth).as_secs_f64() * 1e6;
    Figure { act, median: micros(50), p99: micros(99) }
}

fn print_table(columns: &[(u32, Vec<Figure>)]) {
    let sizes: Vec<_> = columns.iter().map(|(size, _)| size.to_string()).collect();
    let mut titles = vec![("microseconds: median (99th percentile)", 0)];
    titles.extend(sizes.iter().map(|size| (size.as_str(), 16)));
    titles.push(("ratio", 0));
    let table = common::Table::new(&titles);
    for act in 0..columns.first().map_or(0, |(_, figures)| figures.len()) {
        let figures: Vec<_> = columns.iter().filter_map(|(_, figures)| figures.get(act)).collect();
        let (Some(first), Some(last)) = (figures.first(), figures.last()) else { continue };
        let cells =
            figures.iter().map(|figure| format!("{:.1} ({:.1})", figure.median, figure.p99));
        let ratio = format!("{:.2}", last.median / first.median);
        let row = std::iter::once(first.act.to_owned()).chain(cells).chain([ratio]);
        table.row(&row.collect::<Vec<_>>());
    }
}

const SIZES: [u32; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

const ROUNDS: usize = 2_000;

/// Rounds that are not measured.
const WARM_UP: usize = 200;

/// How many accounts an act finds or creates.
const NONE: (usize, usize) = (0, 0);
const ONE: (usize, usize) = (1, 1);
const SOME: (usize, usize) = (1, 50);
const PAGE: (usize, usize) = (50, 50);

const FIRST_PAGE: &str = "list_users at the start";

/// The numbers of those whom nobody creates, and of those who are created one by one.
const LEAST_NOBODY: u32 = 1_000_000_000;
const LEAST_STRANGER: u32 = 2_000_000_000;

/// Of a password at the default cost.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9yIG90aA\
                    $AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
