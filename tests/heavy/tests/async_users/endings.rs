//! What ends in the midst of an operation: the operation by a panic, or the whole runtime.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use diesel_accounts::{AsyncUserManager, Error, NewUser, Result};
use diesel_accounts_proof::workload::Connection;

use crate::drops::create;
use crate::on_each_engine;
use crate::stage::{Asked, PLACES, Settings, Stage};
use crate::turnstile::{CURSED, PATIENCE};

on_each_engine!(
    a_panic_comes_out_of_what_awaits_it_and_gives_the_place_back,
    a_runtime_that_is_shut_down_at_once_loses_nothing,
    a_runtime_that_is_shut_down_in_time_loses_nothing,
    on_a_runtime_that_is_gone_nothing_begins,
);

fn a_panic_comes_out_of_what_awaits_it_and_gives_the_place_back<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let alice = create(&stage, &users, "alice");
    // More often than there are places.
    for _ in 0..2 * PLACES {
        let ran = users.run(|_| -> Result<()> { std::panic::panic_any(CURSED) });
        assert_eq!(panic_of(&stage, ran), CURSED);
        let cursed = NewUser::new("bob", "bob@example.org", CURSED);
        assert_eq!(panic_of(&stage, users.create_user(cursed)), CURSED);
        assert_eq!(panic_of(&stage, users.authenticate("alice", CURSED)), CURSED);
        assert_eq!(panic_of(&stage, users.set_password(alice.id(), CURSED)), CURSED);
        let spawned = users.clone();
        let task = stage.spawn(async move { spawned.authenticate("alice", CURSED).await });
        let failed = stage.run(task).unwrap_err().into_panic();
        assert_eq!(*failed.downcast::<&str>().unwrap(), CURSED);
        users.blocking().unlock_user(alice.id()).unwrap();
    }
    assert_eq!(stage.count(), 1);
    stage.assert_all_places_are_there(&users);
}

fn panic_of<C: Connection, T: std::fmt::Debug>(
    stage: &Stage<C>,
    future: impl Future<Output = Result<T>>,
) -> &'static str {
    let failed: Box<dyn Any + Send> =
        catch_unwind(AssertUnwindSafe(|| stage.run(future))).unwrap_err();
    *failed.downcast().unwrap()
}

fn a_runtime_that_is_shut_down_at_once_loses_nothing<C: Connection>(mut stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let mut asked = Vec::new();
    for _ in 0..3 {
        let (begun, waiting) = hold_many(&stage, &users);
        asked.extend(begun);
        asked.extend(waiting);
        let came = stage.hashes.came();
        stage.replace_runtime().shutdown_background();
        stage.hashes.open();
        // Nobody waits for them any more, and they go on.
        stage.crowd.wait_until_inside("create_user", 0);
        assert!(stage.hashes.came() >= came);
        stage.assert_all_places_are_there(&users);
    }
    stage.assert_settled(&users, &asked);
}

fn a_runtime_that_is_shut_down_in_time_loses_nothing<C: Connection>(mut stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let (mut begun, waiting) = hold_many(&stage, &users);
    let runtime = stage.replace_runtime();
    // Whoever shuts it down waits for those that have begun.
    let (shutting_down, shuts_down) = mpsc::channel();
    let shut_down = thread::spawn(move || {
        shutting_down.send(()).unwrap();
        runtime.shutdown_timeout(PATIENCE);
    });
    shuts_down.recv().unwrap();
    stage.hashes.open();
    shut_down.join().unwrap();
    for asked in &mut begun {
        asked.is_done = Some(true);
    }
    stage.assert_settled(&users, &begun);
    stage.assert_settled(&users, &waiting);
    stage.assert_all_places_are_there(&users);
}

/// Creations that have begun, and those that wait for their places behind them.
fn hold_many<C: Connection>(
    stage: &Stage<C>,
    users: &AsyncUserManager<C>,
) -> (Vec<Asked>, Vec<Asked>) {
    stage.hashes.shut();
    let ask = |count| -> Vec<Asked> {
        (0..count)
            .map(|_| {
                let (asked, users) = (Asked::new(), users.clone());
                let person = asked.person();
                stage.spawn(async move { users.create_user(person).await });
                asked
            })
            .collect()
    };
    let begun = ask(PLACES);
    while stage.crowd.inside("create_user") < PLACES {
        stage.run(tokio::task::yield_now());
    }
    let waiting = ask(20);
    stage.run(tokio::task::yield_now());
    (begun, waiting)
}

fn on_a_runtime_that_is_gone_nothing_begins<C: Connection>(mut stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let asked = Asked { is_done: Some(false), ..Asked::new() };
    let runtime = stage.replace_runtime();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    for _ in 0..2 * PLACES {
        let _entered = handle.enter();
        let mut creation = pin!(users.create_user(asked.person()));
        let answer = creation.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(Error::Busy))), "{answer:?}");
    }
    assert_eq!(stage.hashes.came(), 0);
    stage.assert_settled(&users, &[asked]);
    stage.assert_all_places_are_there(&users);
}
