//! A creation is recorded once, however often it is tried, and by however many at once.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use diesel_accounts::{Creation, NewUser, UserManager};

use crate::on_each_engine;
use crate::support::{Host, PASSWORD, REALM, Stage, context, hex, person};

on_each_engine!(
    a_creation_that_is_sent_again_is_recorded_as_created_once,
    of_many_who_race_one_is_recorded_as_created,
    of_many_who_send_the_same_creation_one_is_recorded_as_created,
    an_id_that_is_created_again_after_a_deletion_is_recorded_again,
    an_id_that_is_created_again_at_the_same_time_is_recorded_again,
);

fn a_creation_that_is_sent_again_is_recorded_as_created_once<C: Host>(stage: Stage<C>) {
    let alice = stage.users.prepare(person("alice")).unwrap();
    for number in 0..4 {
        let outcome = if number == 0 { "created" } else { "existing" };
        let recorded = [("create", outcome, Some(alice.id()))];
        let answer = stage.is_recorded(&recorded, || stage.users.create_prepared_user(&alice));
        assert_eq!(answer.unwrap().is_created(), number == 0);
    }
    let mut conn = stage.database.connect();
    let recorded = [("create", "existing", Some(alice.id()))];
    let _ = stage.is_recorded(&recorded, || stage.users.on(&mut conn).create_user(&alice)).unwrap();
}

fn of_many_who_race_one_is_recorded_as_created<C: Host>(stage: Stage<C>) {
    let spellings = ["jos\u{e9}", "JOS\u{c9}", "jose\u{301}", "Jos\u{e9}"];
    let answers = at_once(&stage, |users, number| {
        let name = spellings[number % spellings.len()];
        let email = if number % 2 == 0 { "Jose@Example.org" } else { "jose@example.ORG" };
        users.create_user(NewUser::new(name, email, PASSWORD)).unwrap()
    });
    expect_one_created(&stage, &answers);
}

fn of_many_who_send_the_same_creation_one_is_recorded_as_created<C: Host>(stage: Stage<C>) {
    let alice = stage.users.prepare(person("alice")).unwrap();
    let answers = at_once(&stage, |users, _| users.create_prepared_user(&alice).unwrap());
    expect_one_created(&stage, &answers);
}

fn an_id_that_is_created_again_after_a_deletion_is_recorded_again<C: Host>(stage: Stage<C>) {
    let alice = stage.users.prepare(person("alice")).unwrap();
    let id = alice.id();
    for _ in 0..3 {
        let created = [("create", "created", Some(id))];
        let answer = stage.is_recorded(&created, || stage.users.create_prepared_user(&alice));
        assert!(answer.unwrap().is_created());
        stage.is_recorded(&[("delete", "done", Some(id))], || stage.users.delete_user(id)).unwrap();
    }
    let ids: BTreeSet<_> = stage.records().into_iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), 6);
}

/// As tests with a clock that stands still do; and a clock that was set back.
fn an_id_that_is_created_again_at_the_same_time_is_recorded_again<C: Host>(stage: Stage<C>) {
    let alice = stage.users.prepare(person("alice")).unwrap();
    for round in 0..2 {
        let answer = stage.users.create_prepared_user(&alice);
        assert!(matches!(answer, Ok(Creation::Created(_))), "{round}: {answer:?}");
        stage.users.delete_user(alice.id()).unwrap();
    }
    assert_eq!(stage.records().len(), 4);
}

/// Does the same on 16 threads that start together, and gives the answers.
fn at_once<C: Host>(
    stage: &Stage<C>,
    create: impl Fn(&UserManager<C>, usize) -> Creation + Sync,
) -> Vec<Creation> {
    let users = UserManager::with_policy(stage.database.pool(8), stage.policy().build().unwrap());
    let users = users.with(context()).in_realm(REALM);
    let (create, start, users) = (&create, &Barrier::new(THREADS), &users);
    thread::scope(|scope| {
        let run = |number| {
            scope.spawn(move || {
                start.wait();
                create(users, number)
            })
        };
        let running: Vec<_> = (0..THREADS).map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn expect_one_created<C: Host>(stage: &Stage<C>, answers: &[Creation]) {
    let id = stage.quiet.list_users(None, 10).unwrap();
    let [user] = id.as_slice() else { panic!("{id:?}") };
    assert_eq!(answers.iter().filter(|answer| answer.is_created()).count(), 1);
    let mut told = stage.told();
    told.sort();
    let mut expected = vec!["create existing"; THREADS];
    expected[0] = "create created";
    assert_eq!(told, expected);
    let all_of_one =
        stage.records().into_iter().all(|record| record.user_id == Some(hex(user.id().as_bytes())));
    assert!(all_of_one);
    let heard = stage.heard.take();
    assert_eq!(heard.len(), THREADS);
    assert_eq!(heard.iter().filter(|event| event.outcome() == "created").count(), 1);
}

const THREADS: usize = 16;
