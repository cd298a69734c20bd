//! Acts that are recorded: the act and its record are there, or neither is.

use std::sync::{Arc, Mutex};

use diesel_accounts::{
    Accounts, AuditEvent, AuditSink, Creation, Error, PasswordChange, SignIn, User, UserId,
};
use diesel_accounts_proof::database::{ProofConnection, policy};

use crate::on_each_server;
use crate::pool::expect_scene_works_again;
use crate::scene::{PASSWORD, PLACES, Scene, counts, expect_lost, new_user};

on_each_server!(
    a_creation_on_the_pool_has_one_record,
    a_creation_that_is_sent_twice_has_one_record,
    a_creation_on_a_lent_connection_and_its_record_are_there_or_neither_is,
    a_first_sign_in_and_its_record_are_there_or_neither_is,
    a_sign_in_that_changes_only_counts_and_its_record_are_there_or_neither_is,
    a_change_of_the_password_and_its_record_are_there_or_neither_is,
    a_disabled_account_and_the_record_of_it_are_there_or_neither_is,
    a_deletion_and_its_record_are_there_or_neither_is,
    a_refused_password_is_recorded_once_at_most,
    what_is_recorded_by_itself_gives_no_lost_connection_back,
    what_is_recorded_with_its_act_gives_no_lost_connection_back,
);

fn a_creation_on_the_pool_has_one_record<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_name,
        |scene, name| scene.users.create_user(new_user(name)),
        |scene, name, answer, _| {
            let Ok(Creation::Created(user)) = answer else { panic!("it is not created") };
            expect_one_record_of_each_account(scene);
            assert_eq!(scene.accounts_named(name), 1);
            assert_eq!(heard.count("create", "created", user.id()), 1);
            assert_eq!(heard.all(), records(scene, "1 = 1"), "what was heard is recorded");
        },
    );
}

fn a_creation_that_is_sent_twice_has_one_record<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let name = scene.fresh_name();
            (scene.users.prepare(new_user(&name)).unwrap(), name)
        },
        |scene, (prepared, _)| {
            let first = scene.users.create_prepared_user(prepared);
            (first, scene.users.create_prepared_user(prepared))
        },
        |scene, (prepared, name), (first, second), cut| {
            assert!(first.is_ok_and(|creation| creation.is_created()));
            let Ok(Creation::Existing(existing)) = second else { panic!("it does not exist") };
            assert!(existing.is_same_creation());
            expect_one_record_of_each_account(scene);
            assert_eq!(heard.count("create", "created", prepared.id()), 1);
            // The record of an answer alone may be lost, but it is never made twice.
            let existing = records_of(scene, name, "create", "existing");
            assert!(existing == 1 || cut.has_happened && existing == 0, "{existing}");
        },
    );
}

fn a_creation_on_a_lent_connection_and_its_record_are_there_or_neither_is<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    let mut behind_it = Vec::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let name = scene.fresh_name();
            (scene.connect(), scene.users.prepare(new_user(&name)).unwrap(), name)
        },
        |scene, (conn, prepared, _)| Accounts::new(scene.policy(), conn).create_user(prepared),
        |scene, (_, prepared, name), answer, cut| {
            expect_one_record_of_each_account(scene);
            let was_there = scene.accounts_named(name) == 1;
            let told = heard.count("create", "created", prepared.id());
            match answer {
                Ok(Creation::Created(_)) => assert!(was_there && told == 1),
                Err(Error::Undetermined { id, .. }) if cut.has_happened => {
                    assert_eq!((id, told), (prepared.id(), 0));
                    behind_it.push(was_there);
                }
                _ => panic!("it is neither created nor undetermined"),
            }
            match scene.users.create_prepared_user(prepared).unwrap() {
                Creation::Created(_) => assert!(!was_there),
                Creation::Existing(existing) => assert!(was_there && existing.is_same_creation()),
            }
            expect_one_record_of_each_account(scene);
            assert_eq!(scene.accounts_named(name), 1);
            assert!(heard.count("create", "created", prepared.id()) <= 1);
        },
    );
    assert!(behind_it.contains(&true) && behind_it.contains(&false), "{behind_it:?}");
}

fn a_first_sign_in_and_its_record_are_there_or_neither_is<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.authenticate(user.username().unwrap(), PASSWORD),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let signed_in = format!("username_key = '{name}' AND last_sign_in_at > 0");
            let is_done = scene.accounts(&signed_in);
            assert_eq!(records_of(scene, name, "sign_in", "accepted"), is_done);
            expect_accepted_or_lost(&heard, user, answer, is_done == 1, cut.has_happened);
            expect_next_sign_in_is_recorded(scene, name);
        },
    );
}

fn a_sign_in_that_changes_only_counts_and_its_record_are_there_or_neither_is<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            let name = user.username().unwrap();
            assert!(scene.is_password(name, PASSWORD), "and not due to be written down again");
            assert!(!scene.is_password(name, "wrong"));
            user
        },
        |scene, user| scene.users.authenticate(user.username().unwrap(), PASSWORD),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let is_done = counts(scene, name) == [0, 0];
            assert_eq!(records_of(scene, name, "sign_in", "accepted"), i64::from(is_done));
            expect_accepted_or_lost(&heard, user, answer, is_done, cut.has_happened);
            expect_next_sign_in_is_recorded(scene, name);
        },
    );
}

fn a_change_of_the_password_and_its_record_are_there_or_neither_is<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.change_password(user.id(), PASSWORD, NEW_PASSWORD),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let changed = format!("username_key = '{name}' AND session_generation = 1");
            let is_done = scene.accounts(&changed) == 1;
            assert_eq!(records_of(scene, name, "change_password", "changed"), i64::from(is_done));
            match answer {
                Ok(PasswordChange::Changed(_)) => assert!(is_done),
                Err(error) => expect_lost(&error, cut),
                _ => panic!("the password is right"),
            }
            assert!(heard.count("change_password", "changed", user.id()) <= usize::from(is_done));
            if !is_done {
                let again = scene.users.change_password(user.id(), PASSWORD, NEW_PASSWORD);
                assert!(again.unwrap().is_changed());
            }
            assert_eq!(records_of(scene, name, "change_password", "changed"), 1);
            assert!(scene.is_password(name, NEW_PASSWORD));
        },
    );
}

fn a_disabled_account_and_the_record_of_it_are_there_or_neither_is<C: ProofConnection>() {
    let (mut scene, heard) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.disable_user(user.id()),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let disabled = format!("username_key = '{name}' AND state = 1");
            let is_done = scene.accounts(&disabled) == 1;
            assert_eq!(records_of(scene, name, "disable", "done"), i64::from(is_done));
            match answer {
                Ok(()) => assert_eq!(heard.count("disable", "done", user.id()), 1),
                Err(error) => {
                    expect_lost(&error, cut);
                    assert_eq!(heard.count("disable", "done", user.id()), 0);
                }
            }
            scene.users.disable_user(user.id()).unwrap();
            assert_eq!(scene.accounts(&disabled), 1);
            assert_eq!(records_of(scene, name, "disable", "done"), 1 + i64::from(is_done));
        },
    );
}

/// The record outlives the account, so that it is counted by itself.
fn a_deletion_and_its_record_are_there_or_neither_is<C: ProofConnection>() {
    let (mut scene, _) = recorded::<C>();
    let mut deleted = 0;
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.delete_user(user.id()),
        |scene, user, answer, cut| {
            let is_done = scene.accounts_named(user.username().unwrap()) == 0;
            let recorded =
                |scene: &mut Scene<C>| records(scene, "action = 'delete' AND outcome = 'done'");
            assert_eq!(recorded(scene), deleted + usize::from(is_done));
            match answer {
                Ok(()) => assert!(is_done),
                Err(error) => expect_lost(&error, cut),
            }
            match scene.users.delete_user(user.id()) {
                Ok(()) => assert!(!is_done),
                Err(error) => assert!(is_done && matches!(error, Error::UserNotFound)),
            }
            deleted += 1;
            assert_eq!(recorded(scene), deleted);
        },
    );
}

fn a_refused_password_is_recorded_once_at_most<C: ProofConnection>() {
    let (mut scene, _) = recorded::<C>();
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| scene.users.authenticate(user.username().unwrap(), "wrong"),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let recorded = records_of(scene, name, "sign_in", "wrong_password");
            match answer {
                Ok(SignIn::Refused(_)) => {
                    assert_eq!(counts(scene, name), [1, 1], "it counts whether recorded or not");
                    assert!(recorded == 1 || cut.has_happened && recorded == 0, "{recorded}");
                }
                Err(error) => {
                    expect_lost(&error, cut);
                    assert_eq!(recorded, 0);
                }
                _ => panic!("the password is wrong"),
            }
        },
    );
}

/// Whoever writes a record hears that the connection is lost, unless the record is there: then it may
/// have been lost after the answer.
fn what_is_recorded_by_itself_gives_no_lost_connection_back<C: ProofConnection>() {
    let acts: [(&str, &str, Act<C>); 3] = [
        ("sign_in", "wrong_password", |scene, user| {
            scene.users.authenticate(user.username().unwrap(), "wrong").map(drop)
        }),
        ("change_password", "wrong_password", |scene, user| {
            scene.users.change_password(user.id(), "wrong", NEW_PASSWORD).map(drop)
        }),
        ("create", "existing", |scene, user| {
            scene.users.create_user(new_user(user.username().unwrap())).map(drop)
        }),
    ];
    for (action, outcome, act) in acts {
        without_pings::<C>().cut_everywhere(
            &PLACES,
            Scene::fresh_user,
            |scene, user| act(scene, user),
            |scene, user, answer, cut| {
                let next = scene.users.user_by_username("nobody");
                let recorded = records_of(scene, user.username().unwrap(), action, outcome);
                let is_unseen = answer.is_ok() && recorded == 1 && cut.was_last;
                assert!(next.is_ok() || is_unseen, "{action}: {recorded} recorded; {next:?}");
            },
        );
    }
}

fn what_is_recorded_with_its_act_gives_no_lost_connection_back<C: ProofConnection>() {
    expect_scene_works_again(without_pings::<C>(), |users, name, _| {
        users.create_user(new_user(&format!("{name}.again")))
    });
    expect_scene_works_again(without_pings::<C>(), |users, name, _| {
        users.authenticate(name, PASSWORD)
    });
    expect_scene_works_again(without_pings::<C>(), |users, _, id| users.disable_user(id));
}

fn expect_accepted_or_lost(
    heard: &Heard,
    user: &User,
    answer: diesel_accounts::Result<SignIn>,
    is_done: bool,
    was_cut: bool,
) {
    let told = heard.count("sign_in", "accepted", user.id());
    match answer {
        Ok(SignIn::Accepted(_)) => assert!(is_done && told == 1),
        Err(Error::Database(_)) if was_cut => assert_eq!(told, 0),
        _ => panic!("the password is right"),
    }
}

fn expect_next_sign_in_is_recorded<C: ProofConnection>(scene: &mut Scene<C>, name: &str) {
    let before = records_of(scene, name, "sign_in", "accepted");
    assert!(scene.users.authenticate(name, PASSWORD).unwrap().is_accepted());
    assert_eq!(records_of(scene, name, "sign_in", "accepted"), before + 1);
}

/// Of all accounts that are there, and of none that is not. All were made by creations that are
/// recorded.
fn expect_one_record_of_each_account<C: ProofConnection>(scene: &mut Scene<C>) {
    let created = "action = 'create' AND outcome = 'created'";
    let others = scene.accounts(&format!(
        "(SELECT COUNT(*) FROM account_events WHERE user_id = account_users.id AND {created}) <> 1"
    ));
    assert_eq!(others, 0, "accounts with no record, or with two");
    let of_nobody = format!("{created} AND user_id NOT IN (SELECT id FROM account_users)");
    assert_eq!(records(scene, &of_nobody), 0, "records of no account");
}

/// How many records there are of something with an account that is there.
fn records_of<C: ProofConnection>(
    scene: &mut Scene<C>,
    name: &str,
    action: &str,
    outcome: &str,
) -> i64 {
    scene.numbers(&format!(
        "SELECT COUNT(*) AS number FROM account_events JOIN account_users \
         ON account_users.id = user_id WHERE username_key = '{name}' \
         AND action = '{action}' AND outcome = '{outcome}'"
    ))[0]
}

fn records<C: ProofConnection>(scene: &mut Scene<C>, condition: &str) -> usize {
    let records = format!("SELECT COUNT(*) AS number FROM account_events WHERE {condition}");
    scene.numbers(&records)[0].try_into().unwrap()
}

/// Where what is done through the proxy is recorded, and heard. What is done past it is neither.
fn recorded<C: ProofConnection>() -> (Scene<C>, Heard) {
    let heard = Heard::default();
    let policy = policy().audit_table(true).audit_sink(heard.clone());
    (Scene::with_policy(policy), heard)
}

fn without_pings<C: ProofConnection>() -> Scene<C> {
    let (mut scene, _) = recorded();
    scene.renew_pool();
    scene
}

type Act<C> = fn(&Scene<C>, &User) -> diesel_accounts::Result<()>;

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<AuditEvent>>>);

impl Heard {
    fn all(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn count(&self, action: &str, outcome: &str, id: UserId) -> usize {
        let is_so = |event: &&AuditEvent| {
            (event.action(), event.outcome(), event.user_id()) == (action, outcome, Some(id))
        };
        self.0.lock().unwrap().iter().filter(is_so).count()
    }
}

impl AuditSink for Heard {
    fn record(&self, event: &AuditEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

const NEW_PASSWORD: &str = "battery staple";
