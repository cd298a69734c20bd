//! The program that puts load on the library for as long as one likes: what it is told, what it
//! keeps, and what it says in the end. On SQLite, which needs no server, and in small rounds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::SqliteConnection;
use diesel_accounts_proof::history::{AccountId, History, Name, Password, Row, State};
use diesel_accounts_proof::workload::{Plan, run};
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn an_interrupted_run_goes_on_and_loses_only_the_rounds_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut endless = start(&folder, &["--operations", "1000000", "--seed", "7", "--lanes", "2"]);
    wait_until(&mut endless, || number(&folder, "counts/rounds") >= 2);
    let meanwhile = torture(&folder, &["--operations", "1"]);
    assert_is_refused(&meanwhile, "another run is at work");
    endless.kill().unwrap();
    endless.wait().unwrap();
    let before = ["counts/operations", "counts/rounds", "begun"].map(|name| number(&folder, name));

    let more = (before[0] + 150).to_string();
    let output = torture(&folder, &["--operations", &more]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let after = ["counts/operations", "counts/rounds", "begun"].map(|name| number(&folder, name));
    assert!(after[0] >= before[0] + 150, "{before:?} {after:?}");
    // One round of a hundred, and one of fifty beside it.
    assert_eq!((after[1], after[2]), (before[1] + 2, before[2] + 2), "{before:?} {after:?}");
    let table = text(&output.stdout);
    assert_eq!(cell(&table, "seed 7"), "sqlite");
    assert_eq!(cell(&table, "operations"), after[0].to_string());
    assert_eq!(cell(&table, "rounds"), after[1].to_string());
    assert_eq!(cell(&table, "violations"), "0");
    for line in ["created", "races recovered", "fault: accounts locked", "time"] {
        assert!(!cell(&table, line).is_empty(), "{table}");
    }

    let again = torture(&folder, &["--operations", &more]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(number(&folder, "begun"), after[2]);
}

#[test]
fn what_was_done_with_another_seed_is_kept_unless_it_is_to_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &json!({ "operations": 50, "rounds": 1 }));
    let other = torture(&folder, &["--operations", "50", "--seed", "8"]);
    assert_is_refused(&other, "--afresh begins anew");
    assert_eq!(number(&folder, "counts/operations"), 50);
    let afresh = torture(&folder, &["--operations", "20", "--seed", "8", "--afresh"]);
    assert_eq!(afresh.status.code(), Some(0), "{afresh:?}");
    assert_eq!(cell(&text(&afresh.stdout), "seed 8"), "sqlite");
    assert_eq!(number(&folder, "begun"), 1);
    // The record of a good round is not kept.
    assert_eq!(records(&folder), Vec::<PathBuf>::new());
}

#[test]
fn what_was_done_with_other_code_is_not_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let first = ["--operations", "20", "--code", "first"];
    assert_eq!(torture(&folder, &first).status.code(), Some(0));
    let begun = fs::read_to_string(folder.path().join("torture.json")).unwrap();
    let of_second = ["--operations", "40", "--code", "second"];
    assert_is_refused(&torture(&folder, &of_second), "other code; --afresh begins anew");
    assert_is_refused(&torture(&folder, &["--operations", "40"]), "other code");
    let is_wrong = ["--operations", "many", "--code", "second", "--afresh-if-of-other-code"];
    assert_is_refused(&torture(&folder, &is_wrong), "many");
    assert_eq!(fs::read_to_string(folder.path().join("torture.json")).unwrap(), begun);

    for (operations, code, is_afresh) in [("200", "first", false), ("20", "second", true)] {
        let arguments = ["--operations", operations, "--code", code, "--afresh-if-of-other-code"];
        let output = torture(&folder, &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(number(&folder, "begun") == 1, is_afresh, "{code}");
    }
}

#[test]
fn a_promise_that_was_broken_in_an_earlier_call_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &json!({ "operations": 50, "rounds": 1, "violations": 1 }));
    let output = torture(&folder, &["--operations", "50"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(cell(&text(&output.stdout), "violations"), "1");
}

#[test]
fn totals_that_cannot_be_read_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torture.json");
    fs::write(&path, "{\"seed\": 7").unwrap();
    assert_is_refused(&torture(&folder, &["--operations", "20"]), "--afresh begins anew");
    assert_eq!(fs::read_to_string(path).unwrap(), "{\"seed\": 7");
}

#[test]
fn a_record_is_judged_again_and_the_exit_status_tells_whether_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let victim = PathBuf::from(program());
    let mut history = run::<SqliteConnection>(&Plan { seed: 7, operations: 100, victim }, &|_| {});
    let path = folder.path().join("record.jsonl");
    history.write(&path).unwrap();
    let good = check(&path);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert_eq!(cell(&text(&good.stdout), "operations"), history.calls.len().to_string());

    let name = Some(Name { class: 1_000_000, spelling: 0 });
    let (id, state, password) = (AccountId(1), State::Active, Password(1));
    history.rows.push(Row { id, username: name, email: name, state, password });
    history.write(&path).unwrap();
    assert_eq!(History::read(&path).unwrap(), history);
    let bad = check(&path);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(text(&bad.stdout).contains("VIOLATION: EveryRowWasAskedFor: "), "{bad:?}");
    assert_eq!(cell(&text(&bad.stdout), "violations"), "1");
}

#[test]
fn wrong_arguments_are_named_and_nothing_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["--engine", "oracle"][..], "there is no engine oracle"),
        (&["--operations", "many"], "many"),
        (&["--operations"], "--operations"),
        (&["--round", "0"], "no round without calls"),
        (&["--lanes", "0"], "none without a lane"),
        (&["--backwards"], "--backwards"),
        (&["sqlite"], "sqlite"),
    ] {
        let output = torture(&folder, arguments);
        assert_is_refused(&output, words);
        assert!(text(&output.stderr).contains("usage: torture"), "{output:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("missing.jsonl");
    assert_is_refused(&check(&missing), "missing.jsonl");
    fs::write(&missing, "no record\n").unwrap();
    assert_is_refused(&check(&missing), "missing.jsonl");
}

/// The program with its totals in a folder of the test's.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("--folder").arg(folder.path()).args(["--engine", "sqlite", "--round", "100"]);
    // Whoever is killed leaves its databases behind.
    command.args(arguments).env("TMPDIR", folder.path());
    command
}

fn torture(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn start(folder: &TempDir, arguments: &[&str]) -> Child {
    let mut command = command(folder, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn check(record: &Path) -> Output {
    Command::new(program()).arg("--check").arg(record).output().unwrap()
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_torture")
}

/// Waits for something that a program does.
fn wait_until(child: &mut Child, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        assert!(Instant::now() < patience, "it is not so after two minutes");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Writes totals as an earlier run would have.
fn keep(folder: &TempDir, counts: &Value) {
    let total = json!({ "begun": 1, "milliseconds": 1000, "counts": counts });
    let state = json!({ "seed": 7, "engines": { "sqlite": total } });
    fs::write(folder.path().join("torture.json"), state.to_string()).unwrap();
}

/// A number of SQLite's from the totals, zero if it is not there.
fn number(folder: &TempDir, name: &str) -> u64 {
    let Ok(text) = fs::read_to_string(folder.path().join("torture.json")) else { return 0 };
    let state: Value = serde_json::from_str(&text).unwrap();
    state.pointer(&format!("/engines/sqlite/{name}")).and_then(Value::as_u64).unwrap_or_default()
}

fn records(folder: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

/// What stands behind a name in a table.
fn cell(table: &str, name: &str) -> String {
    let mut cells = table.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
    cells.next().unwrap_or_else(|| panic!("{name} in {table}")).trim().to_owned()
}

fn assert_is_refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains(words), "{output:?}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
