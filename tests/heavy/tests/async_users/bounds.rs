//! How much is done at once, and that no kind of operation keeps another one out.

use std::task::Poll;
use std::time::Duration;

use diesel_accounts::{AsyncUserManager, Context, RealmId};
use diesel_accounts_proof::workload::Connection;

use crate::drops::create;
use crate::on_each_engine;
use crate::stage::{OTHER_PLACES, PLACES, Settings, Stage, code_of, password_of, person};
use crate::turnstile::Turnstile;

on_each_engine!(
    many_callers_are_served_and_never_more_at_once_than_there_are_places,
    a_flood_of_creations_does_not_keep_sign_ins_out,
    a_flood_of_sign_ins_does_not_keep_creations_and_look_ups_out,
    a_flood_of_look_ups_keeps_nobody_out_who_hashes,
    no_more_may_wait_for_a_hash_than_the_queue_is_long,
    any_number_may_wait_for_a_look_up,
    a_clone_shares_the_bounds,
);

fn many_callers_are_served_and_never_more_at_once_than_there_are_places<C: Connection>(
    stage: Stage<C>,
) {
    let users = stage.users(Settings::default());
    let others = Turnstile::default();
    create(&stage, &users, "alice");
    let callers: Vec<_> = (0..40)
        .map(|number| {
            let (users, others) = (users.clone(), others.clone());
            stage.spawn(async move {
                let name = format!("caller{number}");
                assert!(users.create_user(person(&name)).await.unwrap().is_created());
                let sign_in = users.authenticate(&name[..], password_of(&name)).await.unwrap();
                let id = sign_in.accepted().unwrap().user().id();
                let looks_up = others.clone();
                let found =
                    users.run(move |users| looks_up.pass("", || users.user_by_id(id))).await;
                assert!(found.unwrap().is_some());
                users.set_password(id, "battery staple").await.unwrap();
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| stage.run(caller).unwrap());
    assert!(stage.crowd.most("create_user") <= PLACES);
    assert!(stage.crowd.most("authenticate") <= PLACES);
    assert!(others.most() <= OTHER_PLACES);
    // And that is what can be had.
    stage.assert_all_places_are_there(&users);
}

/// A sign-in that came after all of them is done before all of them are.
fn a_flood_of_creations_does_not_keep_sign_ins_out<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    create(&stage, &users, "alice");
    stage.hashes.shut();
    let flood: Vec<_> = (0..FLOOD)
        .map(|number| {
            let users = users.clone();
            let person = person(&format!("flood{number}"));
            stage.spawn(async move { users.create_user(person).await })
        })
        .collect();
    stage.run(tokio::task::yield_now());
    let sign_in = {
        let users = users.clone();
        stage.spawn(async move { users.authenticate("alice", password_of("alice")).await })
    };
    let (hashes, crowd) = (stage.hashes.clone(), stage.crowd.clone());
    let serving = stage.runtime.spawn_blocking(move || {
        crowd.wait_until_inside("authenticate", 1);
        let alice = password_of("alice");
        let mut served = 0;
        // One after the other, until it is her turn; one hash was that of her creation.
        loop {
            hashes.wait_until_came(1 + served + 1);
            if hashes.came_as(&alice) > 1 {
                hashes.open();
                return served;
            }
            hashes.let_one_out();
            served += 1;
        }
    });
    let served = stage.run(serving).unwrap();
    assert!(served < FLOOD, "all {served} were served before her");
    assert!(stage.run(sign_in).unwrap().unwrap().is_accepted());
    flood.into_iter().for_each(|creation| {
        assert!(stage.run(creation).unwrap().unwrap().is_created());
    });
}

fn a_flood_of_sign_ins_does_not_keep_creations_and_look_ups_out<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let alice = create(&stage, &users, "alice");
    stage.hashes.shut();
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| stage.begin(users.authenticate("alice", password_of("alice"))))
        .collect();
    stage.crowd.wait_until_inside("authenticate", PLACES);
    stage.hashes.wait_until_inside(1);
    let found = stage.run(users.user_by_username("alice")).unwrap();
    assert_eq!(found, Some(alice));
    let without_hash = person("bob").without_password();
    assert!(stage.run(users.create_user(without_hash)).unwrap().is_created());
    stage.hashes.open();
    flood.into_iter().for_each(|sign_in| assert!(stage.run(sign_in).unwrap().is_accepted()));
}

fn a_flood_of_look_ups_keeps_nobody_out_who_hashes<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let others = Turnstile::new_shut();
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| {
            let others = others.clone();
            stage.begin(users.run(move |_| others.pass("", || Ok(()))))
        })
        .collect();
    others.wait_until_inside(OTHER_PLACES);
    create(&stage, &users, "alice");
    let sign_in = stage.run(users.authenticate("alice", password_of("alice"))).unwrap();
    assert!(sign_in.is_accepted());
    others.open();
    flood.into_iter().for_each(|other| stage.run(other).unwrap());
    assert_eq!(others.most(), OTHER_PLACES);
}

fn no_more_may_wait_for_a_hash_than_the_queue_is_long<C: Connection>(stage: Stage<C>) {
    const QUEUE: usize = 4;
    let users = stage.users(Settings { queue_length: QUEUE, ..Settings::default() });
    create(&stage, &users, "alice");
    stage.hashes.shut();
    let waiting: Vec<_> = (0..PLACES + QUEUE)
        .map(|number| {
            let creation = stage.begin(users.create_user(person(&format!("waiting{number}"))));
            let sign_in = stage.begin(users.authenticate("alice", password_of("alice")));
            (creation, sign_in)
        })
        .collect();
    // At once: at the first poll.
    let Poll::Ready(refused) = stage.poll(&mut (Box::pin(users.create_user(person("late"))) as _))
    else {
        panic!("it waits")
    };
    assert_eq!(code_of(refused), Some("hashing_busy"));
    let sign_in = users.authenticate("alice", password_of("alice"));
    let Poll::Ready(refused) = stage.poll(&mut (Box::pin(sign_in) as _)) else {
        panic!("it waits")
    };
    assert_eq!(code_of(refused), Some("hashing_busy"));
    stage.hashes.open();
    for (creation, sign_in) in waiting {
        assert!(stage.run(creation).unwrap().is_created());
        assert!(stage.run(sign_in).unwrap().is_accepted());
    }
    assert!(stage.hashes.came_as(&password_of("late")) == 0);
    assert!(stage.run(users.create_user(person("late"))).unwrap().is_created());
}

fn any_number_may_wait_for_a_look_up<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings { queue_length: 0, ..Settings::default() });
    let others = Turnstile::new_shut();
    let waiting: Vec<_> = (0..500)
        .map(|_| {
            let others = others.clone();
            stage.begin(users.run(move |_| others.pass("", || Ok(()))))
        })
        .collect();
    others.wait_until_inside(OTHER_PLACES);
    others.open();
    waiting.into_iter().for_each(|other| stage.run(other).unwrap());
    assert_eq!((others.came(), others.most()), (500, OTHER_PLACES));
}

fn a_clone_shares_the_bounds<C: Connection>(stage: Stage<C>) {
    fn is_for_hosts<T: Clone + Send + Sync + 'static>(_: &T) {}
    let users = stage.users(Settings { patience: FAIR, ..Settings::default() });
    is_for_hosts(&users);
    let others = Turnstile::new_shut();
    let held: Vec<_> = (0..OTHER_PLACES)
        .map(|_| {
            let others = others.clone();
            stage.begin(users.run(move |_| others.pass("", || Ok(()))))
        })
        .collect();
    others.wait_until_inside(OTHER_PLACES);
    let realm = RealmId::from_bytes([7; 16]);
    let sharing = [users.clone(), users.in_realm(realm), users.with(Context::new().client("x"))];
    let waiting: Vec<_> =
        sharing.iter().map(|users| stage.begin(users.user_by_username("alice"))).collect();
    for waiting in waiting {
        assert_eq!(code_of(stage.run(waiting)), Some("busy"));
    }
    let another = AsyncUserManager::new(users.blocking().clone());
    assert_eq!(stage.run(another.user_by_username("alice")).unwrap(), None);
    others.open();
    held.into_iter().for_each(|held| stage.run(held).unwrap());
    // And they do what their blocking twins do.
    assert!(stage.run(sharing[1].create_user(person("alice"))).unwrap().is_created());
    assert_eq!(stage.run(sharing[0].user_by_username("alice")).unwrap(), None);
    assert_eq!(sharing[1].blocking().realm(), realm);
}

/// Many more than there are places.
const FLOOD: usize = 30;
/// For what begins unless it is kept from it.
const FAIR: Duration = Duration::from_secs(1);
