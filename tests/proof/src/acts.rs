//! What writes, and can be told by a name.

use std::fmt::Debug;
use std::time::Duration;

use diesel::connection::TransactionManager;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_accounts::{
    Argon2Cost, ForeignHashes, Hashing, ImportUser, NewUser, Result, UserId, UserManager,
};

use crate::database::ProofConnection;
use crate::names::EMAIL_CANARY;

/// Something that writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// A person is created.
    Create,
    /// [`PEOPLE_OF_AN_IMPORT`] people are imported.
    Import,
    /// A person and a row of `host_rows` are created in one transaction.
    HostTransaction,
    /// A person who is there signs in.
    SignIn,
    /// Somebody tries to sign in as a person who is there, with [`WRONG`].
    SignInWrongly,
    /// A person who is there changes the password, from [`OLD`] to [`NEW`].
    ChangePassword,
    /// The password of a person who is there is set to [`NEW`].
    SetPassword,
    /// A person is disabled.
    Disable,
    /// A person is enabled.
    Enable,
    /// A person is deleted, and the names are kept from being taken.
    Reserve,
    /// A person is deleted.
    Delete,
    /// The tables are made, or brought up to date.
    Migrate,
}

impl Act {
    /// All acts.
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Import,
        Self::HostTransaction,
        Self::SignIn,
        Self::SignInWrongly,
        Self::ChangePassword,
        Self::SetPassword,
        Self::Disable,
        Self::Enable,
        Self::Reserve,
        Self::Delete,
        Self::Migrate,
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Import => "import",
            Self::HostTransaction => "host_transaction",
            Self::SignIn => "sign_in",
            Self::SignInWrongly => "sign_in_wrongly",
            Self::ChangePassword => "change_password",
            Self::SetPassword => "set_password",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Reserve => "reserve",
            Self::Delete => "delete",
            Self::Migrate => "migrate",
        }
    }

    /// Does it, to people of a name; what was answered, as a host may log it. It can be done again
    /// to the same people by the same ids, but for what deletes them.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn run<C: ProofConnection>(
        self,
        users: &UserManager<C>,
        pool: &Pool<ConnectionManager<C>>,
        name: &str,
    ) -> String {
        match self {
            Self::Create => logged(users.create_user(person(name))),
            Self::Import => {
                let people = (0..PEOPLE_OF_AN_IMPORT).map(|number| {
                    let username = format!("{name}_{number}");
                    ImportUser::new()
                        .id(id_of(&username))
                        .email(email_of(&username))
                        .username(username)
                        .password_hash(IMPORTED_HASH)
                });
                let summary = users.import_users(people, |_, _| {}).unwrap();
                assert_eq!(summary.created() + summary.existing(), PEOPLE_OF_AN_IMPORT);
                logged(Ok(summary))
            }
            Self::HostTransaction => {
                let prepared = users.prepare(person(name)).unwrap();
                let conn = &mut *pool.get().unwrap();
                conn.begin(C::ISOLATIONS[0].0).unwrap();
                conn.batch_execute("INSERT INTO host_rows (number) VALUES (1)").unwrap();
                let creation = logged(users.on(conn).create_user(&prepared));
                C::TransactionManager::commit_transaction(conn).unwrap();
                creation
            }
            Self::SignIn => logged(users.authenticate(name, OLD)),
            Self::SignInWrongly => logged(users.authenticate(&email_of(name), WRONG)),
            Self::ChangePassword => logged(users.change_password(id_of(name), OLD, NEW)),
            Self::SetPassword => logged(users.set_password(id_of(name), NEW)),
            Self::Disable => logged(users.disable_user(id_of(name))),
            Self::Enable => logged(users.enable_user(id_of(name))),
            Self::Reserve => logged(users.reserve_user(id_of(name))),
            Self::Delete => logged(users.delete_user(id_of(name))),
            Self::Migrate => logged(users.migrate()),
        }
    }
}

/// The hashes of whoever does an act: they cost more than those of
/// [`policy`](crate::database::policy), so that a sign-in hashes the password anew.
#[must_use]
pub fn dearer_hashing() -> Hashing {
    let cost = Argon2Cost::new(16, 1, 1).unwrap();
    // Those of an import are of another system.
    let foreign = ForeignHashes::none().argon2(cost);
    Hashing::new().cost(cost).accept(foreign).longest_wait(Duration::from_secs(60))
}

/// The person of a name, with the id of the name.
#[must_use]
pub fn person(name: &str) -> NewUser {
    NewUser::new(name, email_of(name), OLD).with_id(id_of(name))
}

/// The address of the person of a name.
#[must_use]
pub fn email_of(name: &str) -> String {
    format!("{EMAIL_CANARY}.{name}@example.org")
}

/// An id that every process makes of a name.
#[must_use]
pub fn id_of(name: &str) -> UserId {
    let mut bytes = [0; 16];
    for (place, byte) in name.bytes().enumerate() {
        bytes[place % 16] ^= byte.rotate_left(u32::try_from(place / 16).unwrap());
    }
    // Of the seventh version, as the library's own.
    (bytes[6], bytes[8]) = (bytes[6] & 0x0f | 0x70, bytes[8] & 0x3f | 0x80);
    UserId::from_bytes(bytes)
}

fn logged<T: Debug>(answer: Result<T>) -> String {
    format!("{:?}", answer.unwrap())
}

/// The password of [`person`]. Each has the canary of passwords in it.
pub const OLD: &str = "pwc4n correct horse";
/// The password after [`Act::ChangePassword`] and [`Act::SetPassword`].
pub const NEW: &str = "pwc4n battery staple";
/// Nobody's password.
pub const WRONG: &str = "pwc4n wrong horse";
/// A batch of 500 is one statement.
pub const PEOPLE_OF_AN_IMPORT: u64 = 502;

/// Of no known password.
const IMPORTED_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::{NEW, OLD, WRONG};
    use crate::names::PASSWORD_CANARY;

    #[test]
    fn every_password_can_be_searched_for() {
        assert!([OLD, NEW, WRONG].iter().all(|password| password.contains(PASSWORD_CANARY)));
    }
}
