//! What a host's logs are told: an operation is a part of what awaits it, on whichever thread it is
//! done, also if it never began.

use std::time::Duration;

use diesel_accounts::{Engine, UserId};
use diesel_accounts_proof::workload::Connection;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, dispatcher, info_span};

use crate::capture::{Fields, HeardSpan, Told};
use crate::drops::create;
use crate::on_each_engine;
use crate::stage::{PLACES, Settings, Stage, code_of, password_of, person};

on_each_engine!(
    an_operation_is_told_within_the_span_that_awaits_it,
    a_task_of_its_own_tells_its_own_subscriber,
    what_never_began_is_told_by_what_it_came_to,
    whoever_waits_for_a_place_to_hash_is_in_the_queue,
);

fn an_operation_is_told_within_the_span_that_awaits_it<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let (told, id) = (Told::new(), UserId::new());
    told.hear(|| {
        stage.runtime.block_on(
            async {
                let creation = users.create_user(person("alice").with_id(id)).await;
                assert!(creation.unwrap().is_created());
                let sign_in = users.authenticate("alice", password_of("alice")).await;
                assert!(sign_in.unwrap().is_accepted());
                users.disable_user(id).await.unwrap();
                assert!(users.user_by_email("nobody@example.org").await.unwrap().is_none());
                users.run(move |users| users.delete_user(id)).await.unwrap();
            }
            .instrument(info_span!("request")),
        );
    });
    let id = &*id.to_string();
    assert_eq!(
        told.take().spans[1..],
        [
            span::<C>("create_user", "created", Some(id)),
            span::<C>("authenticate", "accepted", Some(id)),
            span::<C>("disable_user", "ok", Some(id)),
            span::<C>("user_by_email", "absent", None),
            span::<C>("delete_user", "ok", Some(id)),
        ]
    );
}

fn a_task_of_its_own_tells_its_own_subscriber<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let tolds = [Told::new(), Told::new()];
    let tasks: Vec<_> = tolds
        .iter()
        .zip(["alice", "bob"])
        .map(|(told, name)| {
            let users = users.clone();
            told.hear(|| {
                let create = async move { users.create_user(person(name)).await };
                let dispatch = dispatcher::get_default(Clone::clone);
                let task = create.instrument(info_span!("request")).with_subscriber(dispatch);
                stage.runtime.spawn(task)
            })
        })
        .collect();
    for (task, told) in tasks.into_iter().zip(&tolds) {
        let user = stage.runtime.block_on(task).unwrap().unwrap().created().unwrap();
        let id = user.id().to_string();
        let spans = told.take().spans;
        assert_eq!(spans[1..], [span::<C>("create_user", "created", Some(&id))]);
    }
}

fn what_never_began_is_told_by_what_it_came_to<C: Connection>(stage: Stage<C>) {
    let alice = create(&stage, &stage.users(Settings::default()), "alice").id();
    let patience = Duration::from_millis(30);
    let users = stage.users(Settings { patience, queue_length: 0 });
    let told = Told::new();
    let host = stage.occupy_threads();
    told.hear(|| {
        stage.runtime.block_on(
            async {
                // No thread in time, then no place, and no queue for one.
                for _ in 0..=PLACES {
                    let creation = users.create_user(person("late")).await;
                    assert_eq!(code_of(creation), Some("hashing_busy"));
                }
                let sign_in = users.authenticate("alice", password_of("alice")).await;
                assert_eq!(code_of(sign_in), Some("hashing_busy"));
                let disabled = users.disable_user(alice).await;
                assert_eq!(code_of(disabled), Some("busy"));
                assert_eq!(code_of(users.check().await), Some("busy"));
            }
            .instrument(info_span!("request")),
        );
    });
    host.open();
    stage.wait_until_quiet();
    let late = || span::<C>("create_user", "hashing_busy", None);
    assert_eq!(
        told.take().spans[1..],
        [
            late(),
            late(),
            late(),
            late(),
            span::<C>("authenticate", "hashing_busy", None),
            span::<C>("disable_user", "busy", Some(&alice.to_string())),
            span::<C>("check", "busy", None),
        ]
    );
    assert_eq!(told.counter("account_create_total{outcome=hashing_busy}"), 4);
    assert_eq!(told.counter("account_sign_in_total{outcome=hashing_busy}"), 1);
    assert_eq!(told.counter("account_hash_rejected_total"), 5);
}

fn whoever_waits_for_a_place_to_hash_is_in_the_queue<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let told = Told::new();
    stage.hashes.shut();
    let held: Vec<_> =
        ["one", "two", "three"].map(|name| stage.begin(users.create_user(person(name)))).into();
    stage.crowd.wait_until_inside("create_user", PLACES);
    told.hear(|| {
        let waits = stage.begin(users.create_user(person("late")));
        assert_eq!(told.gauge("account_hash_queue"), Some(1.0));
        drop(waits);
        assert_eq!(told.gauge("account_hash_queue"), Some(0.0));
    });
    stage.hashes.open();
    held.into_iter().for_each(|held| assert!(stage.run(held).unwrap().is_created()));
}

/// A span of ours within that of a request.
fn span<C: Connection>(name: &'static str, outcome: &str, about: Option<&str>) -> HeardSpan {
    let engine = match C::ENGINE {
        Engine::Mysql => "mysql",
        Engine::Postgres => "postgres",
        _ => "sqlite",
    };
    let mut fields = Fields::from([("engine", engine), ("outcome", outcome), ("tries", "1")]);
    fields.0.extend(about.map(|id| ("user_id".to_owned(), id.to_owned())));
    HeardSpan {
        name,
        target: "diesel_accounts".to_owned(),
        level: "INFO".to_owned(),
        fields,
        parent: Some("request"),
    }
}
