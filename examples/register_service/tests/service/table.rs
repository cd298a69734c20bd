//! What is in the database, as a connection of the test's own sees it.

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

/// The username of an account.
pub(crate) fn username<C: ProofConnection>(database: &Database<C>, id: &str) -> String {
    let user = database.users(1).user_by_id(id.parse().unwrap()).unwrap();
    user.expect("there is such an account").username().unwrap().to_owned()
}
