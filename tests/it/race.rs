//! Many threads, one person: real threads on real servers, repeated, with every answer checked.

use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use diesel_accounts::{Creation, Error, NewUser, UserId};

use crate::support::{PASSWORD, TestConnection, TestDb, begin_commit, on_each_engine};

/// As many threads as a busy service has, and as many rounds as make a rare order likely.
const THREADS: usize = 64;
const ROUNDS: usize = 200;

/// How long a host runs its transaction again before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a host that must run again waits at most. Hosts that rerun at once meet the same rivals
/// again: at MariaDB's SERIALIZABLE each holds a shared lock by then, and none gets further.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

on_each_engine!(
    one_of_64_threads_creates_and_all_others_find_through_a_pool_of_1,
    one_of_64_threads_creates_and_all_others_find_through_a_pool_of_4,
    one_of_64_threads_creates_and_all_others_find_through_a_pool_of_16,
    a_race_by_username_and_by_email_ends_in_one_account_for_each_key,
    host_transactions_that_race_at_every_isolation_level_end_in_one_account,
);

fn one_of_64_threads_creates_and_all_others_find_through_a_pool_of_1<C: TestConnection>(
    db: TestDb<C>,
) {
    race(&db, 1);
}

fn one_of_64_threads_creates_and_all_others_find_through_a_pool_of_4<C: TestConnection>(
    db: TestDb<C>,
) {
    race(&db, 4);
}

fn one_of_64_threads_creates_and_all_others_find_through_a_pool_of_16<C: TestConnection>(
    db: TestDb<C>,
) {
    race(&db, 16);
}

fn race<C: TestConnection>(db: &TestDb<C>, pool_size: u32) {
    let users = db.users_with_pool_of(pool_size);
    let answers = at_once(THREADS, ROUNDS, |thread, round| {
        let new_user = person(round, thread);
        // Half of the rounds race in the insertion alone, half in all of `create_user`.
        match round % 2 {
            0 => users.create_prepared_user(&users.prepare(new_user).unwrap()),
            _ => users.create_user(new_user),
        }
    });
    for (round, answers) in answers.into_iter().enumerate() {
        let (created, existing) = split(answers);
        assert_eq!((created.len(), existing.len()), (1, THREADS - 1), "round {round}");
        assert!(existing.iter().all(|id| *id == created[0]), "round {round}");
        let found = db.users.user_by_username(&format!("person{round}")).unwrap().unwrap();
        assert_eq!(found.id(), created[0], "round {round}");
    }
    assert_eq!(db.count(), ROUNDS as i64);
}

/// Half of the threads share a username, the other half an email, and one thread has both.
fn a_race_by_username_and_by_email_ends_in_one_account_for_each_key<C: TestConnection>(
    db: TestDb<C>,
) {
    let users = db.users_with_pool_of(8);
    let answers = at_once(16, 60, |thread, round| {
        let (username, email) = match thread {
            0 => (format!("shared{round}"), format!("shared{round}@example.org")),
            1..=7 => (format!("SHARED{round}"), format!("own{thread}.{round}@example.org")),
            _ => (format!("own{thread}.{round}"), format!("Shared{round}@example.org")),
        };
        let prepared = users.prepare(NewUser::new(username, email, PASSWORD)).unwrap();
        users.create_prepared_user(&prepared)
    });
    for (round, answers) in answers.into_iter().enumerate() {
        let by_username = db.users.user_by_username(&format!("shared{round}")).unwrap().unwrap();
        let by_email =
            db.users.user_by_email(&format!("shared{round}@example.org")).unwrap().unwrap();
        let mut created = 0;
        for answer in answers {
            match answer {
                Ok(Creation::Created(user)) => {
                    assert!(user.id() == by_username.id() || user.id() == by_email.id());
                    created += 1;
                }
                Ok(Creation::Existing(existing)) => {
                    let id = existing.user_id();
                    assert!(id == by_username.id() || id == by_email.id(), "round {round}");
                }
                // The one with both, if two others were faster.
                Err(Error::Taken(taken)) => {
                    assert_eq!(taken.username_holder(), Some(by_username.id()));
                    assert_eq!(taken.email_holder(), Some(by_email.id()));
                    assert_ne!(by_username.id(), by_email.id());
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        let accounts = if by_username.id() == by_email.id() { 1 } else { 2 };
        assert_eq!(created, accounts, "round {round}");
    }
}

/// The host writes a row of its own, perhaps reads first, creates the account, and commits; it runs
/// again when it is told to, or when its own statements fail.
fn host_transactions_that_race_at_every_isolation_level_end_in_one_account<C: TestConnection>(
    db: TestDb<C>,
) {
    db.connect().batch_execute("CREATE TABLE host_rows (round INT, thread INT)").unwrap();
    // 200 rounds on each engine, shared among its kinds of transactions.
    let rounds = ROUNDS.div_ceil(2 * C::ISOLATIONS.len());
    let connections: Vec<_> = (0..THREADS).map(|_| Mutex::new(db.connect())).collect();
    for (number, (isolation, setting)) in C::ISOLATIONS.iter().enumerate() {
        for read_first in [false, true] {
            let base = 1000 * (2 * number + usize::from(read_first));
            let label = format!("{isolation} {setting} read first: {read_first}");
            let answers = at_once(THREADS, rounds, |thread, round| {
                let round = base + round;
                let prepared = db.users.prepare(person(round, thread)).unwrap();
                let conn = &mut *connections[thread].lock().unwrap();
                if !setting.is_empty() {
                    conn.batch_execute(setting).unwrap();
                }
                let patience = Instant::now() + PATIENCE;
                let mut longest_pause = Duration::from_millis(2);
                while Instant::now() < patience {
                    let mut heard = None;
                    let answer = begin_commit(conn, isolation, |conn| {
                        if read_first {
                            conn.try_number("SELECT COUNT(*) AS number FROM account_users")?;
                        }
                        conn.batch_execute(&format!(
                            "INSERT INTO host_rows VALUES ({round}, {thread})"
                        ))?;
                        let answer = db.users.on(conn).create_user(&prepared);
                        heard = Some(format!("{answer:?}"));
                        answer
                    });
                    match answer {
                        // The host's own statements, or its commit: never an answer of ours.
                        Err(Error::Database(_)) => {
                            let ours = heard.is_some_and(|heard| heard.contains("Database"));
                            assert!(!ours, "{label}");
                        }
                        Err(error) if error.is_host_must_roll_back() => {}
                        answer => return answer,
                    }
                    thread::sleep(longest_pause.mul_f64(fastrand::f64()));
                    longest_pause = (longest_pause * 2).min(LONGEST_PAUSE);
                }
                panic!("{label}: no run was committed");
            });
            for (round, answers) in answers.into_iter().enumerate() {
                let round = base + round;
                let (created, existing) = split(answers);
                assert_eq!((created.len(), existing.len()), (1, THREADS - 1), "{label}");
                assert!(existing.iter().all(|id| *id == created[0]), "{label}");
                let rows = db.connect().number(&format!(
                    "SELECT COUNT(*) AS number FROM host_rows WHERE round = {round}"
                ));
                assert_eq!(rows, THREADS as i64, "each host committed exactly once: {label}");
            }
        }
    }
    assert_eq!(db.count(), (rounds * 2 * C::ISOLATIONS.len()) as i64);
}

/// Runs an act in all threads at once, round after round; the answers of each round.
fn at_once<T: Send>(
    threads: usize,
    rounds: usize,
    act: impl Fn(usize, usize) -> T + Sync,
) -> Vec<Vec<T>> {
    let round = |round| {
        // No thread waits for one that panicked: nothing can fail before the start.
        let start = Barrier::new(threads);
        thread::scope(|scope| {
            let racers: Vec<_> = (0..threads)
                .map(|thread| {
                    let (act, start) = (&act, &start);
                    scope.spawn(move || {
                        start.wait();
                        act(thread, round)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        })
    };
    (0..rounds).map(round).collect()
}

/// One person for each round, in a spelling for each thread.
fn person(round: usize, thread: usize) -> NewUser {
    let username = match thread % 3 {
        0 => format!("person{round}"),
        1 => format!("PERSON{round}"),
        _ => format!("\u{ff50}erson{round}"),
    };
    let email = match thread % 2 {
        0 => format!("person{round}@b\u{fc}cher.example"),
        _ => format!("Person{round}@XN--BCHER-KVA.example"),
    };
    NewUser::new(username, email, PASSWORD)
}

/// The ids of those who heard `Created`, and of those who heard `Existing`.
fn split(answers: Vec<diesel_accounts::Result<Creation>>) -> (Vec<UserId>, Vec<UserId>) {
    let (mut created, mut existing) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer.unwrap() {
            Creation::Created(user) => created.push(user.id()),
            Creation::Existing(found) => existing.push(found.user_id()),
        }
    }
    (created, existing)
}
