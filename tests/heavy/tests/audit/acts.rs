//! Each act is recorded as what it is, and as what came of it.

use diesel_accounts::{
    Accounts, Context, Duplicates, Error, NewUser, RealmId, Result, UserId, UserManager,
};
use diesel_accounts_proof::database::policy;
use diesel_accounts_proof::statements::before_statement;

use crate::on_each_engine;
use crate::support::{
    Heard, Host, NEW_PASSWORD, PASSWORD, REALM, Record, Stage, WRONG, assert_matches, context,
    email_of, hex, person,
};

on_each_engine!(
    a_creation_is_created_or_existing_or_taken,
    a_creation_on_a_lent_connection_is_created_or_existing_or_taken,
    a_creation_that_loses_a_race_is_existing_or_taken,
    a_policy_that_refuses_duplicates_has_them_taken,
    the_names_of_a_reserved_account_are_taken_by_it,
    passwords_are_changed_set_taken_away_and_required_to_change,
    accounts_are_disabled_enabled_unlocked_reserved_and_deleted,
    what_failed_otherwise_is_not_recorded,
    a_sink_alone_hears_the_same_and_writes_nothing,
    a_table_alone_holds_the_same,
    without_either_nothing_is_recorded,
    nothing_is_said_of_who_asks_where_nobody_is_named,
);

fn a_creation_is_created_or_existing_or_taken<C: Host>(stage: Stage<C>) {
    let id = UserId::new();
    let alice = || person("alice").with_id(id);
    let created =
        stage.is_recorded(&[("create", "created", Some(id))], || stage.users.create_user(alice()));
    assert!(created.unwrap().is_created());
    let existing = [("create", "existing", Some(id))];
    let answer = stage.is_recorded(&existing, || stage.users.create_user(person("ALICE")));
    assert!(!answer.unwrap().is_created());
    let answer = stage.is_recorded(&existing, || stage.users.create_user(alice()));
    assert!(!answer.unwrap().is_created());

    stage.create("bob");
    let two = NewUser::new("alice", email_of("bob"), PASSWORD);
    let taken = [("create", "taken", None)];
    let answer = stage.is_recorded(&taken, || stage.users.create_user(two));
    assert_matches!(answer, Err(Error::Taken(_)));
}

fn a_creation_on_a_lent_connection_is_created_or_existing_or_taken<C: Host>(stage: Stage<C>) {
    let mut conn = stage.database.connect();
    let prepared = stage.users.prepare(person("alice")).unwrap();
    let id = prepared.id();
    let mut create = |outcome, of: Option<UserId>, new_user: Option<NewUser>| {
        let new_user = new_user.map(|new_user| stage.users.prepare(new_user).unwrap());
        let prepared = new_user.as_ref().unwrap_or(&prepared);
        stage.is_recorded(&[("create", outcome, of)], || {
            stage.users.on(&mut conn).create_user(prepared)
        })
    };
    assert!(create("created", Some(id), None).unwrap().is_created());
    assert!(!create("existing", Some(id), None).unwrap().is_created());
    assert!(!create("existing", Some(id), Some(person("Alice"))).unwrap().is_created());
    stage.create("bob");
    let two = NewUser::new("alice", email_of("bob"), PASSWORD);
    assert_matches!(create("taken", None, Some(two)), Err(Error::Taken(_)));
}

/// Whoever wins does so behind the look-up, just before the insertion.
fn a_creation_that_loses_a_race_is_existing_or_taken<C: Host>(stage: Stage<C>) {
    for (number, duplicates) in
        [Duplicates::ReturnExisting, Duplicates::Refuse].into_iter().enumerate()
    {
        let name = format!("alice{number}");
        let pool = stage.database.pool(1);
        let policy = stage.policy().duplicates(duplicates).build().unwrap();
        let users = UserManager::with_policy(pool.clone(), policy);
        let users = users.with(context()).in_realm(REALM);
        let id = UserId::new();
        let (winner, winning) = (stage.quiet.clone(), person(&name).with_id(id));
        before_statement(&mut *pool.get().unwrap(), "INSERT", move || {
            assert!(winner.create_user(winning).unwrap().is_created());
        });
        match duplicates {
            Duplicates::Refuse => {
                let taken = [("create", "taken", Some(id))];
                let answer = stage.is_recorded(&taken, || users.create_user(person(&name)));
                assert_matches!(answer, Err(Error::Taken(_)));
            }
            _ => {
                let existing = [("create", "existing", Some(id))];
                let answer = stage.is_recorded(&existing, || users.create_user(person(&name)));
                assert!(!answer.unwrap().is_created());
            }
        }
    }
}

fn a_policy_that_refuses_duplicates_has_them_taken<C: Host>(stage: Stage<C>) {
    let users = stage.users_with(stage.policy().duplicates(Duplicates::Refuse));
    let alice = users.prepare(person("alice")).unwrap();
    let id = alice.id();
    let created = [("create", "created", Some(id))];
    let answer = stage.is_recorded(&created, || users.create_prepared_user(&alice));
    assert!(answer.unwrap().is_created());
    let taken = [("create", "taken", Some(id))];
    let answer = stage.is_recorded(&taken, || users.create_user(person("alice")));
    assert_matches!(answer, Err(Error::Taken(_)));
    // The same creation once more takes nothing from anybody.
    let existing = [("create", "existing", Some(id))];
    let answer = stage.is_recorded(&existing, || users.create_prepared_user(&alice));
    assert!(!answer.unwrap().is_created());
}

fn the_names_of_a_reserved_account_are_taken_by_it<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    stage.quiet.reserve_user(id).unwrap();
    let taken = [("create", "taken", Some(id))];
    let answer = stage.is_recorded(&taken, || stage.users.create_user(person("alice")));
    assert_matches!(answer, Err(Error::Taken(_)));
    let prepared = stage.users.prepare(person("alice")).unwrap();
    let answer = stage.is_recorded(&taken, || stage.users.create_prepared_user(&prepared));
    assert_matches!(answer, Err(Error::Taken(_)));
}

fn passwords_are_changed_set_taken_away_and_required_to_change<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let (users, done) = (&stage.users, |action| [(action, "done", Some(id))]);
    let changed = [("change_password", "changed", Some(id))];
    let change = || users.change_password(id, PASSWORD, NEW_PASSWORD);
    assert!(stage.is_recorded(&changed, change).unwrap().is_changed());
    let refused = [("change_password", "wrong_password", Some(id))];
    assert!(!stage.is_recorded(&refused, change).unwrap().is_changed());
    stage.is_recorded(&done("set_password"), || users.set_password(id, PASSWORD)).unwrap();
    stage
        .is_recorded(&done("require_password_change"), || users.require_password_change(id))
        .unwrap();
    stage.is_recorded(&done("set_unusable_password"), || users.set_unusable_password(id)).unwrap();
}

fn accounts_are_disabled_enabled_unlocked_reserved_and_deleted<C: Host>(stage: Stage<C>) {
    let id = stage.create("alice").id();
    let lent = |action, act: Act<C>| {
        let act = || act(&mut stage.users.on(&mut stage.database.connect()), id);
        stage.is_recorded(&[(action, "done", Some(id))], act).unwrap();
    };
    lent("disable", |accounts, id| accounts.disable_user(id));
    lent("disable", |accounts, id| accounts.disable_user(id));
    lent("enable", |accounts, id| accounts.enable_user(id));
    lent("unlock", |accounts, id| accounts.unlock_user(id));
    let users = &stage.users;
    stage.is_recorded(&[("unlock", "done", Some(id))], || users.unlock_user(id)).unwrap();
    stage.is_recorded(&[("disable", "done", Some(id))], || users.disable_user(id)).unwrap();
    stage.is_recorded(&[("enable", "done", Some(id))], || users.enable_user(id)).unwrap();
    stage.is_recorded(&[("reserve", "done", Some(id))], || users.reserve_user(id)).unwrap();
    stage.is_recorded(&[("delete", "done", Some(id))], || users.delete_user(id)).unwrap();
}

fn what_failed_otherwise_is_not_recorded<C: Host>(stage: Stage<C>) {
    let (alice, nobody) = (stage.create("alice").id(), UserId::new());
    let users = &stage.users;
    let reused = || users.create_user(person("carol").with_id(alice));
    assert_matches!(stage.is_recorded(&[], reused), Err(Error::IdReused { .. }));
    let invalid = || users.create_user(NewUser::new("", "", ""));
    assert_matches!(stage.is_recorded(&[], invalid), Err(Error::Invalid(_)));
    let short = || users.change_password(alice, PASSWORD, "");
    assert_matches!(stage.is_recorded(&[], short), Err(Error::Invalid(_)));
    let of_nobody = || users.change_password(nobody, PASSWORD, NEW_PASSWORD);
    assert_matches!(stage.is_recorded(&[], of_nobody), Err(Error::UserNotFound));
    let elsewhere = users.in_realm(RealmId::NIL);
    let acts: [ActOnPool<C>; 8] = [
        |users, id| users.disable_user(id),
        |users, id| users.enable_user(id),
        |users, id| users.unlock_user(id),
        |users, id| users.reserve_user(id),
        |users, id| users.delete_user(id),
        |users, id| users.set_password(id, NEW_PASSWORD),
        |users, id| users.set_unusable_password(id),
        |users, id| users.require_password_change(id),
    ];
    for act in acts {
        for (users, id) in [(users, nobody), (&elsewhere, alice)] {
            let answer = stage.is_recorded(&[], || act(users, id));
            assert_matches!(answer, Err(Error::UserNotFound));
        }
    }
    let in_transaction = || {
        stage.database.connect().transaction(|conn| {
            let attempt = users.on(conn).begin_sign_in("alice");
            assert_matches!(attempt, Err(Error::TransactionOpen));
            users.on(conn).unlock_user(alice)
        })
    };
    assert_matches!(stage.is_recorded(&[], in_transaction), Err(Error::TransactionOpen));
    // Nor what only reads, or forgets.
    stage.is_recorded(&[], || {
        users.user_by_id(alice).unwrap();
        users.list_users(None, 10).unwrap();
        users.failed_attempts(alice).unwrap();
        users.forget_old_attempts(10).unwrap();
        users.events_of_user(alice, None, 10).unwrap();
        assert!(users.check().unwrap().is_sound());
        users.migrate().unwrap();
    });
}

fn a_sink_alone_hears_the_same_and_writes_nothing<C: Host>(stage: Stage<C>) {
    do_everything(&stage, &stage.users);
    let both: Vec<_> = stage.heard.take().iter().map(Record::of).map(without_account).collect();
    assert_eq!(both.len(), 16);
    let alone = Heard::default();
    let policy = policy().clock(stage.clock.clone()).audit_sink(alone.clone());
    let before = stage.records();
    do_everything(&stage, &stage.users_with(policy));
    let heard: Vec<_> = alone.take().iter().map(Record::of).map(without_account).collect();
    assert_eq!(heard, both);
    assert_eq!(stage.records(), before);
}

fn a_table_alone_holds_the_same<C: Host>(stage: Stage<C>) {
    do_everything(&stage, &stage.users);
    let both: Vec<_> = stage.heard.take().iter().map(Record::of).map(without_account).collect();
    stage.execute("DELETE FROM account_events");
    let policy = policy().clock(stage.clock.clone()).audit_table(true);
    do_everything(&stage, &stage.users_with(policy));
    assert_eq!(stage.heard.take(), []);
    let mut held: Vec<_> = stage.records().into_iter().map(without_account).collect();
    let mut both = both;
    for records in [&mut held, &mut both] {
        records.sort_by(|one, other| {
            (&one.action, &one.outcome).cmp(&(&other.action, &other.outcome))
        });
    }
    assert_eq!(held, both);
}

fn without_either_nothing_is_recorded<C: Host>(stage: Stage<C>) {
    do_everything(&stage, &stage.users_with(policy().clock(stage.clock.clone())));
    assert_eq!((stage.heard.take(), stage.records()), (vec![], vec![]));
    let nobody = policy().clock(stage.clock.clone()).audit_table(false);
    do_everything(&stage, &stage.users_with(nobody));
    assert_eq!((stage.heard.take(), stage.records()), (vec![], vec![]));
}

fn nothing_is_said_of_who_asks_where_nobody_is_named<C: Host>(stage: Stage<C>) {
    let users = stage.users.with(Context::new()).in_realm(RealmId::NIL);
    let id = users.create_user(person("alice")).unwrap().created().unwrap().id();
    let [record] = stage.records().try_into().unwrap();
    assert_eq!((record.actor, record.client, record.request_id), (None, None, None));
    assert_eq!(record.realm, hex(&[0; 16]));
    assert_eq!(record.user_id, Some(hex(id.as_bytes())));
}

/// Whatever can be recorded, of somebody who is gone after it.
fn do_everything<C: Host>(stage: &Stage<C>, users: &UserManager<C>) {
    let id = users.create_user(person("alice")).unwrap().created().unwrap().id();
    let _ = users.create_user(person("alice")).unwrap();
    let bob = stage.create("bob").id();
    let two = NewUser::new("alice", email_of("bob"), PASSWORD);
    assert_matches!(users.create_user(two), Err(Error::Taken(_)));
    let _ = users.authenticate("alice", WRONG).unwrap();
    let _ = users.authenticate("nobody", PASSWORD).unwrap();
    let _ = users.authenticate("alice", PASSWORD).unwrap();
    let _ = users.change_password(id, WRONG, NEW_PASSWORD).unwrap();
    let _ = users.change_password(id, PASSWORD, NEW_PASSWORD).unwrap();
    users.require_password_change(id).unwrap();
    users.set_password(id, PASSWORD).unwrap();
    users.set_unusable_password(id).unwrap();
    users.disable_user(id).unwrap();
    users.enable_user(id).unwrap();
    users.unlock_user(id).unwrap();
    users.reserve_user(id).unwrap();
    users.delete_user(id).unwrap();
    stage.quiet.delete_user(bob).unwrap();
}

/// Each time they are of another one.
fn without_account(record: Record) -> Record {
    let user_id = record.user_id.map(|_| "somebody".to_owned());
    Record { id: String::new(), user_id, ..record }
}

type ActOnPool<C> = fn(&UserManager<C>, UserId) -> Result<()>;

type Act<C> = fn(&mut Accounts<'_, C>, UserId) -> Result<()>;
