//! What stands in for a host's own parts: engines that count or are held up, and a clock that is
//! set; and an account that is attacked.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use diesel_accounts::{
    Argon2Cost, Argon2Engine, Argon2Input, Clock, Context, Hashing, HashingFailure, PolicyBuilder,
    Refusal, RefusalReason, SecretKey, SignIn, ThrottleRules, Timestamp, UserId, UserManager,
};

use crate::support::{TestConnection, TestDb, alice, assert_matches, cheap_policy, pool_of};

/// The work of each hash that was computed since the last call of `take`: memory times passes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Vec<u64>>>);

impl Tally {
    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The default engine, which is counted here.
    pub(crate) fn engine(&self) -> CountedEngine {
        CountedEngine { inner: Hashing::default_engine(), tally: self.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct CountedEngine {
    inner: Box<dyn Argon2Engine>,
    tally: Tally,
}

impl Argon2Engine for CountedEngine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self { inner: self.inner.another(), tally: self.tally.clone() })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        let work = u64::from(input.memory_kib) * u64::from(input.passes);
        self.tally.0.lock().unwrap().push(work);
        self.inner.compute(input, tag)
    }
}

/// An engine that says when a hash begins, and goes on when it is told to.
#[derive(Debug)]
pub(crate) struct HeldEngine {
    inner: Box<dyn Argon2Engine>,
    beginning: mpsc::Sender<()>,
    let_go: Arc<Mutex<mpsc::Receiver<()>>>,
}

/// The other side of it.
pub(crate) struct Hold {
    begun: mpsc::Receiver<()>,
    letting_go: mpsc::Sender<()>,
}

impl HeldEngine {
    pub(crate) fn new() -> (Self, Hold) {
        let (beginning, begun) = mpsc::channel();
        let (letting_go, let_go) = mpsc::channel();
        let let_go = Arc::new(Mutex::new(let_go));
        (Self { inner: Hashing::default_engine(), beginning, let_go }, Hold { begun, letting_go })
    }
}

impl Hold {
    pub(crate) fn wait_for_a_hash(&self) {
        self.begun.recv_timeout(Duration::from_secs(60)).expect("a hash has begun");
    }

    pub(crate) fn let_go(&self) {
        self.letting_go.send(()).unwrap();
    }
}

impl Argon2Engine for HeldEngine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self {
            inner: self.inner.another(),
            beginning: self.beginning.clone(),
            let_go: Arc::clone(&self.let_go),
        })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        self.beginning.send(()).unwrap();
        self.let_go.lock().unwrap().recv().unwrap();
        self.inner.compute(input, tag)
    }
}

/// A clock that stands still unless it is moved.
#[derive(Clone, Debug)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    /// Some time in 2026.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_790_000_000_000_000)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(micros(time), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, time: Duration) {
        self.0.fetch_sub(micros(time), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

fn micros(time: Duration) -> i64 {
    time.as_micros().try_into().unwrap()
}

/// Alice's account, and a clock that stands still unless it is moved.
pub(crate) struct Attack<C: TestConnection> {
    pub(crate) users: UserManager<C>,
    pub(crate) clock: SetClock,
    pub(crate) tally: Tally,
    pub(crate) policy: PolicyBuilder,
}

impl<C: TestConnection> Attack<C> {
    pub(crate) fn on(db: &TestDb<C>, rules: ThrottleRules) -> Self {
        let (clock, tally) = (SetClock::new(), Tally::default());
        let policy = cheap_policy()
            .hashing(counted_hashing(&tally))
            .throttle(rules)
            .secret_key(secret_key())
            .clock(clock.clone());
        db.create(alice());
        let pool = pool_of(&db.url, 8);
        let users = UserManager::with_policy(pool, policy.clone().build().unwrap());
        Self { users, clock, tally, policy }
    }

    pub(crate) fn alice(&self) -> UserId {
        self.users.user_by_username("alice").unwrap().unwrap().id()
    }

    /// How many failures in a row are counted for alice.
    pub(crate) fn failures(&self) -> u64 {
        self.users.failed_attempts(self.alice()).unwrap().count()
    }

    /// What a wrong password for alice is told to wait for; `None` if it was looked at.
    pub(crate) fn wrong(&self) -> Option<Duration> {
        self.wrong_for("alice")
    }

    pub(crate) fn wrong_for(&self, login: &str) -> Option<Duration> {
        wrong(&self.users, login)
    }

    /// Tries wrong passwords until one is refused by a wait.
    pub(crate) fn fail_until_told_to_wait(&self, login: &str) {
        let waits = (0..99).any(|_| self.wrong_for(login).is_some());
        assert!(waits, "nobody is made to wait");
    }

    /// The manager for the requests of a client.
    pub(crate) fn from(&self, client: &str) -> UserManager<C> {
        self.users.with(Context::new().client(client))
    }

    /// The manager for the requests of a device that presents a token.
    pub(crate) fn with_device(&self, token: &str) -> UserManager<C> {
        self.users.with(Context::new().client("at home").known_device(token))
    }

    /// Signs in from a new device, which gets its token.
    pub(crate) fn device(&self, login: &str, password: &str) -> String {
        let sign_in = self.from("at home").authenticate(login, password).unwrap();
        sign_in.accepted().unwrap().device_token().unwrap().as_str().to_owned()
    }
}

/// What a wrong password is told to wait for; `None` if it was looked at.
pub(crate) fn wrong<C: TestConnection>(users: &UserManager<C>, login: &str) -> Option<Duration> {
    let refusal = refused(users.authenticate(login, "wrong horse").unwrap());
    let throttled = refusal.reason_for_audit() == RefusalReason::Throttled;
    assert_eq!(throttled, refusal.retry_after().is_some());
    refusal.retry_after()
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cost that is next to nothing.
pub(crate) fn cost(memory_kib: u32, passes: u32) -> Argon2Cost {
    Argon2Cost::new(memory_kib, passes, 1).unwrap()
}

/// As `cheap_policy` hashes, and counted.
pub(crate) fn counted_hashing(tally: &Tally) -> Hashing {
    Hashing::new().cost(cost(8, 1)).engine(tally.engine()).longest_wait(Duration::from_secs(60))
}

pub(crate) fn secret_key() -> SecretKey {
    SecretKey::new([7; 32]).unwrap()
}

pub(crate) fn refused(sign_in: SignIn) -> Refusal {
    assert_matches!(sign_in, SignIn::Refused(refusal) => refusal)
}

/// Runs an act in so many threads at once.
pub(crate) fn all_at_once<T: Send>(threads: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let (act, start) = (&act, &start);
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
