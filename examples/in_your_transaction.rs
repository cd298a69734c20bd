//! A table of the host's and an account of ours, in one transaction: both or neither.
//!
//!     cargo run --example in_your_transaction
//!
//! Run it twice: the second time the account exists, and nothing is attached to it.

#![expect(clippy::print_stdout, reason = "a program for the command line")]
#![expect(clippy::exhaustive_structs, reason = "Diesel's macro makes a unit struct of each column")]

use std::error::Error as StdError;
use std::fmt;

use diesel::prelude::*;
use diesel_accounts::schema::account_users;
use diesel_accounts::schema::sql_types::AccountId;
use diesel_accounts::{Creation, Error, Existing, NewUser, UserId, UserManager};

mod support;

use support::{Database, arguments, with_pool};

diesel::table! {
    /// What the host knows of a user.
    profiles (user_id) {
        /// The account.
        user_id -> crate::AccountId,
        /// How the user wants to be called.
        display_name -> Text,
    }
}
diesel_accounts::joinable_with_account_users!(profiles(user_id));

#[derive(Insertable)]
struct Profile {
    user_id: UserId,
    display_name: &'static str,
}

fn main() -> Result<(), Box<dyn StdError>> {
    let usage = "usage: in_your_transaction [--database-url URL]";
    let mut arguments = arguments(&["database-url"], usage)?;
    let database = Database::connect(arguments.remove("database-url"), 4)?;
    let create_profiles = format!(
        "CREATE TABLE IF NOT EXISTS profiles (user_id {} NOT NULL PRIMARY KEY \
         REFERENCES account_users (id), display_name VARCHAR(200) NOT NULL)",
        match database.engine() {
            "PostgreSQL" => "uuid",
            "SQLite" => "BLOB",
            _ => "BINARY(16)",
        }
    );
    with_pool!(database, |pool| {
        let users = UserManager::new(pool.clone());
        users.migrate()?;
        // Validated and hashed before a connection is taken: neither may wait for a hash.
        let carol = users.prepare(NewUser::new("carol", "carol@example.org", "correct horse"))?;

        let conn = &mut *pool.get()?;
        diesel::sql_query(create_profiles).execute(conn)?;

        // `HostMustRollBack` asks for the whole transaction once more: here, at most five times.
        let mut runs_left = 5;
        let created = loop {
            runs_left -= 1;
            let outcome = conn.transaction(|conn| match users.on(conn).create_user(&carol)? {
                Creation::Created(user) => {
                    let profile = Profile { user_id: user.id(), display_name: "Carol" };
                    diesel::insert_into(profiles::table).values(&profile).execute(conn)?;
                    Ok(user)
                }
                // Never attach anything to somebody else's account.
                Creation::Existing(existing) => Err(HostError::Exists(existing)),
            });
            match outcome {
                Err(HostError::Accounts(error)) if error.is_retryable() && runs_left > 0 => {}
                outcome => break outcome,
            }
        };
        match created {
            Ok(user) => println!("created {} with a profile", user.id()),
            Err(HostError::Exists(existing)) => {
                println!("existing {}: no profile was made", existing.user_id());
            }
            Err(error) => return Err(error.into()),
        }

        let names = profiles::table
            .inner_join(account_users::table)
            .select((account_users::username, profiles::display_name))
            .load::<(Option<String>, String)>(conn)?;
        println!("profiles: {names:?}");
        Ok(())
    })
}

/// The host's own error, with room for ours.
#[derive(Debug)]
enum HostError {
    Accounts(Error),
    Exists(Existing),
}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self::Accounts(error)
    }
}

/// Diesel's `transaction` asks for it.
impl From<diesel::result::Error> for HostError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Accounts(error.into())
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts(error) => error.fmt(f),
            Self::Exists(_) => f.write_str("the account exists"),
        }
    }
}

impl StdError for HostError {}
