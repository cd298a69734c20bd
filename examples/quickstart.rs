//! Creates a user, recognises the same person in another spelling, and signs her in.
//!
//!     cargo run --example quickstart

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;

use diesel_accounts::{Creation, NewUser, SignIn, UserManager};

mod support;

use support::{Database, arguments, with_pool};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = arguments(&["database-url"], "usage: quickstart [--database-url URL]")?;
    let database = Database::connect(arguments.remove("database-url"), 4)?;
    println!("using {}", database.engine());
    with_pool!(database, |pool| {
        // The host's own pool is all that the manager needs.
        let users = UserManager::new(pool);
        users.migrate()?;

        for (username, email) in [("alice", "alice@example.org"), ("ALICE", "Alice@Example.org")] {
            match users.create_user(NewUser::new(username, email, "correct horse battery"))? {
                Creation::Created(user) => println!("{username}: created {}", user.id()),
                // No error, no second account, and no sign-in either: nobody proved to be Alice.
                Creation::Existing(existing) => {
                    println!("{username}: existing {}, please sign in", existing.user_id());
                }
            }
        }

        match users.authenticate("alice@example.org", "correct horse battery")? {
            SignIn::Accepted(accepted) => println!("signed in: {}", accepted.user().id()),
            SignIn::Refused(refusal) => println!("refused: {refusal}"),
            _ => println!("not supported"),
        }
        Ok(())
    })
}
