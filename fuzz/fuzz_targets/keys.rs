#![no_main]
//! Any texts as username, address, password and login: what is wrong with a field does not depend
//! on the others, no text is a username and an address, and no look-up fails.

use diesel_accounts::{Accounts, Error, Field, NewUser, Policy};
use diesel_accounts_fuzz::with_accounts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str, &str)| {
    let (username, email, login) = texts;
    with_accounts(|conn, policy| {
        let as_username = faults(policy, NewUser::with_username(username, "").without_password());
        let as_email = faults(policy, NewUser::with_email(email, "").without_password());
        let together = faults(policy, NewUser::new(username, email, "").without_password());
        let has = |faults: &[Field], field| faults.contains(&field);
        if !username.trim().is_empty() && !email.trim().is_empty() {
            assert_eq!(has(&together, Field::Username), has(&as_username, Field::Username));
            assert_eq!(has(&together, Field::Email), has(&as_email, Field::Email));
        }

        let as_both = [
            faults(policy, NewUser::with_username(login, "").without_password()),
            faults(policy, NewUser::with_email(login, "").without_password()),
        ];
        assert!(as_both.iter().any(|faults| !faults.is_empty()), "{login:?} is both");

        let mut accounts = Accounts::new(policy, conn);
        assert!(accounts.user_by_login(login).unwrap().is_none());
        assert!(accounts.user_by_username(login).unwrap().is_none());
        assert!(accounts.user_by_email(login).unwrap().is_none());
        for page in [
            accounts.users_by_username_prefix(login, Some(username), 10),
            accounts.users_by_email_prefix(login, Some(email), 10),
        ] {
            assert!(page.unwrap().is_empty());
        }
    });
});

/// The fields at fault; nothing else can be wrong without a database.
fn faults(policy: &Policy, new_user: NewUser) -> Vec<Field> {
    match policy.prepare(new_user) {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(invalid)) => {
            let fields: Vec<_> = invalid.errors().iter().map(|error| error.field()).collect();
            assert!(!fields.is_empty());
            fields
        }
        Err(error) => panic!("{error}"),
    }
}
