//! Where a record cannot be written, what it is of is not done either; and what is refused anyway is
//! refused as ever.

use diesel_accounts::{
    Accounts, Creation, Engine, Error, ImportOutcome, ImportUser, NewUser, Result, SignIn, UserId,
    UserManager,
};
use diesel_accounts_proof::host::{host_rows, insert_host_row, make_host_table};

use crate::on_each_engine;
use crate::refusing::refusals;
use crate::support::{
    Host, NEW_PASSWORD, PASSWORD, Stage, WRONG, assert_matches, email_of, person,
};

on_each_engine!(
    a_creation_is_not_created,
    an_act_is_not_done,
    a_sign_in_is_not_accepted,
    a_change_of_the_password_is_not_made,
    an_import_is_not_made,
    what_is_refused_is_refused_as_ever,
    in_a_transaction_of_the_host_nothing_is_done_by_half,
    an_existing_account_is_found_in_a_transaction_of_the_host,
    an_import_in_a_transaction_of_the_host_is_not_made_by_half,
);

fn a_creation_is_not_created<C: Host>(stage: Stage<C>) {
    for refusal in refusals(C::ENGINE) {
        refusal.begin(&stage);
        let alice = stage.users.prepare(person("alice")).unwrap();
        let mut conn = stage.database.connect();
        assert_not_created(&stage.users.on(&mut conn).create_user(&alice));
        assert_not_created(&stage.users.create_prepared_user(&alice));
        assert_not_created(&stage.users.create_user(person("alice")));
        // The connection is as good as before.
        assert!(stage.users.on(&mut conn).user_by_username("alice").unwrap().is_none());
        refusal.end(&stage);
        assert_eq!((stage.count("account_users"), stage.records()), (0, vec![]), "{refusal:?}");
        assert_eq!(stage.heard.take(), []);

        assert!(stage.users.on(&mut conn).create_user(&alice).unwrap().is_created());
        assert_eq!(
            (stage.told(), stage.heard.take().len()),
            (vec!["create created".to_owned()], 1)
        );
        stage.empty();
    }
}

fn an_act_is_not_done<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    stage.fail("alice", 6);
    for refusal in refusals(C::ENGINE) {
        let before = stage.state();
        refusal.begin(&stage);
        for (name, act) in acts() {
            let answer = act(&stage.users, id);
            assert_matches!(&answer, Err(Error::Database(_)));
            assert_eq!(stage.state(), before, "{name} {refusal:?}");
        }
        refusal.end(&stage);
        assert_eq!((stage.records(), stage.heard.take()), (vec![], vec![]));
    }
    // Each is done as soon as it can be.
    for (name, act) in acts() {
        act(&stage.users, id).unwrap();
        assert_eq!(stage.heard.take().len(), 1, "{name}");
    }
    assert_eq!(stage.records().len(), acts::<C>().len());
}

fn a_sign_in_is_not_accepted<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    for refusal in refusals(C::ENGINE) {
        // The first time it is due to be written down in the account, and the second time it is not.
        for is_due in [true, false] {
            stage.fail("alice", 2);
            refusal.begin(&stage);
            let signed_in = stage.last_sign_in();
            let answer = stage.users.authenticate("alice", PASSWORD);
            assert_matches!(answer, Err(Error::Database(_)));
            assert_eq!(stage.last_sign_in(), signed_in, "{refusal:?}");
            // A right password stays counted, as it does when the database fails.
            assert_eq!(stage.quiet.failed_attempts(id).unwrap().count(), 3);
            refusal.end(&stage);
            assert_eq!((stage.records(), stage.heard.take()), (vec![], vec![]));
            assert!(stage.users.authenticate("alice", PASSWORD).unwrap().is_accepted());
            assert_eq!(stage.told(), ["sign_in accepted"]);
            assert_eq!(stage.last_sign_in() == signed_in, !is_due);
            assert_eq!(stage.heard.take().len(), 1);
            stage.execute("DELETE FROM account_events");
        }
        stage.execute("UPDATE account_users SET last_sign_in_at = NULL");
    }
}

fn a_change_of_the_password_is_not_made<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    for refusal in refusals(C::ENGINE) {
        let accounts = stage.accounts();
        refusal.begin(&stage);
        let answer = stage.users.change_password(id, PASSWORD, NEW_PASSWORD);
        assert_matches!(answer, Err(Error::Database(_)));
        assert_eq!(stage.accounts(), accounts, "{refusal:?}");
        refusal.end(&stage);
        assert_eq!((stage.records(), stage.heard.take()), (vec![], vec![]));
        assert!(stage.quiet.authenticate("alice", PASSWORD).unwrap().is_accepted());
    }
}

fn an_import_is_not_made<C: Host>(stage: Stage<C>) {
    for refusal in refusals(C::ENGINE) {
        refusal.begin(&stage);
        let mut failed = 0;
        let summary = stage
            .users
            .import_users(["alice", "bob"].map(imported), |_, outcome| {
                assert_matches!(outcome, ImportOutcome::Failed(_));
                failed += 1;
            })
            .unwrap();
        refusal.end(&stage);
        assert_eq!((failed, summary.failed()), (2, 2));
        assert_eq!((stage.count("account_users"), stage.records()), (0, vec![]), "{refusal:?}");
        assert_eq!(stage.heard.take(), []);
    }
}

/// The record is lost, and heard of all the same.
fn what_is_refused_is_refused_as_ever<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    stage.create("bob");
    let two = || NewUser::new("alice", email_of("bob"), PASSWORD);
    for refusal in refusals(C::ENGINE) {
        refusal.begin(&stage);
        let users = &stage.users;
        assert!(!users.create_user(person("alice")).unwrap().is_created());
        let prepared = users.prepare(person("alice")).unwrap();
        let mut conn = stage.database.connect();
        assert!(!users.on(&mut conn).create_user(&prepared).unwrap().is_created());
        assert_matches!(users.create_user(two()), Err(Error::Taken(_)));
        assert_matches!(users.authenticate("alice", WRONG), Ok(SignIn::Refused(_)));
        assert_matches!(users.authenticate("nobody", WRONG), Ok(SignIn::Refused(_)));
        let change = users.change_password(id, WRONG, NEW_PASSWORD);
        assert!(!change.unwrap().is_changed());
        refusal.end(&stage);
        assert_eq!(stage.records(), [], "{refusal:?}");
        assert_eq!(stage.quiet.failed_attempts(id).unwrap().count(), 2, "it is counted");
        assert_eq!(stage.heard.take().len(), 6);
        stage.quiet.set_password(id, PASSWORD).unwrap();
    }
}

/// The host hears that it must roll back, or its transaction is as it was: a commit never makes
/// half of an act.
fn in_a_transaction_of_the_host_nothing_is_done_by_half<C: Host>(stage: Stage<C>) {
    make_host_table(&stage.database);
    let id = stage.create("alice").id();
    stage.fail("alice", 2);
    let bob = stage.users.prepare(person("bob")).unwrap();
    let password =
        stage.users.policy().prepare_password(&stage.create("carol"), NEW_PASSWORD).unwrap();
    let acts: [(&str, &ActOnLent<'_, C>); 8] = [
        ("create", &|mut accounts| accounts.create_user(&bob).map(drop)),
        ("set", &|mut accounts| accounts.set_password(id, &password)),
        ("disable", &|mut accounts| accounts.disable_user(id)),
        ("enable", &|mut accounts| accounts.enable_user(id)),
        ("require", &|mut accounts| accounts.require_password_change(id)),
        ("take away", &|mut accounts| accounts.set_unusable_password(id)),
        ("reserve", &|mut accounts| accounts.reserve_user(id)),
        ("delete", &|mut accounts| accounts.delete_user(id)),
    ];
    for refusal in refusals(C::ENGINE) {
        let before = stage.state();
        refusal.begin(&stage);
        for (name, act) in acts {
            let rows = host_rows(&stage.database);
            let mut conn = stage.database.connect();
            // A host that goes on unless it is told not to.
            let mut refused = None;
            let committed = conn.transaction(|conn| {
                insert_host_row(conn)?;
                match act(stage.users.on(conn)) {
                    Ok(()) => panic!("{name} {refusal:?}: it is done"),
                    Err(error @ Error::HostMustRollBack(_)) => return Err(error),
                    Err(error) => refused = Some(error),
                }
                insert_host_row(conn)?;
                Ok(())
            });
            match (committed, refused) {
                (Ok(()), Some(error)) => {
                    assert_eq!(C::ENGINE, Engine::Postgres, "{name} {refusal:?}: {error:?}");
                    assert_matches!(&error, Error::Database(_) | Error::NotCreated(_));
                    assert_eq!(host_rows(&stage.database), rows + 2);
                }
                (Err(Error::HostMustRollBack(_)), None) => {
                    assert!(!refusal.leaves_savepoints, "{name}: its transaction could go on");
                    assert_eq!(host_rows(&stage.database), rows);
                }
                other => panic!("{name} {refusal:?}: {other:?}"),
            }
            assert_eq!(stage.state(), before, "{name} {refusal:?}");
        }
        refusal.end(&stage);
        assert_eq!((stage.records(), stage.heard.take()), (vec![], vec![]), "{refusal:?}");
    }
}

/// Nothing is half done then; but some refusals end the host's transaction, or may have.
fn an_existing_account_is_found_in_a_transaction_of_the_host<C: Host>(stage: Stage<C>) {
    make_host_table(&stage.database);
    stage.create("alice");
    let alice = stage.users.prepare(person("alice")).unwrap();
    for refusal in refusals(C::ENGINE) {
        refusal.begin(&stage);
        let rows = host_rows(&stage.database);
        let mut conn = stage.database.connect();
        let committed = conn.transaction(|conn| {
            insert_host_row(conn)?;
            assert_matches!(stage.users.on(conn).create_user(&alice)?, Creation::Existing(_));
            insert_host_row(conn)?;
            Ok(())
        });
        match committed {
            Ok(()) => assert_eq!(host_rows(&stage.database), rows + 2, "{refusal:?}"),
            Err(Error::HostMustRollBack(_)) => {
                assert!(!refusal.is_plain, "{refusal:?}: its transaction could go on");
                assert_eq!(host_rows(&stage.database), rows);
            }
            Err(error) => panic!("{refusal:?}: {error:?}"),
        }
        refusal.end(&stage);
        assert_eq!((stage.count("account_users"), stage.records()), (1, vec![]), "{refusal:?}");
    }
}

fn an_import_in_a_transaction_of_the_host_is_not_made_by_half<C: Host>(stage: Stage<C>) {
    make_host_table(&stage.database);
    let imports = ["alice", "bob"]
        .map(|name| stage.users.policy().prepare_import(&imported(name)).unwrap().unwrap());
    for refusal in refusals(C::ENGINE) {
        refusal.begin(&stage);
        let rows = host_rows(&stage.database);
        let mut conn = stage.database.connect();
        let committed = conn.transaction(|conn| {
            insert_host_row(conn)?;
            for outcome in stage.users.on(conn).import_users(&imports)? {
                assert_matches!(outcome, ImportOutcome::Failed(_));
            }
            insert_host_row(conn)?;
            Ok(())
        });
        match committed {
            Ok(()) => {
                assert_eq!(C::ENGINE, Engine::Postgres, "{refusal:?}");
                assert_eq!(host_rows(&stage.database), rows + 2);
            }
            Err(Error::HostMustRollBack(_)) => {
                assert!(!refusal.leaves_savepoints, "its transaction could go on");
                assert_eq!(host_rows(&stage.database), rows);
            }
            Err(error) => panic!("{refusal:?}: {error:?}"),
        }
        refusal.end(&stage);
        assert_eq!((stage.count("account_users"), stage.records()), (0, vec![]), "{refusal:?}");
        assert_eq!(stage.heard.take(), []);
    }
}

fn assert_not_created(answer: &Result<Creation>) {
    assert_matches!(answer, Err(Error::NotCreated(_)));
}

type Act<C> = fn(&UserManager<C>, UserId) -> Result<()>;

type ActOnLent<'a, C> = dyn Fn(Accounts<'_, C>) -> Result<()> + 'a;

/// In an order in which each can be done.
fn acts<C: Host>() -> [(&'static str, Act<C>); 8] {
    [
        ("disable", |users, id| users.disable_user(id)),
        ("enable", |users, id| users.enable_user(id)),
        ("unlock", |users, id| users.unlock_user(id)),
        ("require", |users, id| users.require_password_change(id)),
        ("set", |users, id| users.set_password(id, NEW_PASSWORD)),
        ("take away", |users, id| users.set_unusable_password(id)),
        ("reserve", |users, id| users.reserve_user(id)),
        ("delete", |users, id| users.delete_user(id)),
    ]
}

fn imported(name: &str) -> ImportUser {
    ImportUser::new().username(name).email(email_of(name))
}
