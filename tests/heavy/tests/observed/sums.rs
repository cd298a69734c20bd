//! What is counted is what the callers heard.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use diesel_accounts::{Creation, NewUser, Result, SignIn, UserManager};
use diesel_accounts_proof::workload::Connection;

use crate::on_each_engine;
use crate::stage::{PASSWORD, Stage, WRONG, email, engine_of, person, username};

on_each_engine!(the_counts_and_the_spans_are_the_answers_of_all_threads);

fn the_counts_and_the_spans_are_the_answers_of_all_threads<C: Connection>(stage: &Stage<C>) {
    let start = &Barrier::new(THREADS);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    start.wait();
                    let operate = |round| operate(&stage.users, thread, round);
                    stage.told.hear(|| (0..ROUNDS).map(operate).collect::<Vec<_>>())
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), THREADS * ROUNDS);

    let said = stage.told.take();
    let spans = said.spans.iter().map(|span| {
        assert_eq!(span.fields.0["engine"], engine_of::<C>());
        (span.name, &*span.fields.0["outcome"])
    });
    assert_eq!(tally(spans), tally(answers.iter().copied()));

    let counted = |name, counter| {
        let of_name = answers.iter().filter(move |(operation, _)| *operation == name);
        tally(of_name.map(move |(_, outcome)| format!("{counter}{{outcome={outcome}}}")))
    };
    let mut expected = counted("create_user", "account_create_total");
    expected.extend(counted("authenticate", "account_sign_in_total"));
    let mut counters = stage.told.counters();
    let recovered = counters.remove("account_create_race_recovered_total").unwrap_or(0);
    let mut retries = 0;
    counters.retain(|name, count| {
        let is_retry = name.starts_with("account_db_retry_total");
        retries += if is_retry { *count } else { 0 };
        !is_retry
    });
    assert_eq!(counters, expected);

    let tries = said.spans.iter().map(|span| span.fields.0["tries"].parse::<u64>().unwrap() - 1);
    assert_eq!(retries, tries.sum::<u64>());
    let events = |message: &str| {
        said.events.iter().filter(|event| event.fields.0["message"] == message).count() as u64
    };
    assert_eq!(recovered, events("another creation of the same person came first"));
    assert!(recovered <= expected["account_create_total{outcome=existing}"]);
    let refused = expected["account_sign_in_total{outcome=refused}"];
    assert_eq!(refused, events("a password was refused"));
    // All of it was reached, or there would be nothing to compare.
    assert!(["created", "existing", "taken", "invalid"].iter().all(|outcome| {
        expected.contains_key(&format!("account_create_total{{outcome={outcome}}}"))
    }));
    assert!(expected.contains_key("account_sign_in_total{outcome=accepted}"));
}

/// Five people, each created and signed in by all threads at about the same time.
fn operate<C: Connection>(users: &UserManager<C>, thread: usize, round: usize) -> Answer {
    let [former, name] = [(round / 5).saturating_sub(1), round / 5].map(|at| format!("person{at}"));
    let create = |new_user| ("create_user", outcome_of_creation(users.create_user(new_user)));
    match round % 5 {
        0 => create(person(&name)),
        // In the way is the one, the other, or both.
        1 => create(NewUser::new(username(&former), email(&name), PASSWORD)),
        2 => create(NewUser::new("", "", "short")),
        3 => {
            let password = if thread.is_multiple_of(2) { PASSWORD } else { WRONG };
            let outcome = match users.authenticate(&username(&name), password) {
                Ok(SignIn::Accepted(_)) => "accepted",
                Ok(_) => "refused",
                Err(error) => error.code(),
            };
            ("authenticate", outcome)
        }
        _ => {
            let login = if thread == 0 { "nobody" } else { &*username(&name) };
            let outcome = match users.user_by_username(login) {
                Ok(Some(_)) => "found",
                Ok(None) => "absent",
                Err(error) => error.code(),
            };
            ("user_by_username", outcome)
        }
    }
}

fn outcome_of_creation(answer: Result<Creation>) -> &'static str {
    match answer {
        Ok(Creation::Created(_)) => "created",
        Ok(Creation::Existing(_)) => "existing",
        Err(error) => error.code(),
    }
}

fn tally<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

/// The name of an operation, and what came of it.
type Answer = (&'static str, &'static str);

const THREADS: usize = 4;
const ROUNDS: usize = 25;
