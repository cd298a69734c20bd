//! The self-check knows the table.

use diesel_accounts::{Engine, SchemaProblem};
use diesel_accounts_proof::database::{ProofConnection, problems};

use crate::support::{HOUR, Stage, client, on_each_engine, quota};

on_each_engine!(
    a_migrated_database_is_sound_before_and_after_it_is_used,
    a_table_that_is_missing_is_named,
    a_primary_key_that_is_missing_is_found,
    a_column_that_is_missing_is_named,
);

fn a_migrated_database_is_sound_before_and_after_it_is_used<C: ProofConnection>(stage: Stage<C>) {
    assert_eq!(problems(&stage.users), []);
    assert_eq!(stage.check(client(&stage.users, "203.0.113.7"), quota(1, HOUR)), None);
    stage.users.migrate().unwrap();
    assert_eq!((problems(&stage.users), stage.arrivals().len()), (vec![], 1));
}

fn a_table_that_is_missing_is_named<C: ProofConnection>(stage: Stage<C>) {
    stage.execute("DROP TABLE account_limits");
    assert_eq!(
        problems(&stage.users),
        [(SchemaProblem::MissingTable, "account_limits".to_owned())]
    );
}

/// Two first requests would make two rows.
fn a_primary_key_that_is_missing_is_found<C: ProofConnection>(stage: Stage<C>) {
    stage.execute(match C::ENGINE {
        Engine::Mysql => "ALTER TABLE account_limits DROP PRIMARY KEY",
        Engine::Postgres => "ALTER TABLE account_limits DROP CONSTRAINT account_limits_pkey",
        _ => {
            "DROP TABLE account_limits; CREATE TABLE account_limits \
             (id BLOB NOT NULL, theoretical_arrival INTEGER NOT NULL) STRICT"
        }
    });
    assert_eq!(
        problems(&stage.users),
        [(SchemaProblem::MissingIndex, "account_limits (id)".to_owned())]
    );
}

fn a_column_that_is_missing_is_named<C: ProofConnection>(stage: Stage<C>) {
    if C::ENGINE == Engine::Sqlite {
        stage.execute("DROP INDEX account_limits_arrival");
    }
    stage.execute("ALTER TABLE account_limits DROP COLUMN theoretical_arrival");
    let missing = (SchemaProblem::MissingColumn, "account_limits (theoretical_arrival)".to_owned());
    assert_eq!(problems(&stage.users), [missing]);
}
