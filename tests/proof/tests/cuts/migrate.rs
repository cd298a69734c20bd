//! Migrations: whatever was cut off, a repetition completes.

use diesel_accounts::Error;
use diesel_accounts_proof::database::ProofConnection;
use diesel_accounts_proof::proxy::Place;

use crate::on_each_server;
use crate::scene::{Scene, new_user};

on_each_server!(a_migration_is_completed_by_the_next);

fn a_migration_is_completed_by_the_next<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &Place::IN_ORDER,
        Scene::empty_database,
        |_, users| users.migrate(),
        |_, users, answer, cut| {
            match answer {
                Ok(()) => {}
                Err(Error::Database(_)) => assert!(cut.has_happened),
                Err(error) => panic!("{error:?} is not documented"),
            }
            users.migrate().unwrap();
            let report = users.check().unwrap();
            assert!(report.findings().is_empty(), "{report:?}");
            assert!(users.create_user(new_user("alice")).unwrap().is_created());
        },
    );
}
