//! Finding one account.

use super::Accounts;
use super::transaction::{read, spoiled, transaction_depth};
use crate::creation::{Creation, Verdict, decide};
use crate::error::Result;
use crate::identity::key::{EmailKey, UsernameKey};
use crate::observe::operation;
use crate::policy::Policy;
use crate::store::dialect::Trouble;
use crate::store::rows::{Claim, UserRow};
use crate::store::users::UserQueries;
use crate::store::{AccountConnection, mark_lost};
use crate::user::{User, UserId};

impl<C: AccountConnection> Accounts<'_, C> {
    /// The user with this id, in the realm; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; in a transaction [`Error::HostMustRollBack`].
    ///
    /// [`Error::Database`]: crate::Error::Database
    /// [`Error::HostMustRollBack`]: crate::Error::HostMustRollBack
    ///
    /// ```
    /// use diesel_accounts::{NewUser, UserId};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// assert!(users.user_by_id(alice.id())?.is_some());
    /// assert!(users.user_by_id(UserId::new())?.is_none());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn user_by_id(&mut self, id: UserId) -> Result<Option<User>> {
        self.observed(operation!("user_by_id").about(id), |accounts| {
            let realm = accounts.realm;
            let row = read(accounts.conn, |conn| C::Backend::user_by_id(conn, realm, id))?;
            Ok(row.map(|row| row.user))
        })
    }

    /// The user with this username, in any spelling that is equal to it; `None` if there is none.
    ///
    /// A text that cannot be a username is nobody's, and is not sent to the database.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; in a transaction [`Error::HostMustRollBack`].
    ///
    /// [`Error::Database`]: crate::Error::Database
    /// [`Error::HostMustRollBack`]: crate::Error::HostMustRollBack
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// users.create_user(NewUser::new("Alice", "alice@example.org", "correct horse"))?;
    /// assert!(users.user_by_username(" ALICE ")?.is_some());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn user_by_username(&mut self, username: &str) -> Result<Option<User>> {
        self.observed(operation!("user_by_username"), |accounts| {
            let Ok(key) = UsernameKey::of(username.trim()) else {
                return Ok(None);
            };
            let (realm, text) = (accounts.realm, key.as_str());
            let row =
                read(accounts.conn, |conn| C::Backend::user_by_username_key(conn, realm, text))?;
            Ok(with_key(row, |row| row.username_key.as_deref(), key.as_str()))
        })
    }

    /// The user with this email address, in any spelling that is equal to it; `None` if there is
    /// none.
    ///
    /// Mail goes to [`User::email`], never to the address that was asked for. A text that cannot be
    /// an address is nobody's, and is not sent to the database.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; in a transaction [`Error::HostMustRollBack`].
    ///
    /// [`Error::Database`]: crate::Error::Database
    /// [`Error::HostMustRollBack`]: crate::Error::HostMustRollBack
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// users.create_user(NewUser::new("alice", "Alice@bücher.example", "correct horse"))?;
    /// assert!(users.user_by_email("alice@XN--BCHER-KVA.example")?.is_some());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn user_by_email(&mut self, email: &str) -> Result<Option<User>> {
        self.observed(operation!("user_by_email"), |accounts| {
            let Some(key) = EmailKey::of(email.trim()) else {
                return Ok(None);
            };
            let (realm, text) = (accounts.realm, key.as_str());
            let row = read(accounts.conn, |conn| C::Backend::user_by_email_key(conn, realm, text))?;
            Ok(with_key(row, |row| row.email_key.as_deref(), text))
        })
    }

    /// The user with this username or email address; `None` if there is none.
    ///
    /// A text with an `@` is an address, any other a username: no username has an `@`, so that
    /// nobody can take a name that signs in as somebody else.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; in a transaction [`Error::HostMustRollBack`].
    ///
    /// [`Error::Database`]: crate::Error::Database
    /// [`Error::HostMustRollBack`]: crate::Error::HostMustRollBack
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    /// let alice = users.create_user(alice)?.created().expect("nobody had that name");
    /// for login in ["alice", "alice@example.org"] {
    ///     let found = users.user_by_login(login)?;
    ///     assert_eq!(found.map(|user| user.id()), Some(alice.id()));
    /// }
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn user_by_login(&mut self, login: &str) -> Result<Option<User>> {
        self.observed(operation!("user_by_login"), |accounts| match login.contains('@') {
            true => accounts.user_by_email(login),
            false => accounts.user_by_username(login),
        })
    }
}

/// Who is in the way of a creation, as a look-up beforehand tells.
pub(crate) enum Recognised {
    /// Somebody, and what the creation comes to.
    Answer(Result<Creation>),
    Nobody,
    /// The database did not show it.
    Unknown,
}

/// What the creation of somebody comes to who is already there.
///
/// It saves the hash where the answer is known beforehand, and decides nothing else: trouble is
/// left to the insertion, which knows what to do about it. But trouble in a transaction may have
/// ended it, and nothing may be written then.
pub(crate) fn recognise<C: AccountConnection>(
    conn: &mut C,
    policy: &Policy,
    claim: &Claim<'_>,
) -> Result<Recognised> {
    let in_transaction = transaction_depth(conn) != Ok(0);
    let rows = match C::Backend::holders(conn, claim) {
        Ok(rows) => rows,
        Err(error) if in_transaction => return Err(spoiled(conn, error)),
        Err(error) => {
            if Trouble::on(conn, &error) == Trouble::Lost {
                mark_lost(conn);
            }
            return Ok(Recognised::Unknown);
        }
    };
    Ok(match decide(claim, rows, policy.duplicates(), None) {
        Verdict::Answer(creation) => Recognised::Answer(Ok(creation)),
        Verdict::Refused(error) => Recognised::Answer(Err(error)),
        Verdict::NotVisible => Recognised::Nobody,
    })
}

/// The user of a row, if the key is equal here too: a column of another collation than ours would
/// find a key that is only similar.
fn with_key(
    row: Option<UserRow>,
    key: impl Fn(&UserRow) -> Option<&str>,
    wanted: &str,
) -> Option<User> {
    row.filter(|row| key(row) == Some(wanted)).map(|row| row.user)
}
