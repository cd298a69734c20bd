//! Finding accounts.

use diesel_accounts::{Engine, NewUser, RealmId, User, UserId};

use crate::support::{PASSWORD, QueryLog, TestConnection, TestDb, alice, bob, on_each_engine};

mod changes;
mod listing;
mod plans;
mod searching;

on_each_engine!(
    a_user_is_found_by_id_username_email_and_login,
    nobody_is_found_where_nobody_is,
    a_text_that_nobody_can_have_is_not_sent_to_the_database,
    a_text_of_ten_megabytes_is_nobodys_at_once,
    a_username_never_finds_an_email_nor_an_email_a_username,
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

/// Fills a database with 5,000 users, `user1` to `user5000`, one microsecond apart.
pub(super) fn fill<C: TestConnection>(db: &TestDb<C>) {
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
