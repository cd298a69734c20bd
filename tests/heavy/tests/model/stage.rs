//! Where the library plays its part: a database of each engine, a clock, and the policies.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::{
    AccountConnection, Argon2Cost, Clock, Duplicates, ForeignHashes, Hashing, Identifiers, Pepper,
    Policy, SecretKey, ThrottleRules, Timestamp, UserManager,
};

use crate::attempts::{MOST_FAILURES, OF_ACCOUNT, OF_CLIENT};
use crate::operation::{HashingRule, Rules};
use crate::reference::BEGINNING;
use crate::servers::{fresh_mysql_database, fresh_postgres_schema, unique_name};
use crate::sign_in::RECORDED_EVERY;
use crate::tables::ReadTables;

/// A connection of Diesel's to one of the engines.
pub(crate) trait EngineConnection:
    AccountConnection + R2D2Connection + ReadTables + 'static
{
    /// The stage of this thread, which is that of one test.
    fn stage() -> Rc<Stage<Self>>;
}

pub(crate) struct Stage<C: R2D2Connection + 'static> {
    pub(crate) pool: Pool<ConnectionManager<C>>,
    pub(crate) clock: TestClock,
    users: Vec<(Rules, UserManager<C>)>,
    /// Keeps a database in memory alive: a panic makes the pool throw its connection away, and the
    /// history is played again to be shrunk.
    _keeper: C,
}

impl<C: EngineConnection> Stage<C> {
    fn new(url: &str) -> Self {
        let keeper = C::establish(url).unwrap();
        let pool = Pool::builder().max_size(1).build(ConnectionManager::new(url)).unwrap();
        let clock = TestClock::default();
        let manager = |rules| UserManager::with_policy(pool.clone(), policy(rules, &clock));
        let users: Vec<_> = all_rules().map(|rules| (rules, manager(rules))).collect();
        users[0].1.migrate().unwrap();
        Self { pool, users, clock, _keeper: keeper }
    }

    pub(crate) fn users(&self, rules: Rules) -> &UserManager<C> {
        let found = self.users.iter().find(|(of, _)| *of == rules);
        &found.expect("there is a manager for all rules").1
    }

    /// Nobody is there, and the clock stands at the beginning.
    pub(crate) fn begin(&self) {
        let mut conn = self.pool.get().unwrap();
        conn.batch_execute("DELETE FROM account_users; DELETE FROM account_attempts").unwrap();
        self.clock.set(BEGINNING);
    }
}

macro_rules! stage {
    ($connection:ty, $url:expr) => {
        impl EngineConnection for $connection {
            fn stage() -> Rc<Stage<Self>> {
                thread_local! {
                    static STAGE: Rc<Stage<$connection>> = Rc::new(Stage::new(&$url));
                }
                STAGE.with(Rc::clone)
            }
        }
    };
}
stage!(MysqlConnection, fresh_mysql_database());
stage!(PgConnection, fresh_postgres_schema());
stage!(SqliteConnection, format!("file:{}?mode=memory&cache=shared", unique_name()));

/// A clock that the history moves.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

fn all_rules() -> impl Iterator<Item = Rules> {
    [HashingRule::Cheap, HashingRule::Dearer, HashingRule::Peppered].into_iter().flat_map(
        |hashing| {
            [(false, false), (false, true), (true, false), (true, true)].map(
                |(refuses_duplicates, insists_on_verified_email)| Rules {
                    refuses_duplicates,
                    insists_on_verified_email,
                    hashing,
                },
            )
        },
    )
}

fn policy(rules: Rules, clock: &TestClock) -> Policy {
    let time = |micros: i64| Duration::from_micros(micros.unsigned_abs());
    let throttle = ThrottleRules::new()
        .client(OF_CLIENT.after, time(OF_CLIENT.first), time(OF_CLIENT.longest))
        .account(OF_ACCOUNT.after, time(OF_ACCOUNT.first), time(OF_ACCOUNT.longest))
        .most_failures(MOST_FAILURES);
    let duplicates = match rules.refuses_duplicates {
        true => Duplicates::Refuse,
        false => Duplicates::ReturnExisting,
    };
    Policy::builder()
        .identifiers(Identifiers::Either)
        .duplicates(duplicates)
        .require_verified_email(rules.insists_on_verified_email)
        .hashing(hashing(rules.hashing))
        .throttle(throttle)
        .secret_key(SecretKey::new([7; 32]).unwrap())
        .sign_in_recorded_every(time(RECORDED_EVERY))
        .deadline(Duration::from_secs(60))
        .clock(clock.clone())
        .build()
        .unwrap()
}

/// Costs next to nothing.
fn hashing(rule: HashingRule) -> Hashing {
    let cost = |memory| Argon2Cost::new(memory, 1, 1).unwrap();
    let foreign = ForeignHashes::none().pbkdf2_sha256(1).layered();
    let hashing = Hashing::new().accept(foreign).longest_wait(Duration::from_secs(60));
    match rule {
        HashingRule::Cheap => hashing.cost(cost(8)),
        HashingRule::Dearer => hashing.cost(cost(16)),
        HashingRule::Peppered => hashing.cost(cost(8)).pepper(Pepper::new("p1", [9; 16]).unwrap()),
    }
}
