//! Histories of everything that can be done to accounts, each answer of the library beside that of
//! a plain model which shares no code with it, and the whole tables beside it at the end.
//!
//! Each run plays other histories and says by which seed; `PROPTEST_RNG_SEED=... ` plays them
//! again, and `PROPTEST_CASES=10000` looks longer. A history that fails is shrunk, and its seed
//! written into `regressions.txt`, to be committed: it is played first from then on.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Write, stderr};

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

mod accounts;
mod answer;
mod attempts;
mod chance;
mod creation;
mod library;
mod operation;
mod perform;
mod reach;
mod reference;
#[path = "../support/servers.rs"]
mod servers;
mod sign_in;
mod stage;
mod tables;
mod translate;

use self::library::Library;
use self::reference::Reference;
use self::stage::EngineConnection;

#[test]
fn each_answer_and_the_tables_are_those_of_a_model_on_mysql() {
    play::<MysqlConnection>("mysql", 200);
}

#[test]
fn each_answer_and_the_tables_are_those_of_a_model_on_postgres() {
    play::<PgConnection>("postgres", 150);
}

#[test]
fn each_answer_and_the_tables_are_those_of_a_model_on_sqlite() {
    play::<SqliteConnection>("sqlite", 400);
}

fn play<C: EngineConnection>(engine: &str, histories: u32) {
    // A server that is missing is no history that fails.
    let _stage = C::stage();
    let mut config = Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/model/regressions.txt"
        )))),
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = histories;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().build_hasher().finish(),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    // Not by a macro, whose output the test harness keeps to itself.
    let line = format!("{engine}: {} histories, PROPTEST_RNG_SEED={seed}\n", config.cases);
    stderr().write_all(line.as_bytes()).unwrap();

    let histories = Reference::sequential_strategy(1..60);
    let mut runner = TestRunner::new(config.clone());
    let played = runner.run(&histories, |(model, steps, seen)| {
        Library::<C>::test_sequential(config.clone(), model, steps, seen);
        Ok(())
    });
    if let Err(failure) = played {
        panic!("{engine}, PROPTEST_RNG_SEED={seed}: {failure}");
    }
}
