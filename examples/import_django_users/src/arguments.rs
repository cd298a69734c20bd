//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

/// What was asked for.
pub(crate) struct Arguments {
    pub(crate) from: From,
    pub(crate) database_url: String,
    pub(crate) dry_run: bool,
    pub(crate) layer: bool,
    pub(crate) iterations: u32,
}

/// Where the accounts are.
pub(crate) enum From {
    Csv(PathBuf),
    Database(String),
}

impl Arguments {
    /// `None` if help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        let (mut from, mut database_url) = (None, None);
        let (mut dry_run, mut layer, mut iterations) = (false, false, DJANGO_6_0);
        let mut parser = Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("from") if from.is_none() => {
                    from = Some(From::Database(parser.value()?.string()?));
                }
                Arg::Long("from-csv") if from.is_none() => {
                    from = Some(From::Csv(parser.value()?.into()));
                }
                Arg::Long("from" | "from-csv") => {
                    return Err("there is more than one --from or --from-csv".into());
                }
                Arg::Long("database-url") => database_url = Some(parser.value()?.string()?),
                Arg::Long("dry-run") => dry_run = true,
                Arg::Long("layer") => layer = true,
                Arg::Long("iterations") => iterations = positive(&parser.value()?.string()?)?,
                other => return Err(other.unexpected()),
            }
        }
        let from = from.ok_or("--from or --from-csv is missing")?;
        let database_url = database_url
            .or_else(|| std::env::var("DATABASE_URL").ok())
            .unwrap_or_else(|| "sqlite://accounts.db".to_owned());
        Ok(Some(Self { from, database_url, dry_run, layer, iterations }))
    }
}

fn positive(text: &str) -> Result<u32, lexopt::Error> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("--iterations takes a number above 0".into()),
    }
}

pub(crate) const USAGE: &str = "\
usage: import_django_users (--from URL | --from-csv FILE) [--database-url URL]
                           [--dry-run] [--layer] [--iterations N]

  --from          the database of the Django site: sqlite://path, postgres://... or mysql://...
  --from-csv      its table auth_user as CSV, with the names of the columns in the first line:
                  id, username, email, password; and is_active, date_joined, last_login if they
                  are there
  --database-url  where the accounts go: sqlite://path, postgres://... or mysql://...;
                  else DATABASE_URL; else a SQLite file accounts.db in this folder
  --dry-run       writes nothing, and says what would come of it; meanwhile nobody else can write
                  to a SQLite database, or create an account of one of these names on a server
  --layer         wraps each hash that is not Argon2 into Argon2id, so that nothing weaker is
                  stored; takes as long as a hash for each account
  --iterations    the most iterations of PBKDF2 that are accepted, which is what every sign-in
                  costs afterwards; default 1200000, that of Django 6.0

Dates without a time zone are taken for UTC. Rows that are not imported are named on standard
error, each by its id with the reason. Exit status: 0 every row was created or existing, 1 trouble,
2 wrong arguments, 3 some rows were not imported.";

const DJANGO_6_0: u32 = 1_200_000;
