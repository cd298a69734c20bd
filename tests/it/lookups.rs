//! Finding, listing and changing accounts.

use std::collections::BTreeSet;

use diesel_accounts::{
    Clock, EmailRules, Engine, Error, NewUser, PolicyBuilder, RealmId, TakenReason, Timestamp,
    User, UserCursor, UserId, UserState, UsernameRules,
};

use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, bob, cheap_policy,
    on_each_engine,
};

on_each_engine!(
    a_user_is_found_by_id_username_email_and_login,
    nobody_is_found_where_nobody_is,
    a_text_that_nobody_can_have_is_not_sent_to_the_database,
    a_text_of_ten_megabytes_is_nobodys_at_once,
    a_username_never_finds_an_email_nor_an_email_a_username,
    every_user_is_listed_once_while_others_come_and_go,
    users_of_one_moment_are_listed_by_id,
    a_page_has_as_many_users_as_asked_for_and_at_most_a_thousand,
    a_cursor_of_a_deleted_user_is_still_a_place,
    usernames_are_found_by_their_beginning,
    emails_are_found_by_their_beginning,
    a_search_ends_where_its_realm_ends,
    a_beginning_that_nobody_can_have_finds_nobody,
    a_disabled_user_is_found_and_its_sessions_end,
    a_reserved_user_is_found_nowhere_and_holds_its_names,
    a_deleted_user_sets_its_names_free,
    nobody_can_be_changed_who_is_not_there,
    every_look_up_is_answered_from_an_index,
);

fn a_user_is_found_by_id_username_email_and_login<C: TestConnection>(db: TestDb<C>) {
    db.create(bob());
    let new_user = NewUser::new("Jos\u{e9}", "Ann@b\u{fc}cher.example", PASSWORD);
    let user = Some(db.create(new_user));
    let id = user.as_ref().map(User::id).unwrap();
    assert_eq!(db.users.user_by_id(id).unwrap(), user);
    for username in ["Jos\u{e9}", "JOS\u{c9}", "jose\u{301}", " \u{ff2a}os\u{e9}\n"] {
        assert_eq!(db.users.user_by_username(username).unwrap(), user, "{username}");
        assert_eq!(db.users.user_by_login(username).unwrap(), user, "{username}");
    }
    for email in [
        "Ann@b\u{fc}cher.example",
        "ANN@B\u{dc}CHER.EXAMPLE",
        "ann@xn--bcher-kva.example",
        "\tann@XN--BCHER-KVA.example ",
        "ann@bu\u{308}cher.example",
    ] {
        assert_eq!(db.users.user_by_email(email).unwrap(), user, "{email}");
        assert_eq!(db.users.user_by_login(email).unwrap(), user, "{email}");
    }
}

fn nobody_is_found_where_nobody_is<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    assert_eq!(db.users.user_by_id(UserId::new()).unwrap(), None);
    assert_eq!(db.users.user_by_id(UserId::from_bytes([0; 16])).unwrap(), None);
    assert_eq!(db.users.user_by_id(UserId::from_bytes([255; 16])).unwrap(), None);
    for name in ["bob", "alic", "alicee", "al_ce", "al%", "%", "a b", "\u{1f600}", "' OR 1=1 --"] {
        assert_eq!(db.users.user_by_username(name).unwrap(), None, "{name}");
        assert_eq!(db.users.user_by_login(name).unwrap(), None, "{name}");
        let email = format!("{name}@example.org");
        assert_eq!(db.users.user_by_email(&email).unwrap(), None, "{email}");
        assert_eq!(db.users.user_by_login(&email).unwrap(), None, "{email}");
    }
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    assert_eq!(elsewhere.user_by_id(id).unwrap(), None);
    assert_eq!(elsewhere.user_by_username("alice").unwrap(), None);
    assert_eq!(elsewhere.user_by_email("alice@example.org").unwrap(), None);
    assert_eq!(elsewhere.list_users(None, 10).unwrap(), []);
}

fn a_text_that_nobody_can_have_is_not_sent_to_the_database<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let mut users = db.users.on(&mut conn);
    // The log does log.
    assert!(users.user_by_login("alice").unwrap().is_some());
    assert_eq!(log.take().len(), 1);

    let mut faults = Vec::new();
    let long = "x".repeat(1017);
    let long_email = format!("{}@example.org", "x".repeat(1005));
    let names = ["", " ", "\t\n", "\0", "a\0b", "alice\0", "\0alice", "a\u{378}", &long];
    let emails = [
        "",
        "alice",
        "@",
        "@example.org",
        "alice@",
        "alice@exa mple.org",
        "alice@example..org",
        "alice@example.org\0",
        "a\0b@example.org",
        "\0@example.org",
        "a\u{378}@example.org",
        &long_email,
    ];
    for (way, text) in names
        .iter()
        .map(|name| ("username", name))
        .chain(emails.iter().map(|email| ("email", email)))
    {
        let found = match way {
            "username" => users.user_by_username(text),
            _ => users.user_by_email(text),
        };
        let sent = log.take().len();
        if !matches!(found, Ok(None)) || sent > 0 {
            faults.push(format!("{text:?} by {way}: {found:?}, {sent} statements"));
        }
    }
    assert_eq!(faults, [""; 0]);
}

fn a_text_of_ten_megabytes_is_nobodys_at_once<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let mut users = db.users.on(&mut conn);
    for long in [
        "x".repeat(10_000_000),
        "\u{fdfa}".repeat(3_000_000),
        "\u{301}".repeat(5_000_000),
        format!("{}@example.org", "x".repeat(10_000_000)),
        format!("x@{}", "\u{fc}.".repeat(3_000_000)),
        " ".repeat(10_000_000),
    ] {
        assert_eq!(users.user_by_username(&long).unwrap(), None);
        assert_eq!(users.user_by_email(&long).unwrap(), None);
        assert_eq!(users.user_by_login(&long).unwrap(), None);
        assert_eq!(users.users_by_username_prefix(&long, None, 10).unwrap(), []);
        assert_eq!(users.users_by_email_prefix(&format!("a{long}"), None, 10).unwrap(), []);
        assert_eq!(users.users_by_username_prefix("a", Some(&long), 10).unwrap(), []);
    }
    let sent: Vec<_> = log.take().into_iter().filter(|sent| sent.len() > 5000).collect();
    assert_eq!(sent, [""; 0]);
}

fn a_username_never_finds_an_email_nor_an_email_a_username<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    assert_eq!(db.users.user_by_username("alice@example.org").unwrap(), None);
    assert_eq!(db.users.user_by_email("alice").unwrap(), None);
}

fn every_user_is_listed_once_while_others_come_and_go<C: TestConnection>(db: TestDb<C>) {
    let there = BTreeSet::from_iter((0..23).map(|n| db.create(numbered(n)).id()));
    let mut seen = Vec::new();
    let mut pages = 0;
    let mut after = None;
    loop {
        let page = db.users.list_users(after, 4).unwrap();
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            break;
        };
        seen.extend(page.iter().map(User::id));
        pages += 1;
        after = Some(last.cursor());
        if pages < 5 {
            // One who was listed leaves, and one comes.
            db.users.delete_user(first.id()).unwrap();
            db.create(numbered(100 + pages));
        }
    }
    let once = BTreeSet::from_iter(seen.iter().copied());
    assert_eq!(once.len(), seen.len(), "somebody was listed twice");
    assert!(once.is_superset(&there), "somebody was left out");
    assert_eq!(once.len(), there.len() + 4, "those who came are at the end");
}

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000)
    }
}

fn users_of_one_moment_are_listed_by_id<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(cheap_policy().clock(Frozen));
    let ids: Vec<_> = [0_u8, 1, 2, 9, 10, 0x20, 0x5c, 0x7f, 0x80, 0xc3, 0xfe, 0xff]
        .into_iter()
        .map(|byte| {
            let mut bytes = [0x41; 16];
            bytes[0] = byte;
            UserId::from_bytes(bytes)
        })
        .collect();
    for (n, id) in ids.iter().enumerate().rev() {
        assert!(users.create_user(numbered(n).with_id(*id)).unwrap().is_created());
    }
    for size in [1, 2, 5, 100] {
        let mut listed: Vec<UserId> = Vec::new();
        let mut after = None;
        loop {
            let page = users.list_users(after, size).unwrap();
            let Some(last) = page.last() else { break };
            // A cursor can be sent away as text and come back.
            after = Some(last.cursor().to_string().parse::<UserCursor>().unwrap());
            listed.extend(page.iter().map(User::id));
            assert!(listed.len() <= ids.len(), "pages of {size} do not end");
        }
        assert_eq!(listed, ids, "pages of {size}");
    }
}

fn a_page_has_as_many_users_as_asked_for_and_at_most_a_thousand<C: TestConnection>(db: TestDb<C>) {
    fill(&db);
    for (limit, length) in
        [(0, 0), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000), (u32::MAX, 1_000)]
    {
        let pages = [
            db.users.list_users(None, limit).unwrap(),
            db.users.users_by_username_prefix("user", None, limit).unwrap(),
            db.users.users_by_email_prefix("user", None, limit).unwrap(),
        ];
        assert_eq!(pages.map(|page| page.len()), [length; 3], "{limit}");
    }
}

fn a_cursor_of_a_deleted_user_is_still_a_place<C: TestConnection>(db: TestDb<C>) {
    let first = db.create(alice());
    let second = db.create(bob());
    db.users.delete_user(first.id()).unwrap();
    assert_eq!(
        db.users.list_users(Some(first.cursor()), 10).unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(db.users.list_users(Some(second.cursor()), 10).unwrap(), []);
}

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

fn a_disabled_user_is_found_and_its_sessions_end<C: TestConnection>(db: TestDb<C>) {
    let active = db.create(alice());
    let other = db.create(bob());
    assert_eq!((active.state(), active.session_generation()), (UserState::Active, 0));
    db.users.disable_user(active.id()).unwrap();
    let disabled = db.users.user_by_username("alice").unwrap().unwrap();
    assert_eq!((disabled.id(), disabled.state()), (active.id(), UserState::Disabled));
    assert!(!disabled.is_active());
    assert_eq!(disabled.session_generation(), 1);
    assert!(disabled.updated_at() >= active.updated_at());
    assert_eq!(disabled.created_at(), active.created_at());
    assert_eq!(db.users.list_users(None, 9).unwrap(), [disabled, other.clone()]);

    db.users.disable_user(active.id()).unwrap();
    db.users.enable_user(active.id()).unwrap();
    db.users.enable_user(active.id()).unwrap();
    let enabled = db.users.user_by_email("alice@example.org").unwrap().unwrap();
    assert_eq!((enabled.id(), enabled.state()), (active.id(), UserState::Active));
    // What ended stays ended.
    assert!(enabled.session_generation() >= 1);
    assert_eq!(enabled.username(), active.username());
    assert_eq!(enabled.password_changed_at(), active.password_changed_at());
    assert_eq!(db.users.user_by_id(other.id()).unwrap(), Some(other));
}

fn a_reserved_user_is_found_nowhere_and_holds_its_names<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let other = db.create(bob());
    db.users.reserve_user(id).unwrap();
    assert_eq!(db.users.user_by_id(id).unwrap(), None);
    assert_eq!(db.users.user_by_username("alice").unwrap(), None);
    assert_eq!(db.users.user_by_email("alice@example.org").unwrap(), None);
    assert_eq!(db.users.user_by_login("alice").unwrap(), None);
    assert_eq!(db.users.users_by_username_prefix("a", None, 9).unwrap(), []);
    assert_eq!(db.users.users_by_email_prefix("a", None, 9).unwrap(), []);
    assert_eq!(db.users.list_users(None, 9).unwrap(), [other]);
    let erased = "SELECT COUNT(*) AS number FROM account_users \
                  WHERE state = 2 AND username IS NULL AND email IS NULL \
                  AND password_hash IS NULL AND password_changed_at IS NULL \
                  AND username_key = 'alice' AND email_key = 'alice@example.org'";
    assert_eq!(db.connect().number(erased), 1);
    for act in [db.users.reserve_user(id), db.users.enable_user(id), db.users.disable_user(id)] {
        assert_matches!(act, Err(Error::UserNotFound));
    }
    let by_name = NewUser::new("ALICE", "new@example.org", PASSWORD);
    let by_email = NewUser::new("new", "Alice@Example.org", PASSWORD);
    for (new_user, held) in [(by_name, (Some(id), None)), (by_email, (None, Some(id)))] {
        let refused = db.users.create_user(new_user);
        let taken = assert_matches!(refused, Err(Error::Taken(taken)) => taken);
        assert_eq!((taken.username_holder(), taken.email_holder()), held);
        assert_eq!(taken.reason(), TakenReason::Reserved);
    }
    db.users.delete_user(id).unwrap();
    let again = db.create(alice());
    assert_ne!(again.id(), id);
}

fn a_deleted_user_sets_its_names_free<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(alice()).id();
    let other = db.create(bob());
    db.users.delete_user(id).unwrap();
    assert_eq!(db.users.user_by_id(id).unwrap(), None);
    assert_eq!(db.users.user_by_login("alice").unwrap(), None);
    assert_eq!(db.count(), 1);
    let again = db.create(NewUser::new("ALICE", "ALICE@example.org", PASSWORD));
    assert_ne!(again.id(), id);
    assert_eq!(again.session_generation(), 0);
    assert_eq!(db.users.user_by_id(other.id()).unwrap(), Some(other));
}

fn nobody_can_be_changed_who_is_not_there<C: TestConnection>(db: TestDb<C>) {
    let user = db.create(alice());
    let elsewhere = db.users.in_realm(RealmId::from_bytes([7; 16]));
    for (users, id) in [(&db.users, UserId::new()), (&elsewhere, user.id())] {
        for act in [
            users.enable_user(id),
            users.disable_user(id),
            users.reserve_user(id),
            users.delete_user(id),
        ] {
            assert_matches!(act, Err(Error::UserNotFound));
        }
    }
    assert_eq!(db.users.user_by_id(user.id()).unwrap(), Some(user));
}

fn every_look_up_is_answered_from_an_index<C: TestConnection>(db: TestDb<C>) {
    fill(&db);
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let prepared =
        db.users.prepare(NewUser::new("USER42", "user4711@example.org", PASSWORD)).unwrap();
    let mut statements = Vec::new();
    let mut note = |act: &str, count: usize| {
        let sent: Vec<_> = log.take().into_iter().filter(|sent| sent.contains("SELECT")).collect();
        assert_eq!(sent.len(), count, "{act}: {sent:?}");
        statements.extend(sent.into_iter().map(|sent| (act.to_owned(), sent)));
    };
    let mut users = db.users.on(&mut conn);

    let user = users.user_by_username("user42").unwrap().unwrap();
    note("by username", 1);
    assert!(users.user_by_email("user42@example.org").unwrap().is_some());
    note("by email", 1);
    assert!(users.user_by_id(user.id()).unwrap().is_some());
    note("by id", 1);
    assert_matches!(users.create_user(&prepared), Err(Error::Taken(_)));
    note("conflict", 1);
    let page = users.list_users(None, 50).unwrap();
    assert_eq!(page.len(), 50);
    note("first page", 1);
    let next = users.list_users(page.last().map(User::cursor), 50).unwrap();
    assert_eq!(next.len(), 50);
    note("next page", 1);
    let middle = Timestamp::from_micros(2_500);
    let cursor = format!("{}.{}", middle.as_micros(), user.id()).parse().unwrap();
    assert_eq!(users.list_users(Some(cursor), 50).unwrap().len(), 50);
    note("page in the middle", 1);
    for (prefix, after) in [
        ("user1", None),
        ("user1", Some("user1500")),
        ("user123", None),
        ("", None),
        ("", Some("user2500")),
    ] {
        assert!(!users.users_by_username_prefix(prefix, after, 20).unwrap().is_empty());
        note(&format!("username prefix {prefix:?} after {after:?}"), 1);
        let after = after.map(|name| format!("{name}@example.org"));
        let found = users.users_by_email_prefix(prefix, after.as_deref(), 20);
        assert!(!found.unwrap().is_empty());
        note(&format!("email prefix {prefix:?} after {after:?}"), 1);
    }
    let in_transaction = conn.transaction(|conn| db.users.on(conn).create_user(&prepared));
    assert_matches!(in_transaction, Err(Error::Taken(_)));
    note("conflict in a transaction", if C::ENGINE == Engine::Mysql { 3 } else { 1 });

    // What has no index is told.
    let unindexed = conn.plan("SELECT id FROM account_users WHERE updated_at = 42");
    assert!(unindexed.iter().any(|step| is_scan(C::ENGINE, step)));

    let mut faults = Vec::new();
    for (act, statement) in statements {
        let query = with_binds(&statement, C::ENGINE);
        let plan = conn.plan(&query);
        assert!(!plan.is_empty(), "{query}");
        if let Some(fault) = plan.iter().find(|step| is_scan(C::ENGINE, step)) {
            faults.push(format!("{act}: {fault:?} of {plan:?}: {query}"));
        }
    }
    assert_eq!(faults, [""; 0]);
}

/// Whether a step of a plan reads the whole table.
fn is_scan(engine: Engine, step: &str) -> bool {
    match engine {
        Engine::Mysql => step.starts_with("ALL "),
        Engine::Postgres => step.contains("Seq Scan"),
        _ => step.contains("SCAN") || (step.contains("SEARCH") && !step.contains("USING INDEX")),
    }
}

/// Puts the bound values of a logged statement into its text.
fn with_binds(statement: &str, engine: Engine) -> String {
    let (sql, binds) = statement.split_once(" -- binds: ").unwrap();
    let binds = binds.trim().trim_start_matches('[').trim_end_matches(']');
    let literals: Vec<_> = match binds {
        "" => Vec::new(),
        _ => binds.split(", ").map(|bind| literal(bind, engine)).collect(),
    };
    let mut query = sql.to_owned();
    match engine {
        Engine::Postgres => {
            for (index, literal) in literals.iter().enumerate().rev() {
                query = query.replace(&format!("${}", index + 1), literal);
            }
        }
        _ => {
            assert_eq!(query.matches('?').count(), literals.len(), "{statement}");
            for literal in &literals {
                query = query.replacen('?', literal, 1);
            }
        }
    }
    query
}

fn literal(bind: &str, engine: Engine) -> String {
    let inner = |name: &str| {
        let rest = bind.strip_prefix(name)?.strip_prefix('(')?;
        rest.strip_suffix(')').map(str::to_owned)
    };
    if let Some(present) = inner("Some") {
        literal(&present, engine)
    } else if let Some(id) = inner("UserId").or_else(|| inner("RealmId")) {
        match engine {
            Engine::Postgres => format!("'{id}'::uuid"),
            _ => format!("X'{}'", id.replace('-', "")),
        }
    } else if let Some(micros) = inner("Timestamp") {
        micros
    } else if let Some(text) = bind.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        format!("'{text}'")
    } else if bind == "Reserved" {
        "2".to_owned()
    } else if bind == "None" {
        "NULL".to_owned()
    } else {
        bind.parse::<i64>()
            .unwrap_or_else(|_| panic!("{bind} is a value of a new kind"))
            .to_string()
    }
}

/// Fills a database with 5,000 users, `user1` to `user5000`, one microsecond apart.
fn fill<C: TestConnection>(db: &TestDb<C>) {
    let (id, realm, name, email, analyze) = match C::ENGINE {
        Engine::Mysql => (
            "UNHEX(LPAD(HEX(i), 32, '0'))",
            "UNHEX(REPEAT('0', 32))",
            "CONCAT('user', i)",
            "CONCAT('user', i, '@example.org')",
            "ANALYZE TABLE account_users",
        ),
        Engine::Postgres => (
            "lpad(to_hex(i), 32, '0')::uuid",
            "repeat('0', 32)::uuid",
            "concat('user', i)",
            "concat('user', i, '@example.org')",
            "ANALYZE account_users",
        ),
        _ => (
            "CAST(printf('%016d', i) AS BLOB)",
            "zeroblob(16)",
            "'user' || i",
            "'user' || i || '@example.org'",
            "ANALYZE",
        ),
    };
    let digits = (1..10).map(|d| format!(" UNION ALL SELECT {d}"));
    let digits = format!("(SELECT 0 AS d{})", digits.collect::<String>());
    let insert = format!(
        "INSERT INTO account_users (id, realm, username, username_key, email, email_key, \
                                    created_at, updated_at) \
         SELECT {id}, {realm}, {name}, {name}, {email}, {email}, i, i FROM \
         (SELECT 1 + p.d + 10 * q.d + 100 * r.d + 1000 * s.d AS i \
          FROM {digits} p, {digits} q, {digits} r, {digits} s WHERE s.d < 5) numbers"
    );
    let mut conn = db.connect();
    conn.batch_execute(&insert).unwrap();
    conn.batch_execute(analyze).unwrap();
    assert_eq!(db.count(), 5_000);
}

fn lenient_policy() -> PolicyBuilder {
    cheap_policy()
        .usernames(UsernameRules::new().punctuation("._-%\\[~"))
        .emails(EmailRules::new().utf8_local_part(true))
}

fn numbered(n: usize) -> NewUser {
    NewUser::new(format!("n{n}"), format!("n{n}@example.org"), PASSWORD).without_password()
}
