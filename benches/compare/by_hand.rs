//! What a host would write without this library: Diesel's `insert_into`, on a table of its own and
//! on ours.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_accounts::schema::account_users;
use diesel_accounts::{RealmId, Timestamp, UserId, UserState};
use uuid::Uuid;

diesel::table! {
    people (id) {
        id -> diesel_accounts::schema::sql_types::AccountId,
        username -> Text,
        email -> Text,
        password_hash -> Text,
        created_at -> BigInt,
    }
}

/// Somebody who has no account yet.
pub struct Person {
    pub id: UserId,
    pub username: String,
    pub email: String,
}

impl Person {
    pub fn unknown() -> Self {
        let id = UserId::new();
        // In no order, as names are.
        let username = format!("person{}", Uuid::new_v4().simple());
        let email = format!("{username}@example.org");
        Self { id, username, email }
    }
}

/// A connection on which insertions are written by hand.
pub trait ByHand: Sized {
    /// The host's own table: an id, two unique columns, and nothing that is not needed.
    fn create_table(conn: &mut Self) -> QueryResult<()>;
    fn insert_person(&mut self, person: &Person, hash: &str) -> QueryResult<usize>;
    /// Into our table, all columns.
    fn insert_account(&mut self, person: &Person, hash: &str) -> QueryResult<usize>;
    /// The same for many, in one statement.
    fn insert_accounts(&mut self, people: &[Person], hash: &str) -> QueryResult<usize>;
    /// Deletes all accounts, and whatever room they took.
    fn clear(&mut self) -> QueryResult<()>;
    /// How many accounts there are.
    fn accounts(&mut self) -> QueryResult<i64>;
}

/// A row of our table.
macro_rules! account {
    ($person:expr, $hash:expr) => {{
        let (person, now) = ($person, Timestamp::now());
        (
            account_users::id.eq(person.id),
            account_users::realm.eq(RealmId::NIL),
            account_users::username.eq(&person.username),
            account_users::username_key.eq(&person.username),
            account_users::username_key_version.eq(1),
            account_users::email.eq(&person.email),
            account_users::email_key.eq(&person.email),
            account_users::email_key_version.eq(1),
            account_users::password_hash.eq($hash),
            account_users::state.eq(UserState::Active),
            account_users::session_generation.eq(0),
            account_users::created_at.eq(now),
            account_users::updated_at.eq(now),
            account_users::password_changed_at.eq(now),
        )
    }};
}

macro_rules! by_hand {
    ($connection:ty, $id:literal, $text:literal, $clear:literal) => {
        impl ByHand for $connection {
            fn create_table(conn: &mut Self) -> QueryResult<()> {
                conn.batch_execute(concat!(
                    "CREATE TABLE IF NOT EXISTS people (id ",
                    $id,
                    " PRIMARY KEY, username ",
                    $text,
                    " NOT NULL UNIQUE, email ",
                    $text,
                    " NOT NULL UNIQUE, password_hash VARCHAR(255) NOT NULL, \
                     created_at BIGINT NOT NULL)"
                ))
            }

            fn insert_person(&mut self, person: &Person, hash: &str) -> QueryResult<usize> {
                diesel::insert_into(people::table)
                    .values((
                        people::id.eq(person.id),
                        people::username.eq(&person.username),
                        people::email.eq(&person.email),
                        people::password_hash.eq(hash),
                        people::created_at.eq(Timestamp::now()),
                    ))
                    .execute(self)
            }

            fn insert_account(&mut self, person: &Person, hash: &str) -> QueryResult<usize> {
                diesel::insert_into(account_users::table)
                    .values(account!(person, hash))
                    .execute(self)
            }

            fn insert_accounts(&mut self, people: &[Person], hash: &str) -> QueryResult<usize> {
                let rows: Vec<_> = people.iter().map(|person| account!(person, hash)).collect();
                diesel::insert_into(account_users::table).values(rows).execute(self)
            }

            fn clear(&mut self) -> QueryResult<()> {
                self.batch_execute($clear)
            }

            fn accounts(&mut self) -> QueryResult<i64> {
                account_users::table.count().get_result(self)
            }
        }
    };
}

by_hand!(MysqlConnection, "BINARY(16)", "VARCHAR(190)", "TRUNCATE TABLE account_users");
by_hand!(PgConnection, "uuid", "text", "TRUNCATE TABLE account_users");
by_hand!(SqliteConnection, "BLOB", "TEXT", "DELETE FROM account_users");
