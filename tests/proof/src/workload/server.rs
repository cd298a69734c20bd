//! What the load does to a server, engine by engine, past the library.

use diesel::connection::{AnsiTransactionManager, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{MysqlConnection, PgConnection, SqliteConnection};

use crate::database::ProofConnection;

/// A connection of an engine that the load can be put on.
pub trait WorkloadConnection:
    ProofConnection + Connection<TransactionManager = AnsiTransactionManager>
{
    /// Locks some accounts, and those that want their names wait.
    const LOCK_ACCOUNTS: &'static str;

    /// Whose transactions see one moment.
    const SNAPSHOT: &'static str;

    /// The same database, for sessions that are known to the server by a name.
    fn url_of_session(&mut self, url: &str, session: &str) -> String;

    /// The numbers of the sessions of a name.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn sessions(&mut self, session: &str) -> QueryResult<Vec<i64>>;

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// When it has ended already, on some engines.
    fn end_session(&mut self, number: i64) -> QueryResult<()>;

    /// Stops what a session is doing.
    ///
    /// # Errors
    ///
    /// When it has ended already, on some engines.
    fn stop_statement(&mut self, number: i64) -> QueryResult<()>;

    /// Lets the database not grow by what this connection writes, where a connection can have such
    /// a limit.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn limit_pages(&mut self) -> QueryResult<()>;

    /// What the server calls itself.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn version(&mut self) -> QueryResult<String>;

    /// The whole table of accounts.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    fn accounts(&mut self) -> QueryResult<Vec<AccountRow>>;
}

/// A row of the table as it is.
#[derive(Clone, Debug, QueryableByName)]
pub struct AccountRow {
    /// In hexadecimal digits.
    #[diesel(sql_type = Text)]
    pub id: String,
    /// As it was typed.
    #[diesel(sql_type = Nullable<Text>)]
    pub username: Option<String>,
    /// As it was typed.
    #[diesel(sql_type = Nullable<Text>)]
    pub email: Option<String>,
    /// As a number.
    #[diesel(sql_type = BigInt)]
    pub state: i64,
    /// The PHC string.
    #[diesel(sql_type = Nullable<Text>)]
    pub password_hash: Option<String>,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    text: String,
}

impl WorkloadConnection for SqliteConnection {
    const LOCK_ACCOUNTS: &'static str = "UPDATE account_users SET updated_at = updated_at";
    const SNAPSHOT: &'static str = "DEFERRED";

    fn url_of_session(&mut self, url: &str, _: &str) -> String {
        url.to_owned()
    }

    fn sessions(&mut self, _: &str) -> QueryResult<Vec<i64>> {
        Ok(Vec::new())
    }

    fn end_session(&mut self, _: i64) -> QueryResult<()> {
        Ok(())
    }

    fn stop_statement(&mut self, _: i64) -> QueryResult<()> {
        Ok(())
    }

    fn limit_pages(&mut self) -> QueryResult<()> {
        let pages = self.numbers("SELECT page_count AS number FROM pragma_page_count")?;
        self.batch_execute(&format!("PRAGMA max_page_count = {}", pages[0]))
    }

    fn version(&mut self) -> QueryResult<String> {
        let query = diesel::sql_query("SELECT 'SQLite ' || sqlite_version() AS text");
        query.get_result(self).map(|row: TextRow| row.text)
    }

    fn accounts(&mut self) -> QueryResult<Vec<AccountRow>> {
        diesel::sql_query(
            "SELECT lower(hex(id)) AS id, username, email, state, password_hash FROM account_users",
        )
        .load(self)
    }
}

impl WorkloadConnection for PgConnection {
    const LOCK_ACCOUNTS: &'static str = "DELETE FROM account_users WHERE id IN \
         (SELECT id FROM account_users ORDER BY created_at DESC LIMIT 3)";
    const SNAPSHOT: &'static str = "REPEATABLE READ";

    fn url_of_session(&mut self, url: &str, session: &str) -> String {
        format!("{url}&application_name={session}")
    }

    fn sessions(&mut self, session: &str) -> QueryResult<Vec<i64>> {
        self.numbers(&format!(
            "SELECT pid::bigint AS number FROM pg_stat_activity \
             WHERE application_name = '{session}'"
        ))
    }

    fn end_session(&mut self, number: i64) -> QueryResult<()> {
        self.batch_execute(&format!("SELECT pg_terminate_backend({number})"))
    }

    fn stop_statement(&mut self, number: i64) -> QueryResult<()> {
        self.batch_execute(&format!("SELECT pg_cancel_backend({number})"))
    }

    fn limit_pages(&mut self) -> QueryResult<()> {
        Ok(())
    }

    fn version(&mut self) -> QueryResult<String> {
        let query = diesel::sql_query("SELECT version() AS text");
        query.get_result(self).map(|row: TextRow| row.text)
    }

    fn accounts(&mut self) -> QueryResult<Vec<AccountRow>> {
        diesel::sql_query(
            "SELECT replace(id::text, '-', '') AS id, username, email, state::bigint AS state, \
                    password_hash FROM account_users",
        )
        .load(self)
    }
}

impl WorkloadConnection for MysqlConnection {
    const LOCK_ACCOUNTS: &'static str =
        "DELETE FROM account_users ORDER BY realm DESC, created_at DESC LIMIT 3";

    /// A session has no name here, so it has a user of its own.
    const SNAPSHOT: &'static str = "REPEATABLE READ";

    fn url_of_session(&mut self, url: &str, session: &str) -> String {
        self.batch_execute(&format!("CREATE USER IF NOT EXISTS '{session}'@'%'")).unwrap();
        self.batch_execute(&format!("GRANT ALL ON *.* TO '{session}'@'%'")).unwrap();
        url.replacen("//root@", &format!("//{session}@"), 1)
    }

    fn sessions(&mut self, session: &str) -> QueryResult<Vec<i64>> {
        self.numbers(&format!(
            "SELECT CAST(ID AS SIGNED) AS number FROM information_schema.PROCESSLIST \
             WHERE USER = '{session}'"
        ))
    }

    fn end_session(&mut self, number: i64) -> QueryResult<()> {
        self.batch_execute(&format!("KILL {number}"))
    }

    fn stop_statement(&mut self, number: i64) -> QueryResult<()> {
        self.batch_execute(&format!("KILL QUERY {number}"))
    }

    fn limit_pages(&mut self) -> QueryResult<()> {
        Ok(())
    }

    fn version(&mut self) -> QueryResult<String> {
        let query = diesel::sql_query("SELECT version() AS text");
        query.get_result(self).map(|row: TextRow| row.text)
    }

    fn accounts(&mut self) -> QueryResult<Vec<AccountRow>> {
        diesel::sql_query(
            "SELECT LOWER(HEX(id)) AS id, username, email, CAST(state AS SIGNED) AS state, \
                    password_hash FROM account_users",
        )
        .load(self)
    }
}
