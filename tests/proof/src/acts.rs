//! What writes, in more than one statement, and can be told by a name.

use diesel::connection::TransactionManager;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_accounts::{ImportUser, NewUser, UserId, UserManager};

use crate::database::ProofConnection;

/// Something that writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// A person is created.
    Create,
    /// A person who is there changes the password, from [`OLD`] to [`NEW`].
    ChangePassword,
    /// [`PEOPLE_OF_AN_IMPORT`] people are imported.
    Import,
    /// A person and a row of `host_rows` are created in one transaction.
    HostTransaction,
}

impl Act {
    /// All acts.
    pub const ALL: [Self; 4] =
        [Self::Create, Self::ChangePassword, Self::Import, Self::HostTransaction];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::ChangePassword => "change_password",
            Self::Import => "import",
            Self::HostTransaction => "host_transaction",
        }
    }

    /// Does it, to people of a name. It can be done again: to the same people by the same ids.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub fn run<C: ProofConnection>(
        self,
        users: &UserManager<C>,
        pool: &Pool<ConnectionManager<C>>,
        name: &str,
    ) {
        match self {
            Self::Create => drop(users.create_user(person(name)).unwrap()),
            Self::ChangePassword => {
                let _ = users.change_password(id_of(name), OLD, NEW).unwrap();
            }
            Self::Import => {
                let people = (0..PEOPLE_OF_AN_IMPORT).map(|number| {
                    let username = format!("{name}_{number}");
                    let email = format!("{username}@example.org");
                    ImportUser::new().id(id_of(&username)).username(username).email(email)
                });
                let summary = users.import_users(people, |_, _| {}).unwrap();
                assert_eq!(summary.created() + summary.existing(), PEOPLE_OF_AN_IMPORT);
            }
            Self::HostTransaction => {
                let prepared = users.prepare(person(name)).unwrap();
                let conn = &mut *pool.get().unwrap();
                conn.begin(C::ISOLATIONS[0].0).unwrap();
                conn.batch_execute("INSERT INTO host_rows (number) VALUES (1)").unwrap();
                let _ = users.on(conn).create_user(&prepared).unwrap();
                C::TransactionManager::commit_transaction(conn).unwrap();
            }
        }
    }
}

/// The person of a name, with the id of the name.
#[must_use]
pub fn person(name: &str) -> NewUser {
    NewUser::new(name, format!("{name}@example.org"), OLD).with_id(id_of(name))
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

/// The password of [`person`].
pub const OLD: &str = "correct horse";
/// The password after [`Act::ChangePassword`].
pub const NEW: &str = "battery staple";
/// A batch of 500 is one statement.
pub const PEOPLE_OF_AN_IMPORT: u64 = 502;
