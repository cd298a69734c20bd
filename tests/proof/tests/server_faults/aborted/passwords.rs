//! New passwords: all that belongs to one is so, or nothing.

use diesel_accounts_proof::acts::{Act, NEW, OLD};
use diesel_accounts_proof::workload::Connection;

use super::{Scene, UNTOUCHED, Victim};
use crate::support::on_each_engine;

on_each_engine!(
    a_change_of_password_that_dies_anywhere_is_made_or_not,
    a_password_whose_setting_dies_anywhere_is_set_or_not,
);

fn a_change_of_password_that_dies_anywhere_is_made_or_not<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| scene.make_with_failures(name, 2);
    let look = |name: &str, victim: &Victim| {
        let (was_made, counts) = (was_made(&scene, name), scene.counts(name));
        match was_made {
            true => assert_eq!(counts, [0, 0]),
            false if victim.has_looked => assert_eq!(counts, [3, 3]),
            false => assert!(counts.iter().all(|count| [2, 3].contains(count)), "{counts:?}"),
        }
        assert!(victim.has_looked || !was_made);
        expect_password(&scene, name, was_made);
        scene.act(Act::ChangePassword, name);
        assert!(scene.is_so(name, "session_generation = 1"));
        expect_password(&scene, name, true);
        was_made
    };
    assert!(scene.die_everywhere(Act::ChangePassword, given, look) > 5);
}

fn a_password_whose_setting_dies_anywhere_is_set_or_not<C: Connection>() {
    let scene = Scene::<C>::new();
    let given = |name: &str| scene.make_with_failures(name, 2);
    let look = |name: &str, _: &Victim| {
        let was_made = was_made(&scene, name);
        assert_eq!(scene.counts(name), if was_made { &[][..] } else { &[2, 2] });
        expect_password(&scene, name, was_made);
        scene.act(Act::SetPassword, name);
        assert!(scene.is_so(name, &format!("session_generation = {}", 1 + i64::from(was_made))));
        assert!(scene.counts(name).is_empty());
        expect_password(&scene, name, true);
        was_made
    };
    assert!(scene.die_everywhere(Act::SetPassword, given, look) > 3);
}

/// Whether the password is another, and the sessions have ended, or neither is so.
fn was_made<C: Connection>(scene: &Scene<C>, name: &str) -> bool {
    let was_made = scene.is_so(
        name,
        "state = 0 AND session_generation = 1 AND password_hash LIKE '%m=16,%' \
         AND username IS NOT NULL AND email IS NOT NULL AND updated_at = password_changed_at",
    );
    assert_ne!(was_made, scene.is_so(name, UNTOUCHED), "one without the other");
    was_made
}

fn expect_password<C: Connection>(scene: &Scene<C>, name: &str, is_new: bool) {
    assert_eq!(scene.accepts(name, OLD), !is_new);
    assert_eq!(scene.accepts(name, NEW), is_new);
}
