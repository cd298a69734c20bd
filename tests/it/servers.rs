//! The script that starts the servers leaves none behind, however it ends.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::wait_until;

#[test]
fn servers_end_with_the_command() {
    let Running { mut script, folder, .. } = start(&["true"]);
    assert!(script.wait().unwrap().success());
    assert_gone(&folder);
    assert!(!Path::new(&folder).exists());
}

#[test]
fn servers_end_when_the_script_is_interrupted_or_killed() {
    for signal in ["INT", "TERM", "HUP", "KILL"] {
        let Running { mut script, folder, command } = start(&["sleep", "1000"]);
        assert!(processes_of(&folder) >= 2, "both servers run");
        let (signal_option, id) = (format!("-{signal}"), script.id().to_string());
        assert!(Command::new("kill").args([signal_option, id]).status().unwrap().success());
        wait_until(|| script.try_wait().unwrap().is_some());
        assert!(!script.wait().unwrap().success(), "{signal}");
        assert_gone(&folder);
        wait_until(|| !Path::new(&command).exists());
        if signal == "KILL" {
            // Nobody was left to do it.
            fs::remove_dir_all(&folder).unwrap();
        }
        assert!(!Path::new(&folder).exists(), "{signal}");
    }
}

/// Neither does a command that will not be asked, nor one that leaves something running.
#[test]
fn servers_and_commands_end_although_the_command_ignores_signals() {
    let stubborn = "trap '' HUP INT TERM; while true; do sleep 1; done";
    let Running { mut script, folder, command } = start(&["sh", "-c", stubborn]);
    let id = script.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    wait_until(|| script.try_wait().unwrap().is_some());
    assert_gone(&folder);
    assert!(!Path::new(&folder).exists());
    wait_until(|| !Path::new(&command).exists());

    let left_behind = "exec >/dev/null; (echo $ACCOUNTS_TEST_MYSQL_URL; exec sleep 1000) &";
    let Running { mut script, folder, command } = start(&["sh", "-c", left_behind]);
    let group = command.trim_start_matches("/proc/").to_owned();
    assert!(script.wait().unwrap().success());
    assert_gone(&folder);
    // Nothing of the command is left, as soon as the system has done away with it.
    wait_until(|| {
        let in_group = Command::new("pgrep").args(["-g", &group]).status().unwrap();
        in_group.code() == Some(1)
    });
}

/// A script with its servers.
struct Running {
    script: Child,
    /// Where the servers live.
    folder: String,
    /// Where `/proc` shows the command.
    command: String,
}

/// Starts the servers with a command, and waits until the command runs.
fn start(command: &[&str]) -> Running {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The command says where the servers are, and becomes the real one.
    // A shell that was started in the background ignores interrupts, and so would all below it.
    let mut script = Command::new("env")
        .arg("--default-signal=HUP,INT,TERM")
        .arg(root.join("scripts/with-servers"))
        .args(["sh", "-c", "echo \"$$ $ACCOUNTS_TEST_MYSQL_URL\"; exec \"$@\"", "sh"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let Some((id, url)) = line.trim().split_once(' ') else {
        panic!(
            "the command was not started: {}",
            io::read_to_string(script.stderr.unwrap()).unwrap()
        )
    };
    let socket = url.split_once("unix_socket=").unwrap().1;
    let folder = Path::new(socket).ancestors().nth(2).unwrap().display().to_string();
    Running { script, folder, command: format!("/proc/{id}") }
}

/// Waits until no process has the folder in its arguments.
fn assert_gone(folder: &str) {
    wait_until(|| processes_of(folder) == 0);
}

fn processes_of(folder: &str) -> usize {
    let of_folder = |process: &fs::DirEntry| {
        fs::read(process.path().join("cmdline"))
            .is_ok_and(|arguments| String::from_utf8_lossy(&arguments).contains(folder))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(of_folder).count()
}
