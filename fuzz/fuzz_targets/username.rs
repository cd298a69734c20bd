#![no_main]
//! Any text as a username: refused, or one account in each of its spellings.

use diesel_accounts::{Accounts, NewUser};
use diesel_accounts_fuzz::{assert_found, keys_of, with_accounts};
use libfuzzer_sys::fuzz_target;
use unicode_normalization::UnicodeNormalization;

fuzz_target!(|text: &str| {
    with_accounts(|conn, policy| {
        let person =
            |name: &str| policy.prepare(NewUser::with_username(name, "").without_password());
        let Ok(prepared) = person(text) else {
            return;
        };
        let user = Accounts::new(policy, conn).create_user(&prepared).unwrap().created().unwrap();
        assert_eq!(user.username(), Some(text.trim()));

        let (key, no_email) = keys_of(conn, user.id());
        let key = key.unwrap();
        assert_eq!(no_email, None);
        assert!(key.len() <= 400 && !key.contains(['@', '\0', ' ']), "{key:?}");

        let mut accounts = Accounts::new(policy, conn);
        let decomposed: String = text.nfd().collect();
        // The canonical form is its own canonical form.
        for spelling in [text, &*key, &*decomposed, &*format!(" {text}\t")] {
            assert_found(accounts.user_by_username(spelling), user.id(), &spelling);
            assert_found(accounts.user_by_login(spelling), user.id(), &spelling);
            assert!(accounts.user_by_email(spelling).unwrap().is_none());
        }
        // And can be registered itself, as the same person.
        let again = person(&key).unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(!accounts.create_user(&again).unwrap().is_created());
        let found = accounts.users_by_username_prefix(text.trim(), None, 1).unwrap();
        assert_eq!(found.len(), 1);
    });
});
