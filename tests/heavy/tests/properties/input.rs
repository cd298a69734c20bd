//! What is typed is valid, or every field at fault is told, and none of it is repeated.

use std::error::Error as StdError;
use std::fmt::Write;

use diesel::connection::SimpleConnection;
use diesel_accounts::{Accounts, Duplicates, Error, Field, FieldError, ImportUser, NewUser};
use proptest::prelude::*;

use crate::support::{cheap_policy, database, id_of, policies};
use crate::texts::{faults, secrets, texts};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_input_is_accepted_or_invalid_and_nothing_else(
        policy in policies(),
        username in texts(),
        email in texts(),
        password in texts(),
    ) {
        match policy.prepare(NewUser::new(username, email, password)) {
            Ok(_) => {}
            Err(Error::Invalid(invalid)) => prop_assert!(!invalid.errors().is_empty()),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn an_input_that_is_invalid_is_never_repeated(
        policy in policies(),
        username in secrets(),
        email in secrets(),
        password in secrets(),
        fault in faults(),
    ) {
        let typed = [&username, &email, &password].map(|secret| format!("{secret}{fault}"));
        let [typed_username, typed_email, typed_password] = typed;
        let new_user = NewUser::new(typed_username, typed_email, typed_password);
        let mut texts = format!("{new_user:?} {new_user:#?}");
        let error = policy.prepare(new_user).unwrap_err();
        texts.push_str(&texts_of(&error));
        for secret in [username, email, password] {
            prop_assert!(!texts.contains(&secret), "{texts}");
        }
    }

    #[test]
    fn no_error_and_no_debug_text_repeats_what_was_typed(
        username in secrets(),
        email in secrets(),
        password in secrets(),
    ) {
        let new_user = || NewUser::new(
            username.clone(),
            format!("{email}@example.org"),
            password.clone(),
        );
        let policy = cheap_policy().duplicates(Duplicates::Refuse).build().unwrap();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);

        let prepared = policy.prepare(new_user()).unwrap();
        let created = accounts.create_user(&prepared).unwrap();
        let mut texts = format!("{prepared:?} {created:?} {created:#?} {accounts:?}");
        let taken = accounts.create_user(&policy.prepare(new_user()).unwrap());
        assert!(matches!(taken, Err(Error::Taken(_))));
        let other = NewUser::new(username.clone(), "other@example.org", password.clone())
            .with_id(id_of(&created));
        let reused = accounts.create_user(&policy.prepare(other).unwrap());
        assert!(matches!(reused, Err(Error::IdReused { .. })));

        // A trigger of the host's, whose message the driver hands on.
        accounts.delete_user(id_of(&created)).unwrap();
        conn.batch_execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON account_users BEGIN \
             SELECT RAISE(ABORT, NEW.username || NEW.email); END",
        ).unwrap();
        let refused = Accounts::new(&policy, &mut conn).create_user(&prepared);
        match &refused {
            Err(Error::NotCreated(failure)) => {
                prop_assert!(failure.diesel_error().to_string().contains(&username));
            }
            other => prop_assert!(false, "{other:?}"),
        }

        for error in [taken, reused, refused] {
            texts.push_str(&texts_of(&error.unwrap_err()));
        }
        for secret in [username, email, password] {
            prop_assert!(!texts.contains(&secret), "{texts}");
        }
    }

    #[test]
    fn every_field_at_fault_is_told_at_once_in_one_line_and_no_other(
        username in typed(
            "qu[0-9]{3}z[a-z]{3}",
            vec!["\0", " of", "@", "\u{378}", "\u{202e}", "!", "\n"],
        ),
        email in typed(
            "qe[0-9]{3}z[a-z]{3}@mail\\.example",
            vec!["@", " x", "\0", "..org", "\u{378}", "\u{7f}"],
        ),
        password in typed("qp[0-9]{3}z[a-z]{3} of mine", vec!["\u{378}", "\u{fffe}"]),
        short in any::<bool>(),
    ) {
        let policy = cheap_policy().build().unwrap();
        let (username, email, mut password) = (username, email, password);
        if short {
            password = Typed { text: "qp1z".to_owned(), is_valid: false };
        }
        let expected: Vec<Field> = [
            (Field::Username, &username),
            (Field::Email, &email),
            (Field::Password, &password),
        ]
        .into_iter()
        .filter_map(|(field, typed)| (!typed.is_valid).then_some(field))
        .collect();
        let new_user =
            NewUser::new(username.text.as_str(), email.text.as_str(), password.text.as_str());
        let error = match policy.prepare(new_user) {
            Ok(_) => {
                prop_assert_eq!(expected, []);
                return Ok(());
            }
            Err(error) => error,
        };
        let Error::Invalid(invalid) = &error else { panic!("{error:?}") };
        let mut told: Vec<Field> = invalid.errors().iter().map(FieldError::field).collect();
        prop_assert!(told.is_sorted());
        told.dedup();
        prop_assert_eq!(&told, &expected);
        let names: Vec<&str> = expected.iter().map(|field| field.name()).collect();
        prop_assert_eq!(error.to_string(), format!("invalid {}", names.join(", ")));
        for fault in invalid.errors() {
            let sentence = fault.to_string();
            prop_assert!(!sentence.contains(char::is_control) && sentence.is_ascii());
            prop_assert_eq!(&sentence, &format!("the {} {}", fault.field(), fault.violation()));
            prop_assert!(!fault.violation().to_string().is_empty());
            prop_assert_eq!(fault.code(), fault.violation().code());
            prop_assert!(invalid.of(fault.field()).any(|of_field| of_field == fault));
        }
        let texts = texts_of(&error);
        for typed in [&username, &email, &password] {
            let beginning: String = typed.text.chars().take(9).collect();
            prop_assert!(beginning.is_empty() || !texts.contains(&beginning), "{texts}");
        }
    }

    #[test]
    fn a_new_password_at_fault_is_told_in_one_line_and_not_repeated(
        beginning in "qp[0-9]z",
        fault in prop::sample::select(vec!["", "\u{378}12345678", "\u{fffe}"]),
        current in secrets(),
    ) {
        let policy = cheap_policy().build().unwrap();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let person = NewUser::new("ann", "ann@example.org", current.as_str());
        let user = accounts.create_user(&policy.prepare(person).unwrap()).unwrap();
        let user = user.created().unwrap();
        let new = format!("{beginning}{fault}");
        let set = policy.prepare_password(&user, new.as_str()).unwrap_err();
        let changed = accounts.begin_password_change(user.id(), new.as_str()).unwrap_err();
        for error in [set, changed] {
            prop_assert_eq!(error.to_string(), "invalid password");
            let texts = texts_of(&error);
            prop_assert!(!texts.contains(&beginning) && !texts.contains(&current), "{texts}");
        }
        let attempts = accounts.failed_attempts(user.id()).unwrap();
        prop_assert_eq!(attempts.count(), 0);
    }

    #[test]
    fn an_import_at_fault_is_told_whole_in_one_line_and_not_repeated(
        username in typed("qu[0-9]{3}z[a-z]{3}", vec!["\0", "@", "\n"]),
        email in typed("qe[0-9]{3}z[a-z]{3}@mail\\.example", vec!["@", "\n.org", "\0"]),
        hash in prop::option::of("(\\$2b\\$|md5\\$|pbkdf2_sha256\\$)?qh[0-9]{3}z[$a-z\n]{0,9}"),
        layered in any::<bool>(),
    ) {
        let policy = cheap_policy().build().unwrap();
        let mut import =
            ImportUser::new().username(username.text.as_str()).email(email.text.as_str());
        if let Some(hash) = &hash {
            import = match layered {
                true => import.layered_password_hash(hash.as_str()),
                false => import.password_hash(hash.as_str()),
            };
        }
        let invalid = match policy.prepare_import(&import).unwrap() {
            Ok(_) => {
                prop_assert!(username.is_valid && email.is_valid && hash.is_none());
                return Ok(());
            }
            Err(invalid) => invalid,
        };
        let is_told = |field| invalid.fields().is_some_and(|told| told.of(field).next().is_some());
        prop_assert_eq!(is_told(Field::Username), !username.is_valid);
        prop_assert_eq!(is_told(Field::Email), !email.is_valid);
        prop_assert_eq!(invalid.hash().is_some(), hash.is_some());
        let sentence = invalid.to_string();
        prop_assert!(!sentence.is_empty() && !sentence.contains(char::is_control));
        prop_assert_eq!(sentence.contains("username"), !username.is_valid);
        prop_assert_eq!(sentence.contains("email"), !email.is_valid);
        prop_assert_eq!(sentence.contains("hash") || sentence.contains("digest"), hash.is_some());
        let texts = texts_of(&invalid);
        let hash = hash.unwrap_or_default();
        let tag = &hash[hash.find("qh").unwrap_or(hash.len())..];
        for typed in [username.text.as_str(), email.text.as_str(), tag] {
            let beginning: String = typed.chars().take(6).collect();
            prop_assert!(beginning.is_empty() || !texts.contains(&beginning), "{texts}");
        }
    }
}

/// What was typed into a field, and whether that is all right.
#[derive(Clone, Debug)]
struct Typed {
    text: String,
    is_valid: bool,
}

/// A valid text, a blank one, or a valid one with something behind it that makes it invalid.
fn typed(valid: &'static str, faults: Vec<&'static str>) -> impl Strategy<Value = Typed> {
    let valid = || valid.prop_map(|text: String| Typed { text, is_valid: true });
    prop_oneof![
        4 => valid(),
        1 => Just(Typed { text: String::new(), is_valid: false }),
        4 => (valid(), prop::sample::select(faults)).prop_map(|(valid, fault)| Typed {
            text: format!("{}{fault}x", valid.text),
            is_valid: false,
        }),
    ]
}

/// Every text by which an error can reach a log.
fn texts_of(error: &(dyn StdError + 'static)) -> String {
    let mut texts = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(texts, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    texts
}
