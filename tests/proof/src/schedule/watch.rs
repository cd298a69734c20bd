//! Who waits for a lock: the servers know.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use diesel::connection::{AnsiTransactionManager, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::Engine;

use crate::address::Address;
use crate::database::{Database, ProofConnection};

/// A connection whose actor can be scheduled.
pub trait ScheduledConnection:
    ProofConnection + Connection<TransactionManager = AnsiTransactionManager>
{
    /// The name of the engine, for reports.
    const NAME: &'static str;

    /// Whether a statement can wait for another actor.
    const BLOCKS: bool;

    /// Makes the engine settle a conflict as soon as it can.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn settle_at_once(&mut self) -> QueryResult<()>;

    /// By what the server calls this session.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn session(&mut self) -> QueryResult<i64>;

    /// Who can tell which sessions wait.
    fn watch(database: &Database<Self>) -> Box<dyn Watch>;

    /// The digits of the id, the username and the email of each account whose names begin so.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn accounts(&mut self, names: &str) -> QueryResult<Vec<(String, String, String)>>;
}

/// Sees who waits.
pub trait Watch {
    /// The sessions that wait for a lock now.
    fn waiting(&mut self) -> Vec<i64>;
}

impl std::fmt::Debug for dyn Watch + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch(..)")
    }
}

macro_rules! accounts {
    ($digits:literal) => {
        fn accounts(&mut self, names: &str) -> QueryResult<Vec<(String, String, String)>> {
            let query = format!(
                "SELECT {} AS id_digits, username_key, email_key FROM account_users \
                 WHERE username_key LIKE '{names}%' OR email_key LIKE '{names}%'",
                $digits
            );
            let rows: Vec<AccountRow> = sql_query(query).load(self)?;
            let row = |row: AccountRow| (row.id_digits, row.username_key, row.email_key);
            Ok(rows.into_iter().map(row).collect())
        }
    };
}

#[derive(QueryableByName)]
struct AccountRow {
    #[diesel(sql_type = Text)]
    id_digits: String,
    #[diesel(sql_type = Text)]
    username_key: String,
    #[diesel(sql_type = Text)]
    email_key: String,
}

impl ScheduledConnection for PgConnection {
    const NAME: &'static str = "PostgreSQL";
    const BLOCKS: bool = true;

    accounts!("REPLACE(id::text, '-', '')");

    /// Whoever is found waiting has looked for a deadlock already, so that the victim is always the
    /// one who closes the circle.
    fn settle_at_once(&mut self) -> QueryResult<()> {
        self.batch_execute("SET deadlock_timeout = '1ms'")
    }

    fn session(&mut self) -> QueryResult<i64> {
        Ok(self.numbers("SELECT pg_backend_pid()::bigint AS number")?[0])
    }

    fn watch(database: &Database<Self>) -> Box<dyn Watch> {
        Box::new(PostgresLocks(database.connect()))
    }
}

struct PostgresLocks(PgConnection);

impl Watch for PostgresLocks {
    /// `pg_stat_activity` would name somebody whose lock was granted and who has not woken up yet.
    fn waiting(&mut self) -> Vec<i64> {
        let query = "SELECT pid::bigint AS number FROM pg_catalog.pg_locks WHERE NOT granted";
        self.0.numbers(query).unwrap()
    }
}

impl ScheduledConnection for MysqlConnection {
    const NAME: &'static str = "MariaDB";
    const BLOCKS: bool = true;

    accounts!("LOWER(HEX(id))");

    /// Deadlocks are looked for whenever somebody has to wait.
    fn settle_at_once(&mut self) -> QueryResult<()> {
        Ok(())
    }

    fn session(&mut self) -> QueryResult<i64> {
        Ok(self.numbers("SELECT CAST(CONNECTION_ID() AS SIGNED) AS number")?[0])
    }

    fn watch(database: &Database<Self>) -> Box<dyn Watch> {
        Box::new(Console::connect(database.url()))
    }
}

/// The client of MariaDB, for Diesel cannot read the status of InnoDB, and
/// `information_schema.innodb_trx` is a copy that is renewed each tenth of a second at most.
struct Console {
    client: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Console {
    fn connect(url: &str) -> Self {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--batch", "--raw", "--unbuffered", "--skip-column-names"]);
        match Address::of(Engine::Mysql, url) {
            Address::Socket(path) => command.arg("--socket").arg(path),
            Address::Port(port) => {
                command.arg(format!("--host={}", port.ip())).arg(format!("--port={}", port.port()))
            }
        };
        command.arg("--user=root").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().expect("the client of MariaDB is installed");
        let questions = client.stdin.take().unwrap();
        let answers = BufReader::new(client.stdout.take().unwrap());
        Self { client, questions, answers }
    }
}

impl Watch for Console {
    fn waiting(&mut self) -> Vec<i64> {
        writeln!(self.questions, "SHOW ENGINE INNODB STATUS; SELECT 'end of the answer';").unwrap();
        let mut status = String::new();
        while !status.ends_with("\nend of the answer\n") {
            let read = self.answers.read_line(&mut status).unwrap();
            assert_ne!(read, 0, "the client of MariaDB has ended");
        }
        let (_, transactions) =
            status.split_once("\nTRANSACTIONS\n").expect("the status lists the transactions");
        let transactions = transactions.split("\nFILE I/O\n").next().unwrap_or_default();
        let waits = |transaction: &&str| transaction.contains("\nLOCK WAIT ");
        transactions.split("\n---TRANSACTION ").filter(waits).filter_map(thread_id).collect()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// From `MariaDB thread id 5, OS thread handle ...`.
fn thread_id(transaction: &str) -> Option<i64> {
    let (_, after) = transaction.split_once(" thread id ")?;
    after.split(',').next()?.parse().ok()
}

/// Nothing can be asked of another session. With no time-out whoever would wait fails at once.
impl ScheduledConnection for SqliteConnection {
    const NAME: &'static str = "SQLite";
    const BLOCKS: bool = false;

    accounts!("lower(hex(id))");

    fn settle_at_once(&mut self) -> QueryResult<()> {
        self.batch_execute("PRAGMA busy_timeout = 0")
    }

    fn session(&mut self) -> QueryResult<i64> {
        Ok(0)
    }

    fn watch(_: &Database<Self>) -> Box<dyn Watch> {
        Box::new(Nobody)
    }
}

struct Nobody;

impl Watch for Nobody {
    fn waiting(&mut self) -> Vec<i64> {
        Vec::new()
    }
}
