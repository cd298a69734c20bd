//! The managers of the load: pools of several sizes on one database, past proxies or past none.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool};
use diesel_accounts::{Duplicates, Engine, ThrottleRules, UserManager};
use fastrand::Rng;

use super::host::LOCKS;
use super::secrets::searched_query_log;
use super::server::WorkloadConnection;
use super::{DEADLINE, HEADROOM, LONGEST_STATEMENT, SHORT_DEADLINE};
use crate::database::{Database, policy};
use crate::history::{Caller, Moment, Recorder};
use crate::proxy::{Fault, Proxy};

/// A pool, and what is between it and the database.
pub(super) struct Manager<'a, C: WorkloadConnection> {
    pub(super) settings: Settings,
    pub(super) pool: Pool<ConnectionManager<C>>,
    pub(super) users: UserManager<C>,
    /// The same, by a policy that refuses duplicates.
    pub(super) refusing: UserManager<C>,
    pub(super) proxy: Option<Proxy>,
    /// By which the server knows the sessions of this manager.
    pub(super) session: String,
    pub(super) recorder: &'a Recorder,
    url: String,
    watch: Arc<Watch>,
}

/// What is different from manager to manager.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) number: u16,
    pub(super) size: u32,
    pub(super) deadline: Duration,
    /// How long one statement may take, by what the connections are set to.
    pub(super) longest_statement: Duration,
    /// How long the pool waits for a connection.
    pub(super) patience: Duration,
    /// Whether there is a proxy, where there is a server.
    pub(super) is_exposed: bool,
    /// SQL on each new connection.
    pub(super) set_up: &'static str,
    /// Whether the database must not grow.
    pub(super) limits_pages: bool,
    /// Whether a statement can be stopped by a time-out at any time.
    pub(super) stops_statements: bool,
}

impl Settings {
    /// The first is never exposed to faults but those of the whole server.
    pub(super) fn of_phase(engine: Engine, is_calm: bool, chance: &mut Rng) -> Vec<Self> {
        let first = Self {
            number: 0,
            size: 8,
            deadline: DEADLINE,
            longest_statement: LONGEST_STATEMENT,
            patience: DEADLINE,
            is_exposed: false,
            set_up: "",
            limits_pages: false,
            stops_statements: false,
        };
        let (impatient, hasty) = match (engine, is_calm) {
            (_, true) => ("", ""),
            (Engine::Postgres, _) => (
                "SET lock_timeout = '200ms'; SET deadlock_timeout = '20ms'",
                "SET statement_timeout = '100ms'; SET deadlock_timeout = '20ms'",
            ),
            // MariaDB may never answer a statement that was stopped, or the next like it.
            (Engine::Mysql, _) => (
                "SET innodb_lock_wait_timeout = 1, wait_timeout = 8",
                "SET max_statement_time = 0.1, wait_timeout = 8",
            ),
            (_, _) => ("PRAGMA busy_timeout = 10", "PRAGMA busy_timeout = 200"),
        };
        let second = Self {
            number: 1,
            size: 2,
            // A pool that failed to connect waits for up to half as long before it tries again.
            patience: Duration::from_millis(900),
            is_exposed: true,
            set_up: impatient,
            limits_pages: !is_calm && chance.bool(),
            ..first.clone()
        };
        let stops_statements = !is_calm && engine != Engine::Sqlite;
        let third = Self {
            number: 2,
            size: 1,
            longest_statement: match (stops_statements, engine) {
                (true, Engine::Postgres) => STOPPED_AFTER,
                // One that was stopped may never be answered: the end of the session ends the wait.
                (true, _) => ENDED_AFTER,
                (false, _) => LONGEST_STATEMENT,
            },
            patience: Duration::from_millis(500),
            deadline: if is_calm || chance.bool() { DEADLINE } else { SHORT_DEADLINE },
            set_up: hasty,
            limits_pages: false,
            stops_statements,
            ..second.clone()
        };
        vec![first, second, third]
    }

    /// Who calls by these.
    pub(super) fn caller(&self) -> Caller {
        let longest_step = self.deadline + self.longest_statement + HEADROOM;
        let (deadline, patience) = (self.deadline, self.patience);
        Caller { manager: self.number, longest_step, deadline, patience }
    }
}

impl<'a, C: WorkloadConnection> Manager<'a, C> {
    pub(super) fn new(database: &Database<C>, settings: Settings, recorder: &'a Recorder) -> Self {
        let mut hasher = DefaultHasher::new();
        database.url().hash(&mut hasher);
        let session = format!("h{:x}_{}", hasher.finish(), settings.number);
        let url = C::url_of_session(&mut database.connect(), database.url(), &session);
        let has_proxy = settings.is_exposed && C::ENGINE != Engine::Sqlite;
        let proxy = has_proxy.then(|| Proxy::in_front_of(C::ENGINE, &url));
        let url = proxy.as_ref().map_or(url.clone(), |proxy| proxy.url(&url));
        let watch = Arc::new(Watch::default());
        let set_up = SetUp::new(&settings, &watch);
        let pool = Pool::builder()
            .max_size(settings.size)
            .min_idle(Some(0))
            .connection_timeout(settings.patience)
            .connection_customizer(Box::new(set_up))
            .error_handler(Box::new(diesel::r2d2::NopErrorHandler))
            .build_unchecked(ConnectionManager::new(url.clone()));
        // Nobody is to be kept waiting for what another thread guessed.
        let moment = Duration::from_micros(1);
        let throttle = ThrottleRules::new().client(99, moment, moment).account(99, moment, moment);
        let policy = || policy().deadline(settings.deadline).throttle(throttle);
        let users = UserManager::with_policy(pool.clone(), policy().build().unwrap());
        let refusing = policy().duplicates(Duplicates::Refuse).build().unwrap();
        let refusing = UserManager::with_policy(pool.clone(), refusing);
        Self { settings, pool, users, refusing, proxy, session, recorder, url, watch }
    }

    /// A connection that is not from the pool, set as those are, and when it was begun to be made;
    /// `None` if a fault prevents it again and again.
    pub(super) fn connect(&self) -> Option<(C, Moment)> {
        for _ in 0..20 {
            let since = self.recorder.now();
            let Ok(mut conn) = C::establish(&self.url) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            if SetUp::new(&self.settings, &self.watch).on_acquire(&mut conn).is_ok() {
                return Some((conn, since));
            }
        }
        None
    }

    /// How many connections the pool has thrown away.
    pub(super) fn discarded(&self) -> u32 {
        self.watch.discarded.load(Ordering::Relaxed)
    }

    /// Ends all faults; tells whether a secret was in the query log.
    pub(super) fn mend(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.set_fault(Fault::None);
        }
        if self.watch.leaked.load(Ordering::Relaxed) {
            self.recorder.leak("the query log", "a password or its hash");
        }
    }
}

/// Whether a connection answers, and what it should.
pub(super) fn is_whole<C: WorkloadConnection>(conn: &mut C) -> bool {
    conn.numbers("SELECT COUNT(*) AS number FROM host_locks").is_ok_and(|rows| rows == [LOCKS])
}

#[derive(Debug)]
struct SetUp {
    sql: &'static str,
    limits_pages: bool,
    watch: Arc<Watch>,
}

/// What is seen of the connections.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Whether a secret was in the query log.
    leaked: AtomicBool,
    discarded: AtomicU32,
}

impl SetUp {
    fn new(settings: &Settings, watch: &Arc<Watch>) -> Self {
        let Settings { set_up: sql, limits_pages, .. } = *settings;
        Self { sql, limits_pages, watch: watch.clone() }
    }
}

impl<C: WorkloadConnection> CustomizeConnection<C, R2d2Error> for SetUp {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        let watch = self.watch.clone();
        conn.set_instrumentation(searched_query_log(move |_| {
            watch.leaked.store(true, Ordering::Relaxed)
        }));
        conn.set_up().map_err(R2d2Error::QueryError)?;
        if !self.sql.is_empty() {
            conn.batch_execute(self.sql).map_err(R2d2Error::QueryError)?;
        }
        match self.limits_pages {
            true => conn.limit_pages().map_err(R2d2Error::QueryError),
            false => Ok(()),
        }
    }

    fn on_release(&self, _: C) {
        self.watch.discarded.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the settings of the hasty say.
pub(super) const STOPPED_AFTER: Duration = Duration::from_millis(100);
const ENDED_AFTER: Duration = Duration::from_secs(8);
