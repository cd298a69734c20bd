//! What holds for every input, not only for those that somebody thought of.
//!
//! `PROPTEST_CASES=10000` looks longer.

use std::error::Error as StdError;
use std::fmt::Write;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_accounts::{
    Accounts, Argon2Cost, Clock, Creation, Duplicates, EmailRules, Error, Hashing, Identifiers,
    NewUser, Policy, PolicyBuilder, RealmId, Scripts, Timestamp, User, UserCursor, UserId,
    UsernameRules,
};
use proptest::collection::vec;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

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
    fn a_search_by_username_is_a_filter_over_sorted_names(
        names in vec("[aAbB\u{e4}\u{c4}\u{439}\u{419}._%\\\\-]{0,4}[abAB]", 0..20),
        prefix in "[aAb\u{e4}\u{c4}\u{439}._%\\\\-]{0,3}",
        after in proptest::option::of("[aAb\u{e4}._%]{0,3}b"),
        limit in 0..25_u32,
    ) {
        let policy = username_policy(UsernameRules::new().punctuation("._-%\\"));
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let mut model = Vec::new();
        for name in names {
            let creation = create_named(&policy, &mut accounts, &name).unwrap();
            if let Some(user) = creation.created() {
                model.push((name.to_lowercase(), user));
            }
        }
        let found = accounts.users_by_username_prefix(&prefix, after.as_deref(), limit).unwrap();
        prop_assert_eq!(found, page(model, &prefix, after.as_deref(), limit));
    }

    #[test]
    fn a_search_by_email_is_a_filter_over_sorted_addresses(
        addresses in vec("[aAbB_%]{1,3}@[aAbB]{1,2}\\.(example|EXAMPLE\\.org)", 0..20),
        prefix in "[aAb_%]{0,3}(@([aAb]{1,2}(\\.e)?)?)?",
        after in proptest::option::of("[aAb]{1,2}@[ab]\\.example"),
        limit in 0..25_u32,
    ) {
        let policy = cheap_policy().identifiers(Identifiers::EmailRequired).build().unwrap();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let mut model = Vec::new();
        for address in addresses {
            let new_user = NewUser::with_email(address.as_str(), "").without_password();
            let creation = accounts.create_user(&policy.prepare(new_user).unwrap()).unwrap();
            if let Some(user) = creation.created() {
                model.push((address.to_lowercase(), user));
            }
        }
        let found = accounts.users_by_email_prefix(&prefix, after.as_deref(), limit).unwrap();
        prop_assert_eq!(found, page(model, &prefix, after.as_deref(), limit));
    }

    #[test]
    fn a_search_for_any_text_is_answered(
        prefix in texts(),
        after in proptest::option::of(texts()),
    ) {
        let policy = Policy::default();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        prop_assert!(accounts.users_by_username_prefix(&prefix, after.as_deref(), 9).is_ok());
        prop_assert!(accounts.users_by_email_prefix(&prefix, after.as_deref(), 9).is_ok());
        prop_assert_eq!(accounts.user_by_username(&prefix).unwrap(), None);
        prop_assert_eq!(accounts.user_by_email(&prefix).unwrap(), None);
    }

    #[test]
    fn pages_of_any_sizes_make_up_the_whole_list(
        times in vec(-2..3_i64, 0..30),
        sizes in vec(1..12_u32, 1..6),
    ) {
        let mut conn = database();
        for (number, &micros) in times.iter().enumerate() {
            let policy = cheap_policy().clock(At(micros)).build().unwrap();
            let name = format!("user{number}");
            let new_user = NewUser::new(name.as_str(), format!("{name}@example.org"), "");
            let prepared = policy.prepare(new_user.without_password()).unwrap();
            let creation = Accounts::new(&policy, &mut conn).create_user(&prepared).unwrap();
            prop_assert!(creation.is_created());
        }
        let policy = cheap_policy().build().unwrap();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let whole = accounts.list_users(None, 1_000).unwrap();
        prop_assert_eq!(whole.len(), times.len());
        prop_assert!(whole.is_sorted_by_key(|user| (user.created_at(), user.id())));

        let mut listed: Vec<User> = Vec::new();
        for size in sizes.into_iter().cycle() {
            // As a host does it that puts the place into a URL.
            let place = listed.last().map(|user| user.cursor().to_string());
            let after = place.map(|place| place.parse::<UserCursor>().unwrap());
            let page = accounts.list_users(after, size).unwrap();
            prop_assert!(page.len() <= usize::try_from(size).unwrap());
            if page.is_empty() {
                break;
            }
            listed.extend(page);
        }
        prop_assert_eq!(listed, whole);
    }

    #[test]
    fn ids_and_places_survive_the_way_through_text(bytes: [u8; 16], micros: i64) {
        let (user, realm) = (UserId::from_bytes(bytes), RealmId::from_bytes(bytes));
        prop_assert_eq!(user.to_string().parse(), Ok(user));
        prop_assert_eq!(realm.to_string().parse(), Ok(realm));
        prop_assert_eq!(user.as_bytes(), &bytes);
        let text = format!("{micros}.{user}");
        let place: UserCursor = text.parse().unwrap();
        prop_assert_eq!(place.to_string(), text);
    }

    #[test]
    fn any_text_is_an_id_or_a_place_or_neither(
        text in prop_oneof![texts(), "[0-9a-fA-F{}:urnid-]{30,40}", "[-+0-9]{0,22}\\.[0-9a-f-]{32,36}"],
    ) {
        if let Ok(id) = text.parse::<UserId>() {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
        if let Ok(realm) = text.parse::<RealmId>() {
            prop_assert_eq!(realm.to_string().parse(), Ok(realm));
        }
        if let Ok(place) = text.parse::<UserCursor>() {
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }
    }
}

/// Texts that have broken other programs: pieces of every kind of character, in any order.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-zA-Z0-9]{1,4}",
        2 => prop::sample::select(vec![
            "@", ".", "..", " ", "-", "_", "xn--", "xn--a", "xn--bcher-kva", ".org", "example.org",
            "\"", "\\", "<", "(", "[127.0.0.1]", "\u{ff20}", "\u{fe6b}", "\u{3002}", "\u{ff0e}",
            "\u{131}", "\u{130}", "\u{df}", "\u{1e9e}", "\u{345}", "\u{3c2}", "\u{fdfa}", "\u{200d}",
            "\u{202e}", "\u{ad}", "\u{feff}", "\u{34f}", "\u{378}", "\u{fffe}", "\u{10ffff}",
            "\u{e000}", "\u{3000}", "\u{2028}",
        ]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        1 => prop::char::range('\0', '\u{9f}').prop_map(String::from),
        1 => prop::char::range('\u{300}', '\u{36f}').prop_map(String::from),
        1 => prop::char::range('\u{ff01}', '\u{ffee}').prop_map(String::from),
        1 => prop::char::range('\u{1100}', '\u{11ff}').prop_map(String::from),
        1 => prop::char::range('\u{660}', '\u{6f9}').prop_map(String::from),
        1 => "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]",
    ];
    let usual = vec(piece.clone(), 0..16).prop_map(|pieces| pieces.concat());
    let long = (piece, 1..1_200_usize).prop_map(|(piece, times)| piece.repeat(times));
    prop_oneof![8 => usual, 1 => long, 1 => any::<String>()]
}

/// Texts of which many can be usernames.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._-]{1,12}",
        "[\u{c0}-\u{24f}a-z]{1,8}",
        "[\u{370}-\u{3ff}\u{1f00}-\u{1fff}]{1,4}",
        "[\u{400}-\u{52f}\u{531}-\u{556}\u{10d0}-\u{10ff}\u{13a0}-\u{13ff}]{1,6}",
        "[a-zA-Z\u{300}-\u{345}]{1,6}",
        "[\\p{Lu}\\p{Ll}][\\p{Lu}\\p{Ll}\\p{Lo}\\p{Mn}\\p{Nd}]{0,5}",
        "[\u{3041}-\u{30ff}\u{4e00}-\u{4eff}\u{ac00}-\u{acff}\u{ff66}-\u{ff9f}]{1,6}",
    ]
}

/// Texts of which many can be email addresses.
fn addresses() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9.+'_-]{1,8}@[a-zA-Z0-9-]{1,6}\\.(org|example|ORG)",
        "[a-z\u{e0}-\u{ff}]{1,4}@[a-z\u{e0}-\u{ff}\u{ff41}-\u{ff5a}]{1,6}[.\u{3002}\u{ff0e}]org",
        "[a-z]{1,3}@(xn--bcher-kva|xn--[a-z0-9-]{1,6})\\.example",
    ]
}

/// Texts that do not occur in any message by chance, and are valid names, local parts and
/// passwords.
fn secrets() -> impl Strategy<Value = String> {
    "q[0-9]z[a-z0-9]{8,16}x[0-9]q"
}

/// What makes a text invalid as username, email and password together, or one of them.
fn faults() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\u{378}".to_owned()),
        Just("\0@".to_owned()),
        Just(" (at) example".to_owned()),
        Just("@".to_owned()),
        Just("@@example".to_owned()),
        Just("x".repeat(2_000)),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    prop::sample::select(vec![
        cheap_policy(),
        cheap_policy().identifiers(Identifiers::Either),
        cheap_policy().emails(EmailRules::new().utf8_local_part(true)),
        cheap_policy().usernames(UsernameRules::new().ascii_only(true).min_length(3)),
        cheap_policy().usernames(UsernameRules::new().scripts(Scripts::HighlyRestrictive)),
        cheap_policy().usernames(UsernameRules::new().scripts(Scripts::Single).max_length(100)),
    ])
    .prop_map(|builder| builder.build().unwrap())
}

/// A policy whose hashes cost next to nothing.
fn cheap_policy() -> PolicyBuilder {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    Policy::builder().hashing(Hashing::new().cost(cost))
}

fn username_policy(rules: UsernameRules) -> Policy {
    cheap_policy().identifiers(Identifiers::UsernameRequired).usernames(rules).build().unwrap()
}

/// An empty database with our schema in it.
fn database() -> SqliteConnection {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    Accounts::new(&Policy::default(), &mut conn).migrate().unwrap();
    conn
}

/// What the creation of a user of this name comes to; `None` if it is no username.
fn create_named(
    policy: &Policy,
    accounts: &mut Accounts<'_, SqliteConnection>,
    name: &str,
) -> Option<Creation> {
    let prepared = prepare_name(policy, name).ok()?;
    Some(accounts.create_user(&prepared).unwrap())
}

fn prepare_name(policy: &Policy, name: &str) -> Result<diesel_accounts::PreparedUser, Error> {
    policy.prepare(NewUser::with_username(name, "").without_password())
}

fn full_width(text: &str) -> String {
    let widen = |character: char| match character {
        'A'..='Z' | 'a'..='z' => char::from_u32(u32::from(character) + 0xfee0).unwrap(),
        _ => character,
    };
    text.chars().map(widen).collect()
}

/// What a search must find, over users with their canonical names.
fn page(
    mut model: Vec<(String, User)>,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Vec<User> {
    model.sort_by(|left, right| left.0.cmp(&right.0));
    model
        .into_iter()
        .filter(|(key, _)| key.starts_with(&prefix.to_lowercase()))
        .filter(|(key, _)| after.is_none_or(|after| *key > after.to_lowercase()))
        .map(|(_, user)| user)
        .take(usize::try_from(limit).unwrap())
        .collect()
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

/// A clock that has stopped.
#[derive(Debug)]
struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }
}

/// The account that an answer tells of, whoever made it.
fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}
