//! Queries on `account_users`.

use diesel::connection::LoadConnection;
use diesel::prelude::*;

use super::schema::account_users;
use crate::identity::key::KEY_VERSION;
use crate::new_user::PreparedUser;
use crate::password::PasswordHash;
use crate::timestamp::Timestamp;
use crate::user::{RealmId, User, UserId, UserState};

/// The queries of one backend, for connections `C` to it.
///
/// A reserved account is deleted: only [`UserQueries::holders`] sees it.
pub(crate) trait UserQueries<C> {
    /// The accounts that hold the id or one of the keys, in one round trip. An account that has
    /// several of them comes several times.
    fn holders(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>>;
    fn user_by_id(conn: &mut C, realm: RealmId, id: UserId) -> QueryResult<Option<UserRow>>;
    fn user_by_username_key(
        conn: &mut C,
        realm: RealmId,
        key: &str,
    ) -> QueryResult<Option<UserRow>>;
    fn user_by_email_key(conn: &mut C, realm: RealmId, key: &str) -> QueryResult<Option<UserRow>>;
    /// Oldest first.
    fn user_page(
        conn: &mut C,
        realm: RealmId,
        after: Option<(Timestamp, UserId)>,
        limit: i64,
    ) -> QueryResult<Vec<User>>;
    /// In the order of the keys.
    fn username_page(conn: &mut C, realm: RealmId, range: &KeyRange) -> QueryResult<Vec<User>>;
    /// In the order of the keys.
    fn email_page(conn: &mut C, realm: RealmId, range: &KeyRange) -> QueryResult<Vec<User>>;
    /// Changes a user who is not deleted, and ends the open sessions if asked to.
    fn change_user(
        conn: &mut C,
        realm: RealmId,
        id: UserId,
        changes: &UserChanges,
        end_sessions: bool,
    ) -> QueryResult<usize>;
    fn delete_user(conn: &mut C, realm: RealmId, id: UserId) -> QueryResult<usize>;
    /// Whether any key was made by another version of the key functions than today's.
    fn has_other_key_version(conn: &mut C) -> QueryResult<bool>;
}

/// The account with this id, in whichever realm.
macro_rules! by_id {
    ($id:expr) => {
        account_users::table.filter(account_users::id.eq($id)).select(UserRow::as_select())
    };
}
pub(super) use by_id;

/// The account with this key in a column.
macro_rules! by_key {
    ($column:path, $realm:expr, $key:expr) => {
        account_users::table
            .filter(account_users::realm.eq($realm))
            .filter($column.eq($key))
            .select(UserRow::as_select())
    };
}
pub(super) use by_key;

/// One page of the accounts whose key, in `$column`, is in a range.
macro_rules! key_page {
    ($conn:expr, $realm:expr, $range:expr, $column:path) => {{
        let mut query = account_users::table
            .select(User::as_select())
            .filter(account_users::realm.eq($realm))
            .filter(account_users::state.ne(UserState::Reserved))
            .filter($column.ge($range.start.as_str()))
            .order($column)
            .limit($range.limit)
            .into_boxed();
        if let Some(end) = &$range.end {
            query = query.filter($column.lt(end.as_str()));
        }
        if let Some(after) = &$range.after {
            query = query.filter($column.gt(after.as_str()));
        }
        query.load($conn)
    }};
}
macro_rules! user_queries {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> UserQueries<C> for $backend {
            fn holders(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>> {
                let Claim { id, realm, username_key, email_key } = *claim;
                // Three point look-ups, whatever the statistics; an OR over the same columns is a
                // full scan on a small table. An absent key is NULL and equal to nothing.
                by_id!(id)
                    .union_all(by_key!(account_users::username_key, realm, username_key))
                    .union_all(by_key!(account_users::email_key, realm, email_key))
                    .load(conn)
            }

            fn user_by_id(
                conn: &mut C,
                realm: RealmId,
                id: UserId,
            ) -> QueryResult<Option<UserRow>> {
                by_id!(id)
                    .filter(account_users::realm.eq(realm))
                    .filter(account_users::state.ne(UserState::Reserved))
                    .first(conn)
                    .optional()
            }

            fn user_by_username_key(
                conn: &mut C,
                realm: RealmId,
                key: &str,
            ) -> QueryResult<Option<UserRow>> {
                by_key!(account_users::username_key, realm, key)
                    .filter(account_users::state.ne(UserState::Reserved))
                    .first(conn)
                    .optional()
            }

            fn user_by_email_key(
                conn: &mut C,
                realm: RealmId,
                key: &str,
            ) -> QueryResult<Option<UserRow>> {
                by_key!(account_users::email_key, realm, key)
                    .filter(account_users::state.ne(UserState::Reserved))
                    .first(conn)
                    .optional()
            }

            fn user_page(
                conn: &mut C,
                realm: RealmId,
                after: Option<(Timestamp, UserId)>,
                limit: i64,
            ) -> QueryResult<Vec<User>> {
                let mut query = account_users::table
                    .select(User::as_select())
                    .filter(account_users::realm.eq(realm))
                    .filter(account_users::state.ne(UserState::Reserved))
                    .order((account_users::created_at, account_users::id))
                    .limit(limit)
                    .into_boxed();
                if let Some((at, id)) = after {
                    // The first condition is what the index can start from.
                    query = query
                        .filter(account_users::created_at.ge(at))
                        .filter(account_users::created_at.gt(at).or(account_users::id.gt(id)));
                }
                query.load(conn)
            }

            fn username_page(
                conn: &mut C,
                realm: RealmId,
                range: &KeyRange,
            ) -> QueryResult<Vec<User>> {
                key_page!(conn, realm, range, account_users::username_key)
            }

            fn email_page(
                conn: &mut C,
                realm: RealmId,
                range: &KeyRange,
            ) -> QueryResult<Vec<User>> {
                key_page!(conn, realm, range, account_users::email_key)
            }

            fn change_user(
                conn: &mut C,
                realm: RealmId,
                id: UserId,
                changes: &UserChanges,
                end_sessions: bool,
            ) -> QueryResult<usize> {
                let generation = account_users::session_generation + i64::from(end_sessions);
                diesel::update(account_users::table.find(id))
                    .filter(account_users::realm.eq(realm))
                    .filter(account_users::state.ne(UserState::Reserved))
                    .set((changes, account_users::session_generation.eq(generation)))
                    .execute(conn)
            }

            fn delete_user(conn: &mut C, realm: RealmId, id: UserId) -> QueryResult<usize> {
                diesel::delete(account_users::table.find(id))
                    .filter(account_users::realm.eq(realm))
                    .execute(conn)
            }

            fn has_other_key_version(conn: &mut C) -> QueryResult<bool> {
                let other = account_users::table.filter(
                    account_users::username_key_version
                        .ne(KEY_VERSION)
                        .or(account_users::email_key_version.ne(KEY_VERSION)),
                );
                diesel::select(diesel::dsl::exists(other)).get_result(conn)
            }
        }
    };
}

super::for_each_backend!(user_queries);

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
#[derive(AsChangeset, Debug)]
#[diesel(table_name = account_users)]
pub(crate) struct UserChanges {
    state: Option<UserState>,
    updated_at: Timestamp,
    username: Option<Option<String>>,
    email: Option<Option<String>>,
    email_verified_at: Option<Option<Timestamp>>,
    password_hash: Option<Option<PasswordHash>>,
    password_changed_at: Option<Option<Timestamp>>,
    last_sign_in_at: Option<Option<Timestamp>>,
}

impl UserChanges {
    /// Another state, and nothing else.
    pub(crate) fn state(state: UserState, now: Timestamp) -> Self {
        Self {
            state: Some(state),
            updated_at: now,
            username: None,
            email: None,
            email_verified_at: None,
            password_hash: None,
            password_changed_at: None,
            last_sign_in_at: None,
        }
    }

    /// Nothing is left but the keys.
    pub(crate) fn reserve(now: Timestamp) -> Self {
        Self {
            state: Some(UserState::Reserved),
            updated_at: now,
            username: Some(None),
            email: Some(None),
            email_verified_at: Some(None),
            password_hash: Some(None),
            password_changed_at: Some(None),
            last_sign_in_at: Some(None),
        }
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

/// An account as it is inserted: every value is made here, and none is read back.
///
/// An absent value is sent as NULL, not left to a default that the column may have got.
#[derive(Debug, Insertable)]
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
    pub(crate) password_hash: Option<&'a PasswordHash>,
    pub(crate) state: UserState,
    pub(crate) session_generation: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) password_changed_at: Option<Timestamp>,
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
            password_hash: prepared.password_hash.as_ref(),
            state: UserState::Active,
            session_generation: 0,
            created_at: now,
            updated_at: now,
            password_changed_at: prepared.password_hash.is_some().then_some(now),
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
            email_verified_at: None,
            state: self.state,
            session_generation: self.session_generation,
            created_at: self.created_at,
            updated_at: self.updated_at,
            password_changed_at: self.password_changed_at,
            last_sign_in_at: None,
        }
    }
}
