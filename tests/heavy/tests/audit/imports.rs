//! Of an import exactly those are recorded that are created.

use std::collections::BTreeSet;

use diesel_accounts::{Engine, ImportOutcome, ImportUser, UserId, UserManager};
use diesel_accounts_proof::statements::before_statement;

use crate::on_each_engine;
use crate::support::{Host, REALM, Record, Stage, context, email_of, hex};

on_each_engine!(
    of_many_exactly_those_are_recorded_that_are_created,
    rows_that_a_trigger_swallows_are_not_recorded,
    an_import_that_loses_a_race_records_only_its_own,
    an_import_in_a_transaction_of_the_host_is_recorded_in_it,
);

/// 5,200 in many batches: some are there, some are invalid, and two of one batch are the same.
fn of_many_exactly_those_are_recorded_that_are_created<C: Host>(stage: Stage<C>) {
    for number in [3, 600, 1_100] {
        stage.create(&format!("person{number}"));
    }
    let rows = (0..ALL).map(|number| match number {
        7 | 501 | 1_199 => ImportUser::new().username("").email("nothing"),
        20 | 21 => imported("twin"),
        _ => imported(&format!("person{number}")),
    });
    let created = import_recorded(&stage, rows, [ALL - 3 - 3 - 1, 3 + 1, 3]);
    assert_eq!(created.len(), stage.records().len());
    // Again: all are there.
    let rows = (0..5).map(|number| imported(&format!("person{number}")));
    let before = stage.records();
    assert_eq!(stage.users.import_users(rows, |_, _| ()).unwrap().existing(), 5);
    assert_eq!((stage.records(), stage.heard.take()), (before, vec![]));
}

/// MariaDB cannot swallow a row, but refuse one: all of its batch are inserted one by one then.
fn rows_that_a_trigger_swallows_are_not_recorded<C: Host>(stage: Stage<C>) {
    stage.execute(match C::ENGINE {
        Engine::Sqlite => {
            "CREATE TRIGGER swallow BEFORE INSERT ON account_users \
             WHEN NEW.username_key LIKE 'ghost%' BEGIN SELECT RAISE(IGNORE); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF NEW.username_key LIKE 'ghost%' THEN RETURN NULL; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER swallow BEFORE INSERT ON account_users \
             FOR EACH ROW EXECUTE FUNCTION swallow()"
        }
        _ => {
            "CREATE TRIGGER swallow BEFORE INSERT ON account_users FOR EACH ROW \
             IF NEW.username_key LIKE 'ghost%' THEN SIGNAL SQLSTATE '45000'; END IF"
        }
    });
    let rows = (0..40).map(|number| match number % 10 {
        9 => imported(&format!("ghost{number}")),
        _ => imported(&format!("person{number}")),
    });
    import_recorded(&stage, rows, [36, 0, 4]);
}

/// Somebody of the batch is created by another just before its insertion.
fn an_import_that_loses_a_race_records_only_its_own<C: Host>(stage: Stage<C>) {
    let pool = stage.database.pool(1);
    let users = UserManager::with_policy(pool.clone(), stage.policy().build().unwrap());
    let users = users.with(context()).in_realm(REALM);
    let winner = stage.quiet.clone();
    before_statement(&mut *pool.get().unwrap(), "INSERT", move || {
        assert!(winner.create_user(crate::support::person("person3")).unwrap().is_created());
    });
    let rows = (0..9).map(|number| imported(&format!("person{number}")));
    import_recorded_by(&stage, &users, rows, [8, 1, 0]);
}

fn an_import_in_a_transaction_of_the_host_is_recorded_in_it<C: Host>(stage: Stage<C>) {
    stage.create("person0");
    let imports: Vec<_> = (0..9)
        .map(|number| imported(&format!("person{number}")))
        .map(|row| stage.users.policy().prepare_import(&row).unwrap().unwrap())
        .collect();
    for commits in [false, true] {
        let answer = stage.database.connect().transaction(|conn| {
            let outcomes = stage.users.on(conn).import_users(&imports)?;
            let is_created =
                |outcome: &&ImportOutcome| matches!(outcome, ImportOutcome::Created(_));
            assert_eq!(outcomes.iter().filter(is_created).count(), 8);
            assert_eq!(conn.records().len(), 8);
            match commits {
                true => Ok(()),
                false => Err(diesel_accounts::Error::from(diesel::result::Error::NotFound)),
            }
        });
        assert_eq!(answer.is_ok(), commits);
        assert_eq!(stage.records().len(), if commits { 8 } else { 0 });
    }
}

fn import_recorded<C: Host>(
    stage: &Stage<C>,
    rows: impl Iterator<Item = ImportUser>,
    counts: [u64; 3],
) -> BTreeSet<String> {
    import_recorded_by(stage, &stage.users, rows, counts)
}

/// Imports some, of whom so many are created, were there, or fail; and those who are created are
/// recorded and heard of, each once, and nobody else.
fn import_recorded_by<C: Host>(
    stage: &Stage<C>,
    users: &UserManager<C>,
    rows: impl Iterator<Item = ImportUser>,
    counts: [u64; 3],
) -> BTreeSet<String> {
    let mut created = BTreeSet::new();
    let text = |id: &UserId| hex(id.as_bytes());
    let summary = users
        .import_users(rows, |_, outcome| {
            if let ImportOutcome::Created(id) = outcome {
                assert!(created.insert(text(id)), "{id} twice");
            }
        })
        .unwrap();
    let failed = summary.invalid() + summary.failed() + summary.taken();
    assert_eq!([summary.created(), summary.existing(), failed], counts);
    let recorded = stage.records();
    let heard: Vec<_> = stage.heard.take().iter().map(Record::of).collect();
    for records in [&recorded, &heard] {
        let of_whom: BTreeSet<_> =
            records.iter().map(|record| record.user_id.clone().unwrap()).collect();
        assert_eq!((records.len(), &of_whom), (created.len(), &created));
        let told = records.iter().all(|record| {
            (&*record.action, &*record.outcome) == ("import", "created")
                && record.client == recorded[0].client
                && record.realm == hex(REALM.as_bytes())
        });
        assert!(told);
    }
    assert!(recorded[0].client.is_some());
    created
}

fn imported(name: &str) -> ImportUser {
    ImportUser::new().username(name).email(email_of(name))
}

const ALL: u64 = 5_200;
