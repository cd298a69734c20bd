//! Queries on `account_attempts`: how many wrong passwords were submitted for an account.
//!
//! A subject, an account or a login that no account has, has one row for all clients together and
//! one for each client or known device. An attempt is counted by one update of a row, which
//! succeeds only if the row is as it was seen: two attempts at once are never one.

use diesel::connection::LoadConnection;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::{case_when, exists, not};
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::dialect::{Dialect, stopped_deletion};
use super::schema::sql_types::AccountId;
use super::schema::{account_attempts, account_users};
use crate::timestamp::Timestamp;
use crate::user::UserId;

/// The queries of one backend, for connections `C` to it.
pub(crate) trait AttemptQueries<C> {
    /// The row of all clients, and that of one.
    fn attempts_of(
        conn: &mut C,
        subject: AttemptKey,
        client: AttemptKey,
    ) -> QueryResult<Vec<AttemptRow>>;
    /// Replaces a row that is still as it was seen; 0 if it is not.
    fn replace_attempts(
        conn: &mut C,
        key: (AttemptKey, AttemptKey),
        seen: &AttemptRow,
        counts: &AttemptCounts,
    ) -> QueryResult<usize>;
    /// Takes the failures back, after a success: of all clients together, and of one.
    fn clear_attempts(conn: &mut C, subject: AttemptKey, client: AttemptKey) -> QueryResult<usize>;
    /// Takes back an attempt of then that came to nothing, and the wait that it brought, if no
    /// other came since. Where a success has taken all back meanwhile, and others have failed since,
    /// it is one of theirs: who hashes at the same time are few, and each can do so once.
    fn refund_attempt(
        conn: &mut C,
        key: (AttemptKey, AttemptKey),
        then: Timestamp,
        brought_wait: bool,
    ) -> QueryResult<usize>;
    /// Lets the waits of a subject begin anew. The failures in a row stay.
    fn end_waits(conn: &mut C, subject: AttemptKey) -> QueryResult<usize>;
    /// Forgets everything about a subject.
    fn forget_attempts(conn: &mut C, subject: AttemptKey) -> QueryResult<usize>;
    /// Some rows that nobody needs any more: untouched for long, and no account's count of failures
    /// in a row.
    fn stale_attempts(
        conn: &mut C,
        before: Timestamp,
        limit: i64,
    ) -> QueryResult<Vec<(AttemptKey, AttemptKey)>>;
    /// Deletes a row, if it is still untouched.
    fn delete_stale_attempt(
        conn: &mut C,
        key: (AttemptKey, AttemptKey),
        before: Timestamp,
    ) -> QueryResult<usize>;
}

macro_rules! attempt_queries {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> AttemptQueries<C> for $backend {
            fn attempts_of(
                conn: &mut C,
                subject: AttemptKey,
                client: AttemptKey,
            ) -> QueryResult<Vec<AttemptRow>> {
                account_attempts::table
                    .filter(account_attempts::subject.eq(subject))
                    .filter(account_attempts::client.eq_any([AttemptKey::ALL, client]))
                    .select(AttemptRow::as_select())
                    .load(conn)
            }

            fn replace_attempts(
                conn: &mut C,
                key: (AttemptKey, AttemptKey),
                seen: &AttemptRow,
                counts: &AttemptCounts,
            ) -> QueryResult<usize> {
                diesel::update(account_attempts::table.find(key))
                    .filter(account_attempts::failures.eq(seen.counts.failures))
                    .filter(account_attempts::in_a_row.eq(seen.counts.in_a_row))
                    .filter(account_attempts::blocked_until.eq(seen.counts.blocked_until))
                    .set(counts)
                    .execute(conn)
            }

            fn clear_attempts(
                conn: &mut C,
                subject: AttemptKey,
                client: AttemptKey,
            ) -> QueryResult<usize> {
                let rows = account_attempts::table
                    .filter(account_attempts::subject.eq(subject))
                    .filter(account_attempts::client.eq_any([AttemptKey::ALL, client]));
                diesel::update(rows)
                    .set((
                        account_attempts::blocked_until.eq(0),
                        account_attempts::failures.eq(0),
                        account_attempts::in_a_row.eq(0),
                    ))
                    .execute(conn)
            }

            fn refund_attempt(
                conn: &mut C,
                key: (AttemptKey, AttemptKey),
                then: Timestamp,
                brought_wait: bool,
            ) -> QueryResult<usize> {
                use account_attempts::{blocked_until, failures, in_a_row, last_at};
                let row = diesel::update(account_attempts::table.find(key)).filter(in_a_row.gt(0));
                // An administrator may have ended the waits meanwhile, and left the other count.
                let fewer = case_when(failures.gt(0), failures - 1).otherwise(0);
                let counts = (failures.eq(fewer), in_a_row.eq(in_a_row - 1));
                match brought_wait {
                    false => row.set(counts).execute(conn),
                    true => {
                        let wait = case_when(last_at.eq(then), 0.into_sql::<BigInt>())
                            .otherwise(blocked_until);
                        row.set((blocked_until.eq(wait), counts)).execute(conn)
                    }
                }
            }

            fn end_waits(conn: &mut C, subject: AttemptKey) -> QueryResult<usize> {
                let rows = account_attempts::table.filter(account_attempts::subject.eq(subject));
                diesel::update(rows)
                    .set((account_attempts::blocked_until.eq(0), account_attempts::failures.eq(0)))
                    .execute(conn)
            }

            fn forget_attempts(conn: &mut C, subject: AttemptKey) -> QueryResult<usize> {
                let rows = account_attempts::table.filter(account_attempts::subject.eq(subject));
                let deleted = diesel::delete(rows).execute(conn)?;
                if Self::attempts_outlived_deletion(conn, subject)? {
                    return Err(stopped_deletion());
                }
                Ok(deleted)
            }

            fn stale_attempts(
                conn: &mut C,
                before: Timestamp,
                limit: i64,
            ) -> QueryResult<Vec<(AttemptKey, AttemptKey)>> {
                let account = account_users::table
                    .filter(account_users::id.eq(account_attempts::subject))
                    .select(account_users::id);
                account_attempts::table
                    .filter(account_attempts::last_at.lt(before))
                    .filter(
                        account_attempts::client
                            .ne(AttemptKey::ALL)
                            .or(account_attempts::in_a_row.eq(0))
                            .or(not(exists(account))),
                    )
                    .select((account_attempts::subject, account_attempts::client))
                    .order(account_attempts::last_at)
                    .limit(limit)
                    .load(conn)
            }

            fn delete_stale_attempt(
                conn: &mut C,
                key: (AttemptKey, AttemptKey),
                before: Timestamp,
            ) -> QueryResult<usize> {
                diesel::delete(account_attempts::table.find(key))
                    .filter(account_attempts::last_at.lt(before))
                    .execute(conn)
            }
        }
    };
}
super::for_each_backend!(attempt_queries);

/// What is known about the attempts of a client, or of all.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = account_attempts)]
pub(crate) struct AttemptRow {
    pub(crate) client: AttemptKey,
    #[diesel(embed)]
    pub(crate) counts: AttemptCounts,
}

/// The counts of a row.
#[derive(AsChangeset, Clone, Copy, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = account_attempts)]
pub(crate) struct AttemptCounts {
    /// What brings waits.
    pub(crate) failures: i64,
    /// What disables the password.
    pub(crate) in_a_row: i64,
    /// In microseconds since 1970.
    pub(crate) blocked_until: i64,
    pub(crate) last_at: Timestamp,
}

/// A row of a subject's that is not there yet.
#[derive(Debug, Insertable)]
#[diesel(table_name = account_attempts)]
pub(crate) struct InsertAttempt {
    pub(crate) subject: AttemptKey,
    pub(crate) client: AttemptKey,
    #[diesel(embed)]
    pub(crate) counts: AttemptCounts,
}

/// Whose attempts are counted, or where they come from: 16 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = AccountId)]
pub(crate) struct AttemptKey([u8; 16]);

impl AttemptKey {
    /// All clients together.
    pub(crate) const ALL: Self = Self([0; 16]);

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<UserId> for AttemptKey {
    fn from(id: UserId) -> Self {
        Self(*id.as_bytes())
    }
}
