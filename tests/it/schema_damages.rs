//! Each kind of damage to a sound schema is found, and told as what it is.

use diesel_accounts::{Engine, SchemaProblem};

use crate::schema::problems;
use crate::support::{TestConnection, TestDb, on_each_engine};

on_each_engine!(each_kind_of_damage_is_found,);

fn each_kind_of_damage_is_found<C: TestConnection>(_: TestDb<C>) {
    let mut faults = Vec::new();
    for (damage, expected) in damages(C::ENGINE) {
        let db = TestDb::<C>::new();
        db.connect().batch_execute(&damage).unwrap();
        let report = db.users.check().unwrap();
        let found = problems(&report);
        let is_warning = expected.iter().all(|(problem, _)| {
            matches!(
                problem,
                SchemaProblem::HostTrigger
                    | SchemaProblem::RowSecurity
                    | SchemaProblem::SchemaNewer
            )
        });
        if found != expected || report.is_sound() != is_warning {
            faults.push(format!("{damage}: {found:?}, not {expected:?}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

type Damage = (String, Vec<(SchemaProblem, &'static str)>);

const USERNAME_INDEX: &str = "realm, username_key";
const EMAIL_INDEX: &str = "realm, email_key";

/// Statements that damage a sound schema, and what is to be found then.
fn damages(engine: Engine) -> Vec<Damage> {
    use SchemaProblem::{
        ForeignTable, IndexNotUnique, MissingColumn, MissingIndex, MissingTable, SchemaNewer,
        SchemaTooNew,
    };
    let drop_index = |name: &str| match engine {
        Engine::Mysql => format!("DROP INDEX {name} ON account_users; "),
        _ => format!("DROP INDEX {name}; "),
    };
    let without_username_index = drop_index("account_users_username_key");
    let mut damages = vec![
        ("DROP TABLE account_users".to_owned(), vec![(MissingTable, "account_users")]),
        (
            "ALTER TABLE account_users DROP COLUMN last_sign_in_at".to_owned(),
            vec![(MissingColumn, "last_sign_in_at")],
        ),
        (
            "ALTER TABLE account_users DROP COLUMN email_key_version; \
             ALTER TABLE account_users DROP COLUMN password_hash"
                .to_owned(),
            vec![(MissingColumn, "email_key_version"), (MissingColumn, "password_hash")],
        ),
        (without_username_index.clone(), vec![(MissingIndex, USERNAME_INDEX)]),
        (drop_index("account_users_email_key"), vec![(MissingIndex, EMAIL_INDEX)]),
        (drop_index("account_users_created"), vec![(MissingIndex, "realm, created_at, id")]),
        (
            format!(
                "{without_username_index} CREATE INDEX i ON account_users (realm, username_key)"
            ),
            vec![(IndexNotUnique, USERNAME_INDEX)],
        ),
        (
            // Unique in a realm and a state is not unique in a realm.
            format!(
                "{without_username_index} \
                 CREATE UNIQUE INDEX i ON account_users (realm, username_key, state)"
            ),
            vec![(MissingIndex, USERNAME_INDEX)],
        ),
        (
            "INSERT INTO account_migrations VALUES (99, 'x', 1, 0)".to_owned(),
            vec![(SchemaNewer, "account_migrations")],
        ),
        (
            "INSERT INTO account_migrations VALUES (99, 'x', 99, 0)".to_owned(),
            vec![(SchemaTooNew, "account_migrations")],
        ),
        ("DROP TABLE account_attempts".to_owned(), vec![(MissingTable, "account_attempts")]),
        (
            "ALTER TABLE account_attempts DROP COLUMN failures".to_owned(),
            vec![(MissingColumn, "account_attempts (failures)")],
        ),
        (
            "UPDATE account_migrations SET name = 'x'".to_owned(),
            vec![(ForeignTable, "account_migrations")],
        ),
    ];
    let more = match engine {
        Engine::Mysql => mysql_damages(),
        Engine::Postgres => postgres_damages(),
        _ => sqlite_damages(),
    };
    damages.extend(more.into_iter().map(|(template, found)| {
        let damage = template.replace("DROP_USERNAME_INDEX", &without_username_index);
        (damage, found)
    }));
    damages
}

fn mysql_damages() -> Vec<(&'static str, Vec<(SchemaProblem, &'static str)>)> {
    use SchemaProblem::{
        ColumnRequired, ColumnTooShort, ExtraUniqueIndex, HostTrigger, IndexNotBtree, IndexPartial,
        NotTransactional, NotUnicode, WrongCollation, WrongType,
    };
    vec![
        (
            "DROP_USERNAME_INDEX ALTER TABLE account_users \
             MODIFY username_key TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, \
             ADD UNIQUE INDEX i (realm, username_key)",
            vec![(IndexNotBtree, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX ALTER TABLE account_users MODIFY username_key VARBINARY(4000), \
             ADD UNIQUE INDEX i (realm, username_key)",
            vec![(IndexNotBtree, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, username_key(10))",
            vec![(IndexPartial, USERNAME_INDEX)],
        ),
        (
            "ALTER TABLE account_users MODIFY username_key VARBINARY(399)",
            vec![(ColumnTooShort, "username_key")],
        ),
        ("ALTER TABLE account_users MODIFY email VARCHAR(100)", vec![(ColumnTooShort, "email")]),
        (
            "ALTER TABLE account_users MODIFY username_key VARCHAR(400)",
            vec![(WrongCollation, "username_key")],
        ),
        (
            "ALTER TABLE account_users MODIFY email_key VARCHAR(254) COLLATE utf8mb4_general_ci",
            vec![(WrongCollation, "email_key")],
        ),
        (
            "ALTER TABLE account_users MODIFY email_key VARCHAR(254) COLLATE utf8mb4_nopad_bin",
            vec![],
        ),
        (
            "ALTER TABLE account_users MODIFY username VARCHAR(512) CHARACTER SET latin1",
            vec![(NotUnicode, "username")],
        ),
        (
            "ALTER TABLE account_users MODIFY email VARCHAR(254) CHARACTER SET utf8mb3",
            vec![(NotUnicode, "email")],
        ),
        (
            "ALTER TABLE account_users MODIFY realm VARBINARY(16) NOT NULL",
            vec![(WrongType, "realm")],
        ),
        (
            "ALTER TABLE account_users ADD COLUMN tenant INTEGER NOT NULL",
            vec![(ColumnRequired, "tenant")],
        ),
        ("ALTER TABLE account_users ADD COLUMN tenant INTEGER NOT NULL DEFAULT 0", vec![]),
        ("ALTER TABLE account_users ADD COLUMN tenant INTEGER", vec![]),
        (
            "ALTER TABLE account_users ADD COLUMN number INTEGER NOT NULL AUTO_INCREMENT, \
             ADD INDEX (number)",
            vec![],
        ),
        (
            "ALTER TABLE account_users MODIFY password_hash VARCHAR(255) NOT NULL",
            vec![(ColumnRequired, "password_hash")],
        ),
        (
            "ALTER TABLE account_users MODIFY email_verified_at BIGINT NOT NULL DEFAULT 0",
            vec![(ColumnRequired, "email_verified_at")],
        ),
        // The policy of the tests requires a username.
        ("ALTER TABLE account_users MODIFY username_key VARBINARY(400) NOT NULL", vec![]),
        ("ALTER TABLE account_users ADD COLUMN plan ENUM('free', 'paid') NOT NULL", vec![]),
        (
            "ALTER TABLE account_users ADD UNIQUE INDEX i (realm, username_key(6))",
            vec![(ExtraUniqueIndex, USERNAME_INDEX)],
        ),
        (
            "CREATE TRIGGER watch BEFORE INSERT ON account_users FOR EACH ROW SET @seen = 1",
            vec![(HostTrigger, "watch")],
        ),
        ("ALTER TABLE account_users ENGINE = Aria", vec![(NotTransactional, "account_users")]),
        (
            "ALTER TABLE account_users MODIFY email_key VARBINARY(254), ENGINE = MyISAM",
            vec![(NotTransactional, "account_users")],
        ),
    ]
}

fn postgres_damages() -> Vec<(&'static str, Vec<(SchemaProblem, &'static str)>)> {
    use SchemaProblem::{
        ColumnRequired, ColumnTooShort, ExtraUniqueIndex, HostTrigger, IndexDeferrable,
        IndexNotBtree, IndexNotUnique, IndexPartial, MissingIndex, RowSecurity, WrongCollation,
    };
    vec![
        (
            "DROP_USERNAME_INDEX CREATE INDEX i ON account_users USING hash (username_key)",
            vec![(MissingIndex, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX CREATE INDEX i ON account_users USING brin (realm, username_key)",
            vec![(IndexNotUnique, USERNAME_INDEX), (IndexNotBtree, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, username_key) WHERE state = 0",
            vec![(IndexPartial, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, lower(username_key))",
            vec![(MissingIndex, USERNAME_INDEX), (ExtraUniqueIndex, "realm, (expression)")],
        ),
        (
            "DROP_USERNAME_INDEX ALTER TABLE account_users \
             ADD UNIQUE (realm, username_key) DEFERRABLE INITIALLY DEFERRED",
            vec![(IndexDeferrable, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX ALTER TABLE account_users \
             ADD UNIQUE (realm, username_key) DEFERRABLE INITIALLY IMMEDIATE",
            vec![(IndexDeferrable, USERNAME_INDEX)],
        ),
        ("DROP_USERNAME_INDEX ALTER TABLE account_users ADD UNIQUE (realm, username_key)", vec![]),
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, username_key) INCLUDE (state)",
            vec![],
        ),
        (
            "UPDATE pg_index SET indisvalid = false \
             WHERE indexrelid = to_regclass('account_users_username_key')",
            vec![(IndexPartial, USERNAME_INDEX)],
        ),
        (
            "ALTER TABLE account_users ALTER username_key TYPE text COLLATE \"und-x-icu\"",
            vec![(WrongCollation, "username_key"), (WrongCollation, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX CREATE UNIQUE INDEX i \
             ON account_users (realm, username_key COLLATE \"und-x-icu\")",
            vec![(WrongCollation, USERNAME_INDEX)],
        ),
        (
            "ALTER TABLE account_users ALTER email TYPE varchar(100)",
            vec![(ColumnTooShort, "email")],
        ),
        ("ALTER TABLE account_users ALTER email TYPE varchar(254)", vec![]),
        (
            "ALTER TABLE account_users ADD COLUMN tenant integer NOT NULL",
            vec![(ColumnRequired, "tenant")],
        ),
        ("ALTER TABLE account_users ADD COLUMN tenant integer NOT NULL DEFAULT 0", vec![]),
        ("ALTER TABLE account_users ADD COLUMN n integer GENERATED ALWAYS AS IDENTITY", vec![]),
        ("ALTER TABLE account_users ADD COLUMN tenant integer", vec![]),
        ("ALTER TABLE account_users ALTER username_key SET NOT NULL", vec![]),
        (
            "CREATE DOMAIN tenant_id AS integer DEFAULT 5 NOT NULL; \
             ALTER TABLE account_users ADD COLUMN tenant tenant_id",
            vec![],
        ),
        (
            "CREATE DOMAIN tenant_id AS integer NOT NULL; \
             ALTER TABLE account_users ADD COLUMN tenant tenant_id",
            vec![(ColumnRequired, "tenant")],
        ),
        (
            "CREATE UNIQUE INDEX i ON account_users (realm, email_key) NULLS NOT DISTINCT",
            vec![(ExtraUniqueIndex, EMAIL_INDEX)],
        ),
        ("CREATE UNIQUE INDEX i ON account_users (realm, email_key) WHERE state = 0", vec![]),
        (
            // A trigger may fill the column.
            "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN NEW.tenant := 1; RETURN NEW; END'; \
             CREATE TRIGGER fill BEFORE INSERT ON account_users \
                 FOR EACH ROW EXECUTE FUNCTION fill(); \
             ALTER TABLE account_users ADD COLUMN tenant integer NOT NULL",
            vec![(HostTrigger, "fill")],
        ),
        (
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER watch BEFORE INSERT ON account_users \
                 FOR EACH ROW EXECUTE FUNCTION nothing(); \
             ALTER TABLE account_users DISABLE TRIGGER watch",
            vec![],
        ),
        (
            "ALTER TABLE account_users ALTER username SET NOT NULL",
            vec![(ColumnRequired, "username")],
        ),
        (
            "ALTER TABLE account_users ADD EXCLUDE USING btree (realm WITH =)",
            vec![(ExtraUniqueIndex, "realm")],
        ),
        (
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER watch BEFORE INSERT ON account_users \
                 FOR EACH ROW EXECUTE FUNCTION nothing(); \
             CREATE RULE hide AS ON INSERT TO account_users DO INSTEAD NOTHING",
            vec![(HostTrigger, "hide"), (HostTrigger, "watch")],
        ),
        (
            "ALTER TABLE account_users ENABLE ROW LEVEL SECURITY",
            vec![(RowSecurity, "account_users")],
        ),
    ]
}

fn sqlite_damages() -> Vec<(&'static str, Vec<(SchemaProblem, &'static str)>)> {
    use SchemaProblem::{
        ExtraUniqueIndex, HostTrigger, IndexPartial, MissingIndex, WrongCollation,
    };
    vec![
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, username_key) WHERE state = 0",
            vec![(IndexPartial, USERNAME_INDEX)],
        ),
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, lower(username_key))",
            vec![(MissingIndex, USERNAME_INDEX), (ExtraUniqueIndex, "realm, (expression)")],
        ),
        (
            "DROP_USERNAME_INDEX \
             CREATE UNIQUE INDEX i ON account_users (realm, username_key COLLATE NOCASE)",
            vec![(WrongCollation, USERNAME_INDEX)],
        ),
        ("ALTER TABLE account_users ADD COLUMN tenant INTEGER NOT NULL DEFAULT 0", vec![]),
        ("ALTER TABLE account_users ADD COLUMN tenant INTEGER", vec![]),
        (
            "CREATE TRIGGER watch BEFORE INSERT ON Account_Users BEGIN SELECT RAISE(IGNORE); END",
            vec![(HostTrigger, "watch")],
        ),
    ]
}
