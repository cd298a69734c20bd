//! What the engines do differently.

use diesel::r2d2::{CustomizeConnection, Error as R2d2Error};
use diesel::sql_query;
use diesel::sql_types::{Double, Nullable, Text};
use diesel_accounts::AccountConnection;

use super::*;

pub(super) trait Engine: AccountConnection + R2D2Connection + 'static {
    const NAME: &'static str;
    /// How many accounts it is measured with at most.
    const MOST: usize;
    /// Drops what an earlier run left. A file of SQLite's is new.
    const DROP: &'static str;
    /// Does now what the engine would do at leisure.
    const SETTLE: &'static str;

    fn customizer() -> Box<dyn CustomizeConnection<Self, R2d2Error>>;
    /// How many bytes the accounts take.
    fn bytes(&mut self) -> QueryResult<f64>;
    /// The steps of a query's plan.
    fn plan(&mut self, sql: &str, values: &[String]) -> QueryResult<Vec<String>>;
    /// Whether a step reads all accounts. Those of the realm are all, but for the first page,
    /// which is the beginning of them.
    fn reads_all(step: &str, is_first_page: bool) -> bool;

    fn id(hyphenated: &str) -> String {
        format!("X'{}'", hyphenated.replace('-', ""))
    }
}

pub(super) fn new_database<C: Engine>(
    url: &str,
) -> Result<Pool<ConnectionManager<C>>, Box<dyn Error>> {
    C::establish(url)?.batch_execute(C::DROP)?;
    let pool = Pool::builder().max_size(1).connection_customizer(C::customizer());
    Ok(pool.build(ConnectionManager::new(url))?)
}

macro_rules! queries {
    ($bytes:literal, $column:tt, $explain:expr) => {
        fn bytes(&mut self) -> QueryResult<f64> {
            sql_query($bytes).get_result::<Bytes>(self).map(|row| row.bytes)
        }

        fn plan(&mut self, sql: &str, values: &[String]) -> QueryResult<Vec<String>> {
            #[derive(QueryableByName)]
            struct Step {
                #[diesel(sql_type = Nullable<Text>)]
                #[diesel(column_name = $column)]
                text: Option<String>,
            }
            let mut steps = Vec::new();
            for statement in $explain(sql, values) {
                steps.extend(sql_query(statement).load::<Step>(self)?);
            }
            Ok(steps.into_iter().filter_map(|step| step.text).collect())
        }
    };
}

impl Engine for SqliteConnection {
    const NAME: &'static str = "SQLite";
    const MOST: usize = usize::MAX;
    const DROP: &'static str = "";
    const SETTLE: &'static str = "PRAGMA wal_checkpoint";

    fn customizer() -> Box<dyn CustomizeConnection<Self, R2d2Error>> {
        Box::new(diesel_accounts::SqliteSettings::new())
    }

    queries!(
        "SELECT 1.0 * page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
        "detail",
        |sql, values| [format!("EXPLAIN QUERY PLAN {}", with_values(sql, values))]
    );

    fn reads_all(step: &str, is_first_page: bool) -> bool {
        step.contains("SCAN") || step.ends_with("(realm=?)") && !is_first_page
    }
}

#[cfg(feature = "postgres")]
impl Engine for PgConnection {
    const NAME: &'static str = "PostgreSQL";
    const MOST: usize = usize::MAX;
    const DROP: &'static str =
        "SET client_min_messages = warning; DROP SCHEMA IF EXISTS accounts_scale CASCADE";
    const SETTLE: &'static str = "VACUUM ANALYZE account_users";

    fn customizer() -> Box<dyn CustomizeConnection<Self, R2d2Error>> {
        Box::new(Settings(&["CREATE SCHEMA accounts_scale", "SET search_path = accounts_scale"]))
    }

    queries!(
        "SELECT pg_total_relation_size('account_users')::float8 AS bytes",
        "QUERY PLAN",
        explain_prepared
    );

    fn reads_all(step: &str, is_first_page: bool) -> bool {
        step.contains("Seq Scan on account_users")
            || step.contains("Index Cond: (realm = ") && !is_first_page
    }

    fn id(hyphenated: &str) -> String {
        format!("'{hyphenated}'")
    }
}

/// The server plans for the values five times, and then, where that is no dearer, for any.
#[cfg(feature = "postgres")]
fn explain_prepared(sql: &str, values: &[String]) -> Vec<String> {
    let prepare = format!("PREPARE act AS {sql}");
    let values = format!("({})", values.join(", ")).replace("()", "");
    let mut statements = vec![format!("EXPLAIN EXECUTE act {values}"); 6];
    statements.insert(0, prepare);
    statements.push("DEALLOCATE act".to_owned());
    statements
}

#[cfg(feature = "mysql")]
impl Engine for MysqlConnection {
    const NAME: &'static str = "MariaDB";
    const MOST: usize = 1_000_000;
    const DROP: &'static str = "DROP DATABASE IF EXISTS accounts_scale";
    const SETTLE: &'static str = "ANALYZE TABLE account_users";

    fn customizer() -> Box<dyn CustomizeConnection<Self, R2d2Error>> {
        Box::new(Settings(&["CREATE DATABASE accounts_scale", "USE accounts_scale"]))
    }

    queries!(
        "SELECT CAST(data_length + index_length AS DOUBLE) AS bytes \
         FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name = 'account_users'",
        "EXPLAIN",
        |sql, values| [format!("EXPLAIN FORMAT=JSON {}", with_values(sql, values))]
    );

    /// An index of which no more than the 16 bytes of the realm are used is read from its beginning.
    fn reads_all(step: &str, is_first_page: bool) -> bool {
        let has = |table: &str, name: &str, values: &[&str]| {
            values.iter().any(|value| table.contains(&format!("\"{name}\": \"{value}\"")))
        };
        step.split("\"table\"").any(|table| {
            has(table, "access_type", &["ALL", "index"])
                || !is_first_page
                    && has(table, "access_type", &["ref", "range"])
                    && has(table, "key_length", &["16"])
        })
    }
}

#[derive(QueryableByName)]
struct Bytes {
    #[diesel(sql_type = Double)]
    bytes: f64,
}

fn with_values(sql: &str, values: &[String]) -> String {
    let values = values.iter().map(String::as_str).chain(std::iter::repeat(""));
    sql.split('?').zip(values).flat_map(<[&str; 2]>::from).collect()
}

/// Makes the namespace that everything is in, and goes there.
#[cfg(any(feature = "mysql", feature = "postgres"))]
#[derive(Debug)]
struct Settings(&'static [&'static str]);

#[cfg(any(feature = "mysql", feature = "postgres"))]
impl<C: diesel::connection::SimpleConnection> CustomizeConnection<C, R2d2Error> for Settings {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        self.0
            .iter()
            .try_for_each(|setting| conn.batch_execute(setting))
            .map_err(R2d2Error::QueryError)
    }
}
