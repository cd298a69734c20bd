//! A database behind a proxy, and the sweep over all messages of an operation.

use std::fmt::{Debug, Write as _};
use std::io::{Write as _, stderr};
use std::process::abort;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, NopErrorHandler, Pool};
use diesel_accounts::{Engine, Error, NewUser, Policy, PolicyBuilder, User, UserId, UserManager};
use diesel_accounts_proof::database::{Database, ProofConnection, policy, pool_at};
use diesel_accounts_proof::proxy::{Fault, Place, Proxy};

/// A database that can be reached through a proxy, and past it.
pub(crate) struct Scene<C: ProofConnection> {
    pub(crate) proxy: Proxy,
    /// Through the proxy, with a pool of one.
    pub(crate) users: UserManager<C>,
    /// Past the proxy.
    pub(crate) direct: UserManager<C>,
    pool: Pool<ConnectionManager<C>>,
    server: C,
    url: String,
    names: u32,
    database: Database<C>,
}

impl<C: ProofConnection> Scene<C> {
    pub(crate) fn new() -> Self {
        Self::with_policy(policy())
    }

    /// Whose pool does not try a connection before it hands it out.
    pub(crate) fn without_pings() -> Self {
        let mut scene = Self::new();
        scene.renew_pool();
        scene
    }

    /// Another pool, without a connection, which does not try one before it hands it out.
    pub(crate) fn renew_pool(&mut self) {
        self.pool = Pool::builder()
            .max_size(1)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(ConnectionManager::new(&self.url));
        self.users = UserManager::with_policy(self.pool.clone(), self.policy().clone());
    }

    /// With a policy for the operations through the proxy.
    pub(crate) fn with_policy(policy: PolicyBuilder) -> Self {
        let database = Database::<C>::new();
        let proxy = Proxy::in_front_of(C::ENGINE, database.url());
        let mut url = proxy.url(database.url());
        if C::ENGINE == Engine::Postgres {
            // By which the server tells its connections from others.
            let (_, schema) = database.url().split_once("search_path%3D").unwrap();
            write!(url, "&application_name={schema}").unwrap();
        }
        let pool = pool_at::<C>(&url, 1);
        let users = UserManager::with_policy(pool.clone(), policy.build().unwrap());
        let (direct, server) = (database.users(1), database.connect());
        Self { proxy, users, direct, pool, server, url, names: 0, database }
    }

    /// A connection through the proxy that belongs to no pool.
    pub(crate) fn connect(&self) -> C {
        let mut conn = C::establish(&self.url).unwrap();
        conn.set_up().unwrap();
        conn
    }

    /// A connection past the proxy.
    pub(crate) fn connect_past(&self) -> C {
        self.database.connect()
    }

    /// The same through a pool that has no connection yet.
    pub(crate) fn cold_users(&self) -> UserManager<C> {
        UserManager::with_policy(pool_at(&self.url, 1), self.policy().clone())
    }

    pub(crate) fn pool(&self) -> &Pool<ConnectionManager<C>> {
        &self.pool
    }

    /// The URL through the proxy with a parameter more.
    pub(crate) fn url_with(&self, parameter: &str) -> String {
        format!("{}&{parameter}", self.url)
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.users.policy()
    }

    /// A username that nobody had before.
    pub(crate) fn fresh_name(&mut self) -> String {
        self.names += 1;
        format!("person{}", self.names)
    }

    /// An account with a fresh name.
    pub(crate) fn fresh_user(&mut self) -> User {
        let name = self.fresh_name();
        self.direct.create_user(new_user(&name)).unwrap().created().expect("the name is fresh")
    }

    /// A manager through the proxy, with a pool of one of its own that has its connection.
    pub(crate) fn other_users(&self) -> UserManager<C> {
        let pool = pool_at::<C>(&self.url, 1);
        pool.get().unwrap().batch_execute("SELECT 1").unwrap();
        UserManager::with_policy(pool, self.policy().clone())
    }

    /// The same of a database that is empty.
    pub(crate) fn empty_database(&mut self) -> UserManager<C> {
        let name = format!("empty_{}_{}", std::process::id(), UserId::new()).replace('-', "");
        let url = self.proxy.url(&C::make_database(&C::server_url(), &name).unwrap());
        let pool = pool_at::<C>(&url, 1);
        pool.get().unwrap().batch_execute("SELECT 1").unwrap();
        UserManager::with_policy(pool, self.policy().clone())
    }

    /// The column `number` of each row of a query.
    pub(crate) fn numbers(&mut self, query: &str) -> Vec<i64> {
        self.server.numbers(query).unwrap()
    }

    /// How many accounts there are of which something is so.
    pub(crate) fn accounts(&mut self, condition: &str) -> i64 {
        self.numbers(&format!("SELECT COUNT(*) AS number FROM account_users WHERE {condition}"))[0]
    }

    /// How many accounts have a username.
    pub(crate) fn accounts_named(&mut self, name: &str) -> i64 {
        self.accounts(&format!("username_key = '{name}'"))
    }

    pub(crate) fn execute(&mut self, sql: &str) {
        self.server.batch_execute(sql).unwrap();
    }

    /// Whether a password is right, tried past the proxy.
    pub(crate) fn is_password(&self, name: &str, password: &str) -> bool {
        self.direct.authenticate(name, password).unwrap().is_accepted()
    }

    /// Runs an operation again and again, each time cut at one message more, until none is cut. For
    /// each run something is `given`, and the answer is judged.
    pub(crate) fn cut_everywhere<G, A: Debug>(
        &mut self,
        places: &[Place],
        mut given: impl FnMut(&mut Self) -> G,
        mut act: impl FnMut(&Self, &mut G) -> A,
        mut judge: impl FnMut(&mut Self, &mut G, A, Cut),
    ) {
        for &place in places {
            let cut = |at| Fault::Cut { at, place };
            self.fail_everywhere(&format!("{place:?}"), cut, &mut given, &mut act, &mut judge);
        }
        self.expect_whole_pool();
    }

    /// The same for another fault at a message.
    pub(crate) fn fail_everywhere<G, A: Debug>(
        &mut self,
        what: &str,
        fault: impl Fn(u64) -> Fault,
        given: &mut impl FnMut(&mut Self) -> G,
        act: &mut impl FnMut(&Self, &mut G) -> A,
        judge: &mut impl FnMut(&mut Self, &mut G, A, Cut),
    ) {
        for at in 1..MOST_MESSAGES {
            let mut run = Run::new(format!("{what} at message {at} on {:?}", C::ENGINE));
            let mut given = given(self);
            self.warm_up();
            self.proxy.set_fault(fault(at));
            let answer = act(self, &mut given);
            // At one instant: a message that nobody waits for may be on its way still.
            let counted = self.proxy.set_fault(Fault::None);
            let has_happened = counted.strikes > 0;
            let was_last = has_happened && counted.messages == at;
            run.answer = format!("{answer:?}");
            judge(self, &mut given, answer, Cut { has_happened, was_last });
            self.expect_works_again();
            if !has_happened {
                assert!(at > 1, "something was sent");
                eprintln!("{what} on {:?}: {} messages", C::ENGINE, at - 1);
                return;
            }
        }
        panic!("there is no end");
    }

    /// An operation succeeds that has time to wait for the pool.
    fn expect_works_again(&self) {
        let patient = UserManager::with_policy(self.pool.clone(), policy().build().unwrap());
        patient.user_by_username("nobody").expect("the pool works again");
    }

    /// There is one connection, and all its messages have been counted: plain SQL is answered.
    pub(crate) fn warm_up(&self) {
        self.pool.get().unwrap().batch_execute("SELECT 1").unwrap();
    }

    /// One connection at most has been kept, by the pool and by the server.
    pub(crate) fn expect_whole_pool(&mut self) {
        assert!(self.pool.state().connections <= 1);
        let open = match C::ENGINE {
            // The connections past the proxy are a pool of one and one more.
            Engine::Mysql => {
                "SELECT COUNT(*) - 2 AS number FROM information_schema.processlist \
                              WHERE db = DATABASE()"
            }
            _ => {
                "SELECT COUNT(*) AS number FROM pg_stat_activity \
                  WHERE application_name = current_schema()"
            }
        };
        self.direct.user_by_username("nobody").unwrap();
        // The proxy's own ends first, then what the server has noticed.
        self.proxy.wait_until(|proxy| proxy.connections() <= 1);
        let patience = Instant::now() + PATIENCE;
        while self.numbers(open)[0] > 1 {
            assert!(Instant::now() < patience, "connections are left open");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What was done to a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Whether there was a message of that number.
    pub(crate) has_happened: bool,
    /// Whether no client has sent anything since.
    pub(crate) was_last: bool,
}

/// Tells which run it was when a test fails, and ends the process when it hangs.
pub(crate) struct Run {
    what: String,
    pub(crate) answer: String,
    _end: Sender<()>,
}

impl Run {
    pub(crate) fn new(what: String) -> Self {
        let (end, ended) = channel();
        let hanging = what.clone();
        thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // Past what the test runner keeps to itself.
                let _ = stderr().write_all(format!("it hangs: {hanging}\n").as_bytes());
                abort();
            }
        });
        Self { what, answer: "none".to_owned(), _end: end }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}; the answer was {}", self.what, self.answer);
        }
    }
}

/// What a lost connection is told as, where nobody can ask again by himself.
pub(crate) fn expect_lost(error: &Error, cut: Cut) {
    assert!(cut.has_happened, "nothing was lost");
    assert!(matches!(error, Error::Database(_)), "{error:?}");
}

/// The failures in a row of an account: of all clients together, and of the one there is.
pub(crate) fn counts<C: ProofConnection>(scene: &mut Scene<C>, name: &str) -> Vec<i64> {
    scene.numbers(&format!(
        "SELECT in_a_row AS number FROM account_attempts JOIN account_users ON id = subject \
         WHERE username_key = '{name}' ORDER BY in_a_row"
    ))
}

/// Somebody with a name, an address of that name, and [`PASSWORD`].
pub(crate) fn new_user(name: &str) -> NewUser {
    NewUser::new(name, email_of(name), PASSWORD)
}

pub(crate) fn email_of(name: &str) -> String {
    format!("{name}@example.org")
}

pub(crate) const PASSWORD: &str = "correct horse";

/// Every place in turn, resets included.
pub(crate) const PLACES: [Place; 4] =
    [Place::Before, Place::BeforeByReset, Place::Middle, Place::After];

/// More than any operation sends.
const MOST_MESSAGES: u64 = 500;

/// A hundred times more than a run takes.
const PATIENCE: Duration = Duration::from_secs(100);
