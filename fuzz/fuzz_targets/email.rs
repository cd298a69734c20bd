#![no_main]
//! Any text as an address: refused, or one account in each of its spellings.

use diesel_accounts::{Accounts, NewUser};
use diesel_accounts_fuzz::{assert_found, keys_of, with_accounts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    with_accounts(|conn, policy| {
        let person =
            |email: &str| policy.prepare(NewUser::with_email(email, "").without_password());
        let Ok(prepared) = person(text) else {
            return;
        };
        let user = Accounts::new(policy, conn).create_user(&prepared).unwrap().created().unwrap();
        assert_eq!(user.email(), Some(text.trim()));

        let (no_username, key) = keys_of(conn, user.id());
        let key = key.unwrap();
        assert_eq!(no_username, None);
        assert!(key.len() <= 254 && !key.contains([' ', '\0', '"']), "{key:?}");
        let (local, domain) = key.rsplit_once('@').unwrap();
        assert!(!local.is_empty() && local.len() <= 64 * 3 && domain.contains('.'), "{key:?}");
        assert_eq!(domain, domain.to_ascii_lowercase());
        assert!(domain.is_ascii());

        let mut accounts = Accounts::new(policy, conn);
        let mailbox = user.mailbox().unwrap();
        let capital_domain = format!("{local}@{}", domain.to_ascii_uppercase());
        for spelling in [text, &*key, &*mailbox, &*capital_domain, &*format!(" {text}\t")] {
            assert_found(accounts.user_by_email(spelling), user.id(), &spelling);
            assert_found(accounts.user_by_login(spelling), user.id(), &spelling);
            assert!(accounts.user_by_username(spelling).unwrap().is_none());
        }
        let again = person(&key).unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(!accounts.create_user(&again).unwrap().is_created());
    });
});
