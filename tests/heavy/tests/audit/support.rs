//! A database, managers whose acts are recorded, and what the table holds.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_accounts::{
    AuditEvent, AuditSink, Clock, Context, Engine, NewUser, PolicyBuilder, RealmId, Timestamp,
    User, UserId, UserManager,
};
use diesel_accounts_proof::database::{Database, ProofConnection, policy};
use diesel_accounts_proof::workload::Connection;

/// A database with our schema in it, a manager whose acts are recorded and heard, and one whose acts
/// are not.
pub(crate) struct Stage<C: Host> {
    pub(crate) database: Database<C>,
    pub(crate) clock: SetClock,
    pub(crate) heard: Heard,
    pub(crate) users: UserManager<C>,
    pub(crate) quiet: UserManager<C>,
}

impl<C: Host> Stage<C> {
    pub(crate) fn new() -> Self {
        let (database, clock, heard) = (Database::new(), SetClock::new(), Heard::default());
        let recorded = recorded(&clock, &heard).build().unwrap();
        let unrecorded = policy().clock(clock.clone()).build().unwrap();
        let users = UserManager::with_policy(database.pool(4), recorded);
        let quiet = UserManager::with_policy(database.pool(2), unrecorded);
        let (users, quiet) = (users.with(context()).in_realm(REALM), quiet.in_realm(REALM));
        Self { database, clock, heard, users, quiet }
    }

    /// A policy like that of `users`.
    pub(crate) fn policy(&self) -> PolicyBuilder {
        recorded(&self.clock, &self.heard)
    }

    /// A manager like `users`, with another policy.
    pub(crate) fn users_with(&self, policy: PolicyBuilder) -> UserManager<C> {
        let users = UserManager::with_policy(self.database.pool(4), policy.build().unwrap());
        users.with(context()).in_realm(REALM)
    }

    /// Creates somebody, of whom nothing is recorded.
    pub(crate) fn create(&self, name: &str) -> User {
        self.quiet.create_user(person(name)).unwrap().created().expect("nobody has the name")
    }

    pub(crate) fn execute(&self, statements: &str) {
        self.database.connect().batch_execute(statements).unwrap();
    }

    pub(crate) fn number(&self, query: &str) -> i64 {
        self.database.connect().numbers(query).unwrap()[0]
    }

    pub(crate) fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) AS number FROM {table}"))
    }

    /// The whole table, in the order of the times.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.database.connect().records()
    }

    /// All accounts, as they are.
    pub(crate) fn accounts(&self) -> String {
        let mut conn = self.database.connect();
        let columns = ["session_generation", "password_change_required", "updated_at"];
        let numbers = columns.map(|column| {
            let query = format!(
                "SELECT CAST({column} AS {}) AS number FROM account_users ORDER BY id",
                match C::ENGINE {
                    Engine::Mysql => "SIGNED",
                    _ => "BIGINT",
                }
            );
            conn.numbers(&query).unwrap()
        });
        format!("{:?} {numbers:?} {:?}", conn.accounts().unwrap(), self.last_sign_in())
    }

    /// All accounts and all attempts, as they are.
    pub(crate) fn state(&self) -> String {
        let mut conn = self.database.connect();
        let attempts = ["failures", "in_a_row", "blocked_until", "last_at"].map(|column| {
            let query =
                format!("SELECT {column} AS number FROM account_attempts ORDER BY subject, client");
            conn.numbers(&query).unwrap()
        });
        format!("{} {attempts:?}", self.accounts())
    }

    /// When whoever has signed in did so.
    pub(crate) fn last_sign_in(&self) -> Vec<i64> {
        let query = "SELECT last_sign_in_at AS number FROM account_users \
                     WHERE last_sign_in_at IS NOT NULL ORDER BY id";
        self.database.connect().numbers(query).unwrap()
    }

    /// Fails to sign in so often, which is not recorded.
    pub(crate) fn fail(&self, name: &str, times: u32) {
        for _ in 0..times {
            let quiet = self.quiet.with(context());
            assert!(!quiet.authenticate(name, WRONG).unwrap().is_accepted());
        }
    }

    /// Nobody is left, and no record.
    pub(crate) fn empty(&self) {
        self.execute("DELETE FROM account_users");
        self.execute("DELETE FROM account_events");
        self.heard.take();
    }

    /// What was done and came of it, in the order of the times.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = |record: Record| format!("{} {}", record.action, record.outcome);
        self.records().into_iter().map(told).collect()
    }

    /// Does something later than all before, which is recorded as these acts with these outcomes of
    /// these accounts, and nothing else is.
    #[track_caller]
    pub(crate) fn is_recorded<T>(
        &self,
        acts: &[(&str, &str, Option<UserId>)],
        act: impl FnOnce() -> T,
    ) -> T {
        self.clock.advance(Duration::from_secs(1));
        let (heard, recorded) = (self.heard.take(), self.records());
        assert!(heard.is_empty() || !recorded.is_empty());
        let value = act();
        let expected: Vec<_> = acts
            .iter()
            .map(|(action, outcome, user_id)| Record {
                action: (*action).to_owned(),
                outcome: (*outcome).to_owned(),
                user_id: user_id.map(|id| hex(id.as_bytes())),
                ..self.record_of_now()
            })
            .collect();
        let heard = self.heard.take();
        assert_eq!(heard.iter().map(without_id).collect::<Vec<_>>(), expected, "heard");
        let mut new = self.records();
        new.retain(|record| !recorded.contains(record));
        let mut of_heard: Vec<_> = heard.iter().map(Record::of).collect();
        // Those of one time are read by their ids.
        of_heard.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(new, of_heard, "recorded");
        assert_eq!(self.records().len(), recorded.len() + acts.len(), "none is gone");
        value
    }

    /// By whom, where, and when.
    fn record_of_now(&self) -> Record {
        Record {
            id: String::new(),
            realm: hex(REALM.as_bytes()),
            occurred_at: self.clock.now().as_micros(),
            action: String::new(),
            outcome: String::new(),
            user_id: None,
            actor: Some(hex(ACTOR.as_bytes())),
            client: Some(CLIENT.to_owned()),
            request_id: Some(REQUEST.to_owned()),
        }
    }
}

fn without_id(event: &AuditEvent) -> Record {
    Record { id: String::new(), ..Record::of(event) }
}

fn recorded(clock: &SetClock, heard: &Heard) -> PolicyBuilder {
    policy().clock(clock.clone()).audit_table(true).audit_sink(heard.clone())
}

/// A row of the table as it is, the ids in hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq, QueryableByName)]
pub(crate) struct Record {
    #[diesel(sql_type = Text)]
    pub(crate) id: String,
    #[diesel(sql_type = Text)]
    pub(crate) realm: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) occurred_at: i64,
    #[diesel(sql_type = Text)]
    pub(crate) action: String,
    #[diesel(sql_type = Text)]
    pub(crate) outcome: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) actor: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) client: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) request_id: Option<String>,
}

impl Record {
    pub(crate) fn of(event: &AuditEvent) -> Self {
        Self {
            id: hex(event.id().as_bytes()),
            realm: hex(event.realm().as_bytes()),
            occurred_at: event.occurred_at().as_micros(),
            action: event.action().to_owned(),
            outcome: event.outcome().to_owned(),
            user_id: event.user_id().map(|id| hex(id.as_bytes())),
            actor: event.actor().map(|id| hex(id.as_bytes())),
            client: event.client().map(str::to_owned),
            request_id: event.request_id().map(str::to_owned),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A connection that reads our table, and on which a host does something of its own.
pub(crate) trait Host: Connection {
    /// The whole table, in the order of the times.
    fn records(&mut self) -> Vec<Record>;
}

macro_rules! host {
    ($($connection:ty),+ $(,)?) => {$(
        impl Host for $connection {
            fn records(&mut self) -> Vec<Record> {
                diesel::sql_query(records_of(Self::ENGINE)).load(self).unwrap()
            }
        }
    )+};
}
host!(diesel::MysqlConnection, diesel::PgConnection, diesel::SqliteConnection);

fn records_of(engine: Engine) -> String {
    let id = |column: &str| match engine {
        Engine::Postgres => format!("REPLACE({column}::text, '-', '') AS {column}"),
        // HEX of no value is an empty text on SQLite.
        _ => format!("CASE WHEN {column} IS NOT NULL THEN LOWER(HEX({column})) END AS {column}"),
    };
    let [id, realm, user_id, actor] = ["id", "realm", "user_id", "actor"].map(id);
    format!(
        "SELECT {id}, {realm}, occurred_at, action, outcome, {user_id}, {actor}, client, request_id \
         FROM account_events ORDER BY occurred_at, account_events.id"
    )
}

/// Whoever hears of what is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<AuditEvent>>>);

impl Heard {
    /// The events since the last call.
    pub(crate) fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl AuditSink for Heard {
    fn record(&self, event: &AuditEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A clock that stands still unless it is moved.
#[derive(Clone, Debug)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    /// Some time in 2026.
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_790_000_000_000_000)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_micros().try_into().unwrap(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Whoever acts in these tests: an administrator, from somewhere.
pub(crate) fn context() -> Context {
    Context::new().actor(ACTOR).client(CLIENT).request_id(REQUEST)
}

pub(crate) fn person(name: &str) -> NewUser {
    NewUser::new(name, email_of(name), PASSWORD)
}

pub(crate) fn email_of(name: &str) -> String {
    format!("{name}@example.org")
}

/// Asserts that a value matches a pattern, and gives what it binds.
macro_rules! assert_matches {
    ($value:expr, $pattern:pat => $result:expr) => {
        match $value {
            $pattern => $result,
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
    ($value:expr, $pattern:pat $(,)?) => {
        assert_matches!($value, $pattern => ())
    };
}
pub(crate) use assert_matches;

pub(crate) const REALM: RealmId = RealmId::from_bytes([7; 16]);
const ACTOR: UserId = UserId::from_bytes([9; 16]);
const CLIENT: &str = "2001:db8::/64";
const REQUEST: &str = "request 4711";

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const WRONG: &str = "wrong horse";
pub(crate) const NEW_PASSWORD: &str = "battery staple";
