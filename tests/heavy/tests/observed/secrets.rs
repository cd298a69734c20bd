//! Nothing is told of a person but the id. (Of every other test here this is asserted as well.)

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel_accounts::{Context, ImportUser, UserId};
use diesel_accounts_proof::workload::Connection;

use crate::capture::Told;
use crate::on_each_engine;
use crate::stage::{CANARIES, CLIENT, PASSWORD, Stage, WRONG, email, person, username};

on_each_engine!(no_name_password_hash_client_or_token_is_told);

fn no_name_password_hash_client_or_token_is_told<C: Connection>(stage: &Stage<C>) {
    let context = Context::new().client(CLIENT).request_id("siskin request");
    let users = stage.users.with(context.clone());
    let (login, address) = (username("alice"), email("alice"));
    let id = UserId::new();
    let mut tokens = Vec::new();
    stage.told.hear(|| {
        assert!(users.create_user(person("alice").with_id(id)).unwrap().is_created());
        assert!(users.create_user(person("bob")).unwrap().is_created());
        let sign_in = users.authenticate(&login, PASSWORD).unwrap().accepted().unwrap();
        tokens.push(sign_in.device_token().unwrap().as_str().to_owned());
        let device = users.with(context.known_device(tokens[0].clone()));
        assert!(device.authenticate(&address, PASSWORD).unwrap().is_accepted());
        for _ in 0..9 {
            assert!(!users.authenticate(&login, WRONG).unwrap().is_accepted());
        }
        users.user_by_username(&login).unwrap().unwrap();
        users.user_by_email(&address).unwrap().unwrap();
        users.users_by_username_prefix(&login, Some(&login), 10).unwrap();
        users.users_by_email_prefix(&address, Some(&address), 10).unwrap();
        users.create_user(person("bob").with_id(id)).unwrap_err();
        assert!(!users.change_password(id, WRONG, PASSWORD).unwrap().is_changed());
        users.set_password(id, &*login).unwrap_err();
        let carol = ImportUser::new().username(username("carol")).password_hash(PASSWORD);
        let _ = users.import_users([carol], |_, _| {}).unwrap();
    });
    stage.told.assert_without(&CANARIES);
    let accounts = stage.database.connect().accounts().unwrap();
    let hashes: Vec<_> = accounts.iter().filter_map(|row| row.password_hash.as_deref()).collect();
    assert_eq!(hashes.len(), 2);
    assert!(hashes.iter().all(|hash| hash.contains("argon2id")));
    stage.told.assert_without(&hashes);
    stage.told.assert_without(&[&tokens[0]]);
    assert!(stage.told.text().contains(&id.to_string()));
}

#[test]
fn a_secret_that_was_told_would_be_found() {
    let leaks: [fn(); 6] = [
        || drop(tracing::info_span!("span", secret = "The Canary")),
        || {
            let span = tracing::info_span!("span", secret = tracing::field::Empty);
            span.record("secret", tracing::field::debug(Some("canary")));
        },
        || tracing::debug!("a canary"),
        || tracing::trace!(secret = %"canary", "a message"),
        || metrics::counter!("counter", "secret" => "canary").increment(1),
        || metrics::histogram!("histogram_of_canary").record(1.0),
    ];
    for leak in leaks {
        let told = Told::new();
        told.assert_without(&CANARIES);
        told.hear(leak);
        let found = catch_unwind(AssertUnwindSafe(|| told.assert_without(&CANARIES)));
        assert!(found.is_err());
    }
}
