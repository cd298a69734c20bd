//! A connection that an operation has seen lost is not given back to the pool: the pool of these
//! tests does not try connections before it hands them out, so that the next operation would meet
//! it.

use std::fmt::Debug;

use diesel_accounts::{ImportUser, Result, UserId, UserManager};
use diesel_accounts_proof::database::ProofConnection;

use crate::on_each_server;
use crate::scene::{PASSWORD, PLACES, Scene, new_user};

on_each_server!(
    a_creation_gives_no_lost_connection_back,
    a_sign_in_gives_no_lost_connection_back,
    a_change_of_the_password_gives_no_lost_connection_back,
    an_act_of_an_administrator_gives_no_lost_connection_back,
    an_import_gives_no_lost_connection_back,
);

fn a_creation_gives_no_lost_connection_back<C: ProofConnection>() {
    expect_works_again::<C, _>(|users, name, _| {
        let created = users.create_user(new_user(&format!("{name}.again")));
        let existing = users.create_user(new_user(name));
        assert!(created.is_ok_and(|creation| creation.is_created()));
        existing
    });
}

fn a_sign_in_gives_no_lost_connection_back<C: ProofConnection>() {
    expect_works_again::<C, _>(|users, name, _| users.authenticate(name, PASSWORD));
    expect_works_again::<C, _>(|users, name, _| users.authenticate(name, "wrong"));
}

fn a_change_of_the_password_gives_no_lost_connection_back<C: ProofConnection>() {
    expect_works_again::<C, _>(|users, _, id| {
        users.change_password(id, PASSWORD, "battery staple")
    });
    expect_works_again::<C, _>(|users, _, id| users.set_password(id, "battery staple"));
}

fn an_act_of_an_administrator_gives_no_lost_connection_back<C: ProofConnection>() {
    expect_works_again::<C, _>(|users, _, id| users.disable_user(id));
    expect_works_again::<C, _>(|users, _, id| users.unlock_user(id));
    expect_works_again::<C, _>(|users, _, _| users.forget_old_attempts(10));
}

/// Of two who contradict each other the second is inserted by itself.
fn an_import_gives_no_lost_connection_back<C: ProofConnection>() {
    expect_works_again::<C, _>(|users, name, _| {
        let address = format!("{name}.import@example.org");
        let batch = [1, 2].map(|number| {
            ImportUser::new().username(format!("{name}.{number}")).email(address.clone())
        });
        users.import_users(batch, |_, _| ())
    });
}

fn expect_works_again<C: ProofConnection, T: Debug>(
    act: impl Fn(&UserManager<C>, &str, UserId) -> Result<T>,
) {
    expect_scene_works_again(Scene::<C>::without_pings(), act);
}

/// The same of a scene whose pool does not try connections either.
pub(crate) fn expect_scene_works_again<C: ProofConnection, T: Debug>(
    mut scene: Scene<C>,
    act: impl Fn(&UserManager<C>, &str, UserId) -> Result<T>,
) {
    scene.cut_everywhere(
        &PLACES,
        Scene::fresh_user,
        |scene, user| act(&scene.users, user.username().unwrap(), user.id()),
        |scene, _, answer, cut| {
            assert!(answer.is_ok() || cut.has_happened);
            let next = scene.users.user_by_username("nobody");
            // MariaDB's clients close a statement without waiting for an answer. What is lost after
            // that, nobody has seen.
            let is_unseen = answer.is_ok() && cut.was_last;
            assert!(next.is_ok() || is_unseen, "{next:?}");
        },
    );
}
