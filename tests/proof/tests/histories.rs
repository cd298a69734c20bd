//! Load under faults, recorded and judged: on each push, with a seed of its own.
//!
//! `ACCOUNTS_PROOF_SEED` repeats the choices of an earlier run, as far as threads allow.

use std::io::{Write, stderr};
use std::path::PathBuf;

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts_proof::verdict::{folder, write_and_judge};
use diesel_accounts_proof::workload::{Connection, Plan, run};

const OPERATIONS: u64 = 20_000;

#[test]
fn no_promise_is_broken_under_load_and_faults_on_sqlite() {
    no_promise_is_broken::<SqliteConnection>();
}

#[test]
fn no_promise_is_broken_under_load_and_faults_on_postgres() {
    no_promise_is_broken::<PgConnection>();
}

#[test]
fn no_promise_is_broken_under_load_and_faults_on_mariadb() {
    no_promise_is_broken::<MysqlConnection>();
}

fn no_promise_is_broken<C: Connection>() {
    let seed = std::env::var("ACCOUNTS_PROOF_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("ACCOUNTS_PROOF_SEED is a number"),
    );
    // Not by a macro, whose output the test harness keeps to itself.
    let line = format!("{:?}: ACCOUNTS_PROOF_SEED={seed}\n", C::ENGINE);
    stderr().write_all(line.as_bytes()).unwrap();
    let victim = PathBuf::from(env!("CARGO_BIN_EXE_torture"));
    let history = run::<C>(&Plan { seed, operations: OPERATIONS, victim }, &|_| {});
    let (path, verdict) = write_and_judge(&history, &folder()).unwrap();
    println!("{}", verdict.counts);
    for violation in verdict.violations.iter().take(10) {
        println!("VIOLATION: {violation}");
    }
    let violations = verdict.violations.len();
    assert_eq!(violations, 0, "seed {seed}, record {}", path.display());

    // What was to be proved was put to the proof.
    let count = |name| verdict.counts.count(name);
    assert!(count("operations") >= OPERATIONS);
    for name in [
        "changes",
        "created",
        "existing",
        "existing, same creation",
        "host transactions",
        "id reused",
        "sign-ins accepted",
        "taken by two accounts",
    ] {
        assert!(count(name) > 0, "{name}");
    }
    assert!(count("fault: process killed") > 0);
    assert_eq!(count("undetermined"), count("resolved"));
    assert_eq!(count("components with a second opinion"), count("components where it agrees"));
    assert!(count("components with a second opinion") > 0);
    if C::ENGINE != diesel_accounts::Engine::Sqlite {
        assert!(count("fault: connection cut at a message") > 0);
        assert!(count("undetermined") > 0);
    }
}
