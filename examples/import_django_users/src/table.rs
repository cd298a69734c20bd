//! The table `auth_user` in a database.

use std::error::Error;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::django::DjangoUser;

/// The table `auth_user`, in the order of its ids.
pub(crate) struct Table {
    conn: Conn,
    /// The last id that was read.
    after: Option<i64>,
}

impl Table {
    pub(crate) fn open(url: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self { conn: Conn::open(url)?, after: None })
    }

    pub(crate) fn count(&mut self) -> Result<u64, Box<dyn Error>> {
        let sql = "SELECT COUNT(*) AS number FROM auth_user";
        let counts: Vec<Count> =
            on_conn!(&mut self.conn, |conn| diesel::sql_query(sql).load(conn))?;
        Ok(counts.first().map_or(0, |count| count.number.unsigned_abs()))
    }

    /// Goes on after the last id, which takes as long on the last page as on the first, and needs
    /// no transaction that stays open.
    pub(crate) fn page(&mut self, size: usize) -> Result<Vec<DjangoUser>, Box<dyn Error>> {
        let sql = self.page_query(size);
        let rows: Vec<Row> = on_conn!(&mut self.conn, |conn| diesel::sql_query(&sql).load(conn))?;
        self.after = rows.last().map(|row| row.id).or(self.after);
        Ok(rows.into_iter().map(Row::into_user).collect())
    }

    /// The types are cast to the same ones on all engines. The dates are read as text: an engine
    /// has some that others do not know, and one row must not spoil the others.
    fn page_query(&self, size: usize) -> String {
        let (integer, text) = self.conn.types();
        let from = match self.after {
            Some(id) => format!("WHERE auth_user.id > {id}"),
            None => String::new(),
        };
        format!(
            "SELECT CAST(id AS {integer}) AS id, username, email, password, \
             CAST(CASE WHEN is_active THEN 1 ELSE 0 END AS {integer}) AS is_active, \
             CAST(date_joined AS {text}) AS date_joined, CAST(last_login AS {text}) AS last_login \
             FROM auth_user {from} ORDER BY auth_user.id LIMIT {size}"
        )
    }
}

/// A connection that only reads.
enum Conn {
    #[cfg(feature = "mysql")]
    Mysql(MysqlConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteConnection),
}

/// Does the same with the connection of whichever engine it is.
macro_rules! on_conn {
    ($connection:expr, |$conn:ident| $body:expr) => {
        match $connection {
            #[cfg(feature = "mysql")]
            Conn::Mysql($conn) => $body,
            #[cfg(feature = "postgres")]
            Conn::Postgres($conn) => $body,
            #[cfg(feature = "sqlite")]
            Conn::Sqlite($conn) => $body,
        }
    };
}
use on_conn;

impl Conn {
    fn open(url: &str) -> Result<Self, Box<dyn Error>> {
        match url.split_once("://") {
            #[cfg(feature = "sqlite")]
            Some(("sqlite", path)) => {
                let mut conn = SqliteConnection::establish(&read_only(path)?)?;
                conn.batch_execute("PRAGMA busy_timeout = 5000")?;
                Ok(Self::Sqlite(conn))
            }
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => {
                let mut conn = PgConnection::establish(url)?;
                conn.batch_execute(
                    "SET default_transaction_read_only = on; SET datestyle = 'ISO'; \
                     SET TIME ZONE 'UTC'",
                )?;
                Ok(Self::Postgres(conn))
            }
            #[cfg(feature = "mysql")]
            Some(("mysql", _)) => {
                let mut conn = MysqlConnection::establish(url)?;
                conn.batch_execute("SET SESSION TRANSACTION READ ONLY")?;
                Ok(Self::Mysql(conn))
            }
            #[cfg(not(feature = "postgres"))]
            Some(("postgres" | "postgresql", _)) => Err("run with `--features postgres`".into()),
            #[cfg(not(feature = "mysql"))]
            Some(("mysql", _)) => Err("run with `--features mysql`".into()),
            _ => Err("--from must start with sqlite://, postgres:// or mysql://".into()),
        }
    }

    /// What whole numbers and texts are cast to.
    fn types(&self) -> (&'static str, &'static str) {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql(_) => ("SIGNED", "CHAR"),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => ("BIGINT", "TEXT"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => ("BIGINT", "TEXT"),
        }
    }
}

/// The URI by which SQLite opens a file for reading; a file that is not there would be made
/// otherwise.
#[cfg(feature = "sqlite")]
fn read_only(path: &str) -> Result<String, Box<dyn Error>> {
    if !Path::new(path).exists() {
        return Err("there is no such file".into());
    }
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("file:{path}?mode=ro"))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    username: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    password: Option<String>,
    #[diesel(sql_type = BigInt)]
    is_active: i64,
    #[diesel(sql_type = Nullable<Text>)]
    date_joined: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last_login: Option<String>,
}

impl Row {
    fn into_user(self) -> DjangoUser {
        DjangoUser {
            id: self.id,
            username: self.username.unwrap_or_default(),
            email: self.email.unwrap_or_default(),
            password: self.password.unwrap_or_default(),
            is_active: Some(self.is_active != 0),
            date_joined: self.date_joined,
            last_login: self.last_login,
        }
    }
}
