//! How many statements and round trips each act takes, counted by Diesel's own instrumentation.
//!
//!     cargo bench --bench statements
//!     cargo bench --bench statements --features postgres -- postgres://localhost/test
//!
//! A statement is one round trip to a server, once it is prepared. Those of transactions are three
//! on MariaDB/MySQL, where Diesel sets an option before and after. SQLite has no round trips.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the command line")]

use std::error::Error;
use std::sync::{Arc, Mutex};

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel_accounts::{Argon2Cost, Hashing, NewUser, Policy, UserId, UserManager};

#[path = "../examples/support/mod.rs"]
#[expect(dead_code, reason = "a bench takes its arguments from cargo, among others")]
mod support;

use support::{Database, with_pool};

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo itself passes `--bench`.
    let mut urls: Vec<_> = std::env::args().skip(1).filter(|url| url != "--bench").collect();
    if urls.is_empty() {
        urls.push(format!("sqlite://{}/statements.db", env!("CARGO_TARGET_TMPDIR")));
    }
    println!("{:<14} {:<44} {:>10} {:>12}", "engine", "act", "statements", "round trips");
    urls.into_iter().try_for_each(|url| measure(Database::connect(Some(url), 1)?))
}

fn measure(database: Database) -> Result<(), Box<dyn Error>> {
    let engine = database.engine();
    with_pool!(database, |pool| {
        // The race is in the database, and so is what is counted: a hash may cost nothing.
        let cheap = Hashing::new().cost(Argon2Cost::new(8, 1, 1)?);
        let policy = Policy::builder().hashing(cheap).build()?;
        let users = UserManager::with_policy(pool.clone(), policy);
        users.migrate()?;

        let counter = Counter::default();
        pool.get()?.set_instrumentation(counter.clone().listener());
        let report = |act: &str| {
            let (own, of_transactions) = counter.take();
            let round_trips = match engine {
                "SQLite" => 0,
                "PostgreSQL" => own + of_transactions,
                _ => own + 3 * of_transactions,
            };
            println!("{engine:<14} {act:<44} {:>10} {round_trips:>12}", own + of_transactions);
        };

        let alice = person();
        let prepared = users.prepare(alice())?;
        counter.take();
        let created = users.create_prepared_user(&prepared)?.created().ok_or("an unused name")?;
        report("create, prepared, fresh");
        let duplicate = users.prepare(alice())?;
        let _ = users.create_prepared_user(&duplicate)?;
        report("create, prepared, duplicate or raced");
        let _ = users.create_user(alice())?;
        report("create_user, duplicate");
        let _ = users.create_user(person()())?;
        report("create_user, fresh");

        let fresh = users.prepare(person()())?;
        let mut conn = pool.get()?;
        for (prepared, act) in [
            (&fresh, "create, in a transaction, fresh"),
            (&duplicate, "create, in a transaction, duplicate"),
        ] {
            conn.transaction::<_, diesel_accounts::Error, _>(|conn| {
                counter.take();
                let _ = users.on(conn).create_user(prepared)?;
                report(act);
                Ok(())
            })?;
        }
        drop(conn);

        counter.take();
        users.user_by_id(created.id())?;
        report("user_by_id");
        users.user_by_login("nobody@example.org")?;
        report("user_by_login");
        users.list_users(None, 50)?;
        report("list_users");
        let login = created.username().unwrap_or_default();
        let sign_in = |password: &str| users.authenticate(login, password);
        let _ = sign_in("correct horse")?;
        report("authenticate, for the first time");
        let _ = sign_in("correct horse")?;
        report("authenticate, again");
        let _ = sign_in("wrong horse")?;
        report("authenticate, wrong password");
        for _ in 0..4 {
            let _ = sign_in("wrong horse")?;
        }
        counter.take();
        let _ = sign_in("wrong horse")?;
        report("authenticate, refused by a wait");
        users.set_password(created.id(), "battery staple")?;
        report("set_password");
        let _ = users.change_password(created.id(), "battery staple", "correct horse")?;
        report("change_password");
        users.disable_user(created.id())?;
        report("disable_user");
        users.delete_user(created.id())?;
        report("delete_user");
        Ok(())
    })
}

/// Makes the same new person again and again, whom no earlier run has made.
fn person() -> impl Fn() -> NewUser {
    let unique = UserId::new().to_string().split_off(19);
    move || NewUser::new(&*unique, format!("{unique}@example.org"), "correct horse")
}

/// Counts statements: our own, and those that begin and end transactions and savepoints.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<(u32, u32)>>);

impl Counter {
    fn listener(self) -> impl FnMut(InstrumentationEvent<'_>) + Send {
        move |event| {
            let InstrumentationEvent::StartQuery { query, .. } = event else {
                return;
            };
            let query = query.to_string();
            let mut counts = self.0.lock().unwrap();
            if query.contains("account_") {
                counts.0 += 1;
            } else if OF_TRANSACTIONS.iter().any(|start| query.starts_with(start)) {
                counts.1 += 1;
            }
            // What is left is the pool asking the connection for a sign of life.
        }
    }

    fn take(&self) -> (u32, u32) {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

const OF_TRANSACTIONS: [&str; 5] = ["BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT"];
