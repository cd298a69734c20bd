//! What is in the database, as a connection of the test's own sees it.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_accounts::Engine;
use diesel_accounts_proof::database::{Database, ProofConnection};

/// How many rows there are: a table, and perhaps a condition.
pub(crate) fn count<C: ProofConnection>(database: &Database<C>, rows: &str) -> i64 {
    number(database, &format!("SELECT COUNT(*) AS number FROM {rows}"))
}

/// The one row of a query, whose one column is `number`.
pub(crate) fn number<C: ProofConnection>(database: &Database<C>, query: &str) -> i64 {
    database.connect().numbers(query).unwrap()[0]
}

pub(crate) fn execute<C: ProofConnection>(database: &Database<C>, statement: &str) {
    database.connect().batch_execute(statement).unwrap();
}

/// A column of a table.
#[derive(Debug, Eq, PartialEq, QueryableByName)]
pub(crate) struct Column {
    #[diesel(sql_type = Text)]
    pub(crate) table: String,
    #[diesel(sql_type = Text)]
    pub(crate) column: String,
    /// As a query writes it, to compare it with a text.
    #[diesel(sql_type = Text)]
    pub(crate) as_text: String,
}

/// Every column of every table, whoever made it.
pub(crate) fn columns<C: ProofConnection>(database: &Database<C>) -> Vec<Column> {
    let url = database.url();
    let columns =
        match C::ENGINE {
            Engine::Sqlite => diesel::sql_query(COLUMNS_OF_SQLITE)
                .load(&mut SqliteConnection::establish(url).unwrap()),
            Engine::Postgres => diesel::sql_query(COLUMNS_OF_POSTGRES)
                .load(&mut PgConnection::establish(url).unwrap()),
            _ => diesel::sql_query(COLUMNS_OF_MYSQL)
                .load(&mut MysqlConnection::establish(url).unwrap()),
        };
    columns.unwrap()
}

/// The username of an account.
pub(crate) fn username<C: ProofConnection>(database: &Database<C>, id: &str) -> String {
    let user = database.users(1).user_by_id(id.parse().unwrap()).unwrap();
    user.expect("there is such an account").username().unwrap().to_owned()
}

const COLUMNS_OF_SQLITE: &str = "SELECT m.name AS \"table\", p.name AS \"column\", \
    '\"' || p.name || '\"' AS as_text \
    FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'";
const COLUMNS_OF_POSTGRES: &str = "SELECT CAST(table_name AS text) AS \"table\", \
    CAST(column_name AS text) AS \"column\", \
    'CAST(' || quote_ident(column_name) || ' AS text)' AS as_text \
    FROM information_schema.columns WHERE table_schema = current_schema()";
const COLUMNS_OF_MYSQL: &str = "SELECT table_name AS `table`, column_name AS `column`, \
    CONCAT('`', column_name, '`') AS as_text \
    FROM information_schema.columns WHERE table_schema = DATABASE()";
