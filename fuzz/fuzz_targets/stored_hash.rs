#![no_main]
//! Any text as a stored hash: refused when it is imported, or never more work than the policy
//! allows; and read from the column it is right or wrong, but no trouble.

use diesel::prelude::*;
use diesel_accounts::schema::account_users;
use diesel_accounts::{Accounts, Error, ImportUser, NewUser};
use diesel_accounts_fuzz::with_empty_database;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    with_empty_database(|conn, policy| {
        for import in [
            ImportUser::new().username("ann").password_hash(text),
            ImportUser::new().username("ben").layered_password_hash(text),
        ] {
            if let Ok(prepared) = policy.prepare_import(&import).unwrap() {
                let outcomes = Accounts::new(policy, conn).import_users(&[prepared]).unwrap();
                assert_eq!(outcomes.len(), 1);
            }
        }
        let eve = NewUser::with_username("eve", "").without_password();
        let eve = Accounts::new(policy, conn).create_user(&policy.prepare(eve).unwrap()).unwrap();
        diesel::update(account_users::table.find(eve.created().unwrap().id()))
            .set(account_users::password_hash.eq(text))
            .execute(conn)
            .unwrap();

        for login in ["ann", "ben", "eve"] {
            let attempt = Accounts::new(policy, conn).begin_sign_in(login).unwrap();
            let verified = policy.verify(attempt, "Correct-horse-42");
            match Accounts::new(policy, conn).finish_sign_in(verified) {
                // Only a hash of just this password is right: a seed has one.
                Ok(_) | Err(Error::Configuration(_)) => {}
                Err(error) => panic!("{login}: {error}"),
            }
        }
    });
});
