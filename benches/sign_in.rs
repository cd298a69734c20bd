//! Whether the time of a sign-in tells who has an account.
//!
//!     cargo bench --bench sign_in [-- DATABASE_URL ...]
//!     cargo bench --bench sign_in --all-features -- --all --rounds 200
//!
//! Sign-ins with a wrong password, of logins that exist and that do not, interleaved at the default
//! cost, so that whatever else the machine does is done to all. The times should be those of an
//! unknown login by the same policy: the ratio of the medians is printed, with the quartiles, and
//! the area under the ROC curve, which is the probability that such a sign-in takes longer than one
//! of an unknown login. At 0.5 the two cannot be told apart; of 200 sign-ins each it lies between
//! 0.44 and 0.56 by chance alone, 19 times of 20. `--all` goes on to right passwords, which may take
//! longer, and to every kind of hash that can be imported, on every database that is there.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::cmp::Ordering;
use std::error::Error;
use std::time::{Duration, Instant};

use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, ForeignHashes, Hashing, ImportUser, NewUser, Policy,
    ThrottleRules, User, UserId, UserManager,
};

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "others compare rounds")]
mod common;
#[path = "../examples/support/mod.rs"]
#[expect(dead_code, reason = "a bench takes its arguments from cargo, among others")]
mod support;

use common::{Spread, Table, number};
use support::{Database, with_pool};

fn main() -> Result<(), Box<dyn Error>> {
    let all = std::env::args().any(|word| word == "--all");
    let mut urls = common::urls("sign_in");
    if !all && !std::env::args().any(|word| word.contains("://")) {
        urls.truncate(1);
    }
    let table = Table::new(&TITLES.map(|title| (title, 15)));
    urls.into_iter().try_for_each(|url| {
        let database = Database::connect(Some(url), 1)?;
        let engine = database.engine();
        with_pool!(database, |pool| measure(&Bench { table: &table, engine, pool }, all))
    })
}

fn measure<C: Connection>(bench: &Bench<'_, C>, all: bool) -> Result<(), Box<dyn Error>> {
    bench.measure_own(all)?;
    let none = ForeignHashes::none;
    let sha256 = [100_000, 30_000].map(django_pbkdf2_sha256);
    bench.measure_foreign("pbkdf2_sha256", none().pbkdf2_sha256(100_000), &plain(sha256))?;
    if all { measure_formats(bench) } else { Ok(()) }
}

fn measure_formats<C: Connection>(bench: &Bench<'_, C>) -> Result<(), Box<dyn Error>> {
    let none = ForeignHashes::none;
    // 16, 20, 32 and 64 bytes.
    let [salt, b20, b32, b64] = [22, 27, 43, 86].map(|length| "A".repeat(length));

    let sha1 = |iterations| format!("pbkdf2_sha1${iterations}$salt${b20}");
    let people = plain([100_000, 30_000].map(sha1));
    bench.measure_foreign("pbkdf2_sha1", none().pbkdf2_sha1(100_000), &people)?;
    let sha512 = |iterations| format!("$pbkdf2-sha512${iterations}${salt}${b64}");
    let people = plain([100_000, 30_000].map(sha512));
    bench.measure_foreign("pbkdf2_sha512", none().pbkdf2_sha512(100_000), &people)?;

    let bcrypt = |cost| format!("$2b${cost:02}${}", ".".repeat(53));
    bench.measure_foreign("bcrypt", none().bcrypt(10), &plain([10, 8].map(bcrypt)))?;
    let of_digest = |cost| format!("bcrypt_sha256${}", bcrypt(cost));
    bench.measure_foreign("bcrypt_sha256", none().bcrypt(10), &plain([10, 8].map(of_digest)))?;
    let scrypt = |log2_n| format!("$scrypt$ln={log2_n},r=8,p=1${salt}${b32}");
    bench.measure_foreign("scrypt", none().scrypt(14, 8, 1), &plain([14, 12].map(scrypt)))?;

    // Django's, and a tenth.
    let argon2 = |kib| format!("argon2$argon2id$v=19$m={kib},t=2,p=8${salt}${b32}");
    let accepted = none().argon2(Argon2Cost::new(102_400, 2, 8)?);
    bench.measure_foreign("argon2", accepted, &plain([102_400, 10_240].map(argon2)))?;

    let accepted = none().layered().pbkdf2_sha256(100_000);
    let people = layered([100_000, 30_000].map(django_pbkdf2_sha256));
    bench.measure_foreign("layered pbkdf2", accepted, &people)?;
    let md5 = format!("md5$salt${}", "0".repeat(32));
    bench.measure_foreign("layered md5", none().layered(), &layered([md5]))
}

/// What a manager's pool is of.
trait Connection: AccountConnection + R2D2Connection + 'static {}

impl<C: AccountConnection + R2D2Connection + 'static> Connection for C {}

struct Bench<'a, C: Connection> {
    table: &'a Table,
    engine: &'a str,
    pool: Pool<ConnectionManager<C>>,
}

impl<C: Connection> Bench<'_, C> {
    fn measure_own(&self, all: bool) -> Result<(), Box<dyn Error>> {
        let users = self.users(Hashing::new())?;
        let cheaper = self.users(Hashing::new().cost(Argon2Cost::new(4_096, 1, 1)?))?;
        let of_7_mib = self.users(Hashing::new().cost(Argon2Cost::OWASP_7_MIB))?;
        users.migrate()?;
        let [known, without, right] = [create(&users)?, create(&users)?, create(&users)?];
        let [obsolete, rehashed] = [create(&cheaper)?, create(&cheaper)?];
        let obsolete_7_mib = create(&of_7_mib)?;
        self.interleave("own", &users, || {
            users.set_password(known.id(), PASSWORD)?;
            users.set_unusable_password(without.id())?;
            cheaper.set_password(obsolete.id(), PASSWORD)?;
            of_7_mib.set_password(obsolete_7_mib.id(), PASSWORD)?;
            let mut logins = vec![
                Login::wrong("unknown", new_name()),
                Login::wrong("known", login_of(&known)),
                Login::wrong("no password", login_of(&without)),
                Login::wrong("obsolete, 4 MiB", login_of(&obsolete)),
                Login::wrong("obsolete, 7 MiB", login_of(&obsolete_7_mib)),
                Login::right("known", &right, None),
                Login::right("obsolete, 4 MiB", &rehashed, Some(&cheaper)),
            ];
            logins.truncate(if all { 7 } else { 5 });
            Ok(logins)
        })
    }

    /// With people who have the dearest hash that is accepted, and a cheaper one. While any are
    /// accepted, everybody pays for the dearest.
    fn measure_foreign(
        &self,
        name: &str,
        accepted: ForeignHashes,
        people: &[ImportUser],
    ) -> Result<(), Box<dyn Error>> {
        let users = self.users(Hashing::new().accept(accepted))?;
        let known = create(&users)?;
        self.interleave(name, &users, || {
            users.set_password(known.id(), PASSWORD)?;
            let (unknown, known) = (new_name(), login_of(&known));
            let mut logins = vec![Login::wrong("unknown", unknown), Login::wrong("known", known)];
            for (kind, person) in ["dearest", "cheaper"].iter().zip(people) {
                logins.push(Login::wrong(kind, import(&users, person.clone())?));
            }
            Ok(logins)
        })
    }

    /// A manager whose waits are over before the next attempt comes.
    fn users(&self, hashing: Hashing) -> Result<UserManager<C>, Box<dyn Error>> {
        let blink = Duration::from_micros(1);
        let throttle = ThrottleRules::new().client(1, blink, blink).account(1, blink, blink);
        let policy = Policy::builder().throttle(throttle).hashing(hashing).build()?;
        Ok(UserManager::with_policy(self.pool.clone(), policy))
    }

    /// Signs in to each in turn, in another order every round: what was computed before is still in
    /// the caches. They are asked for anew every so many rounds, with no failures counted. The first
    /// is unknown.
    fn interleave<'a>(
        &self,
        accepted: &str,
        users: &UserManager<C>,
        logins: impl Fn() -> Result<Vec<Login<'a, C>>, Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut current = logins()?;
        let mut times = vec![Vec::new(); current.len()];
        for round in 0..number("--rounds", 200) + WARM_UP {
            if round % FRESH_EVERY == 0 {
                current = logins()?;
            }
            let mut turns: Vec<_> = current.iter().zip(&mut times).collect();
            fastrand::shuffle(&mut turns);
            for (login, times) in turns {
                let time = login.sign_in(users)?;
                if round >= WARM_UP {
                    times.push(time);
                }
            }
        }
        let unknown = times.first().cloned().unwrap_or_default();
        for (login, times) in current.iter().zip(&times) {
            let cells = login.report(times, &unknown);
            self.table.row(&[&[self.engine.to_owned(), accepted.to_owned()], &cells[..]].concat());
        }
        Ok(())
    }
}

/// Somebody who signs in.
struct Login<'a, C: Connection> {
    kind: &'a str,
    name: String,
    is_right: bool,
    /// Who sets the password anew each time, for a right one replaces what is obsolete.
    renewed: Option<(&'a UserManager<C>, UserId)>,
}

impl<'a, C: Connection> Login<'a, C> {
    fn wrong(kind: &'a str, name: String) -> Self {
        Self { kind, name, is_right: false, renewed: None }
    }

    fn right(kind: &'a str, user: &User, renewed_by: Option<&'a UserManager<C>>) -> Self {
        let renewed = renewed_by.map(|users| (users, user.id()));
        Self { kind, name: login_of(user), is_right: true, renewed }
    }

    /// How long it takes, in milliseconds.
    fn sign_in(&self, users: &UserManager<C>) -> Result<f64, Box<dyn Error>> {
        if let Some((users, id)) = self.renewed {
            users.set_password(id, PASSWORD)?;
        }
        let password = if self.is_right { PASSWORD } else { "wrong horse" };
        let started = Instant::now();
        let sign_in = users.authenticate(&self.name, password)?;
        let time = started.elapsed();
        match sign_in.is_accepted() == self.is_right {
            true => Ok(time.as_secs_f64() * 1e3),
            false => Err("a wrong password was accepted, or a right one was not".into()),
        }
    }

    fn report(&self, times: &[f64], unknown: &[f64]) -> Vec<String> {
        let median = Spread::of(times.iter().copied()).median;
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quarter = |part| sorted.get(sorted.len() * part / 4).copied().unwrap_or(f64::NAN);
        vec![
            self.kind.to_owned(),
            if self.is_right { "right" } else { "wrong" }.to_owned(),
            format!("{median:.2}"),
            format!("{:.2} to {:.2}", quarter(1), quarter(3)),
            format!("{:.3}", median / Spread::of(unknown.iter().copied()).median),
            if self.is_right { String::new() } else { format!("{:.3}", auc(times, unknown)) },
        ]
    }
}

/// The probability that one of the times is longer than one of an unknown login; a tie is half.
fn auc(times: &[f64], unknown: &[f64]) -> f64 {
    let pairs = times.iter().flat_map(|time| unknown.iter().map(move |other| (time, other)));
    let wins = pairs.map(|(time, other)| match time.total_cmp(other) {
        Ordering::Greater => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Less => 0.0,
    });
    wins.sum::<f64>() / (times.len() * unknown.len()) as f64
}

fn plain<const N: usize>(hashes: [String; N]) -> [ImportUser; N] {
    hashes.map(|hash| ImportUser::new().password_hash(hash))
}

fn layered<const N: usize>(hashes: [String; N]) -> [ImportUser; N] {
    hashes.map(|hash| ImportUser::new().layered_password_hash(hash))
}

fn django_pbkdf2_sha256(iterations: u32) -> String {
    format!("pbkdf2_sha256${iterations}$salt${}", "A".repeat(43))
}

/// Takes somebody over; the name.
fn import<C: Connection>(
    users: &UserManager<C>,
    person: ImportUser,
) -> Result<String, Box<dyn Error>> {
    let name = new_name();
    let person = person.username(&*name).email(format!("{name}@example.org"));
    match users.import_users([person], |_, _| ())?.created() {
        1 => Ok(name),
        _ => Err("the account was not taken over".into()),
    }
}

fn login_of(user: &User) -> String {
    user.username().unwrap_or_default().to_owned()
}

fn create<C: Connection>(users: &UserManager<C>) -> Result<User, Box<dyn Error>> {
    let name = new_name();
    let person = NewUser::new(&*name, format!("{name}@example.org"), PASSWORD);
    Ok(users.create_user(person)?.created().ok_or("the name is in use")?)
}

/// A name that nobody has had.
fn new_name() -> String {
    format!("person-{}", UserId::new())
}

const TITLES: [&str; 8] =
    ["engine", "accepted", "login", "password", "median ms", "quartiles ms", "ratio", "AUC"];

const PASSWORD: &str = "correct horse";

/// Rounds that are not measured.
const WARM_UP: usize = 5;

/// 100 wrong passwords in a row disable a password: every so many rounds it is set anew.
const FRESH_EVERY: usize = 50;
