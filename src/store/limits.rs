//! Queries on `account_limits`: the generic cell rate algorithm, in one statement.
//!
//! A row is the time at which the next one would come if all kept to the pace: its theoretical
//! arrival. Whoever comes is let in if that is not too far ahead, and puts it off by one interval.

use diesel::connection::LoadConnection;
use diesel::dsl::case_when;
use diesel::prelude::*;

use super::attempts::AttemptKey;
use super::schema::account_limits;

/// The queries of one backend, for connections `C` to it.
pub(crate) trait LimitQueries<C> {
    /// Takes one, if there is one to take; 0 rows if there is none, or no row.
    fn take_from_limit(conn: &mut C, key: AttemptKey, pace: Pace) -> QueryResult<usize>;
    /// The theoretical arrival of the next one.
    fn limit_of(conn: &mut C, key: AttemptKey) -> QueryResult<Option<i64>>;
    /// Some rows that nobody has needed since then.
    fn stale_limits(conn: &mut C, before: i64, limit: i64) -> QueryResult<Vec<AttemptKey>>;
    /// Deletes a row, if it is still not needed.
    fn delete_stale_limit(conn: &mut C, key: AttemptKey, before: i64) -> QueryResult<usize>;
}

/// What a moment and a quota come to, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) now: i64,
    pub(crate) interval: i64,
    /// If the next one is expected later, nobody is let in.
    pub(crate) latest: i64,
    /// If it is expected later still, a clock was wrong.
    pub(crate) absurd: i64,
}

macro_rules! limit_queries {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> LimitQueries<C> for $backend {
            fn take_from_limit(conn: &mut C, key: AttemptKey, pace: Pace) -> QueryResult<usize> {
                use account_limits::theoretical_arrival as arrival;
                let at_its_pace = arrival.gt(pace.now).and(arrival.le(pace.absurd));
                let next = case_when(at_its_pace, arrival + pace.interval)
                    .otherwise(pace.now.saturating_add(pace.interval));
                diesel::update(account_limits::table.find(key))
                    .filter(arrival.le(pace.latest).or(arrival.gt(pace.absurd)))
                    .set(arrival.eq(next))
                    .execute(conn)
            }

            fn limit_of(conn: &mut C, key: AttemptKey) -> QueryResult<Option<i64>> {
                account_limits::table
                    .find(key)
                    .select(account_limits::theoretical_arrival)
                    .first(conn)
                    .optional()
            }

            fn stale_limits(conn: &mut C, before: i64, limit: i64) -> QueryResult<Vec<AttemptKey>> {
                account_limits::table
                    .filter(account_limits::theoretical_arrival.lt(before))
                    .select(account_limits::id)
                    .order(account_limits::theoretical_arrival)
                    .limit(limit)
                    .load(conn)
            }

            fn delete_stale_limit(
                conn: &mut C,
                key: AttemptKey,
                before: i64,
            ) -> QueryResult<usize> {
                diesel::delete(account_limits::table.find(key))
                    .filter(account_limits::theoretical_arrival.lt(before))
                    .execute(conn)
            }
        }
    };
}
super::for_each_backend!(limit_queries);
