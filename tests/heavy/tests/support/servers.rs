//! A database of its own for each test, on the servers.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection};

/// The URL of a new database.
pub(crate) fn fresh_mysql_database() -> String {
    let url = server_url("ACCOUNTS_TEST_MYSQL_URL");
    let name = unique_name();
    MysqlConnection::establish(&url)
        .unwrap()
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .unwrap();
    let (server, rest) = url.split_once("/accounts?").expect("the database is `accounts`");
    format!("{server}/{name}?{rest}")
}

/// The URL of a new schema.
pub(crate) fn fresh_postgres_schema() -> String {
    let url = server_url("ACCOUNTS_TEST_POSTGRES_URL");
    let name = unique_name();
    PgConnection::establish(&url).unwrap().batch_execute(&format!("CREATE SCHEMA {name}")).unwrap();
    format!("{url}?options=-csearch_path%3D{name}")
}

pub(crate) fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("h{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn server_url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run this as `scripts/with-servers cargo test ...`")
    })
}
