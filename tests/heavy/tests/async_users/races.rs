//! Many creations of one person at once.

use diesel_accounts::{Creation, NewUser};
use diesel_accounts_proof::workload::Connection;

use crate::on_each_engine;
use crate::stage::{Settings, Stage};

on_each_engine!(of_many_creations_of_one_person_at_once_one_creates);

fn of_many_creations_of_one_person_at_once_one_creates<C: Connection>(stage: Stage<C>) {
    let users = stage.users(Settings::default());
    let creations: Vec<_> = (0..50)
        .map(|number| {
            let users = users.clone();
            stage.spawn(async move { users.create_user(alice_spelled(number)).await })
        })
        .collect();
    let answers: Vec<_> =
        creations.into_iter().map(|creation| stage.run(creation).unwrap().unwrap()).collect();
    let created: Vec<_> = answers.iter().filter_map(|answer| answer.clone().created()).collect();
    assert_eq!(created.len(), 1, "{answers:?}");
    let existing = answers.into_iter().filter_map(|answer| match answer {
        Creation::Created(_) => None,
        Creation::Existing(existing) => Some(existing.into_unauthenticated_user()),
    });
    assert!(existing.into_iter().all(|user| user == created[0]));
    assert_eq!(stage.count(), 1);
}

/// Each number below 32 is another spelling.
fn alice_spelled(number: usize) -> NewUser {
    let name: String = "alice"
        .char_indices()
        .map(|(at, letter)| match number >> at & 1 {
            0 => letter,
            _ => letter.to_ascii_uppercase(),
        })
        .collect();
    NewUser::new(format!(" {name}"), format!("{name}@Example.org "), "correct horse")
}
