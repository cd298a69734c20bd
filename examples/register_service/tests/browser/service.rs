//! The program, on a database of its own.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use diesel_accounts_proof::database::{Database, ProofConnection};
use serde_json::Value;

use crate::settings::SETTINGS;

/// A database, and the service on it. It is killed when this is dropped.
pub(crate) struct Service {
    database: Database<SqliteConnection>,
    running: Running,
}

struct Running {
    child: Child,
    address: String,
}

impl Service {
    pub(crate) fn start() -> Self {
        let database = Database::empty();
        let running = Running::start(&database, "");
        Self { database, running }
    }

    /// Starts it again, on another port, with users who see the list.
    pub(crate) fn restart_with_admins(&mut self, admins: &str) {
        self.running = Running::start(&self.database, admins);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    pub(crate) fn database(&self) -> &Database<SqliteConnection> {
        &self.database
    }

    /// How many accounts there are.
    pub(crate) fn accounts(&self) -> i64 {
        let mut conn = self.database.connect();
        conn.numbers("SELECT COUNT(*) AS number FROM account_users").unwrap()[0]
    }

    /// Lets nobody write until it is dropped: what is sent to the service meanwhile is not answered.
    pub(crate) fn hold(&self) -> Held {
        let mut conn = self.database.connect();
        conn.batch_execute("BEGIN IMMEDIATE").unwrap();
        Held { _conn: conn }
    }
}

/// A transaction that ends with its connection.
pub(crate) struct Held {
    _conn: SqliteConnection,
}

impl Running {
    fn start(database: &Database<SqliteConnection>, admins: &str) -> Self {
        // The kernel ends it with us.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_register_service")]);
        for name in SETTINGS {
            command.env_remove(name);
        }
        let mut child = command
            .env("DATABASE_URL", format!("sqlite://{}", database.url()))
            .env("LISTEN", "127.0.0.1:0")
            .env("METRICS_LISTEN", "127.0.0.1:0")
            // Counted in the process, nothing is written before a registration itself.
            .env("RATE_LIMIT", "process")
            .env("ADMIN_USERS", admins)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the service does not listen");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                break line["address"].as_str().unwrap().to_owned();
            }
        };
        // Whoever writes into a full pipe waits until somebody reads.
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Self { child, address }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
