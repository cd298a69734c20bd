//! Whether the time of a sign-in tells who has an account.
//!
//!     cargo bench --bench sign_in [-- DATABASE_URL ...]
//!
//! Sign-ins with a wrong password, of logins that exist and that do not, interleaved at the default
//! cost, so that whatever else the machine does is done to all. The medians should be equal: the
//! ratio to the first is printed, with the quartiles around each.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::time::{Duration, Instant};

use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, ForeignHashes, Hashing, ImportUser, NewUser, Policy,
    ThrottleRules, User, UserId, UserManager,
};

#[path = "../examples/support/mod.rs"]
#[expect(dead_code, reason = "a bench takes its arguments from cargo, among others")]
mod support;

use support::{Database, with_pool};

/// Interleaved rounds.
const ROUNDS: usize = 300;

/// Rounds that are not measured.
const WARM_UP: usize = 5;

/// 100 wrong passwords in a row disable a password: every so many rounds it is set anew.
const FRESH_EVERY: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mut urls: Vec<_> = std::env::args().skip(1).filter(|word| word.contains("://")).collect();
    if urls.is_empty() {
        urls.push(format!("sqlite://{}/sign_in.db", env!("CARGO_TARGET_TMPDIR")));
    }
    println!("{:<14} {:<16} {:>9} {:>20} {:>7}", "engine", "login", "median", "quartiles", "ratio");
    urls.into_iter().try_for_each(|url| {
        let database = Database::connect(Some(url), 1)?;
        let engine = database.engine();
        with_pool!(database, |pool| measure(engine, &pool))
    })
}

fn measure<C>(engine: &str, pool: &Pool<ConnectionManager<C>>) -> Result<(), Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let users = with_hashing(pool, Hashing::new())?;
    let cheaper = with_hashing(pool, Hashing::new().cost(Argon2Cost::new(4_096, 1, 1)?))?;
    users.migrate()?;
    let known = create(&users, "known")?;
    let obsolete = create(&cheaper, "obsolete")?;
    let without = create(&users, "without")?;
    interleave(engine, &users, || {
        users.set_password(known.id(), PASSWORD)?;
        cheaper.set_password(obsolete.id(), PASSWORD)?;
        users.set_unusable_password(without.id())?;
        Ok(vec![
            ("known", login_of(&known)),
            ("unknown", name_of("nobody")),
            ("no password", login_of(&without)),
            ("obsolete hash", login_of(&obsolete)),
        ])
    })?;

    // While hashes of another system are accepted, everybody pays for the dearest.
    let foreign = ForeignHashes::none().pbkdf2_sha256(100_000);
    let accepting = with_hashing(pool, Hashing::new().accept(foreign))?;
    interleave(engine, &accepting, || {
        users.set_password(known.id(), PASSWORD)?;
        Ok(vec![
            ("known, beside", login_of(&known)),
            ("unknown, beside", name_of("nobody")),
            ("foreign hash", import(&accepting, "foreign", 100_000)?),
            ("cheaper foreign", import(&accepting, "cheaper", 30_000)?),
        ])
    })
}

/// A manager whose waits are over before the next attempt comes.
fn with_hashing<C>(
    pool: &Pool<ConnectionManager<C>>,
    hashing: Hashing,
) -> Result<UserManager<C>, Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let blink = Duration::from_micros(1);
    let throttle = ThrottleRules::new().client(1, blink, blink).account(1, blink, blink);
    let policy = Policy::builder().throttle(throttle).hashing(hashing).build()?;
    Ok(UserManager::with_policy(pool.clone(), policy))
}

/// Signs in to each of some accounts in turn. They are asked for anew every so many rounds, with no
/// failures counted.
fn interleave<'a, C>(
    engine: &str,
    users: &UserManager<C>,
    logins: impl Fn() -> Result<Vec<(&'a str, String)>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let mut current = logins()?;
    let mut times = vec![Vec::with_capacity(ROUNDS); current.len()];
    for round in 0..ROUNDS + WARM_UP {
        if round % FRESH_EVERY == 0 {
            current = logins()?;
        }
        for ((_, login), times) in current.iter().zip(&mut times) {
            let started = Instant::now();
            let sign_in = users.authenticate(login, "wrong horse")?;
            let time = started.elapsed();
            if sign_in.is_accepted() {
                return Err("a wrong password was accepted".into());
            }
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    let kinds: Vec<&str> = current.iter().map(|(kind, _)| *kind).collect();
    report(engine, &kinds, &mut times);
    Ok(())
}

/// Somebody whose hash another system made; the name.
fn import<C>(users: &UserManager<C>, kind: &str, iterations: u32) -> Result<String, Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let name = name_of(kind);
    let hash = format!("pbkdf2_sha256${iterations}$salt${}", "A".repeat(43));
    let person = ImportUser::new().username(&*name).email(format!("{name}@example.org"));
    match users.import_users([person.password_hash(hash)], |_, _| ())?.created() {
        1 => Ok(name),
        _ => Err("the name is in use".into()),
    }
}

fn login_of(user: &User) -> String {
    user.username().unwrap_or_default().to_owned()
}

fn create<C>(users: &UserManager<C>, kind: &str) -> Result<User, Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let name = name_of(kind);
    let person = NewUser::new(&*name, format!("{name}@example.org"), PASSWORD);
    Ok(users.create_user(person)?.created().ok_or("the name is in use")?)
}

/// A name that nobody has had.
fn name_of(kind: &str) -> String {
    format!("{kind}-{}", UserId::new())
}

const PASSWORD: &str = "correct horse";

fn report(engine: &str, kinds: &[&str], times: &mut [Vec<Duration>]) {
    let mut first = None;
    for (kind, times) in kinds.iter().zip(times) {
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 4).map_or(0.0, millis);
        let first = *first.get_or_insert_with(|| at(2));
        println!(
            "{engine:<14} {kind:<16} {:>6.2} ms {:>8.2} - {:>6.2} ms {:>7.3}",
            at(2),
            at(1),
            at(3),
            at(2) / first,
        );
    }
}

fn millis(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
