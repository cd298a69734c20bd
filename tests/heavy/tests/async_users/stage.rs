//! A database, a runtime and a hash engine for each test, and what is done with them.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, Pool};
use diesel_accounts::{
    Argon2Cost, AsyncUserManager, Creation, Hashing, NewUser, PolicyBuilder, Result, User, UserId,
    UserManager,
};
use diesel_accounts_proof::database::{Database, policy};
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::capture::Told;
use crate::crowd::Crowd;
use crate::turnstile::{PATIENCE, Turnstile};

pub(crate) struct Stage<C: Connection> {
    pub(crate) database: Database<C>,
    /// Every hash goes through it.
    pub(crate) hashes: Turnstile,
    pub(crate) crowd: Crowd,
    pub(crate) runtime: Runtime,

    dispatch: Dispatch,
    flavour: Flavour,
}

/// A future that is polled by hand.
pub(crate) type Pinned<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which runtime of tokio's.
#[derive(Clone, Copy)]
pub(crate) enum Flavour {
    CurrentThread,
    MultiThread,
}

/// What the bounds are made of. There are [`PLACES`] in each lane that hashes by default.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) queue_length: usize,
    /// The policy's deadline, and the longest wait for a hash.
    pub(crate) patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue_length: 1024, patience: PATIENCE }
    }
}

impl<C: Connection> Stage<C> {
    pub(crate) fn new(flavour: Flavour) -> Self {
        // Before the first span of this test: see there.
        drop(Told::new());
        let crowd = Crowd::default();
        Self {
            database: Database::new(),
            hashes: Turnstile::default(),
            dispatch: Dispatch::new(Registry::default().with(crowd.clone())),
            crowd,
            runtime: runtime(flavour),

            flavour,
        }
    }

    pub(crate) fn users(&self, settings: Settings) -> AsyncUserManager<C> {
        self.users_on(self.database.pool(CONNECTIONS), settings)
    }

    pub(crate) fn users_on(
        &self,
        pool: Pool<ConnectionManager<C>>,
        settings: Settings,
    ) -> AsyncUserManager<C> {
        let policy = self.policy(settings).build().unwrap();
        AsyncUserManager::new(UserManager::with_policy(pool, policy))
    }

    pub(crate) fn policy(&self, settings: Settings) -> PolicyBuilder {
        let hashing = Hashing::new()
            .cost(Argon2Cost::new(8, 1, 1).unwrap())
            .engine(self.hashes.engine())
            .concurrent_hashes(HASHES)
            .queue_length(settings.queue_length)
            .longest_wait(settings.patience);
        policy().hashing(hashing).deadline(settings.patience)
    }

    /// Awaits something.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        dispatcher::with_default(&self.dispatch, || self.runtime.block_on(future))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(future.with_subscriber(self.dispatch.clone()))
    }

    /// Polls once.
    pub(crate) fn poll<T>(&self, future: &mut Pinned<'_, T>) -> Poll<T> {
        let _entered = self.runtime.enter();
        dispatcher::with_default(&self.dispatch, || {
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
    }

    /// Polls once, and it is not done.
    pub(crate) fn begin<'a, T>(
        &self,
        future: impl Future<Output = T> + Send + 'a,
    ) -> Pinned<'a, T> {
        let mut future: Pinned<'a, T> = Box::pin(future);
        assert!(self.poll(&mut future).is_pending());
        future
    }

    /// Takes all threads that may block, until the turnstile is opened.
    pub(crate) fn occupy_threads(&self) -> Turnstile {
        let host = Turnstile::new_shut();
        for _ in 0..THREADS {
            let host = host.clone();
            self.runtime.spawn_blocking(move || host.pass("host", || ()));
        }
        host.wait_until_inside(THREADS);
        host
    }

    /// Returns when whatever was to be done on blocking threads is done: they take what comes in
    /// turn, and then all of them are here at once.
    pub(crate) fn wait_until_quiet(&self) {
        let all_here = Arc::new(Barrier::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let all_here = Arc::clone(&all_here);
                self.runtime.spawn_blocking(move || all_here.wait())
            })
            .collect();
        for thread in threads {
            self.runtime.block_on(thread).unwrap();
        }
    }

    /// Holds more callers in each lane than it has places: as many are served at once as there
    /// are places, no fewer and no more, and all in the end.
    pub(crate) fn assert_all_places_are_there(&self, users: &AsyncUserManager<C>) {
        let others = Turnstile::new_shut();
        self.hashes.shut();
        let mut waiting: Vec<_> = (0..3 * PLACES)
            .map(|number| {
                let name = format!("filler{number}.{}", UserId::new());
                let creation = self.begin(users.create_user(person(&name)));
                let sign_in = self.begin(users.authenticate(name, "no horse at all"));
                let others = others.clone();
                let other = self.begin(users.run(move |_| others.pass("", || Ok(()))));
                (creation, sign_in, other)
            })
            .collect();
        // Whoever had a place may be about to give it back, and to one that waits.
        wait_until("as many are served as there are places", || {
            for (creation, sign_in, other) in &mut waiting {
                assert!(self.poll(creation).is_pending());
                assert!(self.poll(sign_in).is_pending());
                assert!(self.poll(other).is_pending());
            }
            self.crowd.inside("create_user") == PLACES
                && self.crowd.inside("authenticate") == PLACES
                && others.inside() == OTHER_PLACES
        });
        self.hashes.open();
        others.open();
        for (creation, sign_in, other) in waiting {
            assert!(self.run(creation).unwrap().is_created());
            assert!(!self.run(sign_in).unwrap().is_accepted());
            self.run(other).unwrap();
        }
        assert_eq!(self.crowd.most("create_user"), PLACES);
        assert_eq!(self.crowd.most("authenticate"), PLACES);
        assert_eq!(others.most(), OTHER_PLACES);
        assert_eq!(self.hashes.most(), HASHES);
    }

    /// Each creation that was asked for is there once or not at all, whatever was heard is true,
    /// and asking again settles the rest.
    pub(crate) fn assert_settled(&self, users: &AsyncUserManager<C>, asked: &[Asked]) {
        let before = self.count();
        let there = |asked: &Asked| users.blocking().user_by_id(asked.id).unwrap();
        let found = asked.iter().filter(|asked| there(asked).is_some()).count();
        for asked in asked {
            let user = there(asked);
            if let Some(is_done) = asked.is_done {
                assert_eq!(user.is_some(), is_done, "{}", asked.name);
            }
            let username = user.as_ref().and_then(User::username);
            assert_eq!(username, user.as_ref().map(|_| &*asked.name));
            let again = self.run(users.create_user(asked.person())).unwrap();
            match again {
                Creation::Created(created) => {
                    assert_eq!((user, created.id()), (None, asked.id));
                }
                Creation::Existing(existing) => {
                    assert!(existing.is_same_creation());
                    assert_eq!(user.as_ref(), Some(existing.unauthenticated_user()));
                }
            }
        }
        let missing = asked.len() - found;
        assert_eq!(self.count(), before + i64::try_from(missing).unwrap());
    }

    /// A new runtime, instead of one that is shut down.
    pub(crate) fn replace_runtime(&mut self) -> Runtime {
        mem::replace(&mut self.runtime, runtime(self.flavour))
    }

    /// How many accounts there are, counted without our own queries.
    pub(crate) fn count(&self) -> i64 {
        let count = "SELECT COUNT(*) AS number FROM account_users";
        self.database.connect().numbers(count).unwrap()[0]
    }
}

/// So that a runtime that is dropped does not wait for a test that failed.
impl<C: Connection> Drop for Stage<C> {
    fn drop(&mut self) {
        self.hashes.open();
    }
}

fn runtime(flavour: Flavour) -> Runtime {
    let mut builder = match flavour {
        Flavour::CurrentThread => Builder::new_current_thread(),
        Flavour::MultiThread => Builder::new_multi_thread(),
    };
    builder.worker_threads(2).max_blocking_threads(THREADS).enable_time().build().unwrap()
}

/// A creation of a person of its own.
pub(crate) struct Asked {
    pub(crate) id: UserId,
    pub(crate) name: String,
    /// Whether it was done; `None` if nobody knows.
    pub(crate) is_done: Option<bool>,
}

impl Asked {
    pub(crate) fn new() -> Self {
        let id = UserId::new();
        Self { id, name: format!("asked.{id}"), is_done: None }
    }

    pub(crate) fn person(&self) -> NewUser {
        person(&self.name).with_id(self.id)
    }
}

pub(crate) fn person(name: &str) -> NewUser {
    NewUser::new(name, format!("{name}@example.org"), password_of(name))
}

/// Another one for each, without the name in it.
pub(crate) fn password_of(name: &str) -> String {
    format!("horse {}", name.chars().rev().collect::<String>())
}

/// The error of an answer, by its stable name.
pub(crate) fn code_of<T>(answer: Result<T>) -> Option<&'static str> {
    answer.err().map(|error| error.code())
}

pub(crate) const CONNECTIONS: u32 = 2;
pub(crate) const HASHES: usize = 1;

/// Of each lane that hashes: as many as connections and hashes.
pub(crate) const PLACES: usize = 3;
/// Of the lane that does not: as many as connections.
pub(crate) const OTHER_PLACES: usize = 2;
/// For all lanes together, and no more.
pub(crate) const THREADS: usize = PLACES + PLACES + OTHER_PLACES;
