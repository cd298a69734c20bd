//! Runs the program.

use std::path::PathBuf;
use std::process::{Command, Output};

use diesel_accounts::Engine;

use crate::support::{TestConnection, TestDb, unique_name};

/// The program, its accounts going into a database.
pub(crate) fn import_into<C: TestConnection>(db: &TestDb<C>, arguments: &[&str]) -> Output {
    program(arguments).args(["--database-url", &url_of(db)]).output().unwrap()
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_import_django_users"));
    command.env_remove("DATABASE_URL").args(arguments);
    command
}

pub(crate) fn url_of<C: TestConnection>(db: &TestDb<C>) -> String {
    match C::ENGINE {
        Engine::Sqlite => format!("sqlite://{}", db.url),
        _ => db.url.clone(),
    }
}

/// How many rows the table at the end counts: created (or would be), existing, taken, invalid,
/// unreadable, failed.
pub(crate) fn table(output: &Output) -> [u64; 6] {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows = |line: &str| line.split_whitespace().last().and_then(|word| word.parse().ok());
    let table: Vec<_> = text.lines().skip(1).filter_map(rows).collect();
    table.try_into().unwrap_or_else(|_| panic!("{output:?}"))
}

/// The lines about rows that were not imported.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stderr.clone()).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A file that is removed in the end.
pub(crate) struct TestFile(PathBuf);

impl TestFile {
    pub(crate) fn new(content: &str) -> Self {
        let file = Self::absent();
        std::fs::write(&file.0, content).unwrap();
        file
    }

    /// That is not there yet.
    pub(crate) fn absent() -> Self {
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("file-{}", unique_name())))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn exists(&self) -> bool {
        self.0.exists()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
