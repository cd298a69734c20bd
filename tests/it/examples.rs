//! The examples, run as a newcomer runs them, and every command of the README.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use diesel_accounts::{Engine, User};

use crate::support::{TestConnection, TestDb, on_each_engine, unique_name};

on_each_engine!(
    the_registration_check_creates_once_and_then_recognises,
    the_registration_check_tells_what_is_wrong,
    the_quick_start_recognises_the_second_spelling,
    a_password_lives_as_the_sign_in_example_says,
    an_account_and_a_profile_are_made_together_once,
    many_threads_register_without_a_violation,
);

fn the_registration_check_creates_once_and_then_recognises<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let check = |username: &str, email: &str| {
        let arguments = ["--username", username, "--email", email, "--password", "TestPass123!"];
        run(&db, "test_user_creation", &arguments)
    };
    let first = last_line(&check("testuser", "test@example.com"));
    let id = first.strip_prefix("created ").expect(&first).to_owned();
    for (username, email, matched) in [
        ("testuser", "test@example.com", "username, email"),
        ("TESTUSER", "Test@EXAMPLE.com", "username, email"),
        ("TESTUSER", "other@example.com", "username"),
        ("other", "Test@EXAMPLE.com", "email"),
    ] {
        let output = check(username, email);
        assert_eq!(last_line(&output), format!("existing {id} (matched: {matched})"));
        assert_eq!(output.status.code(), Some(0));
    }
    assert!(last_line(&check("second", "second@example.com")).starts_with("created "));
    let two = check("testuser", "second@example.com");
    assert_eq!(two.status.code(), Some(1));
    let told = String::from_utf8(two.stderr).unwrap();
    assert!(told.contains("username") && told.contains("email"), "{told}");
    let created: Vec<_> = db.users.list_users(None, 10).unwrap();
    assert_eq!(created.first().map(|user: &User| user.id().to_string()), Some(id));
    assert_eq!(created.len(), 2);
}

fn the_registration_check_tells_what_is_wrong<C: TestConnection>(db: TestDb<C>) {
    let arguments = ["--username", "a b", "--email", "nobody", "--password", "zq9!x"];
    let invalid = run(&db, "test_user_creation", &arguments);
    assert_eq!(invalid.status.code(), Some(2));
    let told = String::from_utf8(invalid.stderr).unwrap();
    let fields: Vec<_> = told.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(fields, ["username", "email", "password"], "{told}");
    assert!(!told.contains("zq9!x") && !told.contains("nobody"), "{told}");

    let incomplete = run(&db, "test_user_creation", &["--username", "ann"]);
    assert_eq!(incomplete.status.code(), Some(2));
    let unreachable = example("test_user_creation")
        .args(["--username", "ann", "--email", "ann@example.org", "--password", "TestPass123!"])
        .args(["--database-url", "nowhere://"])
        .output()
        .unwrap();
    assert_eq!(unreachable.status.code(), Some(1));
    assert_eq!(db.count(), 0);
}

fn the_quick_start_recognises_the_second_spelling<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let output = text(&run(&db, "quickstart", &[]));
    assert!(output.contains("alice: created ") && output.contains("ALICE: existing "), "{output}");
    assert!(output.contains("signed in: "), "{output}");
    assert_eq!(db.count(), 1);
}

fn a_password_lives_as_the_sign_in_example_says<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let began = Instant::now();
    let output = text(&run(&db, "sign_in", &[]));
    for line in [
        "the owner there, known: accepted",
        "the owner there, unknown: refused",
        "after an unlock: accepted",
        "the old password: refused",
        "the new password: accepted",
        "the old session has ended",
    ] {
        assert!(output.contains(line), "{line}: {output}");
    }
    // Of 30 seconds, less what is over of them on a busy machine.
    let wait = output.split_once("next try in ").and_then(|(_, rest)| rest.split_once(" s"));
    let seconds: u32 = wait.expect("a wait is told").0.parse().unwrap();
    assert!(seconds <= 30 && u64::from(seconds) + began.elapsed().as_secs() >= 29, "{output}");
    assert_eq!(output.matches("the login or the password is not right").count(), 6, "{output}");
}

fn an_account_and_a_profile_are_made_together_once<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let first = text(&run(&db, "in_your_transaction", &[]));
    assert!(first.contains("created ") && first.contains("with a profile"), "{first}");
    let second = text(&run(&db, "in_your_transaction", &[]));
    assert!(second.contains("existing ") && second.contains("no profile"), "{second}");
    for output in [first, second] {
        assert!(output.contains(r#"profiles: [(Some("carol"), "Carol")]"#), "{output}");
    }
}

fn many_threads_register_without_a_violation<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let output = run(&db, "concurrent_registration", &["--threads", "8", "--accounts", "5"]);
    let table = text(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.contains("no violation"), "{table}");
    assert_eq!(db.count(), 5);
}

/// Whoever follows the README, line by line, gets what it says.
#[cfg(feature = "sqlite")]
#[test]
fn every_command_of_the_readme_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique_name());
    std::fs::create_dir(&folder).unwrap();
    let mut outputs = Vec::new();
    for command in shell_commands(&readme) {
        let words: Vec<_> = command.split_whitespace().collect();
        match *words {
            ["cargo", "run", "--example", name, ref rest @ ..] => {
                let arguments = rest.strip_prefix(&["--"]).unwrap_or(rest);
                let output = example(name).args(arguments).current_dir(&folder).output().unwrap();
                assert!(output.status.success(), "{command}: {output:?}");
                outputs.push(last_line(&output));
            }
            // `scripts/test` runs it, on all engines.
            ["cargo", "bench", "--bench", name] => {
                let script = std::fs::read_to_string(root.join("scripts/test")).unwrap();
                assert!(
                    script.contains(&format!("cargo bench --quiet --bench {name}")),
                    "{command}"
                );
            }
            // Its own tests start it: it does not end by itself.
            ["cargo", "run", "-p", package] => {
                let tests = root.join("examples").join(package).join("tests/service/main.rs");
                assert!(tests.exists(), "{command}");
            }
            // This very run, and the script that runs it on all engines.
            ["cargo", "test"] => {}
            ["scripts/test"] => assert!(root.join("scripts/test").exists()),
            _ => panic!("nothing here runs `{command}`"),
        }
    }
    assert!(folder.join("accounts.db").exists());
    std::fs::remove_dir_all(&folder).unwrap();
    let id = outputs[0].strip_prefix("created ").expect("the first command creates");
    assert_eq!(outputs[1], format!("existing {id} (matched: username, email)"));
    assert!(outputs.len() >= 5);
}

/// The lines of the blocks that a shell takes.
#[cfg(feature = "sqlite")]
fn shell_commands(markdown: &str) -> Vec<&str> {
    markdown
        .split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .filter(|line| !line.is_empty())
        .collect()
}

fn run<C: TestConnection>(db: &TestDb<C>, name: &str, arguments: &[&str]) -> Output {
    let url = match C::ENGINE {
        Engine::Sqlite => format!("sqlite://{}", db.url),
        _ => db.url.clone(),
    };
    example(name).args(arguments).args(["--database-url", &url]).output().unwrap()
}

/// An example that `cargo test` has built beside this program.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "run `cargo build --examples` first, with the same features");
    let mut command = Command::new(program);
    command.env_remove("DATABASE_URL");
    command
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn last_line(output: &Output) -> String {
    text(output).lines().last().unwrap_or_default().to_owned()
}
