//! Futures that are dropped: what has not begun by then is never done, and what has is done to its
//! end.

use std::sync::Arc;
use std::task::Poll;
use std::thread;

use diesel_accounts::{AsyncUserManager, Creation, Result, User};
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::on_each_engine;
use crate::stage::{
    Asked, CONNECTIONS, OTHER_PLACES, PLACES, Pinned, Settings, Stage, password_of, person,
};
use crate::turnstile::Turnstile;

on_each_engine!(
    what_waits_for_a_place_and_is_dropped_is_never_done,
    what_waits_for_a_thread_and_is_dropped_is_never_done,
    what_has_begun_and_is_dropped_is_done_to_its_end,
    whoever_waits_behind_one_that_is_dropped_is_served,
    a_creation_can_be_dropped_at_every_poll,
    a_creation_can_be_aborted_at_any_time,
);

fn what_waits_for_a_place_and_is_dropped_is_never_done<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let alice = create(&stage, &users, "alice");
    let (others, hashed) = (Turnstile::new_shut(), stage.hashes.came());
    stage.hashes.shut();
    let held: Vec<_> = (0..PLACES)
        .map(|number| {
            let creation = stage.begin(users.create_user(person(&format!("held{number}"))));
            let sign_in = stage.begin(users.authenticate("alice", password_of("alice")));
            (creation, sign_in)
        })
        .collect();
    let held_others: Vec<_> = (0..OTHER_PLACES)
        .map(|_| {
            let others = others.clone();
            stage.begin(users.run(move |_| others.pass("", || Ok(()))))
        })
        .collect();
    stage.crowd.wait_until_inside("create_user", PLACES);
    stage.crowd.wait_until_inside("authenticate", PLACES);
    others.wait_until_inside(OTHER_PLACES);
    begin_and_drop_everything(&stage, &users, &alice);
    stage.hashes.open();
    others.open();
    for (creation, sign_in) in held {
        assert!(stage.run(creation).unwrap().is_created());
        assert!(stage.run(sign_in).unwrap().is_accepted());
    }
    held_others.into_iter().for_each(|other| stage.run(other).unwrap());
    stage.wait_until_quiet();
    assert_eq!(stage.hashes.came(), hashed + 2 * PLACES);
    assert_untouched(&stage, &users, &alice, PLACES);
    stage.assert_all_places_are_there(&users);
}

fn what_waits_for_a_thread_and_is_dropped_is_never_done<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let alice = create(&stage, &users, "alice");
    let hashed = stage.hashes.came();
    let host = stage.occupy_threads();
    begin_and_drop_everything(&stage, &users, &alice);
    host.open();
    stage.wait_until_quiet();
    assert_eq!(stage.hashes.came(), hashed);
    assert_untouched(&stage, &users, &alice, 0);
    stage.assert_all_places_are_there(&users);
}

/// Each of them would leave a trace.
fn begin_and_drop_everything<C: Connection>(
    stage: &Stage<C>,
    users: &AsyncUserManager<C>,
    alice: &User,
) {
    let prepared = users.blocking().policy().prepare(person("late").without_password()).unwrap();
    let (id, old, new) = (alice.id(), password_of("alice"), "battery staple");
    drop(stage.begin(users.create_user(person("late"))));
    drop(stage.begin(users.set_password(id, new)));
    drop(stage.begin(users.prepare(person("later"))));
    drop(stage.begin(users.change_password(id, old, new)));
    drop(stage.begin(users.authenticate("alice", "no horse at all")));
    drop(stage.begin(users.disable_user(id)));
    drop(stage.begin(users.create_prepared_user(Arc::new(prepared))));
    drop(stage.begin(users.delete_user(id)));
    drop(stage.begin(users.run(move |users| users.delete_user(id))));
}

fn assert_untouched<C: Connection>(
    stage: &Stage<C>,
    users: &AsyncUserManager<C>,
    alice: &User,
    others: usize,
) {
    assert_eq!(stage.count(), 1 + i64::try_from(others).unwrap());
    let now = users.blocking().user_by_id(alice.id()).unwrap().unwrap();
    assert!(now.is_active());
    assert_eq!(now.password_changed_at(), alice.password_changed_at());
    assert_eq!(users.blocking().failed_attempts(alice.id()).unwrap().count(), 0);
    for late in ["late", "later"].map(password_of) {
        assert_eq!(stage.hashes.came_as(&late), 0);
    }
}

fn what_has_begun_and_is_dropped_is_done_to_its_end<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let alice = create(&stage, &users, "alice");
    let others = Turnstile::new_shut();
    stage.hashes.shut();
    let creation = stage.begin(users.create_user(person("late")));
    stage.hashes.wait_until_inside(1);
    let change = stage.begin(users.set_password(alice.id(), "battery staple"));
    stage.crowd.wait_until_inside("set_password", 1);
    let (turnstile, later) = (others.clone(), person("later").without_password());
    let other =
        stage.begin(users.run(move |users| turnstile.pass("", || users.create_user(later))));
    others.wait_until_inside(1);
    drop((creation, change, other));
    stage.hashes.open();
    others.open();
    stage.wait_until_quiet();
    let blocking = users.blocking();
    assert!(blocking.user_by_username("late").unwrap().is_some());
    assert!(blocking.user_by_username("later").unwrap().is_some());
    assert!(blocking.authenticate("alice", "battery staple").unwrap().is_accepted());

    stage.assert_all_places_are_there(&users);
}

fn whoever_waits_behind_one_that_is_dropped_is_served<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings { queue_length: 3, ..Settings::default() });
    stage.hashes.shut();
    let held: Vec<_> =
        ["one", "two", "three"].map(|name| stage.begin(users.create_user(person(name)))).into();
    stage.crowd.wait_until_inside("create_user", PLACES);
    let first = stage.begin(users.create_user(person("first")));
    let second = stage.begin(users.create_user(person("second")));
    let third = stage.begin(users.create_user(person("third")));
    drop(first);
    // Its place in the queue is free as well.
    let fourth = stage.begin(users.create_user(person("fourth")));
    drop(third);
    stage.hashes.open();
    for creation in held.into_iter().chain([second, fourth]) {
        assert!(stage.run(creation).unwrap().is_created());
    }
    stage.wait_until_quiet();
    assert_eq!(stage.count(), 5);
}

fn a_creation_can_be_dropped_at_every_poll<C: Connection>(stage: Stage<C>) {
    let pool = stage.database.pool(CONNECTIONS);
    let users = stage.users_on(pool.clone(), Settings::default());
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        // Those that are polled most often are done; most wait for their places at first.
        let mut batch: Vec<_> = (0..BATCH)
            .map(|number| {
                let asked = Asked::new();
                let creation: Creating<'_> = Box::pin(users.create_user(asked.person()));
                (asked, Some(creation), polls(number, round))
            })
            .collect();
        while batch.iter().any(|(_, creation, _)| creation.is_some()) {
            for (asked, creation, polls) in &mut batch {
                poll_or_drop(&stage, asked, creation, polls);
            }
            thread::yield_now();
        }
        asked.extend(batch.into_iter().map(|(asked, ..)| asked));
    }
    stage.wait_until_quiet();
    assert!(asked.iter().any(|asked| asked.is_done == Some(true)), "some were awaited");
    stage.assert_settled(&users, &asked);
    stage.assert_all_places_are_there(&users);
    wait_until("all connections are back", || {
        pool.state().idle_connections == pool.state().connections
    });
    let all: Vec<_> = (0..CONNECTIONS).map(|_| pool.get().unwrap()).collect();
    assert_eq!(pool.state().connections, CONNECTIONS);
    drop(all);
}

type Creating<'a> = Pinned<'a, Result<Creation>>;

fn poll_or_drop<C: Connection>(
    stage: &Stage<C>,
    asked: &mut Asked,
    creation: &mut Option<Creating<'_>>,
    polls: &mut u64,
) {
    let Some(future) = creation else { return };
    if *polls == 0 {
        *creation = None;
        return;
    }
    *polls -= 1;
    if let Poll::Ready(answer) = stage.poll(future) {
        assert!(answer.unwrap().is_created());
        asked.is_done = Some(true);
        *creation = None;
    }
}

/// From none to so many that it is done, not the same in each round.
fn polls(number: u64, round: u64) -> u64 {
    match number {
        0..4 => number,
        _ => (1 << (number - 2)) + round,
    }
}

const ROUNDS: u64 = 8;
const BATCH: u64 = 24;

/// A task is dropped by another thread than polls it.
fn a_creation_can_be_aborted_at_any_time<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let mut asked = Vec::new();
    for round in 0..60 {
        let mut asking: Vec<_> = (0..4)
            .map(|_| {
                let (asked, users) = (Asked::new(), users.clone());
                let person = asked.person();
                (asked, stage.spawn(async move { users.create_user(person).await }))
            })
            .collect();
        stage.run(async {
            for _ in 0..round * 20 {
                tokio::task::yield_now().await;
            }
            asking.iter().for_each(|(_, task)| task.abort());
        });
        for (asked, task) in &mut asking {
            if let Ok(answer) = stage.run(task) {
                assert!(answer.unwrap().is_created());
                asked.is_done = Some(true);
            }
        }
        asked.extend(asking.into_iter().map(|(asked, _)| asked));
    }
    stage.wait_until_quiet();
    stage.assert_settled(&users, &asked);
    stage.assert_all_places_are_there(&users);
}

pub(crate) fn create<C: Connection>(
    stage: &Stage<C>,
    users: &AsyncUserManager<C>,
    name: &str,
) -> User {
    stage.run(users.create_user(person(name))).unwrap().created().expect("nobody is in the way")
}
