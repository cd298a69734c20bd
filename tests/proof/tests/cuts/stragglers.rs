//! An insertion that the server is still at when its connection is lost: whoever asks again meets
//! it, and both are one creation.

use std::thread;
use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel_accounts::{Accounts, Creation, Duplicates, Engine, Error, NewUser, PreparedUser};
use diesel_accounts_proof::database::{ProofConnection, policy};
use diesel_accounts_proof::proxy::{Fault, Place};

use crate::on_each_server;
use crate::scene::{PASSWORD, Run, Scene, new_user};

on_each_server!(
    a_straggler_and_what_the_pool_sends_again_are_one_creation,
    a_straggler_and_what_the_host_sends_again_are_one_creation,
    a_straggler_that_comes_too_late_is_existing_when_asked_again,
);

/// The name is taken by a transaction that is rolled back when both wait for it.
fn a_straggler_and_what_the_pool_sends_again_are_one_creation<C: ProofConnection>() {
    let mut scene = Scene::<C>::without_pings();
    for _ in 0..TIMES {
        let (name, prepared, mut holder) = contested(&mut scene);
        let _run = Run::new(format!("a straggler on {:?}", C::ENGINE));
        let messages = messages_of_an_insertion(&mut scene);
        cut_unheard(&scene, messages);
        let users = scene.users.clone();
        let answer = thread::scope(|scope| {
            let call = scope.spawn(|| users.create_prepared_user(&prepared));
            wait_for_waiting(&mut scene, 2, || call.is_finished());
            holder.batch_execute("ROLLBACK").unwrap();
            call.join().unwrap()
        });
        assert!(answer.unwrap().is_created(), "this call sent both");
        expect_one(&mut scene, &name, &prepared);
    }
}

fn a_straggler_and_what_the_host_sends_again_are_one_creation<C: ProofConnection>() {
    let mut scene = Scene::<C>::without_pings();
    for _ in 0..TIMES {
        let (name, prepared, mut holder) = contested(&mut scene);
        let _run = Run::new(format!("a straggler on {:?}", C::ENGINE));
        let messages = messages_of_an_insertion(&mut scene);
        let mut conn = scene.connect();
        conn.batch_execute("SELECT 1").unwrap();
        cut_unheard(&scene, messages);
        let lost = Accounts::new(scene.policy(), &mut conn).create_user(&prepared);
        assert!(matches!(lost, Err(Error::Undetermined { .. })), "{lost:?}");
        // It waits, and a look-up misses it.
        wait_for_waiting(&mut scene, 1, || false);
        assert_eq!(scene.accounts_named(&name), 0);
        let users = scene.users.clone();
        let answer = thread::scope(|scope| {
            let call = scope.spawn(|| users.create_prepared_user(&prepared));
            wait_for_waiting(&mut scene, 2, || call.is_finished());
            holder.batch_execute("ROLLBACK").unwrap();
            call.join().unwrap()
        });
        match answer.unwrap() {
            Creation::Created(user) => assert_eq!(user.id(), prepared.id()),
            Creation::Existing(existing) => assert!(existing.is_same_creation()),
        }
        expect_one(&mut scene, &name, &prepared);
    }
}

/// The name is taken by a transaction that commits.
fn a_straggler_that_comes_too_late_is_existing_when_asked_again<C: ProofConnection>() {
    let mut scene = Scene::<C>::without_pings();
    let (name, prepared, mut holder) = contested(&mut scene);
    let _run = Run::new(format!("a straggler on {:?}", C::ENGINE));
    let messages = messages_of_an_insertion(&mut scene);
    cut_unheard(&scene, messages);
    let users = scene.users.clone();
    let answer = thread::scope(|scope| {
        let call = scope.spawn(|| users.create_prepared_user(&prepared));
        wait_for_waiting(&mut scene, 2, || call.is_finished());
        holder.batch_execute("COMMIT").unwrap();
        call.join().unwrap()
    });
    // The winner may go before the straggler has met it.
    assert!(matches!(answer, Err(Error::Undetermined { .. })), "{answer:?}");
    scene.proxy.wait_until(|proxy| proxy.connections() <= 1);
    let answer = scene.users.create_prepared_user(&prepared);
    let Ok(Creation::Existing(existing)) = answer else { panic!("{answer:?}") };
    assert!(!existing.is_same_creation());
    assert_ne!(existing.user_id(), prepared.id());
    assert_eq!(scene.accounts_named(&name), 1);
}

/// A name, somebody who is to have it, and a transaction in which somebody else has it.
fn contested<C: ProofConnection>(scene: &mut Scene<C>) -> (String, PreparedUser, C) {
    let name = scene.fresh_name();
    let prepared = scene.users.prepare(new_user(&name)).unwrap();
    let other = scene.users.prepare(new_user(&name)).unwrap();
    let mut holder = scene.connect_past();
    holder.begin(C::ISOLATIONS[0].0).unwrap();
    let created = Accounts::new(scene.policy(), &mut holder).create_user(&other).unwrap();
    assert!(created.is_created());
    (name, prepared, holder)
}

/// It waits for the address. Somebody has the username when it is sent again, and goes; then the
/// address is free. (On MariaDB whoever waits for an address has the username.)
#[test]
fn a_straggler_is_not_denied_for_somebody_who_is_in_the_way_meanwhile() {
    for duplicates in [Duplicates::ReturnExisting, Duplicates::Refuse] {
        let mut scene = Scene::<PgConnection>::with_policy(policy().duplicates(duplicates));
        let _run = Run::new(format!("a straggler and a stranger, {duplicates:?}"));
        scene.renew_pool();
        let (name, address) = (scene.fresh_name(), scene.fresh_name());
        let with_address =
            |name: &str| NewUser::new(name, format!("{address}@example.org"), PASSWORD);
        let prepared = scene.users.prepare(with_address(&name)).unwrap();
        let other = scene.users.prepare(with_address(&address)).unwrap();
        let mut holder = scene.connect_past();
        holder.begin(PgConnection::ISOLATIONS[0].0).unwrap();
        let held = Accounts::new(scene.policy(), &mut holder).create_user(&other);
        assert!(held.unwrap().is_created());

        let messages = messages_of_an_insertion(&mut scene);
        let place = Place::AfterUnheard;
        scene.proxy.set_fault(Fault::CutForGood { at: messages, place });
        let users = scene.users.clone();
        let (answer, stranger) = thread::scope(|scope| {
            let call = scope.spawn(|| users.create_prepared_user(&prepared));
            wait_for_waiting(&mut scene, 1, || call.is_finished());
            let stranger = NewUser::new(&name, format!("{name}@example.org"), PASSWORD);
            let stranger = scene.direct.create_user(stranger).unwrap().created().unwrap();
            scene.proxy.set_fault(Fault::None);
            (call.join().unwrap(), stranger)
        });
        scene.direct.delete_user(stranger.id()).unwrap();
        holder.batch_execute("ROLLBACK").unwrap();
        wait_for_waiting(&mut scene, 0, || false);
        // PostgreSQL goes on with what nobody waits for any more.
        assert_eq!(scene.accounts_named(&name), 1);
        assert!(matches!(answer, Err(Error::Undetermined { .. })), "{answer:?}");
        assert!(!scene.users.create_prepared_user(&prepared).unwrap().is_created());
        expect_one(&mut scene, &name, &prepared);
    }
}

/// Cuts the next insertion when the server has it: at its last message, on a new connection.
fn cut_unheard<C: ProofConnection>(scene: &Scene<C>, messages: u64) {
    scene.proxy.set_fault(Fault::Cut { at: messages, place: Place::AfterUnheard });
}

/// How many messages an insertion is on a new connection, as that of the pool is after this.
fn messages_of_an_insertion<C: ProofConnection>(scene: &mut Scene<C>) -> u64 {
    let name = scene.fresh_name();
    let prepared = scene.users.prepare(new_user(&name)).unwrap();
    renew_connection(scene);
    scene.proxy.set_fault(Fault::None);
    assert!(scene.users.create_prepared_user(&prepared).unwrap().is_created());
    let messages = scene.proxy.messages();
    renew_connection(scene);
    messages
}

/// Until the one before is closed: its last message would be counted with those that follow.
fn renew_connection<C: ProofConnection>(scene: &mut Scene<C>) {
    scene.renew_pool();
    scene.warm_up();
    scene.proxy.wait_until(|proxy| proxy.connections() <= 1);
}

/// Waits until so many insertions wait for the transaction of somebody else.
fn wait_for_waiting<C: ProofConnection>(
    scene: &mut Scene<C>,
    waiting: i64,
    is_answered: impl Fn() -> bool,
) {
    let query = match C::ENGINE {
        Engine::Mysql => {
            // InnoDB's own table of waits is a copy, which whoever reads it often never sees change.
            "SELECT COUNT(*) AS number FROM information_schema.processlist \
             WHERE db = DATABASE() AND state = 'Update'"
        }
        _ => {
            "SELECT COUNT(*) AS number FROM pg_stat_activity \
             WHERE application_name = current_schema() AND wait_event_type = 'Lock'"
        }
    };
    while scene.numbers(query) != [waiting] {
        assert!(!is_answered(), "nothing can be known yet");
        thread::sleep(Duration::from_millis(5));
    }
}

fn expect_one<C: ProofConnection>(scene: &mut Scene<C>, name: &str, prepared: &PreparedUser) {
    // The straggler is done with.
    scene.proxy.wait_until(|proxy| proxy.connections() <= 1);
    assert_eq!(scene.accounts_named(name), 1);
    let stored = scene.direct.user_by_username(name).unwrap().unwrap();
    assert_eq!(stored.id(), prepared.id());
    assert!(scene.is_password(name, PASSWORD));
}

/// Which of the two comes first is the server's choice.
const TIMES: u32 = 5;
