//! Transactions of the host's: what is recorded in one is committed with it, or not at all.

use diesel::result::Error as DieselError;
use diesel_accounts::{Creation, Error, NewUser};
use diesel_accounts_proof::host::{host_rows, in_transaction, insert_host_row, make_host_table};

use crate::on_each_engine;
use crate::support::{Host, NEW_PASSWORD, PASSWORD, Stage, assert_matches, email_of, person};

on_each_engine!(
    a_record_is_committed_with_the_account_and_the_row_of_the_host,
    a_record_is_rolled_back_with_the_account_and_the_row_of_the_host,
    an_existing_account_leaves_the_transaction_usable_and_is_recorded_in_it,
    every_act_in_one_transaction_is_recorded_in_it,
);

fn a_record_is_committed_with_the_account_and_the_row_of_the_host<C: Host>(stage: Stage<C>) {
    make_host_table(&stage.database);
    let mut conn = stage.database.connect();
    for (number, (isolation, setting)) in C::ISOLATIONS.iter().enumerate() {
        if !setting.is_empty() {
            conn.batch_execute(setting).unwrap();
        }
        let prepared = stage.users.prepare(person(&format!("alice{number}"))).unwrap();
        let created = [("create", "created", Some(prepared.id()))];
        stage.is_recorded(&created, || {
            let creation = in_transaction(&mut conn, isolation, |conn| {
                insert_host_row(conn)?;
                stage.users.on(conn).create_user(&prepared)
            });
            assert!(creation.unwrap().is_created(), "{isolation} {setting}");
        });
    }
    let all = i64::try_from(C::ISOLATIONS.len()).unwrap();
    assert_eq!((host_rows(&stage.database), stage.count("account_users")), (all, all));
}

/// The sink is told at once: it is the host's to know what it makes of it.
fn a_record_is_rolled_back_with_the_account_and_the_row_of_the_host<C: Host>(stage: Stage<C>) {
    make_host_table(&stage.database);
    let bob = stage.create("bob").id();
    let before = stage.state();
    let prepared = stage.users.prepare(person("alice")).unwrap();
    let rolled_back = stage.database.connect().transaction(|conn| {
        insert_host_row(conn)?;
        assert!(stage.users.on(conn).create_user(&prepared)?.is_created());
        assert!(!stage.users.on(conn).create_user(&prepared)?.is_created());
        stage.users.on(conn).disable_user(bob)?;
        stage.users.on(conn).delete_user(bob)?;
        assert_eq!(conn.records().len(), 4, "inside they are there");
        Err::<(), Error>(DieselError::RollbackTransaction.into())
    });
    assert_matches!(rolled_back, Err(Error::Database(_)));
    assert_eq!((host_rows(&stage.database), stage.state()), (0, before));
    assert_eq!((stage.records(), stage.heard.take().len()), (vec![], 4));
}

fn an_existing_account_leaves_the_transaction_usable_and_is_recorded_in_it<C: Host>(
    stage: Stage<C>,
) {
    make_host_table(&stage.database);
    let id = stage.create("alice").id();
    stage.create("bob");
    let again = stage.users.prepare(person("alice")).unwrap();
    let two = NewUser::new("alice", email_of("bob"), PASSWORD);
    let two = stage.users.prepare(two).unwrap();
    let mut conn = stage.database.connect();
    for (isolation, setting) in C::ISOLATIONS {
        if !setting.is_empty() {
            conn.batch_execute(setting).unwrap();
        }
        let before = (host_rows(&stage.database), stage.records().len());
        let recorded = [("create", "existing", Some(id)), ("create", "taken", None)];
        stage.is_recorded(&recorded, || {
            in_transaction(&mut conn, isolation, |conn| {
                insert_host_row(conn)?;
                let existing = stage.users.on(conn).create_user(&again)?;
                assert_matches!(existing, Creation::Existing(_));
                insert_host_row(conn)?;
                assert_matches!(stage.users.on(conn).create_user(&two), Err(Error::Taken(_)));
                insert_host_row(conn)?;
                assert_eq!(conn.records().len(), before.1 + 2, "they are written in it");
                Ok(())
            })
            .unwrap();
        });
        assert_eq!(host_rows(&stage.database), before.0 + 3, "{isolation} {setting}");
    }
}

fn every_act_in_one_transaction_is_recorded_in_it<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let user = stage.quiet.user_by_id(id).unwrap().unwrap();
    let password = stage.users.policy().prepare_password(&user, NEW_PASSWORD).unwrap();
    let recorded = [
        "disable",
        "enable",
        "require_password_change",
        "set_password",
        "set_unusable_password",
        "reserve",
        "delete",
    ]
    .map(|action| (action, "done", Some(id)));
    stage
        .is_recorded(&recorded, || {
            stage.database.connect().transaction(|conn| {
                let mut accounts = stage.users.on(conn);
                accounts.disable_user(id)?;
                accounts.enable_user(id)?;
                accounts.require_password_change(id)?;
                accounts.set_password(id, &password)?;
                accounts.set_unusable_password(id)?;
                accounts.reserve_user(id)?;
                accounts.delete_user(id)
            })
        })
        .unwrap();
}
