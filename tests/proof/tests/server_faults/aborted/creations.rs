//! Creations: the account is there once, or not at all.

use diesel_accounts::Creation;
use diesel_accounts_proof::acts::{Act, OLD, PEOPLE_OF_AN_IMPORT, person};
use diesel_accounts_proof::host::host_rows;
use diesel_accounts_proof::workload::Connection;

use super::Scene;
use crate::support::{count_of, number, on_each_engine};

on_each_engine!(
    a_creation_that_dies_anywhere_is_made_once,
    an_import_that_dies_anywhere_is_made_batch_by_batch,
    a_host_that_dies_anywhere_leaves_both_rows_or_none,
);

fn a_creation_that_dies_anywhere_is_made_once<C: Connection>() {
    let scene = Scene::<C>::new();
    let look = |name: &str, _: &_| {
        let was_made = count_of(&scene.database, name) == 1;
        let creation = scene.users.create_user(person(name)).unwrap();
        match creation {
            Creation::Created(_) => assert!(!was_made),
            Creation::Existing(existing) => assert!(was_made && existing.is_same_creation()),
        }
        assert_eq!(count_of(&scene.database, name), 1);
        assert!(scene.users.authenticate(name, OLD).unwrap().is_accepted());
        was_made
    };
    assert!(scene.die_everywhere(Act::Create, |_| {}, look) > 2);
}

fn an_import_that_dies_anywhere_is_made_batch_by_batch<C: Connection>() {
    let scene = Scene::<C>::new();
    let mut was_halfway = false;
    let look = |name: &str, _: &_| {
        let people = format!("account_users WHERE username LIKE '{name}!_%' ESCAPE '!'");
        let imported = || number(&mut scene.database.connect(), &people);
        let (before, all) = (imported(), i64::try_from(PEOPLE_OF_AN_IMPORT).unwrap());
        assert!([0, 500, all].contains(&before), "{before}");
        was_halfway |= before == 500;
        scene.act(Act::Import, name);
        assert_eq!(imported(), all);
        before == all
    };
    assert!(scene.die_everywhere(Act::Import, |_| {}, look) > 2);
    assert!(was_halfway, "no client died between the batches");
}

fn a_host_that_dies_anywhere_leaves_both_rows_or_none<C: Connection>() {
    let scene = Scene::<C>::new();
    let look = |name: &str, _: &_| {
        let was_made = count_of(&scene.database, name) == 1;
        assert_eq!(host_rows(&scene.database), i64::from(was_made));
        scene.database.connect().batch_execute("DELETE FROM host_rows").unwrap();
        scene.act(Act::HostTransaction, name);
        assert_eq!((count_of(&scene.database, name), host_rows(&scene.database)), (1, 1));
        scene.database.connect().batch_execute("DELETE FROM host_rows").unwrap();
        was_made
    };
    assert!(scene.die_everywhere(Act::HostTransaction, |_| {}, look) > 2);
}
