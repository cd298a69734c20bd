//! What does not begin in time is an error, and never done.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel_accounts::{AsyncUserManager, Result, User};
use diesel_accounts_proof::workload::Connection;

use crate::drops::create;
use crate::on_each_engine;
use crate::stage::{OTHER_PLACES, PLACES, Pinned, Settings, Stage, code_of, password_of, person};
use crate::turnstile::Turnstile;

on_each_engine!(
    what_finds_no_thread_in_time_is_busy_and_never_done,
    what_finds_no_place_in_time_is_busy_and_never_done,
    what_has_begun_in_time_is_awaited_to_its_end,
);

fn what_finds_no_thread_in_time_is_busy_and_never_done<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings { patience: SHORT, ..Settings::default() });
    let patient = stage.users(Settings::default());
    let alice = create(&stage, &patient, "alice");
    let host = stage.occupy_threads();
    let started = Instant::now();
    assert_everything_is_busy(&stage, &users, &alice);
    assert!(started.elapsed() >= SHORT * 22, "each had its time");
    // The threads were there all the time, and come too late.
    host.open();
    stage.wait_until_quiet();
    assert_eq!(stage.hashes.came(), 1, "hers was the only one");
    assert_nothing_was_done(&stage, &patient, &alice, 0);
}

fn what_finds_no_place_in_time_is_busy_and_never_done<C: Connection>(stage: Stage<C>) {
    // Long enough for whoever holds the places to begin.
    let users = stage.users(Settings { patience: FAIR, ..Settings::default() });
    let patient = stage.users(Settings::default());
    let alice = create(&stage, &patient, "alice");
    let (others, hashed) = (Turnstile::new_shut(), stage.hashes.came());
    stage.hashes.shut();
    let held_hashes: Vec<_> = (0..PLACES)
        .map(|number| stage.begin(users.create_user(person(&format!("held{number}")))))
        .collect();
    let held: Vec<_> = (0..OTHER_PLACES)
        .map(|_| {
            let others = others.clone();
            stage.begin(users.run(move |_| others.pass("", || Ok(()))))
        })
        .collect();
    stage.crowd.wait_until_inside("create_user", PLACES);
    stage.hashes.wait_until_inside(1);
    others.wait_until_inside(OTHER_PLACES);
    let started = Instant::now();
    let prepared = users.blocking().policy().prepare(person("late").without_password()).unwrap();
    let late = [
        stage.begin(busy(users.disable_user(alice.id()))),
        stage.begin(busy(users.create_prepared_user(Arc::new(prepared)))),
        stage.begin(busy(users.delete_user(alice.id()))),
    ];
    let late_hashes = [
        stage.begin(busy(users.create_user(person("late")))),
        stage.begin(busy(users.set_password(alice.id(), "battery staple"))),
    ];
    late.into_iter().for_each(|late| assert_eq!(stage.run(late), Some("busy")));
    assert!(started.elapsed() >= FAIR);
    // Of those that hold the places one hashes, and the others have waited as long.
    late_hashes.into_iter().for_each(|late| assert_eq!(stage.run(late), Some("hashing_busy")));
    stage.hashes.open();
    others.open();
    held.into_iter().for_each(|held| stage.run(held).unwrap());
    let created = held_hashes.into_iter().filter_map(|held| stage.run(held).ok()).count();
    stage.wait_until_quiet();
    assert_eq!(stage.hashes.came(), hashed + created);
    assert_nothing_was_done(&stage, &patient, &alice, i64::try_from(created).unwrap());
}

fn what_has_begun_in_time_is_awaited_to_its_end<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings { patience: FAIR, ..Settings::default() });
    let started = Instant::now();
    let answer = stage.run(users.run(move |_| {
        while started.elapsed() < FAIR * 3 / 2 {
            thread::yield_now();
        }
        Ok("done")
    }));
    assert_eq!(answer.unwrap(), "done");
    // And so is what is held in a hash.
    stage.hashes.shut();
    let creation = stage.begin(users.create_user(person("slow")));
    stage.hashes.wait_until_inside(1);
    let hashes = stage.hashes.clone();
    let begun = Instant::now();
    let answer = stage.run(users.run(move |_| {
        while begun.elapsed() < FAIR * 3 / 2 {
            thread::yield_now();
        }
        hashes.open();
        Ok(())
    }));
    answer.unwrap();
    assert!(stage.run(creation).unwrap().is_created());
}

/// As often as there are places, and more.
fn assert_everything_is_busy<C: Connection>(
    stage: &Stage<C>,
    users: &AsyncUserManager<C>,
    alice: &User,
) {
    let prepared = users.blocking().policy().prepare(person("late").without_password()).unwrap();
    let prepared = Arc::new(prepared);
    let (id, old, new) = (alice.id(), password_of("alice"), "battery staple");
    for _ in 0..2 {
        let hashing: [Pinned<'_, _>; 5] = [
            Box::pin(busy(users.create_user(person("late")))),
            Box::pin(busy(users.prepare(person("late")))),
            Box::pin(busy(users.set_password(id, new))),
            Box::pin(busy(users.authenticate("alice", "no horse at all"))),
            Box::pin(busy(users.change_password(id, old.clone(), new))),
        ];
        hashing.into_iter().for_each(|late| assert_eq!(stage.run(late), Some("hashing_busy")));
        let others: [Pinned<'_, _>; 6] = [
            Box::pin(busy(users.create_prepared_user(Arc::clone(&prepared)))),
            Box::pin(busy(users.delete_user(id))),
            Box::pin(busy(users.disable_user(id))),
            Box::pin(busy(users.user_by_id(id))),
            Box::pin(busy(users.check())),
            Box::pin(busy(users.run(move |users| users.delete_user(id)))),
        ];
        others.into_iter().for_each(|late| assert_eq!(stage.run(late), Some("busy")));
    }
}

fn assert_nothing_was_done<C: Connection>(
    stage: &Stage<C>,
    users: &AsyncUserManager<C>,
    alice: &User,
    others: i64,
) {
    assert_eq!(stage.count(), 1 + others);
    let now = users.blocking().user_by_id(alice.id()).unwrap();
    assert_eq!(now.as_ref(), Some(alice));
    assert_eq!(users.blocking().failed_attempts(alice.id()).unwrap().count(), 0);
}

async fn busy<T>(future: impl Future<Output = Result<T>>) -> Option<&'static str> {
    code_of(future.await)
}

/// For what cannot begin.
const SHORT: Duration = Duration::from_millis(30);
/// For what begins unless it is kept from it.
const FAIR: Duration = Duration::from_secs(1);
