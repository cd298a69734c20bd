//! Server processes that end with us, whatever happens.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server process. It is killed when this is dropped, and by the kernel if we are killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program as an unprivileged user, for the servers refuse to run as root; its output
    /// is added to a log.
    #[must_use]
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let child = unprivileged(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log: log.to_owned() }
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, named as `kill` names it.
    pub fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").args([format!("-{signal}"), self.id().to_string()]).status();
        assert!(status.unwrap().success(), "the process is there");
    }

    /// Kills the process without asking, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until something is so; the process must not end before, and not need a minute.
    pub fn wait_until(&mut self, mut is_so: impl FnMut() -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(Instant::now() < patience, "the server does not answer: {}", log());
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that the kernel ends with us, without our privileges if we are root.
#[must_use]
pub fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Makes a folder the unprivileged user's own.
pub fn give_away(folder: &Path) {
    if is_root() {
        let status = Command::new("chown").arg("nobody:nogroup").arg(folder).status();
        assert!(status.unwrap().success());
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
