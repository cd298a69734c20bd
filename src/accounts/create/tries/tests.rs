//! Every sequence of tries that matters, without a database.

use std::time::{Duration, Instant};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::super::{Connections, Lent};
use super::{Attempt, MOST_TRIES, try_until};
use crate::creation::Creation;
use crate::error::{Error, Result};
use crate::new_user::NewUser;
use crate::password::{Argon2Cost, Hashing};
use crate::policy::Policy;
use crate::store::rows::InsertUser;
use crate::user::{RealmId, User, UserId};

const ID: UserId = UserId::from_bytes([7; 16]);

fn cause(text: &str) -> DieselError {
    DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()))
}

fn strangers() -> Attempt {
    Attempt::Strangers(Err(Error::IdReused { id: ID }))
}

fn lost_inserting() -> Attempt {
    Attempt::LostInserting(cause("lost inserting"))
}

fn lost_reading() -> Attempt {
    Attempt::LostReading(cause("lost reading"))
}

fn refused() -> Attempt {
    Attempt::Refused(cause("refused"))
}

fn unnamed() -> Attempt {
    Attempt::Unnamed(cause("unnamed"))
}

fn unread() -> Attempt {
    Attempt::Unread(cause("unread"))
}

fn user() -> User {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    let policy = Policy::builder().hashing(Hashing::new().cost(cost)).build().unwrap();
    let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    let prepared = policy.prepare(alice).unwrap();
    InsertUser::new(&prepared, RealmId::NIL, policy.now()).user()
}

/// Where connections come from, and whether they do.
#[derive(Default)]
struct Connected {
    /// After how many tries there is no connection.
    fails_after: Option<u32>,
    /// Whether a connection that was lost can be replaced.
    cannot_be_replaced: bool,
    tries: u32,
    replaced: u32,
    conn: (),
}

impl Connections<()> for Connected {
    fn current(&mut self, _: Instant) -> Result<&mut ()> {
        if self.fails_after == Some(self.tries) {
            // Any error will do: it is handed on as it is.
            return Err(Error::UserNotFound);
        }
        self.tries += 1;
        Ok(&mut self.conn)
    }

    fn replace_lost(&mut self) -> bool {
        self.replaced += 1;
        !self.cannot_be_replaced
    }
}

/// What a creation comes to by these tries, all of which it makes.
fn come_to(connections: &mut Connected, attempts: Vec<Attempt>) -> Result<Creation> {
    let (mut attempts, until) = (attempts.into_iter(), Instant::now() + Duration::from_secs(60));
    let mut is_lost = false;
    let answer = try_until(until, ID, connections, |(), is_unanswered| {
        let attempt = attempts.next().expect("it goes on when it should have ended");
        assert_eq!(is_unanswered, is_lost, "{attempt:?}");
        is_lost |= matches!(attempt, Attempt::LostInserting(_));
        attempt
    });
    assert_eq!(attempts.count(), 0, "it ends too soon: {answer:?}");
    answer
}

fn answer_to(attempts: Vec<Attempt>) -> Result<Creation> {
    come_to(&mut Connected::default(), attempts)
}

#[track_caller]
fn assert_undetermined(answer: Result<Creation>, by: &str) {
    let Err(Error::Undetermined { id, cause }) = answer else { panic!("{answer:?}") };
    assert_eq!((id, cause.diesel_error().to_string().as_str()), (ID, by));
}

#[test]
fn the_first_try_that_is_answered_is_the_answer() {
    let user = user();
    let created = || Attempt::Own(Creation::Created(user.clone()));
    for before in [vec![], vec![Attempt::Contention], vec![lost_inserting(), lost_reading()]] {
        let attempts = before.into_iter().chain([created()]).collect();
        let Ok(Creation::Created(created)) = answer_to(attempts) else { panic!() };
        assert_eq!(created, user);
    }
    assert!(matches!(answer_to(vec![strangers()]), Err(Error::IdReused { .. })));
}

/// They may go, and what was sent may still come.
#[test]
fn strangers_settle_nothing_that_is_unanswered() {
    assert_undetermined(answer_to(vec![lost_inserting(), strangers()]), "lost inserting");
    let later = vec![lost_inserting(), Attempt::Contention, unread(), strangers()];
    assert_undetermined(answer_to(later), "lost inserting");
    // All insertions were answered: the refused ones met whoever is there now, or others.
    for before in [lost_reading(), unread(), Attempt::Unseen] {
        assert!(matches!(answer_to(vec![before, strangers()]), Err(Error::IdReused { .. })));
    }
}

#[test]
fn not_created_is_said_only_when_nothing_is_open() {
    assert!(matches!(answer_to(vec![refused()]), Err(Error::NotCreated(_))));
    let settled = vec![Attempt::Contention, unread(), Attempt::Unseen, refused()];
    assert!(matches!(answer_to(settled), Err(Error::NotCreated(_))));
    assert_undetermined(answer_to(vec![lost_inserting(), refused()]), "lost inserting");
    assert_undetermined(answer_to(vec![lost_reading(), refused()]), "lost reading");
    assert_undetermined(answer_to(vec![unread(), refused()]), "unread");
    // A duplicate of nobody settles what could not be read, and nothing else.
    let open = vec![lost_inserting(), Attempt::Unseen, refused()];
    assert_undetermined(answer_to(open), "lost inserting");
}

/// It may succeed another time, but whoever stopped it does not want it again at once.
#[test]
fn what_was_stopped_is_busy_and_not_repeated() {
    assert!(matches!(answer_to(vec![Attempt::Stopped]), Err(Error::Busy)));
    assert!(matches!(answer_to(vec![Attempt::Unseen, Attempt::Stopped]), Err(Error::Busy)));
    assert_undetermined(answer_to(vec![lost_inserting(), Attempt::Stopped]), "lost inserting");
    assert_undetermined(answer_to(vec![unread(), Attempt::Stopped]), "unread");
}

#[test]
fn answers_that_make_no_sense_are_asked_for_a_few_times() {
    let times = |count: u32, attempt: fn() -> Attempt| -> Vec<_> {
        (0..count).map(|_| attempt()).collect()
    };
    let unseen: fn() -> Attempt = || Attempt::Unseen;
    let answer = answer_to(times(MOST_TRIES, unseen));
    assert!(matches!(answer, Err(Error::HiddenConflict)), "{answer:?}");
    let Err(Error::NotCreated(failure)) = answer_to(times(MOST_TRIES, unnamed)) else { panic!() };
    assert_eq!(failure.diesel_error().to_string(), "unnamed");
    assert_undetermined(answer_to(times(MOST_TRIES, unread)), "unread");

    // Those of one kind are counted together, and what lies between is of no matter.
    let mut mixed = vec![unread(), Attempt::Contention, unnamed(), Attempt::Unseen, unnamed()];
    let Err(Error::NotCreated(_)) = answer_to(mixed) else { panic!() };
    mixed = vec![Attempt::Unseen, unnamed(), Attempt::Unseen, unnamed(), Attempt::Unseen];
    assert!(matches!(answer_to(mixed), Err(Error::HiddenConflict)));
    // Whatever ends it, it is not known what came of what is unanswered.
    for end in [unseen, unnamed, unread] {
        let mut attempts = times(MOST_TRIES, end);
        attempts.insert(0, lost_inserting());
        assert_undetermined(answer_to(attempts), "lost inserting");
    }
}

#[test]
fn a_connection_that_was_lost_is_replaced_if_there_is_another() {
    for lost in [lost_inserting as fn() -> Attempt, lost_reading] {
        let mut pool = Connected::default();
        let answer =
            come_to(&mut pool, vec![lost(), lost(), Attempt::Own(Creation::Created(user()))]);
        assert_eq!((answer.is_ok(), pool.replaced), (true, 2));

        let mut lent = Connected { cannot_be_replaced: true, ..Connected::default() };
        let answer = come_to(&mut lent, vec![Attempt::Contention, lost()]);
        assert!(matches!(answer, Err(Error::Undetermined { .. })), "{answer:?}");
        assert_eq!((lent.tries, lent.replaced), (2, 1));
    }
    assert!(!Lent(&mut ()).replace_lost(), "a host lends one connection");
}

/// A pool that has none says so, but only while it is true that nothing was done.
#[test]
fn a_pool_without_connections_is_asked_again_while_something_is_open() {
    let mut pool = Connected { fails_after: Some(1), ..Connected::default() };
    let answer = come_to(&mut pool, vec![Attempt::Contention]);
    assert!(matches!(answer, Err(Error::UserNotFound)), "{answer:?}");

    for lost in [lost_inserting as fn() -> Attempt, lost_reading, unread] {
        let mut pool = Connected { fails_after: Some(1), ..Connected::default() };
        let soon = Instant::now() + Duration::from_millis(5);
        let mut attempts = vec![lost()].into_iter();
        let answer = try_until(soon, ID, &mut pool, |(), _| attempts.next().unwrap());
        assert!(matches!(answer, Err(Error::Undetermined { .. })), "{answer:?}");
    }
}

#[test]
fn when_the_time_is_over_nothing_is_tried_again() {
    let over = Instant::now();
    let mut tries = 0;
    let answer = try_until(over, ID, &mut Connected::default(), |(), _| {
        tries += 1;
        Attempt::Contention
    });
    assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    let answer = try_until(over, ID, &mut Connected::default(), |(), _| {
        tries += 1;
        lost_inserting()
    });
    assert_undetermined(answer, "lost inserting");
    assert_eq!(tries, 2);
}
