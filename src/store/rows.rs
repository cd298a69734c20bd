//! What is written to `account_users`, and read from it.

use diesel::prelude::*;

use super::schema::account_users;
use crate::identity::key::KEY_VERSION;
use crate::import::PreparedImport;
use crate::new_user::PreparedUser;
use crate::password::PasswordHash;
use crate::timestamp::Timestamp;
use crate::user::{RealmId, User, UserId, UserState};

/// A part of the accounts in the order of one key.
#[derive(Debug)]
pub(crate) struct KeyRange {
    pub(crate) start: String,
    /// The first key behind the range; `None` if there is no such key.
    pub(crate) end: Option<String>,
    /// The last key of the page before.
    pub(crate) after: Option<String>,
    pub(crate) limit: i64,
}

/// What a creation lays claim to: nobody else may have the id, or in the realm one of the keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) id: UserId,
    pub(crate) realm: RealmId,
    pub(crate) username_key: Option<&'a str>,
    pub(crate) email_key: Option<&'a str>,
}

/// What changes in a row. A field that is `None` stays as it is, `Some(None)` becomes NULL.
#[derive(AsChangeset, Debug, Default)]
#[diesel(table_name = account_users)]
pub(crate) struct UserChanges {
    state: Option<UserState>,
    updated_at: Option<Timestamp>,
    username: Option<Option<String>>,
    email: Option<Option<String>>,
    email_verified_at: Option<Option<Timestamp>>,
    password_hash: Option<Option<PasswordHash>>,
    password_changed_at: Option<Option<Timestamp>>,
    last_sign_in_at: Option<Option<Timestamp>>,
    password_change_required: Option<i16>,
}

impl UserChanges {
    /// Another state, and nothing else.
    pub(crate) fn state(state: UserState, now: Timestamp) -> Self {
        Self { state: Some(state), updated_at: Some(now), ..Self::default() }
    }

    /// Nothing is left but the keys.
    pub(crate) fn reserve(now: Timestamp) -> Self {
        Self {
            state: Some(UserState::Reserved),
            updated_at: Some(now),
            username: Some(None),
            email: Some(None),
            email_verified_at: Some(None),
            password_hash: Some(None),
            password_changed_at: Some(None),
            last_sign_in_at: Some(None),
            password_change_required: Some(0),
        }
    }

    /// Another password, or none.
    pub(crate) fn password(hash: Option<PasswordHash>, now: Timestamp) -> Self {
        Self {
            updated_at: Some(now),
            password_changed_at: Some(hash.is_some().then_some(now)),
            password_hash: Some(hash),
            password_change_required: Some(0),
            ..Self::default()
        }
    }

    /// The person must change the password.
    pub(crate) fn require_password_change(now: Timestamp) -> Self {
        Self { updated_at: Some(now), password_change_required: Some(1), ..Self::default() }
    }

    /// Somebody signed in: another hash of the same password, if there is one, and the time.
    /// Nothing about the account has changed.
    pub(crate) fn signed_in(hash: Option<PasswordHash>, now: Timestamp) -> Self {
        Self { password_hash: hash.map(Some), last_sign_in_at: Some(Some(now)), ..Self::default() }
    }
}

/// A user together with the keys, to be compared once more in Rust.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account_users)]
pub(crate) struct UserRow {
    #[diesel(embed)]
    pub(crate) user: User,
    pub(crate) username_key: Option<String>,
    pub(crate) email_key: Option<String>,
}

/// A user together with what a password is compared with.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account_users)]
pub(crate) struct Credentials {
    #[diesel(embed)]
    pub(crate) user: User,
    pub(crate) username_key: Option<String>,
    pub(crate) email_key: Option<String>,
    pub(crate) password_hash: Option<PasswordHash>,
}

/// An account as it is inserted: every value is made here, and none is read back.
///
/// An absent value is sent as NULL, not left to a default that the column may have got.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = account_users)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct InsertUser<'a> {
    pub(crate) id: UserId,
    pub(crate) realm: RealmId,
    pub(crate) username: Option<&'a str>,
    pub(crate) username_key: Option<&'a str>,
    pub(crate) username_key_version: i16,
    pub(crate) email: Option<&'a str>,
    pub(crate) email_key: Option<&'a str>,
    pub(crate) email_key_version: i16,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) password_hash: Option<&'a PasswordHash>,
    pub(crate) state: UserState,
    pub(crate) session_generation: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) password_changed_at: Option<Timestamp>,
    pub(crate) last_sign_in_at: Option<Timestamp>,
}

impl<'a> InsertUser<'a> {
    pub(crate) fn new(prepared: &'a PreparedUser, realm: RealmId, now: Timestamp) -> Self {
        Self {
            id: prepared.id,
            realm,
            username: prepared.username.as_ref().map(|username| username.typed.as_str()),
            username_key: prepared.username.as_ref().map(|username| username.key.as_str()),
            username_key_version: KEY_VERSION,
            email: prepared.email.as_ref().map(|email| email.typed.as_str()),
            email_key: prepared.email.as_ref().map(|email| email.key.as_str()),
            email_key_version: KEY_VERSION,
            email_verified_at: None,
            password_hash: prepared.password_hash.as_ref(),
            state: UserState::Active,
            session_generation: 0,
            created_at: now,
            updated_at: now,
            password_changed_at: prepared.password_hash.is_some().then_some(now),
            last_sign_in_at: None,
        }
    }

    /// The row of an account of another system.
    pub(crate) fn of_import(import: &'a PreparedImport, realm: RealmId, now: Timestamp) -> Self {
        let created_at = import.created_at.unwrap_or(now);
        Self {
            id: import.id,
            realm,
            username: import.username.as_ref().map(|username| username.typed.as_str()),
            username_key: import.username.as_ref().map(|username| username.key.as_str()),
            username_key_version: KEY_VERSION,
            email: import.email.as_ref().map(|email| email.typed.as_str()),
            email_key: import.email.as_ref().map(|email| email.key.as_str()),
            email_key_version: KEY_VERSION,
            email_verified_at: import.email_verified_at,
            password_hash: import.password_hash.as_ref(),
            state: import.state,
            session_generation: 0,
            created_at,
            updated_at: now,
            password_changed_at: import.password_hash.is_some().then_some(created_at),
            last_sign_in_at: import.last_sign_in_at,
        }
    }

    /// What the row lays claim to.
    pub(crate) fn claim(&self) -> Claim<'a> {
        Claim {
            id: self.id,
            realm: self.realm,
            username_key: self.username_key,
            email_key: self.email_key,
        }
    }

    /// The user that this row is, once it is inserted.
    pub(crate) fn user(&self) -> User {
        User {
            id: self.id,
            realm: self.realm,
            username: self.username.map(str::to_owned),
            email: self.email.map(str::to_owned),
            email_verified_at: self.email_verified_at,
            state: self.state,
            session_generation: self.session_generation,
            created_at: self.created_at,
            updated_at: self.updated_at,
            password_changed_at: self.password_changed_at,
            last_sign_in_at: self.last_sign_in_at,
            password_change_required: 0,
        }
    }
}
