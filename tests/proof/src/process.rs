//! Server processes that end with us, whatever happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::wait_until;

/// A server process. It is killed when this is dropped, and by the kernel if we are killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// How long the log was when it began.
    before: u64,
}

impl Process {
    /// Starts a program as an unprivileged user, for the servers refuse to run as root; its output
    /// is added to a log.
    #[must_use]
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let before = output.metadata().unwrap().len();
        let child = unprivileged(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log: log.to_owned(), before }
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

    /// Kills the process and its children without asking, and waits until they are gone.
    pub fn kill(&mut self) {
        let children = self.children();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !children.is_empty() {
            // Some may have ended with their parent.
            let _ =
                Command::new("kill").arg("-KILL").args(&children).stderr(Stdio::null()).status();
            wait_until("the children are gone", || children.iter().all(|child| is_gone(child)));
        }
    }

    /// Lets no file of the process's, and of its children, grow beyond a size.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let limit = |id: &str| {
            let arguments = ["--pid", id, &format!("--fsize={limit}:")];
            // As the owner of the process: even root may not be allowed to.
            let status = unprivileged(Path::new("prlimit")).args(arguments).status().unwrap();
            assert!(status.success() || is_gone(id), "prlimit {arguments:?}");
        };
        // Children of later have the limit of their parent.
        limit(&self.id().to_string());
        for child in self.children() {
            limit(&child);
        }
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Waits until something is so; the process must not end before, and not need a minute.
    pub fn wait_until(&mut self, is_so: impl FnMut() -> bool) {
        if let Err(log) = self.wait_until_or_end(is_so) {
            panic!("the server ended: {log}");
        }
    }

    /// Waits until something is so, which must not need a minute.
    ///
    /// # Errors
    ///
    /// What the process has written, if it ended before.
    pub fn wait_until_or_end(&mut self, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
        let patience = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("{}{status}", self.output()));
            }
            assert!(Instant::now() < patience, "the server does not answer: {}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What the process has written, and not an earlier one to the same log.
    fn output(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let own = log.get(self.before as usize..).unwrap_or_default();
        String::from_utf8_lossy(own).into_owned()
    }

    fn children(&self) -> Vec<String> {
        let id = self.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
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

fn is_gone(id: &str) -> bool {
    match fs::read_to_string(format!("/proc/{id}/stat")) {
        // The state comes after the name, which is in parentheses. Nobody may come to collect it.
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
