//! Who is to be created: as the host gives it, and ready to be inserted.

use std::fmt;

use crate::identity::email::Email;
use crate::identity::username::Username;
use crate::password::{Password, PasswordHash};
use crate::user::UserId;

/// What a person typed to get an account.
///
/// Outer white space is removed from the username and the email, and a blank one is as good as
/// none. `Debug` shows the id only.
///
/// ```
/// use diesel_accounts::NewUser;
///
/// let new_user = NewUser::new("alice", "alice@example.org", "correct horse battery");
/// assert_eq!(format!("{new_user:?}"), "NewUser { id: None, .. }");
/// ```
pub struct NewUser {
    pub(crate) id: Option<UserId>,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: Option<Password>,
}

impl NewUser {
    /// A person with a username, an email address and a password.
    pub fn new(
        username: impl Into<String>,
        email: impl Into<String>,
        password: impl Into<Password>,
    ) -> Self {
        Self {
            id: None,
            username: Some(username.into()),
            email: Some(email.into()),
            password: Some(password.into()),
        }
    }

    /// A person with an email address and no username.
    pub fn with_email(email: impl Into<String>, password: impl Into<Password>) -> Self {
        Self {
            id: None,
            username: None,
            email: Some(email.into()),
            password: Some(password.into()),
        }
    }

    /// A person with a username and no email address.
    pub fn with_username(username: impl Into<String>, password: impl Into<Password>) -> Self {
        Self {
            id: None,
            username: Some(username.into()),
            email: None,
            password: Some(password.into()),
        }
    }

    /// Leaves the password out: nobody can sign in to the account with one until it is set.
    #[must_use]
    pub fn without_password(mut self) -> Self {
        self.password = None;
        self
    }

    /// Gives the creation an id of the host's own making, so that a request that is sent twice is
    /// one creation: nothing is made twice, and the second answer says that it is the same creation
    /// ([`Existing::is_same_creation`](crate::Existing::is_same_creation)).
    ///
    /// The host makes the id with [`UserId::new`] and keeps it with the request. An id that a
    /// stranger could choose must never be given. Defaults to a new id for each call.
    ///
    /// ```
    /// use diesel_accounts::{Creation, NewUser, UserId};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let id = UserId::new();
    /// let alice = || NewUser::new("alice", "alice@example.org", "correct horse").with_id(id);
    /// assert!(matches!(users.create_user(alice())?, Creation::Created(_)));
    /// let Creation::Existing(existing) = users.create_user(alice())? else { panic!() };
    /// assert!(existing.is_same_creation());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    #[must_use]
    pub fn with_id(mut self, id: UserId) -> Self {
        self.id = Some(id);
        self
    }
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A new user who is valid and whose password is hashed: ready to be inserted, as often as it
/// takes.
///
/// Made by [`Policy::prepare`](crate::Policy::prepare) or
/// [`UserManager::prepare`](crate::UserManager::prepare). All insertions of one `PreparedUser` are
/// one creation. `Debug` shows the id only.
pub struct PreparedUser {
    pub(crate) id: UserId,
    pub(crate) username: Option<Username>,
    pub(crate) email: Option<Email>,
    pub(crate) password_hash: Option<PasswordHash>,
}

impl PreparedUser {
    /// The id that the account will have if it is created.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.id
    }
}

impl fmt::Debug for PreparedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedUser").field("id", &self.id).finish_non_exhaustive()
    }
}
