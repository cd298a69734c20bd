//! Servers that stay away, connections that are reset, silent, or slow: the documented error, and
//! never one that says "not created" of an account that is there.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use diesel::PgConnection;
use diesel_accounts::{Accounts, Creation, Error, PolicyBuilder, UserId, UserManager};
use diesel_accounts_proof::database::{ProofConnection, policy, pool_at};
use diesel_accounts_proof::proxy::{Fault, Place};

use crate::on_each_server;
use crate::scene::{PASSWORD, Run, Scene, new_user};

on_each_server!(
    a_creation_whose_server_stays_away_is_undetermined_or_truly_not_made,
    nothing_is_done_while_nobody_can_connect,
    a_lent_connection_that_is_refused_is_undetermined,
    a_creation_in_a_black_hole_goes_on_when_that_ends,
    a_sign_in_in_a_black_hole_ends_with_it,
    slow_connections_only_take_their_time,
    a_creation_slower_than_its_deadline_tells_the_truth,
);

fn a_creation_whose_server_stays_away_is_undetermined_or_truly_not_made<C: ProofConnection>() {
    let mut scene = Scene::<C>::with_policy(impatient());
    let mut undetermined = BTreeSet::new();
    for place in Place::IN_ORDER {
        scene.fail_everywhere(
            &format!("{place:?} and for good"),
            |at| Fault::CutForGood { at, place },
            // A pool that could not connect waits for longer than the next run has time.
            &mut |scene| (scene.other_users(), scene.fresh_name(), UserId::new()),
            &mut |_, (users, name, id)| users.create_user(new_user(name).with_id(*id)),
            &mut |scene, (_, name, id), answer, _| {
                let was_there = expect_truth(scene, name, &answer);
                if let Err(Error::Undetermined { id: told, .. }) = answer {
                    assert_eq!(told, *id);
                    undetermined.insert(was_there);
                }
                let settled = scene.direct.create_user(new_user(name).with_id(*id)).unwrap();
                match settled {
                    Creation::Created(user) => assert!(!was_there && user.id() == *id),
                    Creation::Existing(existing) => {
                        assert!(was_there && existing.is_same_creation());
                    }
                }
                assert_eq!(scene.accounts_named(name), 1);
                assert!(scene.is_password(name, PASSWORD));
            },
        );
    }
    assert_eq!(undetermined.len(), 2, "both were behind it: a row, and none");
    scene.expect_whole_pool();
}

fn nothing_is_done_while_nobody_can_connect<C: ProofConnection>() {
    let mut scene = Scene::<C>::with_policy(impatient());
    for fault in [Fault::Refuse, Fault::HangUp, Fault::Reset] {
        let _run = Run::new(format!("{fault:?} on {:?}", C::ENGINE));
        let user = scene.fresh_user();
        let (name, id) = (user.username().unwrap(), user.id());
        let fresh = scene.fresh_name();
        scene.warm_up();
        scene.proxy.set_fault(fault);
        scene.proxy.cut_all();
        let users = &scene.users;
        let errors = [
            users.create_user(new_user(&fresh)).map(drop),
            users.create_prepared_user(&users.prepare(new_user(&fresh)).unwrap()).map(drop),
            users.authenticate(name, PASSWORD).map(drop),
            users.change_password(id, PASSWORD, "battery staple").map(drop),
            users.set_password(id, "battery staple"),
            users.disable_user(id),
            users.delete_user(id),
            users.forget_old_attempts(10).map(drop),
            users.migrate(),
        ];
        for answer in errors {
            assert!(matches!(answer, Err(Error::Pool(_))), "{answer:?}");
        }
        scene.proxy.set_fault(Fault::None);
        assert_eq!(scene.accounts_named(&fresh), 0);
        assert_eq!(scene.direct.user_by_id(id).unwrap().as_ref(), Some(&user));
        assert!(scene.is_password(name, PASSWORD));
        // The pool waits longer from one failure to the next, and an impatient call may not.
        let patient = UserManager::with_policy(scene.pool().clone(), policy().build().unwrap());
        assert!(patient.create_user(new_user(&fresh)).unwrap().is_created());
    }
    scene.expect_whole_pool();
}

fn a_lent_connection_that_is_refused_is_undetermined<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    for fault in [Fault::Refuse, Fault::Reset] {
        let _run = Run::new(format!("{fault:?} on {:?}", C::ENGINE));
        let name = scene.fresh_name();
        let prepared = scene.users.prepare(new_user(&name)).unwrap();
        let mut conn = scene.connect();
        scene.proxy.set_fault(fault);
        let answer = Accounts::new(scene.policy(), &mut conn).create_user(&prepared);
        assert!(matches!(answer, Err(Error::Undetermined { .. })), "{answer:?}");
        scene.proxy.set_fault(Fault::None);
        assert_eq!(scene.accounts_named(&name), 0);
        let answer = Accounts::new(scene.policy(), &mut scene.connect()).create_user(&prepared);
        assert!(answer.unwrap().is_created());
    }
}

fn a_creation_in_a_black_hole_goes_on_when_that_ends<C: ProofConnection>() {
    swallow_everywhere::<C, _>(
        |users, name| users.create_user(new_user(&format!("{name}.new"))),
        |scene, name, answer| {
            assert!(answer.unwrap().is_created());
            assert_eq!(scene.accounts_named(&format!("{name}.new")), 1);
        },
    );
}

fn a_sign_in_in_a_black_hole_ends_with_it<C: ProofConnection>() {
    swallow_everywhere::<C, _>(
        |users, name| users.authenticate(name, PASSWORD),
        |scene, name, answer| {
            match answer {
                Ok(answer) => assert!(answer.is_accepted()),
                Err(error) => assert!(matches!(error, Error::Database(_)), "{error:?}"),
            }
            assert!(scene.is_password(name, PASSWORD), "nobody waits");
        },
    );
}

/// It bounds how long the network may leave what was sent without a receipt. What swallows bytes
/// after the network gave the receipt, a server that hangs among them, is not what it sees:
/// `statement_timeout` is for servers that can still count, and nothing for those that cannot.
#[test]
fn tcp_user_timeout_does_not_end_a_call_whose_bytes_arrived() {
    let mut scene = Scene::<PgConnection>::new();
    let pool = pool_at::<PgConnection>(&scene.url_with("tcp_user_timeout=50"), 1);
    let users = UserManager::with_policy(pool, scene.policy().clone());
    assert_eq!(users.user_by_username("nobody").unwrap(), None);
    let name = scene.fresh_name();
    let _run = Run::new("a black hole".to_owned());
    scene.proxy.set_fault(Fault::BlackHole);
    let answer = thread::scope(|scope| {
        let call = scope.spawn(|| users.create_user(new_user(&name)));
        scene.proxy.wait_until(|proxy| proxy.strikes() > 0);
        // Long after it would have ended; a call that can end has a chance to.
        thread::sleep(Duration::from_millis(500));
        assert!(!call.is_finished());
        scene.proxy.set_fault(Fault::None);
        call.join().unwrap()
    });
    assert!(answer.unwrap().is_created());
    assert_eq!(scene.accounts_named(&name), 1);
}

fn slow_connections_only_take_their_time<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    let (user, name) = (scene.fresh_user(), scene.fresh_name());
    let _run = Run::new(format!("a slow connection on {:?}", C::ENGINE));
    scene.proxy.set_fault(Fault::Slow { pause: Duration::from_micros(100) });
    let created = scene.cold_users().create_user(new_user(&name)).unwrap();
    assert!(created.is_created());
    let existing = scene.users.create_user(new_user(user.username().unwrap())).unwrap();
    assert!(matches!(existing, Creation::Existing(existing) if existing.user_id() == user.id()));
    let changed = scene.users.change_password(user.id(), PASSWORD, "battery staple").unwrap();
    assert!(changed.is_changed());
    let accepted = scene.users.authenticate(user.username().unwrap(), "battery staple").unwrap();
    assert!(accepted.is_accepted());
    assert_eq!(scene.accounts_named(&name), 1);
}

/// What is under way when the time is up may succeed or not.
fn a_creation_slower_than_its_deadline_tells_the_truth<C: ProofConnection>() {
    let mut scene = Scene::<C>::with_policy(policy().deadline(Duration::from_millis(20)));
    for pause in [10, 30, 100, 300] {
        let name = scene.fresh_name();
        let _run = Run::new(format!("a slow connection on {:?}", C::ENGINE));
        scene.warm_up();
        scene.proxy.set_fault(Fault::Slow { pause: Duration::from_micros(pause) });
        let answer = scene.users.create_user(new_user(&name));
        scene.proxy.set_fault(Fault::None);
        expect_truth(&mut scene, &name, &answer);
    }
}

/// Runs an operation again and again, each time with a black hole from one message more on, which
/// ends as soon as it has swallowed something.
fn swallow_everywhere<C: ProofConnection, A: Send>(
    act: impl Fn(&UserManager<C>, &str) -> A + Sync,
    judge: impl Fn(&mut Scene<C>, &str, A),
) {
    let mut scene = Scene::<C>::new();
    for at in 1.. {
        let _run = Run::new(format!("a black hole from message {at} on {:?}", C::ENGINE));
        let user = scene.fresh_user();
        let name = user.username().unwrap();
        scene.warm_up();
        scene.proxy.set_fault(Fault::From { at, fault: Box::new(Fault::BlackHole) });
        let users = scene.users.clone();
        let proxy = &scene.proxy;
        let (answer, has_happened) = thread::scope(|scope| {
            let call = scope.spawn(|| act(&users, name));
            proxy.wait_until(|proxy| proxy.strikes() > 0 || call.is_finished());
            let has_happened = proxy.set_fault(Fault::None).strikes > 0;
            (call.join().unwrap(), has_happened)
        });
        judge(&mut scene, name, answer);
        if !has_happened {
            assert!(at > 1, "something was sent");
            break;
        }
    }
    scene.expect_whole_pool();
}

/// What the answer says of the account is so; whether the account is there.
fn expect_truth<C: ProofConnection>(
    scene: &mut Scene<C>,
    name: &str,
    answer: &diesel_accounts::Result<Creation>,
) -> bool {
    let rows = scene.accounts_named(name);
    match answer {
        Ok(creation) => assert!(creation.is_created() && rows == 1),
        Err(Error::Undetermined { .. }) => assert!(rows <= 1),
        // All of them say that it was not created.
        Err(Error::Pool(_) | Error::Busy | Error::HashingBusy { .. }) => assert_eq!(rows, 0),
        Err(error) => panic!("{error:?} is not what happened"),
    }
    rows == 1
}

/// Who gives up soon.
fn impatient() -> PolicyBuilder {
    policy().deadline(Duration::from_millis(100))
}
