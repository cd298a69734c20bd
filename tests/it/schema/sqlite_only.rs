//! What only SQLite can do wrong.

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_accounts::{Error, SchemaFailure, SchemaProblem};

use super::{changed_schema, problems};
use crate::support::{TestConnection, TestDb, alice, assert_matches};

/// Names of tables do not depend on capitals in SQLite.
#[test]
fn a_foreign_table_in_capitals_is_refused() {
    let db = TestDb::<SqliteConnection>::empty();
    db.connect().batch_execute("CREATE TABLE Account_Users (name TEXT)").unwrap();
    assert_matches!(db.users.migrate(), Err(Error::Schema(SchemaFailure::ForeignTable)));
}

/// Tables are made in the main database, and nowhere else.
#[test]
fn the_tables_of_an_attached_database_are_not_taken_for_ours() {
    let db = TestDb::<SqliteConnection>::empty();
    let other = TestDb::<SqliteConnection>::new();
    let mut conn = db.connect();
    conn.batch_execute(&format!("ATTACH '{}' AS other", other.url)).unwrap();
    let report = db.users.on(&mut conn).check().unwrap();
    assert_eq!(problems(&report), [(SchemaProblem::MissingTable, "account_users")]);
    db.users.on(&mut conn).migrate().unwrap();
    assert_eq!(problems(&db.users.on(&mut conn).check().unwrap()), []);
    db.create(alice());
    assert_eq!((db.count(), other.count()), (1, 0));
}

/// There texts do not sort by their code points, as the searches by a beginning need it.
#[test]
fn a_database_in_utf_16_is_found() {
    for encoding in ["UTF-16le", "UTF-16be"] {
        let url = SqliteConnection::fresh_database();
        let of_host = format!("PRAGMA encoding = '{encoding}'; CREATE TABLE hosts (name TEXT)");
        SqliteConnection::establish(&url).unwrap().batch_execute(&of_host).unwrap();
        let db = TestDb::<SqliteConnection>::at(url);
        db.users.migrate().unwrap();
        let report = db.users.check().unwrap();
        assert_eq!(problems(&report), [(SchemaProblem::NotUnicode, "encoding")], "{encoding}");
        assert!(!report.is_sound());
    }
}

/// The index is right, and no look-up by the column can use it.
#[test]
fn a_key_column_of_another_collation_than_its_index_is_found() {
    let db = TestDb::<SqliteConnection>::empty();
    let sql = changed_schema::<SqliteConnection>((
        "username_key TEXT COLLATE BINARY",
        "username_key TEXT COLLATE NOCASE",
    ))
    .replace("(realm, username_key)", "(realm, username_key COLLATE BINARY)");
    db.connect().batch_execute(&sql).unwrap();
    let report = db.users.check().unwrap();
    assert_eq!(problems(&report), [(SchemaProblem::WrongCollation, "username_key")]);
}
