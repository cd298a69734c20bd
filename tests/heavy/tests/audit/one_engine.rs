//! What one engine alone can do to a record.

use diesel::{Connection, PgConnection, SqliteConnection};
use diesel_accounts::{Creation, Error};

use crate::support::{PASSWORD, Stage, WRONG, assert_matches, person};

#[test]
fn a_commit_that_is_refused_leaves_neither_the_act_nor_its_record() {
    expect_refused_commit("INSERT INTO refusals VALUES (NULL)");
}

/// PostgreSQL tells Diesel not what kind of error it is, but it answers: nothing is committed.
#[test]
fn a_commit_that_is_refused_for_an_unknown_reason_leaves_neither_the_act_nor_its_record() {
    expect_refused_commit("RAISE EXCEPTION 'refused'");
}

/// PostgreSQL alone can refuse what was accepted, when it is committed.
fn expect_refused_commit(reason: &str) {
    let stage = Stage::<PgConnection>::new();
    let id = stage.create("bob").id();
    let before = stage.accounts();
    stage.execute(&format!(
        "CREATE TABLE refusals (reason text NOT NULL); \
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN {reason}; RETURN NEW; END $$; \
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON account_events \
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
    ));
    assert_matches!(stage.users.disable_user(id), Err(Error::Database(_)));
    assert_matches!(stage.users.authenticate("bob", PASSWORD), Err(Error::Database(_)));
    assert!(!stage.users.authenticate("bob", WRONG).unwrap().is_accepted());
    let created = stage.users.create_user(person("alice"));
    assert_eq!((stage.accounts(), stage.records()), (before, vec![]));
    assert_eq!(stage.heard.take().len(), 1, "of the refusal");
    assert_matches!(created, Err(Error::NotCreated(_)));
}

/// `FAIL` stops a statement of SQLite's, and keeps the row: it is created in a transaction of the
/// host's, with its record, and in one of our own neither is.
#[test]
fn an_account_that_is_refused_and_stays_has_its_record() {
    let stage = Stage::<SqliteConnection>::new();
    stage.execute(
        "CREATE TABLE refusals (reason TEXT NOT NULL); \
         CREATE TRIGGER refuse AFTER INSERT ON account_users \
         BEGIN INSERT OR FAIL INTO refusals VALUES (NULL); END",
    );
    let alice = stage.users.prepare(person("alice")).unwrap();
    assert_matches!(stage.users.create_prepared_user(&alice), Err(Error::NotCreated(_)));
    assert_eq!((stage.count("account_users"), stage.records()), (0, vec![]));
    assert_eq!(stage.heard.take(), []);

    let recorded = [("create", "created", Some(alice.id()))];
    stage.is_recorded(&recorded, || {
        let creation =
            stage.database.connect().transaction(|conn| stage.users.on(conn).create_user(&alice));
        assert_matches!(creation, Ok(Creation::Created(_)));
    });
    assert_eq!(stage.count("account_users"), 1);
}
