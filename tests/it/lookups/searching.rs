//! Searching for accounts by the beginning of a name.

use diesel_accounts::{EmailRules, NewUser, PolicyBuilder, RealmId, User, UsernameRules};

use crate::support::{
    PASSWORD, TestConnection, TestDb, alice, assert_matches, cheap_policy, on_each_engine,
};

on_each_engine!(
    usernames_are_found_by_their_beginning,
    emails_are_found_by_their_beginning,
    a_search_ends_where_its_realm_ends,
    a_beginning_that_nobody_can_have_finds_nobody,
);

/// As typed, and the canonical form.
const USERNAMES: [(&str, &str); 50] = [
    ("0", "0"),
    ("007", "007"),
    ("AL", "al"),
    ("Alice", "alice"),
    ("alice_1", "alice_1"),
    ("alice-1", "alice-1"),
    ("alice.1", "alice.1"),
    ("aliceX1", "alicex1"),
    ("al_", "al_"),
    ("al-x", "al-x"),
    ("al.x", "al.x"),
    ("al%x", "al%x"),
    ("al\\x", "al\\x"),
    ("al[x", "al[x"),
    ("al~x", "al~x"),
    ("alx", "alx"),
    ("a", "a"),
    ("b", "b"),
    ("BOB", "bob"),
    ("bob_", "bob_"),
    ("bobby", "bobby"),
    ("%a", "%a"),
    ("%_a", "%_a"),
    ("_a", "_a"),
    ("_%a", "_%a"),
    ("\\a", "\\a"),
    ("\\%a", "\\%a"),
    ("x_y", "x_y"),
    ("x-y", "x-y"),
    ("xay", "xay"),
    ("z", "z"),
    ("zz", "zz"),
    ("Zed", "zed"),
    ("jose", "jose"),
    ("Jos\u{e9}", "jos\u{e9}"),
    ("josef", "josef"),
    ("Stra\u{df}e", "strasse"),
    ("Strasbourg", "strasbourg"),
    ("mike", "mike"),
    ("m\u{131}ke", "m\u{131}ke"),
    ("\u{c9}va", "\u{e9}va"),
    ("eva", "eva"),
    ("\u{ff26}ull", "full"),
    ("\u{5f35}\u{4e09}", "\u{5f35}\u{4e09}"),
    ("\u{5f35}", "\u{5f35}"),
    ("\u{3a3}\u{3bf}\u{3c2}", "\u{3c3}\u{3bf}\u{3c3}"),
    ("\u{44f}\u{43d}\u{430}", "\u{44f}\u{43d}\u{430}"),
    ("\u{ac00}\u{d7a3}", "\u{ac00}\u{d7a3}"),
    // In UTF-16 these two are in the other order.
    ("\u{fa0e}", "\u{fa0e}"),
    ("\u{10437}", "\u{10437}"),
];

fn usernames_are_found_by_their_beginning<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(lenient_policy());
    for (n, (typed, _)) in USERNAMES.iter().enumerate() {
        let new_user = NewUser::new(*typed, format!("u{n}@example.org"), PASSWORD);
        let created = users.create_user(new_user.without_password());
        assert!(created.unwrap().is_created(), "{typed}");
    }
    let prefixes = [
        ("", ""),
        ("a", "a"),
        ("AL", "al"),
        (" \tal", "al"),
        ("al ", "al "),
        ("al_", "al_"),
        ("al-", "al-"),
        ("al.", "al."),
        ("al%", "al%"),
        ("al\\", "al\\"),
        ("al[", "al["),
        ("al~", "al~"),
        ("alice", "alice"),
        ("alice_", "alice_"),
        ("alice_1", "alice_1"),
        ("alice_12", "alice_12"),
        ("%", "%"),
        ("%%", "%%"),
        ("_", "_"),
        ("__", "__"),
        ("\\", "\\"),
        ("\\\\", "\\\\"),
        ("\\%", "\\%"),
        ("'", "'"),
        ("x_", "x_"),
        ("JOS", "jos"),
        ("jose", "jose"),
        ("JOS\u{c9}", "jos\u{e9}"),
        ("jose\u{301}", "jos\u{e9}"),
        ("stra\u{df}", "strass"),
        ("STRAS", "stras"),
        ("mi", "mi"),
        ("m\u{131}", "m\u{131}"),
        ("\u{e9}", "\u{e9}"),
        ("\u{ff46}\u{ff35}", "fu"),
        ("\u{5f35}", "\u{5f35}"),
        ("\u{3c3}", "\u{3c3}"),
        ("\u{3a3}\u{3bf}", "\u{3c3}\u{3bf}"),
        ("\u{fa0e}", "\u{fa0e}"),
        ("\u{10437}", "\u{10437}"),
        ("\u{10ffff}", "\u{10ffff}"),
        ("\u{d7ff}", "\u{d7ff}"),
        ("zzz", "zzz"),
    ];
    assert_prefixes(&USERNAMES, &prefixes, User::username, |prefix, after, limit| {
        users.users_by_username_prefix(prefix, after, limit).unwrap()
    });
}

const EMAILS: [(&str, &str); 18] = [
    ("a@example.org", "a@example.org"),
    ("A.b@Example.ORG", "a.b@example.org"),
    ("a_b@example.org", "a_b@example.org"),
    ("a-b@example.org", "a-b@example.org"),
    ("a%b@example.org", "a%b@example.org"),
    ("axb@example.org", "axb@example.org"),
    ("a+b@example.org", "a+b@example.org"),
    ("%@example.org", "%@example.org"),
    ("_@example.org", "_@example.org"),
    ("ann@B\u{dc}CHER.example", "ann@xn--bcher-kva.example"),
    ("ann@example.com", "ann@example.com"),
    ("Ann@example.org", "ann@example.org"),
    ("anna@example.org", "anna@example.org"),
    ("jose@example.org", "jose@example.org"),
    ("JOS\u{c9}@example.org", "jos\u{e9}@example.org"),
    ("m\u{131}ke@example.org", "m\u{131}ke@example.org"),
    ("mike@example.org", "mike@example.org"),
    ("stra\u{df}e@example.org", "stra\u{df}e@example.org"),
];

fn emails_are_found_by_their_beginning<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(lenient_policy());
    for (n, (typed, _)) in EMAILS.iter().enumerate() {
        let new_user = NewUser::new(format!("u{n}"), *typed, PASSWORD);
        let created = users.create_user(new_user.without_password());
        assert!(created.unwrap().is_created(), "{typed}");
    }
    let prefixes = [
        ("", ""),
        ("A", "a"),
        (" a", "a"),
        ("a_", "a_"),
        ("a%", "a%"),
        ("a-", "a-"),
        ("a\\", "a\\"),
        ("%", "%"),
        ("%@", "%@"),
        ("_", "_"),
        ("__", "__"),
        ("@", "@"),
        ("ann", "ann"),
        ("ANN@", "ann@"),
        ("ann@Ex", "ann@ex"),
        ("ann@example.", "ann@example."),
        ("ann@example.org", "ann@example.org"),
        ("ann@b\u{fc}cher.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--", "ann@xn--"),
        ("jos", "jos"),
        ("jos\u{e9}", "jos\u{e9}"),
        ("jose\u{301}", "jos\u{e9}"),
        ("m\u{131}", "m\u{131}"),
        ("strass", "strass"),
        ("stra\u{df}", "stra\u{df}"),
        ("\u{10ffff}", "\u{10ffff}"),
    ];
    assert_prefixes(&EMAILS, &prefixes, User::email, |prefix, after, limit| {
        users.users_by_email_prefix(prefix, after, limit).unwrap()
    });
}

/// Compares every search, in pages of several sizes, with one in Rust.
fn assert_prefixes(
    names: &[(&str, &str)],
    prefixes: &[(&str, &str)],
    typed_of: impl Fn(&User) -> Option<&str>,
    search: impl Fn(&str, Option<&str>, u32) -> Vec<User>,
) {
    let mut sorted = names.to_vec();
    sorted.sort_by_key(|(_, key)| key.as_bytes());
    for (typed, start) in prefixes {
        let expected: Vec<_> = sorted
            .iter()
            .filter(|(_, key)| key.starts_with(start))
            .map(|(typed, _)| *typed)
            .collect();
        for size in [1, 3, 1_000] {
            let mut found: Vec<String> = Vec::new();
            loop {
                let page = search(typed, found.last().map(String::as_str), size);
                if page.is_empty() {
                    break;
                }
                found.extend(page.iter().filter_map(&typed_of).map(str::to_owned));
                assert!(found.len() <= names.len(), "{typed:?} does not end");
            }
            assert_eq!(found, expected, "{typed:?} in pages of {size}");
        }
    }
}

fn a_search_ends_where_its_realm_ends<C: TestConnection>(db: TestDb<C>) {
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    let user = db.create(alice());
    elsewhere.create_user(alice()).unwrap().created().unwrap();
    assert_eq!(
        db.users.users_by_username_prefix("a", None, 9).unwrap(),
        std::slice::from_ref(&user)
    );
    assert_eq!(db.users.users_by_email_prefix("a", None, 9).unwrap(), std::slice::from_ref(&user));
    assert_eq!(db.users.list_users(None, 9).unwrap(), [user]);
}

fn a_beginning_that_nobody_can_have_finds_nobody<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    for text in ["\0", "al\0", "alice\0", "al\u{378}"] {
        let found = db.users.users_by_username_prefix(text, None, 9);
        assert_matches!(found, Ok(users) if users.is_empty());
        let found = db.users.users_by_email_prefix(text, None, 9);
        assert_matches!(found, Ok(users) if users.is_empty());
        // After such a text nobody knows who comes: any answer but an error will do.
        db.users.users_by_username_prefix("a", Some(text), 9).unwrap();
        let after = format!("{text}@example.org");
        db.users.users_by_email_prefix("a", Some(&after), 9).unwrap();
    }
}

fn lenient_policy() -> PolicyBuilder {
    cheap_policy()
        .usernames(UsernameRules::new().punctuation("._-%\\[~"))
        .emails(EmailRules::new().utf8_local_part(true))
}
