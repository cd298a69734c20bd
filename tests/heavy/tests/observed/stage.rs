//! A database and a manager for each test, what they tell, and what stands in for a host's parts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel_accounts::{
    Argon2Cost, Argon2Engine, Argon2Input, Engine, Hashing, HashingFailure, NewUser, PolicyBuilder,
    Result, SecretKey, UserId, UserManager,
};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::statements::before_each_statement;
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::capture::{Fields, HeardEvent, HeardSpan, Told};

/// A database with our schema in it, and a manager that nobody has heard of yet.
pub(crate) struct Stage<C: Connection> {
    pub(crate) told: Told,
    pub(crate) database: Database<C>,
    pub(crate) users: UserManager<C>,
}

impl<C: Connection> Stage<C> {
    /// Somebody listens before the database is made: see [`Told::new`].
    pub(crate) fn new() -> Self {
        let told = Told::new();
        let database = Database::new();
        let users = UserManager::with_policy(database.pool(4), policy().build().unwrap());
        Self { told, database, users }
    }

    /// A manager with another policy.
    pub(crate) fn users_with(&self, policy: PolicyBuilder) -> UserManager<C> {
        UserManager::with_policy(self.database.pool(4), policy.build().unwrap())
    }

    /// Creates a person, of which nobody hears.
    pub(crate) fn create(&self, name: &str) -> UserId {
        let id = UserId::new();
        assert!(self.users.create_user(person(name).with_id(id)).unwrap().is_created());
        id
    }

    /// Does something that is told as one span with this name and outcome, about this user.
    pub(crate) fn is_told<T>(
        &self,
        name: &'static str,
        outcome: &str,
        about: Option<UserId>,
        act: impl FnOnce() -> Result<T>,
    ) -> Heard<T> {
        self.is_told_of_tries(1, name, outcome, about, act)
    }

    /// The same, of an operation that is tried so often.
    pub(crate) fn is_told_of_tries<T>(
        &self,
        tries: u32,
        name: &'static str,
        outcome: &str,
        about: Option<UserId>,
        act: impl FnOnce() -> Result<T>,
    ) -> Heard<T> {
        let answer = self.told.hear(act);
        if let Err(error) = &answer {
            assert_eq!(error.code(), outcome, "{name} failed: {error:?}");
        }
        let mut fields = Fields::from([
            ("engine", engine_of::<C>()),
            ("outcome", outcome),
            ("tries", &tries.to_string()),
        ]);
        fields.0.extend(about.map(|id| ("user_id".to_owned(), id.to_string())));
        let span = HeardSpan {
            name,
            target: "diesel_accounts".to_owned(),
            level: "INFO".to_owned(),
            fields,
            parent: None,
        };
        let said = self.told.take();
        assert_eq!(said.spans, [span]);
        Heard { answer, events: said.events }
    }

    /// A manager with one connection, which was made ready for what it will meet.
    pub(crate) fn manager_of_one(&self, make_ready: impl FnOnce(&mut C)) -> UserManager<C> {
        let pool = self.database.pool(1);
        make_ready(&mut *pool.get().unwrap());
        UserManager::with_policy(pool, policy().build().unwrap())
    }

    /// Ends the session of a connection to a server, just before it first sends a statement about
    /// accounts that starts like this.
    pub(crate) fn end_session_before(&self, conn: &mut C, start: &'static str) {
        let (number, sessions) = match C::ENGINE {
            Engine::Postgres => ("pg_backend_pid()::bigint", "pg_stat_activity WHERE pid"),
            _ => ("CAST(CONNECTION_ID() AS SIGNED)", "information_schema.processlist WHERE id"),
        };
        let session = conn.numbers(&format!("SELECT {number} AS number")).unwrap()[0];
        let count = format!("SELECT COUNT(*) AS number FROM {sessions} = {session}");
        let mut server = Some(self.database.connect());
        before_each_statement(conn, move |statement| {
            let is_it = statement.trim_start_matches('(').starts_with(start)
                && statement.contains("account_users");
            if let Some(mut server) = server.take_if(|_| is_it) {
                server.end_session(session).unwrap();
                wait_until("the session ends", || server.numbers(&count).unwrap() == [0]);
            }
        });
    }

    /// A connection in whose transaction all accounts are locked.
    pub(crate) fn holder(&self) -> C {
        let mut holder = self.database.connect();
        AnsiTransactionManager::begin_transaction(&mut holder).unwrap();
        holder.batch_execute(C::LOCK_ACCOUNTS).unwrap();
        holder
    }
}

/// What came of something, and the events meanwhile.
pub(crate) struct Heard<T> {
    pub(crate) answer: Result<T>,
    pub(crate) events: Vec<HeardEvent>,
}

pub(crate) fn engine_of<C: Connection>() -> &'static str {
    match C::ENGINE {
        Engine::Mysql => "mysql",
        Engine::Postgres => "postgres",
        _ => "sqlite",
    }
}

/// An event of ours with these fields, within a span.
pub(crate) fn event<const N: usize>(
    level: &str,
    within: &'static str,
    message: &str,
    fields: [(&str, &str); N],
) -> HeardEvent {
    let mut fields = Fields::from(fields);
    fields.0.insert("message".to_owned(), message.to_owned());
    HeardEvent {
        target: "diesel_accounts".to_owned(),
        level: level.to_owned(),
        fields,
        within: Some(within),
    }
}

pub(crate) fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

/// A policy whose hashes cost next to nothing, and that knows devices again.
pub(crate) fn policy() -> PolicyBuilder {
    diesel_accounts_proof::database::policy().secret_key(SecretKey::new([7; 32]).unwrap())
}

/// The hashing of it.
pub(crate) fn hashing() -> Hashing {
    Hashing::new().cost(Argon2Cost::new(8, 1, 1).unwrap()).longest_wait(Duration::from_secs(60))
}

pub(crate) fn person(name: &str) -> NewUser {
    NewUser::new(username(name), email(name), PASSWORD)
}

pub(crate) fn username(name: &str) -> String {
    format!("linnet.{name}")
}

pub(crate) fn email(name: &str) -> String {
    format!("{name}@serin.example")
}

pub(crate) const PASSWORD: &str = "canary horse battery";
pub(crate) const WRONG: &str = "canary horse staple";
pub(crate) const CLIENT: &str = "siskin at home";

/// A part of each username, email address, password and client key of these tests, and of a hash.
pub(crate) const CANARIES: [&str; 5] = ["linnet", "serin", "canary", "siskin", "argon2id"];

/// The usual engine, that does something else before its first hash.
pub(crate) struct Meanwhile {
    inner: Box<dyn Argon2Engine>,
    act: Arc<Mutex<Option<Act>>>,
}

type Act = Box<dyn FnOnce() + Send>;

impl Meanwhile {
    pub(crate) fn doing(act: impl FnOnce() + Send + 'static) -> Self {
        let act: Act = Box::new(act);
        Self { inner: Hashing::default_engine(), act: Arc::new(Mutex::new(Some(act))) }
    }
}

impl Argon2Engine for Meanwhile {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self { inner: self.inner.another(), act: Arc::clone(&self.act) })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        // Nobody else waits for the lock while it is done.
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        self.inner.compute(input, tag)
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}
