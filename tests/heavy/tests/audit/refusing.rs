//! How a host's database can refuse records.

use diesel_accounts::Engine;

use crate::support::{Host, Stage};

/// A way in which a host's database refuses records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedRecords {
    begin: &'static str,
    end: &'static str,
    /// Whether the engine is sure that the transaction is as it was.
    pub(crate) is_plain: bool,
    /// Whether a transaction goes on behind it, for there are savepoints.
    pub(crate) leaves_savepoints: bool,
}

impl RefusedRecords {
    pub(crate) fn begin<C: Host>(&self, stage: &Stage<C>) {
        stage.execute(self.begin);
    }

    pub(crate) fn end<C: Host>(&self, stage: &Stage<C>) {
        stage.execute(self.end);
    }
}

/// Every way on an engine.
pub(crate) fn refusals(engine: Engine) -> Vec<RefusedRecords> {
    let is_postgres = engine == Engine::Postgres;
    let gone = RefusedRecords {
        begin: "ALTER TABLE account_events RENAME TO elsewhere",
        end: "ALTER TABLE elsewhere RENAME TO account_events",
        is_plain: false,
        leaves_savepoints: false,
    };
    let trigger = |begin, is_plain| RefusedRecords {
        begin,
        end: match engine {
            Engine::Postgres => {
                "DROP TRIGGER refuse ON account_events; DROP FUNCTION refuse; \
                 DROP TABLE IF EXISTS refusals"
            }
            _ => "DROP TRIGGER refuse; DROP TABLE IF EXISTS refusals",
        },
        is_plain,
        leaves_savepoints: is_plain && is_postgres,
    };
    let triggers = match engine {
        Engine::Sqlite => vec![
            trigger(
                "CREATE TABLE refusals (reason TEXT NOT NULL); \
                 CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 BEGIN INSERT INTO refusals VALUES (NULL); END",
                true,
            ),
            trigger(
                "CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 BEGIN SELECT RAISE(ABORT, 'refused'); END",
                false,
            ),
            trigger(
                "CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 BEGIN SELECT RAISE(FAIL, 'refused'); END",
                false,
            ),
            trigger(
                "CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 BEGIN SELECT RAISE(ROLLBACK, 'refused'); END",
                false,
            ),
        ],
        Engine::Postgres => vec![
            trigger(
                "CREATE TABLE refusals (reason text NOT NULL); \
                 CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN INSERT INTO refusals VALUES (NULL); RETURN NEW; END $$; \
                 CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
                true,
            ),
            trigger(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'refused'; END $$; \
                 CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
                false,
            ),
            // Behind the row.
            trigger(
                "CREATE TABLE refusals (reason text NOT NULL); \
                 CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN INSERT INTO refusals VALUES (NULL); RETURN NEW; END $$; \
                 CREATE TRIGGER refuse AFTER INSERT ON account_events \
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
                true,
            ),
        ],
        _ => vec![
            trigger(
                "CREATE TABLE refusals (reason VARCHAR(9) NOT NULL); \
                 CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 FOR EACH ROW INSERT INTO refusals VALUES (NULL)",
                true,
            ),
            trigger(
                "CREATE TRIGGER refuse BEFORE INSERT ON account_events \
                 FOR EACH ROW SIGNAL SQLSTATE '45000'",
                true,
            ),
        ],
    };
    triggers.into_iter().chain([gone]).collect()
}
