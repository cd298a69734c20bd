//! Queries on `account_events`.

use diesel::connection::LoadConnection;
use diesel::prelude::*;

use super::schema::account_events;
use crate::audit::{AuditEvent, EventId};
use crate::timestamp::Timestamp;
use crate::user::{RealmId, UserId};

/// The queries of one backend, for connections `C` to it.
pub(crate) trait EventQueries<C> {
    fn insert_events(conn: &mut C, events: &[AuditEvent]) -> QueryResult<()>;
    /// The same for one event, or none.
    fn insert_event(conn: &mut C, event: Option<&AuditEvent>) -> QueryResult<()> {
        event.map_or(Ok(()), |event| Self::insert_events(conn, std::slice::from_ref(event)))
    }
    /// Newest first.
    fn events_of_user(
        conn: &mut C,
        realm: RealmId,
        id: UserId,
        before: Option<(Timestamp, EventId)>,
        limit: i64,
    ) -> QueryResult<Vec<AuditEvent>>;
    /// Some events that happened before then, oldest first.
    fn old_events(conn: &mut C, before: Timestamp, limit: i64) -> QueryResult<Vec<EventId>>;
    fn delete_events(conn: &mut C, ids: &[EventId]) -> QueryResult<usize>;
}

macro_rules! event_queries {
    ($backend:ty) => {
        impl<C: LoadConnection<Backend = $backend>> EventQueries<C> for $backend {
            fn insert_events(conn: &mut C, events: &[AuditEvent]) -> QueryResult<()> {
                for events in events.chunks(EVENTS_IN_A_STATEMENT) {
                    diesel::insert_into(account_events::table).values(events).execute(conn)?;
                }
                Ok(())
            }

            fn events_of_user(
                conn: &mut C,
                realm: RealmId,
                id: UserId,
                before: Option<(Timestamp, EventId)>,
                limit: i64,
            ) -> QueryResult<Vec<AuditEvent>> {
                use account_events::occurred_at;
                let mut query = account_events::table
                    .select(AuditEvent::as_select())
                    .filter(account_events::user_id.eq(id))
                    .filter(account_events::realm.eq(realm))
                    .order((occurred_at.desc(), account_events::id.desc()))
                    .limit(limit)
                    .into_boxed();
                if let Some((at, event)) = before {
                    // The first condition is what the index can start from.
                    query = query
                        .filter(occurred_at.le(at))
                        .filter(occurred_at.lt(at).or(account_events::id.lt(event)));
                }
                query.load(conn)
            }

            fn old_events(
                conn: &mut C,
                before: Timestamp,
                limit: i64,
            ) -> QueryResult<Vec<EventId>> {
                account_events::table
                    .filter(account_events::occurred_at.lt(before))
                    .select(account_events::id)
                    .order(account_events::occurred_at)
                    .limit(limit)
                    .load(conn)
            }

            fn delete_events(conn: &mut C, ids: &[EventId]) -> QueryResult<usize> {
                let rows = account_events::table.filter(account_events::id.eq_any(ids));
                diesel::delete(rows).execute(conn)
            }
        }
    };
}
super::for_each_backend!(event_queries);

/// Each has nine values, of which SQLite allows 32,766 in a statement.
const EVENTS_IN_A_STATEMENT: usize = 500;
