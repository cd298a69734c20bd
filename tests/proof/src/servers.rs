//! Servers that a test may ill-treat: killed, filled up, set to read-only.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection};
use tempfile::TempDir;

use crate::database::ProofConnection;
use crate::process::{Process, give_away, unprivileged};

/// A server of one's own, with a database `accounts`, on a port of the loopback device.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    folder: TempDir,
    port: SocketAddr,
    settings: Vec<String>,
    process: Process,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Mariadb,
    Postgres,
}

impl Server {
    /// A MariaDB, with settings as on its command line (`--max-connections=10`). What it answered
    /// survives its death, unless a setting says otherwise.
    #[must_use]
    pub fn mariadb(settings: &[&str]) -> Self {
        Self::start(Kind::Mariadb, settings)
    }

    /// A PostgreSQL, with settings as `-c` takes them (`max_connections=10`). What it answered
    /// survives its death, unless a setting says otherwise.
    #[must_use]
    pub fn postgres(settings: &[&str]) -> Self {
        Self::start(Kind::Postgres, settings)
    }

    /// The URL of the database `accounts`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("accounts")
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> SocketAddr {
        self.port
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The process: to be stopped and continued, for example.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Lets no file of the server's grow beyond a size: to those that are longer the disk is full.
    pub fn limit_files(&self, bytes: Option<u64>) {
        self.process.limit_files(bytes);
    }

    /// Kills the server without asking (`kill -9`).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends the server as an administrator does who waits for nobody.
    pub fn stop(&mut self) {
        self.process.signal(match self.kind {
            Kind::Mariadb => "TERM",
            Kind::Postgres => "INT",
        });
        self.process.wait();
    }

    /// Starts the server again, on the same port and data, and waits until it answers.
    pub fn start_again(&mut self) {
        self.process.kill();
        let (kind, folder, settings) = (self.kind, self.folder.path(), &self.settings);
        (self.port, self.process) = start_on(|| self.port, kind, folder, settings);
    }

    fn start(kind: Kind, settings: &[&str]) -> Self {
        let folder = server_folder();
        initialise(kind, folder.path());
        let settings = settings.iter().map(ToString::to_string).collect();
        let server = Self::run(kind, folder, settings);
        server.make_database();
        server
    }

    /// On data that are there.
    pub(crate) fn run(kind: Kind, folder: TempDir, settings: Vec<String>) -> Self {
        let (port, process) = start_on(free_port, kind, folder.path(), &settings);
        Self { kind, folder, port, settings, process }
    }

    /// Takes away a setting that was for the first start only.
    pub(crate) fn forget_setting(&mut self, setting: &str) {
        self.settings.retain(|known| known != setting);
    }

    pub(crate) fn make_database(&self) {
        match self.kind {
            Kind::Mariadb => {
                let mut conn = MysqlConnection::establish(&self.url_of("mysql")).unwrap();
                conn.batch_execute("CREATE DATABASE accounts").unwrap();
            }
            Kind::Postgres => {
                let mut conn = PgConnection::establish(&self.url_of("postgres")).unwrap();
                conn.batch_execute("CREATE DATABASE accounts").unwrap();
            }
        }
    }

    fn url_of(&self, database: &str) -> String {
        url_of(self.kind, self.port, database)
    }
}

/// A port that nobody listens on at the moment.
#[must_use]
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program of PostgreSQL's.
#[must_use]
pub fn postgres_program(name: &str) -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed: scripts/with-servers does it on Debian")
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| panic!("PostgreSQL has a program {name}"))
}

/// A folder of the servers' user, with a short path: that of a socket has at most 107 characters.
pub(crate) fn server_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("accounts-server").tempdir_in("/tmp").unwrap();
    give_away(folder.path());
    folder
}

pub(crate) fn initialise(kind: Kind, folder: &Path) {
    let data = folder.join("data").display().to_string();
    let mut command = match kind {
        Kind::Mariadb => {
            let mut command = unprivileged(Path::new("mariadb-install-db"));
            command.args(["--no-defaults", "--skip-test-db"]);
            command.arg("--auth-root-authentication-method=normal");
            command.arg(format!("--datadir={data}"));
            command.arg(format!("--tmpdir={}", folder.display()));
            command
        }
        Kind::Postgres => {
            let mut command = unprivileged(&postgres_program("initdb"));
            command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
            command.args(["--no-sync", "-D", &data]);
            command
        }
    };
    let output = command.env("HOME", folder).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

/// Starts a server and waits until it answers; on another port, or once more on the same one, if
/// somebody else has taken it since it was found free.
fn start_on(
    port: impl Fn() -> SocketAddr,
    kind: Kind,
    folder: &Path,
    settings: &[String],
) -> (SocketAddr, Process) {
    let mut starts = 0;
    loop {
        starts += 1;
        let port = port();
        let mut process = spawn(kind, folder, port, settings);
        match process.wait_until_or_end(|| answers(kind, folder, port)) {
            Ok(()) => return (port, process),
            Err(log) if is_in_use(&log) && starts < MOST_STARTS => thread::sleep(PAUSE),
            Err(log) => panic!("the server ended: {log}"),
        }
    }
}

/// Whether it is the server of a folder that answers: another one may have the port.
fn answers(kind: Kind, folder: &Path, port: SocketAddr) -> bool {
    let data = folder.join("data").display().to_string();
    let is_ours = match kind {
        Kind::Mariadb => {
            MysqlConnection::establish(&url_of(kind, port, "mysql")).map(|mut conn| {
                conn.numbers(&format!("SELECT CAST(@@datadir = '{data}/' AS SIGNED) AS number"))
            })
        }
        Kind::Postgres => {
            PgConnection::establish(&url_of(kind, port, "postgres")).map(|mut conn| {
                let folder = "current_setting('data_directory')";
                conn.numbers(&format!("SELECT ({folder} = '{data}')::int::bigint AS number"))
            })
        }
    };
    is_ours == Ok(Ok(vec![1]))
}

fn is_in_use(log: &str) -> bool {
    // MariaDB adds the number of the error, PostgreSQL its text only.
    log.contains("Address already in use") || log.contains("Got error: 98")
}

fn url_of(kind: Kind, port: SocketAddr, database: &str) -> String {
    match kind {
        Kind::Mariadb => format!("mysql://root@{port}/{database}"),
        Kind::Postgres => format!("postgres://postgres@{port}/{database}"),
    }
}

fn spawn(kind: Kind, folder: &Path, port: SocketAddr, settings: &[String]) -> Process {
    let path = |name: &str| folder.join(name).display().to_string();
    let (program, mut arguments) = match kind {
        Kind::Mariadb => (
            PathBuf::from("/usr/bin/env"),
            vec![
                // A limit to the size of its files is to be like a full disk, as to PostgreSQL.
                "--ignore-signal=XFSZ".to_owned(),
                "/usr/sbin/mariadbd".to_owned(),
                "--no-defaults".to_owned(),
                format!("--datadir={}", path("data")),
                // At its start it removes the temporary tables of all servers that share the folder.
                format!("--tmpdir={}", folder.display()),
                format!("--socket={}", path("socket")),
                format!("--pid-file={}", path("pid")),
                format!("--bind-address={}", port.ip()),
                format!("--port={}", port.port()),
                "--skip-name-resolve".to_owned(),
                "--character-set-server=utf8mb4".to_owned(),
            ],
        ),
        Kind::Postgres => (
            postgres_program("postgres"),
            vec![
                "-D".to_owned(),
                path("data"),
                "-k".to_owned(),
                folder.display().to_string(),
                "-p".to_owned(),
                port.port().to_string(),
                "-c".to_owned(),
                format!("listen_addresses={}", port.ip()),
            ],
        ),
    };
    for setting in settings {
        if kind == Kind::Postgres {
            arguments.push("-c".to_owned());
        }
        arguments.push(setting.clone());
    }
    Process::start(&program, &arguments, &folder.join("log"))
}

const MOST_STARTS: u32 = 10;

/// Before another start.
const PAUSE: Duration = Duration::from_millis(200);
