//! Many accounts, page by page.

use std::fmt;
use std::str::FromStr;

use super::Accounts;
use super::transaction::read;
use crate::error::Result;
use crate::identity::key::{EmailKey, UsernameKey};
use crate::observe::operation;
use crate::store::AccountConnection;
use crate::store::rows::KeyRange;
use crate::store::users::UserQueries;
use crate::timestamp::Timestamp;
use crate::user::{InvalidId, User, UserId};

impl<C: AccountConnection> Accounts<'_, C> {
    /// One page of the users of the realm, oldest first, after the given place.
    ///
    /// A page has at most `limit` users, and never more than 1,000. None comes twice,
    /// and none is left out that was there all along. A user who is created meanwhile comes at the
    /// end, or is left out: the time of a creation is taken shortly before its row is there.
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
    /// users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// users.create_user(NewUser::new("bob", "bob@example.org", "correct horse"))?;
    /// let first = users.list_users(None, 1)?;
    /// let second = users.list_users(first.last().map(|user| user.cursor()), 1)?;
    /// assert_eq!(second[0].username(), Some("bob"));
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn list_users(&mut self, after: Option<UserCursor>, limit: u32) -> Result<Vec<User>> {
        self.observed(operation!("list_users"), |accounts| {
            let after = after.map(|cursor| (cursor.created_at, cursor.id));
            let (realm, limit) = (accounts.realm, page_size(limit));
            read(accounts.conn, |conn| C::Backend::user_page(conn, realm, after, limit))
        })
    }

    /// One page of the users whose username starts like this, in the order of their canonical
    /// forms, after the given username.
    ///
    /// Spellings do not matter, as in all look-ups; the characters `%`, `_` and `\` stand for
    /// themselves. A page has at most `limit` users, and never more than 1,000.
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
    /// let found = users.users_by_username_prefix("AL", None, 10)?;
    /// assert_eq!(found[0].username(), Some("Alice"));
    /// assert!(users.users_by_username_prefix("AL", found[0].username(), 10)?.is_empty());
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn users_by_username_prefix(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<User>> {
        self.observed(operation!("users_by_username_prefix"), |accounts| {
            let realm = accounts.realm;
            let start = UsernameKey::prefix(prefix);
            let after = after.map(|username| UsernameKey::of(username.trim()).ok());
            match key_range(start, after, limit, UsernameKey::as_str) {
                Some(range) => {
                    read(accounts.conn, |conn| C::Backend::username_page(conn, realm, &range))
                }
                None => Ok(Vec::new()),
            }
        })
    }

    /// One page of the users whose email address starts like this, in the order of their canonical
    /// forms, after the given address.
    ///
    /// As [`Accounts::users_by_username_prefix`]. The beginning of a domain must be typed in ASCII,
    /// or the whole domain.
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
    /// users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// assert_eq!(users.users_by_email_prefix("Alice@ex", None, 10)?.len(), 1);
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn users_by_email_prefix(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<User>> {
        self.observed(operation!("users_by_email_prefix"), |accounts| {
            let realm = accounts.realm;
            let start = EmailKey::prefix(prefix);
            let after = after.map(|email| EmailKey::of(email.trim()));
            match key_range(start, after, limit, EmailKey::as_str) {
                Some(range) => {
                    read(accounts.conn, |conn| C::Backend::email_page(conn, realm, &range))
                }
                None => Ok(Vec::new()),
            }
        })
    }
}

impl User {
    /// The place behind this user in [`Accounts::list_users`].
    #[must_use]
    pub fn cursor(&self) -> UserCursor {
        UserCursor { created_at: self.created_at, id: self.id }
    }
}

/// A place in the list of users: behind one of them, who may be deleted meanwhile.
///
/// Its text can travel through a URL.
///
/// ```
/// use diesel_accounts::{NewUser, UserCursor};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// users.create_user(NewUser::new("alice", "alice@example.org", "correct horse"))?;
/// let cursor = users.list_users(None, 10)?[0].cursor();
/// assert_eq!(cursor.to_string().parse::<UserCursor>(), Ok(cursor));
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UserCursor {
    created_at: Timestamp,
    id: UserId,
}

impl fmt::Display for UserCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at.as_micros(), self.id)
    }
}

impl FromStr for UserCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (micros, id) = text.split_once('.').ok_or(InvalidCursor(()))?;
        let micros = micros.parse().map_err(|_| InvalidCursor(()))?;
        let id = id.parse().map_err(|_: InvalidId| InvalidCursor(()))?;
        Ok(Self { created_at: Timestamp::from_micros(micros), id })
    }
}

/// A text is not a [`UserCursor`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the text is not a place in the list of users")]
pub struct InvalidCursor(());

/// The part of the accounts that is asked for; `None` if no account can be in it, because the text
/// that it starts with, or comes after, is not one that a key can have.
fn key_range<K>(
    start: Option<K>,
    after: Option<Option<K>>,
    limit: u32,
    text: impl Fn(&K) -> &str,
) -> Option<KeyRange> {
    let start = start?;
    let after = match after {
        Some(after) => Some(text(&after?).to_owned()),
        None => None,
    };
    Some(KeyRange {
        start: text(&start).to_owned(),
        end: prefix_end(text(&start)),
        after,
        limit: page_size(limit),
    })
}

/// The first text, in the order of bytes, that is behind all texts with a prefix.
///
/// UTF-8 sorts like code points; `None` if there is no such text.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // The range steps over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn page_size(limit: u32) -> i64 {
    i64::from(limit.min(MOST_USERS_PER_PAGE))
}

const MOST_USERS_PER_PAGE: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_that_does_not_start_with_it() {
        for (prefix, end) in [
            ("al", Some("am")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(prefix_end(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
