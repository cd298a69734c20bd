//! What an import costs beside the fastest ways that the engine itself has.
//!
//!     scripts/with-servers cargo bench -p diesel-accounts-compare --bench import
//!     ... -- [--accounts N] [--rounds N] [DATABASE_URL ...]
//!
//! All go into our own table, with all its indexes, which is empty at the start of each. What is
//! compared with validates nothing, says nothing of single rows, and fails as a whole if one row is
//! in the way.

use std::error::Error;
use std::time::Instant;

use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, ForeignHashes, Hashing, ImportUser, Policy, PreparedImport,
    UserManager,
};
use diesel_accounts_compare::by_hand::{ByHand, Person};
use diesel_accounts_compare::drivers::Driver;

#[path = "../support/mod.rs"]
mod common;
#[path = "../../examples/support/mod.rs"]
#[expect(dead_code, reason = "a bench takes its arguments from cargo, among others")]
mod support;

use common::{Spread, Table};
use support::{Database, with_pool};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for url in common::urls("import") {
        let database = Database::connect(Some(url.clone()), 2)?;
        let engine = database.engine();
        with_pool!(database, |pool| compare(engine, &pool, &url)?)
    }
    Ok(())
}

/// A way to bring people into the table: the seconds that it took.
type Way<'a> = (&'static str, Box<dyn FnMut(&[Person]) -> Result<f64> + 'a>);

fn compare<C>(engine: &str, pool: &Pool<ConnectionManager<C>>, url: &str) -> Result<()>
where
    C: AccountConnection + ByHand + R2D2Connection + 'static,
{
    let hashing = Hashing::new().accept(ForeignHashes::none().argon2(Argon2Cost::OWASP_19_MIB));
    let policy = Policy::builder().hashing(hashing).build()?;
    let users = UserManager::with_policy(pool.clone(), policy);
    users.migrate()?;
    let mut ways = raw(url)?;
    ways.push((
        "rows of 500 a statement, Diesel by hand",
        Box::new(|people| by_hand(pool, people)),
    ));
    ways.push(("import_users", Box::new(|people| import(&users, people))));
    ways.push((
        "the same, of users validated before",
        Box::new(|people| prepared(&users, pool, people)),
    ));

    let (accounts, rounds) = (common::number("--accounts", 20_000), common::number("--rounds", 7));
    let mut times = vec![Vec::new(); ways.len()];
    for round in 0..=rounds {
        for turn in 0..ways.len() {
            let place = (turn + round) % ways.len();
            let people: Vec<_> = (0..accounts).map(|_| Person::unknown()).collect();
            pool.get()?.clear()?;
            let seconds = (ways[place].1)(&people)?;
            if pool.get()?.accounts()? != i64::try_from(accounts)? {
                return Err("not all were imported".into());
            }
            // The first round warms up.
            if round > 0 {
                times[place].push(seconds);
            }
        }
    }
    println!("\n{engine}, {accounts} accounts, rows a second:");
    let table = Table::new(&[("how", 40), ("rows a second", 32), ("to the first", 20)]);
    for ((name, _), seconds) in ways.iter().zip(&times) {
        let rate = |seconds: &f64| accounts as f64 / seconds;
        let rates: Vec<_> = seconds.iter().map(rate).collect();
        let baseline: Vec<_> = times[0].iter().map(rate).collect();
        table.row(&[
            (*name).to_owned(),
            format!("{:.0}", Spread::of(rates.iter().copied())),
            Spread::of_ratios(&rates, &baseline).to_string(),
        ]);
    }
    Ok(())
}

fn import<C>(users: &UserManager<C>, people: &[Person]) -> Result<f64>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let people: Vec<_> = people.iter().map(import_user).collect();
    let mut heard = 0;
    let started = Instant::now();
    let summary = users.import_users(people, |_, _| heard += 1)?;
    let seconds = started.elapsed().as_secs_f64();
    match summary.created() == heard {
        true => Ok(seconds),
        false => Err("not all were created".into()),
    }
}

fn prepared<C>(
    users: &UserManager<C>,
    pool: &Pool<ConnectionManager<C>>,
    people: &[Person],
) -> Result<f64>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let prepare = |person| Ok(users.policy().prepare_import(&import_user(person))??);
    let people: Vec<PreparedImport> = people.iter().map(prepare).collect::<Result<_>>()?;
    let mut conn = pool.get()?;
    let started = Instant::now();
    users.on(&mut *conn).import_users(&people)?;
    Ok(started.elapsed().as_secs_f64())
}

fn import_user(person: &Person) -> ImportUser {
    let Person { id, username, email } = person;
    ImportUser::new().id(*id).username(username).email(email).password_hash(HASH)
}

fn by_hand<C>(pool: &Pool<ConnectionManager<C>>, people: &[Person]) -> Result<f64>
where
    C: ByHand + R2D2Connection + 'static,
{
    let mut conn = pool.get()?;
    let started = Instant::now();
    for people in people.chunks(500) {
        conn.insert_accounts(people, HASH)?;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// The ways of the engine itself, without Diesel; the first is what others are compared with.
fn raw(url: &str) -> Result<Vec<Way<'static>>> {
    let (Some(mut driver), Some(mut other)) = (Driver::connect(url)?, Driver::connect(url)?) else {
        return Ok(Vec::new());
    };
    let mut ways: Vec<Way<'static>> = Vec::new();
    let name = match driver {
        Driver::Postgres(..) => "COPY",
        Driver::Sqlite(_) => "a prepared statement, one transaction",
    };
    let is_server = matches!(driver, Driver::Postgres(..));
    ways.push((name, Box::new(move |people| driver.import(people, HASH))));
    if is_server {
        let import = move |people: &[Person]| other.import_if_new(people, HASH);
        ways.push(("COPY to a temporary table, INSERT if new", Box::new(import)));
    }
    Ok(ways)
}

/// A hash as another service would bring it along.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9yIG8$\
    1iODRkQ4KuFRP5oZBVjvd2wYyZyvWEjXOcfDYgKSmyo";
