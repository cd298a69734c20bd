//! Threads that create people while something is done to their database, and a judge who compares
//! what they heard with what is there.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use diesel::r2d2::R2D2Connection;
use diesel_accounts::{AccountConnection, Creation, Engine, Error, NewUser, UserId, UserManager};

use crate::database::ProofConnection;
use crate::wait::wait_until;

/// One creation, of a person whom nobody else creates, and what was heard of it.
#[derive(Debug)]
pub struct Heard {
    number: u64,
    id: UserId,
    answer: Result<Creation, Error>,
}

/// How far the threads are.
#[derive(Debug, Default)]
pub struct Load {
    stop: AtomicBool,
    begun: AtomicU64,
    created: AtomicU64,
    failed: AtomicU64,
    undetermined: AtomicU64,
}

impl Load {
    /// Creates people, with one thread for each manager, while something else is done.
    pub fn run<C>(managers: &[UserManager<C>], meanwhile: impl FnOnce(&Self)) -> Vec<Heard>
    where
        C: AccountConnection + R2D2Connection + 'static,
    {
        Self::run_by(managers.len(), &|thread| managers[thread].clone(), meanwhile)
    }

    /// Creates people, with threads that ask before each creation by which manager.
    pub fn run_by<C>(
        threads: usize,
        manager_of: &(dyn Fn(usize) -> UserManager<C> + Sync),
        meanwhile: impl FnOnce(&Self),
    ) -> Vec<Heard>
    where
        C: AccountConnection + R2D2Connection + 'static,
    {
        let load = Self::default();
        thread::scope(|scope| {
            let load = &load;
            let create = |thread| scope.spawn(move || load.create_people(&|| manager_of(thread)));
            let threads: Vec<_> = (0..threads).map(create).collect();
            {
                // Also if this panics the threads must end.
                let _stop = Stop(&load.stop);
                meanwhile(load);
            }
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Waits until so many more were created.
    pub fn wait_for_creations(&self, more: u64) {
        let until = self.created.load(Ordering::Relaxed) + more;
        wait_until("people are created", || self.created.load(Ordering::Relaxed) >= until);
    }

    /// Waits until so many more were not created, or nobody knows.
    pub fn wait_for_failures(&self, more: u64) {
        let until = self.failed.load(Ordering::Relaxed) + more;
        wait_until("creations fail", || self.failed.load(Ordering::Relaxed) >= until);
    }

    /// How many were created.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Of how many nobody knows.
    #[must_use]
    pub fn undetermined(&self) -> u64 {
        self.undetermined.load(Ordering::Relaxed)
    }

    fn create_people<C>(&self, manager: &dyn Fn() -> UserManager<C>) -> Vec<Heard>
    where
        C: AccountConnection + R2D2Connection + 'static,
    {
        let mut heard = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            let id = UserId::new();
            let answer = manager().create_user(person(number).with_id(id));
            let counter = if answer.is_ok() { &self.created } else { &self.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            if answer.as_ref().is_err_and(Error::is_undetermined) {
                self.undetermined.fetch_add(1, Ordering::Relaxed);
            }
            heard.push(Heard { number, id, answer });
        }
        heard
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many answers there were of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// `Created`.
    pub created: usize,
    /// `Undetermined`, of whom so many had been created.
    pub undetermined: (usize, usize),
    /// `NotCreated`.
    pub refused: usize,
    /// `Busy`, and what comes of having no connection.
    pub unavailable: usize,
}

/// Compares what was heard with the rows that are there, and asks again about everything that was
/// undetermined.
///
/// # Panics
///
/// If an answer was not true.
pub fn judge<C: ProofConnection>(conn: &mut C, users: &UserManager<C>, heard: &[Heard]) -> Tally {
    let mut tally = Tally::default();
    let there = people_in(conn);
    for Heard { number, id, answer } in heard {
        let is_there = there.contains(number);
        match answer {
            Ok(Creation::Created(user)) => {
                tally.created += 1;
                assert_eq!(user.id(), *id);
                assert!(is_there, "{number} was created, and is not there");
            }
            Err(Error::Undetermined { id: told, .. }) => {
                assert_eq!(told, id);
                tally.undetermined.0 += 1;
                tally.undetermined.1 += usize::from(is_there);
                settle(users, *number, *id, is_there);
            }
            Err(Error::NotCreated(_)) => {
                tally.refused += 1;
                assert!(!is_there, "{number} was not created, and is there: {answer:?}");
            }
            Err(Error::Busy | Error::Pool(_)) => {
                tally.unavailable += 1;
                assert!(!is_there, "{number} was not created, and is there: {answer:?}");
            }
            answer => panic!("{number}: {answer:?}"),
        }
    }
    // Nobody came later, either.
    assert_eq!(people_in(conn).len(), tally.created + tally.undetermined.0);
    tally
}

/// Asks again with the same id.
fn settle<C: ProofConnection>(users: &UserManager<C>, number: u64, id: UserId, is_there: bool) {
    match users.create_user(person(number).with_id(id)).unwrap() {
        Creation::Created(user) => {
            assert_eq!(user.id(), id);
            assert!(!is_there, "{number} was created twice");
        }
        Creation::Existing(existing) => {
            assert!(existing.is_same_creation() && existing.user_id() == id);
            assert!(is_there, "{number} exists, and was not there");
        }
    }
}

fn person(number: u64) -> NewUser {
    NewUser::new(format!("p{number}"), format!("p{number}@example.org"), "correct horse")
}

fn people_in<C: ProofConnection>(conn: &mut C) -> HashSet<u64> {
    let integer = if C::ENGINE == Engine::Mysql { "SIGNED" } else { "BIGINT" };
    let numbers = conn
        .numbers(&format!(
            "SELECT CAST(SUBSTR(username, 2) AS {integer}) AS number FROM account_users"
        ))
        .unwrap();
    let people: HashSet<_> = numbers.iter().map(|number| u64::try_from(*number).unwrap()).collect();
    assert_eq!(people.len(), numbers.len(), "somebody is there twice");
    people
}
