//! Inserting many users at once, where there is no better way than many rows in a statement.

use std::collections::HashSet;

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};

use super::rows::{InsertUser, UserRow};
use super::schema::sql_types::AccountId;
use super::users::UserQueries;
use crate::accounts::IMPORT_BATCH;
use crate::user::UserId;

/// Inserts users in one statement; who was inserted.
pub(super) fn insert_rows<C>(conn: &mut C, users: &[InsertUser<'_>]) -> QueryResult<HashSet<UserId>>
where
    C: Connection<Backend = Mysql>,
    Mysql: UserQueries<C>,
{
    let inserted = conn.execute_returning_count(&InsertUsers(users))?;
    let ids = users.iter().map(|user| user.id);
    match users {
        // A trigger of the host's has swallowed some: of people who are there, or of others.
        [first, ..] if inserted < users.len() => {
            let ids: Vec<_> = ids.collect();
            let there = Mysql::holders_of_any(conn, first.realm, &ids, &[], &[])?;
            let is_ours = |row: &UserRow| users.iter().any(|user| is_of(user, row));
            Ok(there.into_iter().filter(is_ours).map(|row| row.user.id).collect())
        }
        _ => Ok(ids.collect()),
    }
}

/// Whether a row is of this insertion, and not of an earlier one of the same account.
fn is_of(user: &InsertUser<'_>, row: &UserRow) -> bool {
    (user.id, user.created_at, user.updated_at)
        == (row.user.id, row.user.created_at, row.user.updated_at)
}

/// Inserts some users in one statement. Of Diesel's own insertion of many no statement is kept, and
/// to prepare one takes the server about as long as to execute it.
struct InsertUsers<'a>(&'a [InsertUser<'a>]);

impl QueryId for InsertUsers<'_> {
    type QueryId = ();

    /// It depends on how many there are.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for InsertUsers<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // For as many others will come.
        if self.0.len() != IMPORT_BATCH {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(
            "INSERT INTO account_users (id, realm, username, username_key, \
             username_key_version, email, email_key, email_key_version, email_verified_at, \
             password_hash, state, session_generation, created_at, updated_at, \
             password_changed_at, last_sign_in_at) VALUES (",
        );
        for (place, user) in self.0.iter().enumerate() {
            if place > 0 {
                out.push_sql("), (");
            }
            out.push_bind_param::<AccountId, _>(&user.id)?;
            out.push_sql(", ");
            out.push_bind_param::<AccountId, _>(&user.realm)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&user.username)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&user.username_key)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(&user.username_key_version)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&user.email)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&user.email_key)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(&user.email_key_version)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&user.email_verified_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&user.password_hash)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(&user.state)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&user.session_generation)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&user.created_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&user.updated_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&user.password_changed_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&user.last_sign_in_at)?;
        }
        out.push_sql(")");
        Ok(())
    }
}
