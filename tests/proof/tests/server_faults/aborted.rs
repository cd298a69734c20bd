//! Clients that die between two statements.

use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use diesel_accounts::{Engine, UserManager};
use diesel_accounts_proof::acts::{Act, WRONG, dearer_hashing, id_of, person};
use diesel_accounts_proof::database::{Database, policy, pool_at};
use diesel_accounts_proof::host::make_host_table;
use diesel_accounts_proof::workload::Connection;
use diesel_accounts_proof::workload::secrets::{search_for_passwords, search_for_secrets};

use crate::support::number;

mod creations;
mod migrations;
mod passwords;
mod sign_ins;
mod states;

/// A database, and who looks at it after somebody has died.
struct Scene<C: Connection> {
    database: Database<C>,
    users: UserManager<C>,
    people: Cell<u32>,
}

impl<C: Connection> Scene<C> {
    fn new() -> Self {
        let database = Database::new();
        make_host_table(&database);
        let scene = Self { users: users_of(&database), database, people: Cell::new(0) };
        scene.make_with_failures(BYSTANDER, 1);
        scene
    }

    /// Makes somebody, for whom so many wrong passwords are submitted. The hash is a cheap one.
    fn make_with_failures(&self, name: &str, failures: i64) {
        assert!(self.database.users(1).create_user(person(name)).unwrap().is_created());
        for _ in 0..failures {
            assert!(!self.accepts(name, WRONG));
        }
    }

    fn act(&self, act: Act, name: &str) {
        let pool = self.database.pool(1);
        let policy = self.users.policy().clone();
        act.run(&UserManager::with_policy(pool.clone(), policy), &pool, name);
    }

    fn accepts(&self, name: &str, password: &str) -> bool {
        self.users.authenticate(name, password).unwrap().is_accepted()
    }

    /// Whether there is the account of a name, of which something is so.
    fn is_so(&self, name: &str, condition: &str) -> bool {
        let id = literal_of::<C>(name);
        let rows = format!("account_users WHERE id = {id} AND ({condition})");
        number(&mut self.database.connect(), &rows) == 1
    }

    /// The failures in a row: of all clients together, and of the one there is.
    fn counts(&self, name: &str) -> Vec<i64> {
        let id = literal_of::<C>(name);
        let counts = format!(
            "SELECT in_a_row AS number FROM account_attempts WHERE subject = {id} ORDER BY client"
        );
        self.database.connect().numbers(&counts).unwrap()
    }

    /// Lets a client die before each of the statements of an act and after the last, each time with
    /// people of another name, and looks at what there is then; the look tells whether the act was
    /// made. How many statements there were.
    fn die_everywhere(
        &self,
        act: Act,
        given: impl Fn(&str),
        mut look: impl FnMut(&str, &Victim) -> bool,
    ) -> u32 {
        die_everywhere::<C>(act, |statement| {
            let name = format!("person{}", self.people.replace(self.people.get() + 1));
            given(&name);
            let victim = Victim::run(&self.database, act, &name, statement);
            let was_made = look(&name, &victim);
            assert!(self.is_so(BYSTANDER, UNTOUCHED) && self.counts(BYSTANDER) == [1, 1]);
            (victim, was_made)
        })
    }
}

/// Tries to do an act, with a client that dies before each statement and after the last.
fn die_everywhere<C: Connection>(act: Act, mut attempt: impl FnMut(u32) -> (Victim, bool)) -> u32 {
    let mut were_made = Vec::new();
    for statement in 0..100 {
        let (victim, was_made) = attempt(statement);
        were_made.push(was_made);
        if !victim.has_died {
            println!("{:?} {act:?}: {statement} statements, {were_made:?}", C::ENGINE);
            // The last client but one died when all was done, and the last did not.
            assert!(!were_made[0] && were_made.ends_with(&[true, true]));
            assert!(were_made.is_sorted(), "made, and then not: {were_made:?}");
            return statement - 1;
        }
    }
    panic!("{act:?} never ends");
}

/// The manager of whoever looks.
fn users_of<C: Connection>(database: &Database<C>) -> UserManager<C> {
    let policy = policy().hashing(dearer_hashing()).build().unwrap();
    UserManager::with_policy(pool_at(database.url(), 1), policy)
}

/// The id of a name, in SQL.
fn literal_of<C: Connection>(name: &str) -> String {
    let id = id_of(name).to_string();
    match C::ENGINE {
        Engine::Postgres => format!("'{id}'"),
        _ => format!("X'{}'", id.replace('-', "")),
    }
}

/// A process that has ended, one way or another.
struct Victim {
    has_died: bool,
    /// Whether it had looked at a password.
    has_looked: bool,
}

impl Victim {
    /// Runs it, and searches what it says for secrets.
    fn run<C: Connection>(database: &Database<C>, act: Act, name: &str, statement: u32) -> Self {
        let engine = format!("{:?}", C::ENGINE);
        // Nobody wants to see what was in its memory.
        let output = Command::new("prlimit")
            .args(["--core=0", env!("CARGO_BIN_EXE_abort_before"), &statement.to_string()])
            .args([&engine, database.url(), act.name(), name])
            .output()
            .unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        search_for_secrets(&answers, |secret| panic!("{secret} in an answer: {answers}"));
        search_for_passwords(&log, |secret| panic!("{secret} in the log: {log}"));
        let status = output.status;
        assert!(status.success() || status.signal() == Some(SIGABRT), "{status}: {log}");
        let has_died = !status.success();
        // It has said all that there is to search.
        assert_eq!(answers.lines().count(), if has_died { 1 } else { 2 }, "{answers}");
        let statements = log.lines().filter(|line| line.starts_with("statement ")).count();
        let statements = u32::try_from(statements).unwrap();
        assert!(!has_died || [statement, statement + 1].contains(&statements), "{log}");
        Self { has_died, has_looked: log.lines().any(|line| line == "hash") }
    }
}

/// Somebody to whom nothing is done.
const BYSTANDER: &str = "bystander";

/// What is so of an account as it was created.
const UNTOUCHED: &str = "state = 0 AND session_generation = 0 AND password_hash LIKE '%m=8,%' \
    AND username IS NOT NULL AND email IS NOT NULL AND updated_at = created_at \
    AND password_changed_at = created_at AND last_sign_in_at IS NULL";

const SIGABRT: i32 = 6;
