//! What the targets share: a database in memory, and a policy that allows as much as one can.
//!
//! The library is reached through its public functions only, as a host reaches it.

use std::cell::RefCell;
use std::fmt::Debug;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_accounts::schema::account_users;
use diesel_accounts::{
    Accounts, Argon2Cost, Argon2Engine, Argon2Input, EmailRules, ForeignHashes, Hashing,
    HashingFailure, Identifiers, Policy, User, UserId, UsernameRules,
};

thread_local! {
    static DATABASE: RefCell<(SqliteConnection, Policy)> = RefCell::new(open());
}

/// Does something with the database, of which nothing stays.
pub fn with_accounts(act: impl FnOnce(&mut SqliteConnection, &Policy)) {
    DATABASE.with_borrow_mut(|(conn, policy)| {
        let rolled_back = conn.transaction::<(), _, _>(|conn| {
            act(conn, policy);
            Err(DieselError::RollbackTransaction)
        });
        assert_eq!(rolled_back, Err(DieselError::RollbackTransaction));
    });
}

/// The same outside a transaction, where sign-ins are counted: it finds an empty database.
pub fn with_empty_database(act: impl FnOnce(&mut SqliteConnection, &Policy)) {
    DATABASE.with_borrow_mut(|(conn, policy)| {
        conn.batch_execute("DELETE FROM account_attempts; DELETE FROM account_users").unwrap();
        act(conn, policy);
    });
}

/// The canonical forms of username and email, as they are stored.
pub fn keys_of(conn: &mut SqliteConnection, id: UserId) -> (Option<String>, Option<String>) {
    account_users::table
        .find(id)
        .select((account_users::username_key, account_users::email_key))
        .first(conn)
        .unwrap()
}

/// Asserts that a look-up found a user.
pub fn assert_found(found: diesel_accounts::Result<Option<User>>, id: UserId, by: &impl Debug) {
    assert_eq!(found.unwrap().map(|user| user.id()), Some(id), "by {by:?}");
}

fn open() -> (SqliteConnection, Policy) {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    let foreign = ForeignHashes::none()
        .argon2(Argon2Cost::new(64, 2, 1).unwrap())
        .bcrypt(4)
        .layered()
        .pbkdf2_sha1(10)
        .pbkdf2_sha256(10)
        .pbkdf2_sha512(10)
        .scrypt(4, 8, 1);
    let hashing = Hashing::new()
        .cost(Argon2Cost::new(8, 1, 1).unwrap())
        .engine(Bounded(Hashing::default_engine()))
        .accept(foreign);
    let policy = Policy::builder()
        .identifiers(Identifiers::Either)
        .usernames(UsernameRules::new().reserved::<&str>([]))
        .emails(EmailRules::new().utf8_local_part(true))
        .hashing(hashing)
        .build()
        .unwrap();
    Accounts::new(&policy, &mut conn).migrate().unwrap();
    (conn, policy)
}

/// No input makes it work harder than the policy allows.
#[derive(Debug)]
struct Bounded(Box<dyn Argon2Engine>);

impl Argon2Engine for Bounded {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self(self.0.another()))
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        let work = u64::from(input.memory_kib) * u64::from(input.passes);
        // A hash of the library's own may take as much work as the dearest that OWASP names.
        assert!(
            input.memory_kib <= 64 && work <= 47_104,
            "{} KiB, {} passes",
            input.memory_kib,
            input.passes
        );
        self.0.compute(input, tag)
    }
}
