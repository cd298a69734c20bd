//! A database, instances of a service on it, and the time at which they think they are.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use diesel_accounts::{
    Clock, DatabaseLimiter, Engine, LimitKey, LimitedBy, PolicyBuilder, Quota, RateLimiter,
    Timestamp, UserManager,
};
use diesel_accounts_proof::database::{Database, ProofConnection, policy};
use diesel_accounts_proof::statements::before_each_statement;

pub(crate) use diesel_accounts_heavy_tests::{on_each_engine, on_each_server};

/// A database with our schema in it, and an instance of a service.
pub(crate) struct Stage<C: ProofConnection> {
    pub(crate) database: Database<C>,
    pub(crate) clock: SetClock,
    pub(crate) users: UserManager<C>,
    pub(crate) limiter: DatabaseLimiter<C>,
}

impl<C: ProofConnection> Stage<C> {
    pub(crate) fn new() -> Self {
        let (database, clock) = (Database::new(), SetClock::new());
        let users = instance_of(&database, policy().clock(clock.clone()));
        Self { limiter: DatabaseLimiter::new(&users), database, clock, users }
    }

    /// Another instance, with a pool and a clock of its own.
    pub(crate) fn instance(&self, clock: &SetClock) -> UserManager<C> {
        self.instance_with(policy().clock(clock.clone()))
    }

    pub(crate) fn instance_with(&self, policy: PolicyBuilder) -> UserManager<C> {
        instance_of(&self.database, policy)
    }

    /// Asks once: `None` is admitted.
    pub(crate) fn check(&self, key: LimitKey, quota: Quota) -> Option<Duration> {
        self.limiter.check(key, quota).unwrap().refused()
    }

    /// Executes statements on a connection of its own.
    pub(crate) fn execute(&self, statements: &str) {
        self.database.connect().batch_execute(statements).unwrap();
    }

    /// The whole table, but for the ids.
    pub(crate) fn arrivals(&self) -> Vec<i64> {
        let query = "SELECT theoretical_arrival AS number FROM account_limits ORDER BY 1";
        self.database.connect().numbers(query).unwrap()
    }
}

fn instance_of<C: ProofConnection>(
    database: &Database<C>,
    policy: PolicyBuilder,
) -> UserManager<C> {
    UserManager::with_policy(database.pool(4), policy.build().unwrap())
}

/// A clock that stands still unless it is moved.
#[derive(Clone, Debug)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    /// Some time in 2026.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_790_000_000_000_000)))
    }

    /// Another clock, that is so far ahead of this one.
    pub(crate) fn ahead(&self, time: Duration) -> Self {
        let clock = Self(Arc::new(AtomicI64::new(self.micros())));
        clock.advance(time);
        clock
    }

    /// Another clock, that is so far behind this one.
    pub(crate) fn behind(&self, time: Duration) -> Self {
        Self(Arc::new(AtomicI64::new(self.micros() - micros(time))))
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.move_by(micros(time));
    }

    pub(crate) fn move_by(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    pub(crate) fn micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros())
    }
}

pub(crate) fn micros(time: Duration) -> i64 {
    time.as_micros().try_into().unwrap()
}

pub(crate) fn quota(burst: u32, period: Duration) -> Quota {
    Quota::new(burst, period).unwrap()
}

pub(crate) fn client<C: ProofConnection>(users: &UserManager<C>, name: &str) -> LimitKey {
    users.limit_key("register", LimitedBy::Client(name))
}

/// Asks so often, and tells how many were admitted. Once one is refused, all that follow are.
pub(crate) fn admitted(limiter: &dyn RateLimiter, key: LimitKey, quota: Quota, times: u32) -> u32 {
    let answers = (0..times).map(|_| limiter.check(key, quota).unwrap().refused());
    let waits: Vec<_> = answers.collect();
    assert!(waits.is_sorted_by_key(Option::is_some), "{waits:?}");
    waits.iter().filter(|wait| wait.is_none()).count().try_into().unwrap()
}

/// Does the same on many threads that start together, and gives the answers.
pub(crate) fn at_once<T: Send>(threads: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (act, start) = (&act, &Barrier::new(threads));
    thread::scope(|scope| {
        let run = |thread| {
            scope.spawn(move || {
                start.wait();
                act(thread)
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The statements that a connection sends, with what is bound to them.
#[derive(Clone, Default)]
pub(crate) struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    pub(crate) fn of<C: ProofConnection>(conn: &mut C) -> Self {
        let statements = Self::default();
        let sent = statements.clone();
        before_each_statement(conn, move |statement| {
            sent.0.lock().unwrap().push(statement.to_owned());
        });
        statements
    }

    /// Those since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Their first words, but those of a sweep, which a check begins by chance.
    pub(crate) fn take_kinds(&self) -> Vec<String> {
        let of_a_sweep =
            |statement: &String| statement.contains("ORDER BY") || statement.starts_with("DELETE");
        let first_word = |statement: String| {
            statement.split(|char: char| !char.is_ascii_alphabetic()).next().unwrap().to_owned()
        };
        let sent = self.take().into_iter();
        sent.filter(|statement| !of_a_sweep(statement)).map(first_word).collect()
    }
}

/// Makes a connection give up on locks soon.
pub(crate) fn impatient<C: ProofConnection>(conn: &mut C) {
    conn.batch_execute(match C::ENGINE {
        Engine::Sqlite => "PRAGMA busy_timeout = 20",
        Engine::Postgres => "SET lock_timeout = '50ms'",
        _ => "SET innodb_lock_wait_timeout = 1",
    })
    .unwrap();
}

pub(crate) const MICRO: Duration = Duration::from_micros(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
