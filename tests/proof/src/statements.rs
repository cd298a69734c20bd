//! Acting just before a connection sends a statement.

use diesel::connection::{Connection, InstrumentationEvent};

/// Does something once, just before the connection sends a statement about accounts that starts
/// like this.
pub fn before_statement(
    conn: &mut impl Connection,
    start: &'static str,
    act: impl FnOnce() + Send + 'static,
) {
    let mut act = Some(act);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let query = query.to_string();
            if query.starts_with(start)
                && query.contains("account_users")
                && let Some(act) = act.take()
            {
                act();
            }
        }
    });
}

/// Does something each time before the connection sends a statement.
pub fn before_each_statement(
    conn: &mut impl Connection,
    mut act: impl FnMut(&str) + Send + 'static,
) {
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            act(&query.to_string());
        }
    });
}
