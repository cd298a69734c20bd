//! The registration check for the command line: creates one user, or says which one exists.
//!
//!     cargo run --example test_user_creation -- \
//!         --username testuser --email test@example.com --password TestPass123!
//!
//! Exit status: 0 created or existing, 1 taken or trouble with the database, 2 invalid input.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error as StdError;
use std::io::{self, BufRead};
use std::process::ExitCode;

use diesel_accounts::{Creation, Error, NewUser, Result, UserManager};

mod support;

use support::{Database, arguments, with_pool};

const USAGE: &str = "\
usage: test_user_creation --username NAME --email ADDRESS [--password PASSWORD]
                          [--database-url URL]

  --password      read from standard input if it is not given
  --database-url  sqlite://path, postgres://... or mysql://...; else DATABASE_URL;
                  else a SQLite file accounts.db in this folder";

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let database = match Database::connect(arguments.database_url, 1) {
        Ok(database) => database,
        Err(error) => {
            eprintln!("no database: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("connected to {}", database.engine());
    let new_user = NewUser::new(arguments.username, arguments.email, arguments.password);
    let creation = with_pool!(database, |pool| {
        let users = UserManager::new(pool);
        users.migrate().and_then(|()| {
            println!("the schema is up to date");
            users.create_user(new_user)
        })
    });
    report(creation)
}

fn report(creation: Result<Creation>) -> ExitCode {
    match creation {
        Ok(Creation::Created(user)) => println!("created {}", user.id()),
        Ok(Creation::Existing(existing)) => {
            println!("existing {} (matched: {})", existing.user_id(), existing.matched());
        }
        Err(Error::Invalid(invalid)) => {
            for error in invalid.errors() {
                eprintln!("{}: {error} ({})", error.field(), error.code());
            }
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

struct Arguments {
    username: String,
    email: String,
    password: String,
    database_url: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn StdError>> {
        let mut given = arguments(&["username", "email", "password", "database-url"], USAGE)?;
        Ok(Self {
            username: given.remove("username").ok_or("--username is missing")?,
            email: given.remove("email").ok_or("--email is missing")?,
            password: match given.remove("password") {
                Some(password) => password,
                None => {
                    let mut line = String::new();
                    io::stdin().lock().read_line(&mut line)?;
                    line.trim_end_matches(['\r', '\n']).to_owned()
                }
            },
            database_url: given.remove("database-url"),
        })
    }
}
