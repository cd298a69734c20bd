//! The self-check knows the table of records.

use diesel_accounts::{Engine, SchemaProblem};
use diesel_accounts_proof::database::problems;

use crate::on_each_engine;
use crate::support::{Host, Stage, person};

on_each_engine!(
    a_migrated_database_is_sound_before_and_after_it_is_used,
    a_table_that_is_missing_is_named,
    each_column_that_is_missing_is_named,
    a_primary_key_that_is_missing_is_found,
);

fn a_migrated_database_is_sound_before_and_after_it_is_used<C: Host>(stage: Stage<C>) {
    assert_eq!(problems(&stage.users), []);
    assert!(stage.users.create_user(person("alice")).unwrap().is_created());
    stage.users.migrate().unwrap();
    assert_eq!((problems(&stage.users), stage.records().len()), (vec![], 1));
}

fn a_table_that_is_missing_is_named<C: Host>(stage: Stage<C>) {
    stage.execute("DROP TABLE account_events");
    assert_eq!(
        problems(&stage.users),
        [(SchemaProblem::MissingTable, "account_events".to_owned())]
    );
}

fn each_column_that_is_missing_is_named<C: Host>(stage: Stage<C>) {
    let drop_index = |name: &str| match C::ENGINE {
        Engine::Mysql => format!("DROP INDEX {name} ON account_events"),
        _ => format!("DROP INDEX {name}"),
    };
    for index in ["account_events_user", "account_events_time"] {
        stage.execute(&drop_index(index));
    }
    let mut missing = Vec::new();
    let columns =
        ["realm", "occurred_at", "action", "outcome", "user_id", "actor", "client", "request_id"];
    for column in columns {
        stage.execute(&format!("ALTER TABLE account_events DROP COLUMN {column}"));
        missing.push((SchemaProblem::MissingColumn, format!("account_events ({column})")));
        assert_eq!(problems(&stage.users), missing);
    }
}

/// A record that is sent twice would be there twice.
fn a_primary_key_that_is_missing_is_found<C: Host>(stage: Stage<C>) {
    stage.execute(match C::ENGINE {
        Engine::Mysql => "ALTER TABLE account_events DROP PRIMARY KEY",
        Engine::Postgres => "ALTER TABLE account_events DROP CONSTRAINT account_events_pkey",
        _ => {
            "DROP TABLE account_events; \
             CREATE TABLE account_events (id BLOB NOT NULL, realm BLOB NOT NULL, \
             occurred_at INTEGER NOT NULL, action TEXT NOT NULL, outcome TEXT NOT NULL, \
             user_id BLOB, actor BLOB, client TEXT, request_id TEXT) STRICT"
        }
    });
    let missing = (SchemaProblem::MissingIndex, "account_events (id)".to_owned());
    assert_eq!(problems(&stage.users), [missing]);
}
