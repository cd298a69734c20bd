//! What the database plans for the queries of an act.

use std::error::Error;
use std::sync::mpsc;

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};

use super::engines::Engine;
use super::{Act, FIRST_PAGE};

/// Tells which acts have the database read all accounts for any of some people: what is planned may
/// depend on whom it is for.
pub(super) fn count_scans<C: Engine>(
    pool: &Pool<ConnectionManager<C>>,
    acts: &[Act<'_>],
) -> Result<usize, Box<dyn Error>> {
    let mut scans = 0;
    for act in acts {
        let queries = queries(pool, act)?;
        let mut conn = pool.get()?;
        for query in queries {
            if let Some(step) = scan(&mut *conn, &query, act.name == FIRST_PAGE)? {
                println!("{} reads all accounts: {step}: {query}", act.name);
                scans += 1;
                break;
            }
        }
    }
    match scan(&mut *pool.get()?, NO_INDEX, false)? {
        Some(_) => Ok(scans),
        None => Err("a plan that reads all accounts is not recognised".into()),
    }
}

/// What the database is asked for by an act.
fn queries<C: Engine>(
    pool: &Pool<ConnectionManager<C>>,
    act: &Act<'_>,
) -> Result<Vec<String>, Box<dyn Error>> {
    let (sender, sent) = mpsc::channel();
    pool.get()?.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            // Nobody listens any more if the act has failed.
            let _ = sender.send(query.to_string());
        }
    });
    for _ in 0..10 {
        (act.run)()?;
    }
    pool.get()?.set_instrumentation(|_: InstrumentationEvent<'_>| ());
    // An insertion has no plan.
    let reads = |query: &String| query.contains("SELECT") && query.contains("account_users");
    Ok(sent.iter().filter(reads).collect())
}

/// The step of a query's plan that reads all accounts.
fn scan<C: Engine>(
    conn: &mut C,
    query: &str,
    is_first_page: bool,
) -> Result<Option<String>, Box<dyn Error>> {
    let (sql, values) = query.split_once(" -- binds: ").ok_or("a query without its values")?;
    let values = values.trim_matches(['[', ']']).split(", ").map(literal::<C>);
    let steps = conn.plan(sql, &values.collect::<Vec<_>>())?;
    Ok(steps.into_iter().find(|step| C::reads_all(step, is_first_page)))
}

/// A bound value as it is in a query's text.
fn literal<C: Engine>(value: &str) -> String {
    let some = value.strip_prefix("Some(").and_then(|value| value.strip_suffix(')'));
    let value = some.unwrap_or(value);
    match value.trim_end_matches(')').split_once('(') {
        Some(("UserId" | "RealmId", id)) => C::id(id),
        Some((_, number)) => number.to_owned(),
        None if value == "Reserved" => "2".to_owned(),
        None => value.replace('"', "'"),
    }
}

/// Planned to read all, and told to be.
const NO_INDEX: &str = "SELECT id FROM account_users WHERE updated_at = 42 -- binds: []";
