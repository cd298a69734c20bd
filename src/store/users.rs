//! Queries on `account_users`.

use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

use super::dialect::{Dialect, stopped_deletion};
use super::rows::{Claim, Credentials, KeyRange, UserChanges, UserRow};
use super::schema::account_users;
use crate::identity::key::KEY_VERSION;
use crate::timestamp::Timestamp;
use crate::user::{RealmId, User, UserId, UserState};

/// The queries of one backend, for connections `C` to it.
///
/// A reserved account is deleted: only [`UserQueries::holders`] sees it.
pub(crate) trait UserQueries<C> {
    /// The accounts that hold the id or one of the keys, in one round trip. An account that has
    /// several of them comes several times.
    fn holders(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>>;
    /// The accounts that hold any of these ids, or in the realm any of these keys.
    fn holders_of_any(
        conn: &mut C,
        realm: RealmId,
        ids: &[UserId],
        username_keys: &[&str],
        email_keys: &[&str],
    ) -> QueryResult<Vec<UserRow>>;
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
    /// The same, if the open sessions were not ended since.
    fn change_user_of_generation(
        conn: &mut C,
        user: &User,
        changes: &UserChanges,
        end_sessions: bool,
    ) -> QueryResult<usize>;
    fn delete_user(conn: &mut C, realm: RealmId, id: UserId) -> QueryResult<usize>;
    fn credentials_by_id(
        conn: &mut C,
        realm: RealmId,
        id: UserId,
    ) -> QueryResult<Option<Credentials>>;
    fn credentials_by_username_key(
        conn: &mut C,
        realm: RealmId,
        key: &str,
    ) -> QueryResult<Option<Credentials>>;
    fn credentials_by_email_key(
        conn: &mut C,
        realm: RealmId,
        key: &str,
    ) -> QueryResult<Option<Credentials>>;
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

/// The users of a realm in the order of some columns, which an index has behind the realm.
macro_rules! in_order {
    ($realm:expr, $($column:path),+) => {{
        let query = account_users::table
            .select(User::as_select())
            .filter(account_users::state.ne(UserState::Reserved))
            .into_boxed();
        match <Self as Dialect<C>>::EQUALITY_HIDES_RANGE {
            true => query
                .filter(account_users::realm.ge($realm))
                .filter(account_users::realm.le($realm))
                .order((account_users::realm, $($column),+)),
            false => query.filter(account_users::realm.eq($realm)).order(($($column),+)),
        }
    }};
}

/// One page of the accounts whose key, in `$column`, is in a range.
macro_rules! key_page {
    ($conn:expr, $realm:expr, $range:expr, $column:path) => {{
        let mut query = in_order!($realm, $column)
            .filter($column.ge($range.start.as_str()))
            .limit($range.limit);
        if let Some(end) = &$range.end {
            query = query.filter($column.lt(end.as_str()));
        }
        if let Some(after) = &$range.after {
            query = query.filter($column.gt(after.as_str()));
        }
        query.load($conn)
    }};
}

/// What is needed to verify a password of the account with a value in a column.
macro_rules! credentials {
    ($conn:expr, $realm:expr, $column:path, $value:expr) => {
        account_users::table
            .filter(account_users::realm.eq($realm))
            .filter($column.eq($value))
            .filter(account_users::state.ne(UserState::Reserved))
            .select(Credentials::as_select())
            .first($conn)
            .optional()
    };
}

macro_rules! user_queries {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> UserQueries<C> for $backend {
            fn holders(conn: &mut C, claim: &Claim<'_>) -> QueryResult<Vec<UserRow>> {
                let Claim { id, realm, username_key, email_key } = *claim;
                // Three point look-ups, whatever the statistics; an OR over the same columns is a
                // full scan on a small table. An absent key is NULL and equal to nothing.
                UnionOfThree(
                    by_id!(id),
                    by_key!(account_users::username_key, realm, username_key),
                    by_key!(account_users::email_key, realm, email_key),
                )
                .load(conn)
            }

            fn holders_of_any(
                conn: &mut C,
                realm: RealmId,
                ids: &[UserId],
                username_keys: &[&str],
                email_keys: &[&str],
            ) -> QueryResult<Vec<UserRow>> {
                let in_realm = || account_users::table.filter(account_users::realm.eq(realm));
                let mut rows: Vec<UserRow> = account_users::table
                    .filter(account_users::id.eq_any(ids))
                    .select(UserRow::as_select())
                    .load(conn)?;
                rows.extend(
                    in_realm()
                        .filter(account_users::username_key.eq_any(username_keys))
                        .select(UserRow::as_select())
                        .load::<UserRow>(conn)?,
                );
                rows.extend(
                    in_realm()
                        .filter(account_users::email_key.eq_any(email_keys))
                        .select(UserRow::as_select())
                        .load::<UserRow>(conn)?,
                );
                Ok(rows)
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
                let mut query =
                    in_order!(realm, account_users::created_at, account_users::id).limit(limit);
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

            fn change_user_of_generation(
                conn: &mut C,
                user: &User,
                changes: &UserChanges,
                end_sessions: bool,
            ) -> QueryResult<usize> {
                let generation = user.session_generation + i64::from(end_sessions);
                diesel::update(account_users::table.find(user.id))
                    .filter(account_users::realm.eq(user.realm))
                    .filter(account_users::state.ne(UserState::Reserved))
                    .filter(account_users::session_generation.eq(user.session_generation))
                    .set((changes, account_users::session_generation.eq(generation)))
                    .execute(conn)
            }

            fn credentials_by_id(
                conn: &mut C,
                realm: RealmId,
                id: UserId,
            ) -> QueryResult<Option<Credentials>> {
                credentials!(conn, realm, account_users::id, id)
            }

            fn credentials_by_username_key(
                conn: &mut C,
                realm: RealmId,
                key: &str,
            ) -> QueryResult<Option<Credentials>> {
                credentials!(conn, realm, account_users::username_key, key)
            }

            fn credentials_by_email_key(
                conn: &mut C,
                realm: RealmId,
                key: &str,
            ) -> QueryResult<Option<Credentials>> {
                credentials!(conn, realm, account_users::email_key, key)
            }

            fn delete_user(conn: &mut C, realm: RealmId, id: UserId) -> QueryResult<usize> {
                let deleted = diesel::delete(account_users::table.find(id))
                    .filter(account_users::realm.eq(realm))
                    .execute(conn)?;
                if deleted == 0 && Self::account_outlived_deletion(conn, realm, id)? {
                    return Err(stopped_deletion());
                }
                Ok(deleted)
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

/// `a UNION ALL b UNION ALL c`. Diesel puts parentheses around the first two, and a prepared
/// statement of that form is the one that MariaDB most often never answers again after it has once
/// been stopped: 40 times of 484, where this form was answered each time of 38,720.
#[derive(QueryId)]
struct UnionOfThree<A, B, C>(A, B, C);

impl<DB, A, B, C> QueryFragment<DB> for UnionOfThree<A, B, C>
where
    DB: Backend,
    A: QueryFragment<DB>,
    B: QueryFragment<DB>,
    C: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" UNION ALL ");
        self.1.walk_ast(out.reborrow())?;
        out.push_sql(" UNION ALL ");
        self.2.walk_ast(out)
    }
}

impl<A: Query, B, C> Query for UnionOfThree<A, B, C> {
    type SqlType = A::SqlType;
}

impl<A, B, C, Conn> RunQueryDsl<Conn> for UnionOfThree<A, B, C> {}
