//! Who is equal to whom.

use diesel::SqliteConnection;
use diesel::prelude::*;
use diesel_accounts::schema::{account_attempts, account_users};
use diesel_accounts::{
    Accounts, Creation, EmailRules, Identifiers, NewUser, Policy, UsernameRules,
};
use proptest::collection::vec;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::support::{cheap_policy, create_named, database, id_of, prepare_name, username_policy};
use crate::texts::{addresses, full_width, names, texts};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_spellings_of_a_username_are_one_account(name in names()) {
        // Upper-casing is defined for normal forms: `U+0345` becomes a letter, and stays behind
        // marks that normalization would have put in front of it. And `U+0131`, the dotless i, is
        // the one letter whose capital is the capital of another: Unicode's case folding, and so
        // the key, holds it apart from `i`.
        let name: String = name.trim().nfc().filter(|&c| c != '\u{131}').collect();
        let policy = username_policy(UsernameRules::new());
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let Some(created) = create_named(&policy, &mut accounts, &name) else {
            return Err(TestCaseError::reject("not a username"));
        };
        prop_assert!(created.is_created());
        for spelling in [
            name.to_uppercase(),
            name.to_lowercase(),
            name.nfc().collect(),
            name.nfd().collect(),
            full_width(&name),
            full_width(&name.to_uppercase()),
            name.to_uppercase().nfd().collect(),
            format!(" {name}\t"),
        ] {
            let Some(found) = create_named(&policy, &mut accounts, &spelling) else {
                continue;
            };
            prop_assert!(!found.is_created(), "{name:?} {spelling:?}");
            prop_assert_eq!(id_of(&found), id_of(&created));
            let user = accounts.user_by_username(&spelling).unwrap();
            prop_assert_eq!(user.map(|user| user.id()), Some(id_of(&created)));
        }
    }

    #[test]
    fn no_username_can_be_an_email_address(
        name in prop_oneof![names(), texts(), addresses()],
        punctuation in "[!-/:-@\\[-`{-~]{0,8}",
    ) {
        let rules = UsernameRules::new().punctuation(punctuation.as_str());
        let built = cheap_policy()
            .usernames(rules)
            .emails(EmailRules::new().utf8_local_part(true))
            .identifiers(Identifiers::Either)
            .build();
        prop_assert_eq!(built.is_err(), punctuation.contains('@'));
        let Ok(policy) = built else { return Ok(()) };
        if prepare_name(&policy, &name).is_ok() {
            prop_assert!(!name.contains('@'));
            let as_email = NewUser::with_email(name, "").without_password();
            prop_assert!(policy.prepare(as_email).is_err());
        }
    }

    #[test]
    fn a_login_finds_exactly_the_account_that_is_named(
        people in vec((names(), addresses()), 1..8),
        login in prop_oneof![names(), addresses(), texts()],
    ) {
        let policy = cheap_policy().build().unwrap();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let mut users = Vec::new();
        for (username, email) in people {
            let new_user = NewUser::new(username, email, "").without_password();
            let Ok(prepared) = policy.prepare(new_user) else { continue };
            if let Ok(Creation::Created(user)) = accounts.create_user(&prepared) {
                users.push(user);
            }
        }
        for user in &users {
            for own in [user.username(), user.email()] {
                let found = accounts.user_by_login(own.unwrap()).unwrap();
                prop_assert_eq!(found.as_ref(), Some(user));
            }
        }
        // Of any other text, too, the look-up says what a creation would meet.
        let found = accounts.user_by_login(&login).unwrap();
        let either = cheap_policy().identifiers(Identifiers::Either).build().unwrap();
        let new_user = match login.contains('@') {
            true => NewUser::with_email(login, ""),
            false => NewUser::with_username(login, ""),
        };
        match either.prepare(new_user.without_password()) {
            Ok(prepared) => match Accounts::new(&either, &mut conn).create_user(&prepared) {
                Ok(Creation::Created(_)) => prop_assert_eq!(found, None),
                Ok(Creation::Existing(existing)) => {
                    prop_assert_eq!(found.as_ref(), Some(existing.unauthenticated_user()));
                }
                Err(error) => prop_assert!(false, "{error:?}"),
            },
            Err(_) => prop_assert_eq!(found, None),
        }
    }

    #[test]
    fn all_spellings_of_an_address_are_one_account(
        local in "[a-zA-Z0-9.+_]{0,6}[a-z]",
        domain in "[a-zA-Z0-9\u{e0}-\u{f6}\u{f8}-\u{fe}]{1,8}",
        ending in "(example|Org|b\u{fc}cher)",
    ) {
        let address = format!("{local}@{domain}.{ending}");
        let policy = email_policy();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let Some(user) = create_at(&policy, &mut accounts, &address).and_then(Creation::created)
        else {
            return Err(TestCaseError::reject("not an address"));
        };
        let normal: String = domain.nfd().collect();
        let mailbox = user.mailbox().unwrap();
        prop_assert!(mailbox.rsplit('@').next().unwrap().is_ascii());
        for spelling in [
            address.to_lowercase(),
            address.to_uppercase(),
            format!("{local}@{normal}.{ending}"),
            format!("{local}@{}.{ending}", full_width(&domain)),
            format!("{local}@{}\u{3002}{ending}", full_width(&domain.to_uppercase())),
            mailbox.to_uppercase(),
            mailbox,
            format!("\u{2003}{address}\n"),
        ] {
            let found = accounts.user_by_email(&spelling).unwrap();
            prop_assert_eq!(found.map(|found| found.id()), Some(user.id()), "{:?}", spelling);
            let again = create_at(&policy, &mut accounts, &spelling);
            prop_assert_eq!(again.map(|again| id_of(&again)), Some(user.id()), "{:?}", spelling);
        }
    }

    #[test]
    fn the_key_of_a_key_is_the_key(name in names(), address in addresses()) {
        let rules = EmailRules::new().utf8_local_part(true);
        let policy = cheap_policy().identifiers(Identifiers::Either).emails(rules).build().unwrap();
        let mut conn = database();
        let keys = |conn: &mut SqliteConnection| -> Vec<(Option<String>, Option<String>)> {
            let keys = (account_users::username_key, account_users::email_key);
            account_users::table.select(keys).load(conn).unwrap()
        };
        for new_user in [NewUser::with_username(name, ""), NewUser::with_email(address, "")] {
            let Ok(prepared) = policy.prepare(new_user.without_password()) else { continue };
            let creation = Accounts::new(&policy, &mut conn).create_user(&prepared).unwrap();
            let user = creation.created().unwrap();
            let (username, email) = keys(&mut conn).pop().unwrap();
            let mut accounts = Accounts::new(&policy, &mut conn);
            let found = match (&username, &email) {
                (Some(key), None) => accounts.user_by_username(key).unwrap(),
                (None, Some(key)) => accounts.user_by_email(key).unwrap(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(found, Some(user.clone()));
            accounts.delete_user(user.id()).unwrap();

            let typed = |key: &Option<String>| key.clone().unwrap_or_default();
            let of_key = NewUser::new(typed(&username), typed(&email), "").without_password();
            let prepared = policy.prepare(of_key).unwrap();
            let creation = accounts.create_user(&prepared).unwrap();
            prop_assert_eq!(keys(&mut conn), vec![(username, email)]);
            Accounts::new(&policy, &mut conn).delete_user(id_of(&creation)).unwrap();
        }
    }

    #[test]
    fn a_sign_in_with_any_text_is_refused_and_counted(login in texts(), password in texts()) {
        let policy = cheap_policy().build().unwrap();
        let mut conn = database();
        for _ in 0..2 {
            let mut accounts = Accounts::new(&policy, &mut conn);
            let attempt = accounts.begin_sign_in(&login).unwrap();
            let verified = policy.verify(attempt, password.as_str());
            prop_assert!(!accounts.finish_sign_in(verified).unwrap().is_accepted());
        }
        let failures = account_attempts::failures;
        let counted: Vec<i64> = account_attempts::table.select(failures).load(&mut conn).unwrap();
        prop_assert_eq!(counted, [2, 2]);
    }
}

fn email_policy() -> Policy {
    cheap_policy().identifiers(Identifiers::EmailRequired).build().unwrap()
}

/// What the creation of a user with this address comes to; `None` if it is no address.
fn create_at(
    policy: &Policy,
    accounts: &mut Accounts<'_, SqliteConnection>,
    address: &str,
) -> Option<Creation> {
    let prepared = policy.prepare(NewUser::with_email(address, "").without_password()).ok()?;
    Some(accounts.create_user(&prepared).unwrap())
}
