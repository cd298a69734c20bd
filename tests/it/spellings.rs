//! Which spellings are one account: the same on every engine, whatever its collation.

use diesel_accounts::{
    Creation, EmailRules, Engine, Error, Field, Matched, NewUser, PolicyBuilder, RealmId, Result,
    SchemaProblem, User, UserManager, UsernameRules, migrations,
};

use crate::support::{
    PASSWORD, TestConnection, TestDb, assert_matches, cheap_policy, id_of, on_each_engine,
};

on_each_engine!(
    spellings_of_usernames_are_one_account_or_two_as_designed,
    spellings_of_emails_are_one_account_or_two_as_designed,
    a_local_part_outside_ascii_is_refused_by_default,
    a_key_that_is_only_similar_is_never_the_account_of_another,
);

/// What becomes of two spellings, one created after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Same,
    Different,
    RightRefused,
    BothRefused,
}
use Fate::{BothRefused, Different, RightRefused, Same};

type Pair = (&'static str, &'static str, Fate);

/// The pairs that databases judge differently, each by its collation, and a few more.
const USERNAMES: &[Pair] = &[
    ("bob", "BOB", Same),
    ("bob", "bob ", Same),
    ("alice", " alice\t", Same),
    ("jose", "jos\u{e9}", Different),
    ("admin", "\u{e1}dmin", Different),
    ("\u{e1}dmin", "\u{c1}DMIN", Same),
    ("strasse", "stra\u{df}e", Same),
    ("stra\u{df}e", "stra\u{1e9e}e", Same),
    ("\u{df}", "SS", Same),
    ("s", "\u{df}", Different),
    ("s", "\u{17f}", Same),
    ("\u{e9}", "e\u{301}", Same),
    ("bob", "bo\u{200b}b", RightRefused),
    ("bob", "bob\0", RightRefused),
    ("ab", "a\0b", RightRefused),
    ("ab", "a\u{200d}b", RightRefused),
    ("ab", "a\u{ad}b", RightRefused),
    ("ab", "a\u{202e}b", RightRefused),
    ("\u{1f600}", "\u{1f601}", BothRefused),
    ("i", "\u{131}", Different),
    ("mike", "m\u{131}ke", Different),
    ("i", "\u{130}", Different),
    ("\u{130}", "i\u{307}", Same),
    ("\u{130}", "\u{131}", Different),
    ("alice", "\u{ff21}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}", Same),
    ("fin", "\u{fb01}n", Same),
    ("k", "\u{212a}", Same),
    ("\u{e5}", "\u{212b}", Same),
    ("a", "\u{430}", Different),
    ("\u{3c3}\u{3b1}\u{3c2}", "\u{3a3}\u{391}\u{3a3}", Same),
    ("\u{3c3}\u{3b1}\u{3c2}", "\u{3c3}\u{3b1}\u{3c3}", Same),
    ("\u{3c3}\u{3bf}\u{3c6}\u{3bf}\u{3c2}", "\u{3a3}\u{39f}\u{3a6}\u{39f}\u{3a3}", Same),
    ("\u{30ac}", "\u{ff76}\u{ff9e}", Same),
    ("\u{30ac}", "\u{30ab}", Different),
    ("\u{e4}", "\u{c4}", Same),
    ("ab", "a-b", Different),
    ("a_b", "axb", Different),
    ("a.b", "ab", Different),
    ("1", "\u{661}", Different),
    ("ae", "\u{e6}", Different),
    ("o", "\u{f8}", Different),
    ("d", "\u{111}", Different),
];

const EMAILS: &[Pair] = &[
    ("ann@example.org", "Ann@Example.ORG", Same),
    ("ann@example.org", " ann@example.org\n", Same),
    ("ann@example.org", "ann@\u{ff45}xample.org", Same),
    ("ann@example.org", "ann@example\u{3002}org", Same),
    ("ann@b\u{fc}cher.example", "ann@xn--bcher-kva.example", Same),
    ("ann@b\u{fc}cher.example", "ann@B\u{dc}CHER.example", Same),
    ("ann@b\u{fc}cher.example", "ann@bu\u{308}cher.example", Same),
    ("ann@b\u{fc}cher.example", "ann@bucher.example", Different),
    ("ann@stra\u{df}e.example", "ann@xn--strae-oqa.example", Same),
    ("ann@stra\u{df}e.example", "ann@strasse.example", Different),
    ("ann@\u{3c3}\u{3b1}\u{3c2}.example", "ann@\u{3c3}\u{3b1}\u{3c3}.example", Different),
    ("ann@apple.example", "ann@\u{430}pple.example", Different),
    ("ann@i.example", "ann@\u{131}.example", Different),
    ("jose@example.org", "jos\u{e9}@example.org", Different),
    ("jos\u{e9}@example.org", "JOS\u{c9}@example.org", Same),
    ("jos\u{e9}@example.org", "jose\u{301}@example.org", Same),
    ("i@example.org", "\u{131}@example.org", Different),
    ("mike@example.org", "m\u{131}ke@example.org", Different),
    ("i@example.org", "\u{130}@example.org", Different),
    ("\u{131}@example.org", "\u{130}@example.org", Different),
    ("a@example.org", "\u{ff41}@example.org", Different),
    ("a@example.org", "\u{430}@example.org", Different),
    ("ss@example.org", "\u{df}@example.org", Different),
    ("s@example.org", "\u{df}@example.org", Different),
    ("s@example.org", "\u{17f}@example.org", Different),
    ("\u{df}@example.org", "\u{1e9e}@example.org", Same),
    ("k@example.org", "\u{212a}@example.org", Same),
    ("fi@example.org", "\u{fb01}@example.org", Different),
    ("\u{3c3}\u{3b1}\u{3c2}@example.org", "\u{3c3}\u{3b1}\u{3c3}@example.org", Different),
    ("\u{1f600}@example.org", "\u{1f601}@example.org", BothRefused),
    ("ab@example.org", "a.b@example.org", Different),
    ("a@example.org", "a+tag@example.org", Different),
    ("a_b@example.org", "axb@example.org", Different),
    ("a@example.org", "a@example.com", Different),
    ("ab@example.org", "a\0b@example.org", RightRefused),
    ("ab@example.org", "ab\0@example.org", RightRefused),
    ("ab@example.org", "ab@example.org\0", RightRefused),
    ("ab@example.org", "a\u{200d}b@example.org", RightRefused),
    ("ab@example.org", "a\u{200b}b@example.org", RightRefused),
    ("ab@example.org", "ab@exam\u{ad}ple.org", RightRefused),
    ("ab@example.org", "ab @example.org", RightRefused),
    ("ab@example.org", "ab@example.org.", RightRefused),
    ("ab@example.org", "\"ab\"@example.org", RightRefused),
    ("ab@localhost", "ab@[127.0.0.1]", BothRefused),
];

fn spellings_of_usernames_are_one_account_or_two_as_designed<C: TestConnection>(db: TestDb<C>) {
    assert_eq!(faults(&db, Field::Username, USERNAMES), [""; 0]);
}

fn spellings_of_emails_are_one_account_or_two_as_designed<C: TestConnection>(db: TestDb<C>) {
    assert_eq!(faults(&db, Field::Email, EMAILS), [""; 0]);
}

fn a_local_part_outside_ascii_is_refused_by_default<C: TestConnection>(db: TestDb<C>) {
    for local in ["jos\u{e9}", "\u{131}", "\u{ff41}", "\u{1f600}"] {
        let new_user = NewUser::new("ann", format!("{local}@example.org"), PASSWORD);
        let refused = db.users.create_user(new_user);
        let invalid = assert_matches!(refused, Err(Error::Invalid(invalid)) => invalid);
        let codes: Vec<_> = invalid.errors().iter().map(|error| error.code()).collect();
        assert_eq!(codes, ["local_part_not_ascii"], "{local}");
    }
    assert_eq!(db.count(), 0);
}

/// The host made the table itself, with key columns under a collation of its own.
fn a_key_that_is_only_similar_is_never_the_account_of_another<C: TestConnection>(_: TestDb<C>) {
    let (sloppy_schema, stored) = sloppy_schema(C::ENGINE);
    let db = TestDb::<C>::empty();
    db.connect().batch_execute(&sloppy_schema).unwrap();
    let report = db.users.check().unwrap();
    let named: Vec<_> = report
        .findings()
        .iter()
        .filter(|finding| finding.problem() == SchemaProblem::WrongCollation)
        .map(|finding| finding.subject())
        .collect();
    for key in ["username_key", "email_key"] {
        assert!(named.iter().any(|subject| subject.contains(key)), "{report}");
    }

    let holder = db.create(NewUser::new("x", "x@example.org", PASSWORD)).id();
    let set_keys = format!(
        "UPDATE account_users SET username_key = '{stored}', email_key = '{stored}@example.org'"
    );
    db.connect().batch_execute(&set_keys).unwrap();
    // It is the database that takes the two for one.
    let similar = "SELECT COUNT(*) AS number FROM account_users \
                   WHERE username_key = 'jose' AND email_key = 'jose@example.org'";
    assert_eq!(db.connect().number(similar), 1);

    assert_eq!(db.users.user_by_username("jose").unwrap(), None);
    assert_eq!(db.users.user_by_login("JOSE").unwrap(), None);
    assert_eq!(db.users.user_by_email("jose@example.org").unwrap(), None);
    assert_eq!(db.users.user_by_login("Jose@Example.org").unwrap(), None);
    for new_user in [
        || NewUser::new("jose", "jose@example.org", PASSWORD),
        || NewUser::new("jose", "other@example.org", PASSWORD),
        || NewUser::new("other", "jose@example.org", PASSWORD),
    ] {
        assert_matches!(db.users.create_user(new_user()), Err(Error::HiddenConflict));
        let prepared = db.users.prepare(new_user()).unwrap();
        let mut conn = db.connect();
        let on_lent = db.users.on(&mut conn).create_user(&prepared);
        assert_matches!(on_lent, Err(Error::HiddenConflict));
        let in_transaction = conn.transaction(|conn| db.users.on(conn).create_user(&prepared));
        assert_matches!(in_transaction, Err(Error::HostMustRollBack(None)));
    }
    assert_eq!(db.count(), 1);
    let untouched = db.users.user_by_id(holder).unwrap().unwrap();
    assert_eq!(untouched.username(), Some("x"));
}

/// Our schema with keys that the database compares loosely, and a key that it takes for `jose`.
fn sloppy_schema(engine: Engine) -> (String, &'static str) {
    let sql: String = migrations(engine).iter().map(|step| step.sql()).collect();
    match engine {
        Engine::Mysql => {
            let sloppy = "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";
            let sql = sql
                .replace("VARBINARY(400)", &format!("VARCHAR(400) {sloppy}"))
                .replace("VARBINARY(1016)", &format!("VARCHAR(254) {sloppy}"));
            (sql, "jos\u{e9}")
        }
        Engine::Postgres => {
            let sloppy = "CREATE COLLATION sloppy \
                          (provider = icu, locale = 'und-u-ks-level1', deterministic = false);\n";
            (format!("{sloppy}{}", sql.replace("\"C\"", "sloppy")), "jos\u{e9}")
        }
        Engine::Sqlite => (sql.replace("COLLATE BINARY", "COLLATE NOCASE"), "JOSE"),
        other => panic!("{other:?} has no sloppy schema yet"),
    }
}

/// Creates both spellings of each pair in a realm of its own, looks them up, and tells what is not
/// as it should be.
fn faults<C: TestConnection>(db: &TestDb<C>, field: Field, pairs: &[Pair]) -> Vec<String> {
    let users = db.users_with(lenient_policy());
    let mut faults = Vec::new();
    for (number, &(left, right, fate)) in (1_u128..).zip(pairs) {
        let users = users.in_realm(RealmId::from_bytes(number.to_be_bytes()));
        let answers = [(left, "left"), (right, "right")].map(|(spelling, other)| {
            (spelling, users.create_user(new_user(field, spelling, other)))
        });
        let pair = format!("{left:?} and {right:?}");
        let found = fate_of(field, &answers[0].1, &answers[1].1);
        if found != Some(fate) {
            faults.push(format!("{pair} are {found:?}, not {fate:?}: {answers:?}"));
        }
        for (spelling, answer) in &answers {
            let id = answer.as_ref().ok().map(id_of);
            for (way, answer) in look_ups(&users, field, spelling) {
                match answer {
                    Ok(user) if user.as_ref().map(User::id) == id => {}
                    other => faults.push(format!("{pair}: {spelling:?} by {way} is {other:?}")),
                }
            }
        }
    }
    faults
}

fn lenient_policy() -> PolicyBuilder {
    cheap_policy()
        .usernames(UsernameRules::new().reserved([""; 0]))
        .emails(EmailRules::new().utf8_local_part(true))
}

/// A person with this spelling of one field, and a value of the other that nobody else has.
fn new_user(field: Field, spelling: &str, other: &str) -> NewUser {
    match field {
        Field::Username => NewUser::new(spelling, format!("{other}@example.org"), PASSWORD),
        _ => NewUser::new(other, spelling, PASSWORD),
    }
    .without_password()
}

fn fate_of(field: Field, left: &Result<Creation>, right: &Result<Creation>) -> Option<Fate> {
    let refused = |answer: &Result<Creation>| match answer {
        Err(Error::Invalid(invalid)) => invalid.errors().iter().all(|e| e.field() == field),
        _ => false,
    };
    let matched = match field {
        Field::Username => Matched::Username,
        _ => Matched::Email,
    };
    match (left, right) {
        (Ok(Creation::Created(_)), Ok(Creation::Created(_))) => Some(Different),
        (Ok(Creation::Created(user)), Ok(Creation::Existing(existing))) => {
            (existing.user_id() == user.id() && existing.matched() == matched).then_some(Same)
        }
        (Ok(Creation::Created(_)), right) if refused(right) => Some(RightRefused),
        (left, right) if refused(left) && refused(right) => Some(BothRefused),
        _ => None,
    }
}

fn look_ups<C: TestConnection>(
    users: &UserManager<C>,
    field: Field,
    spelling: &str,
) -> [(&'static str, Result<Option<User>>); 2] {
    let by_field = match field {
        Field::Username => ("username", users.user_by_username(spelling)),
        _ => ("email", users.user_by_email(spelling)),
    };
    [by_field, ("login", users.user_by_login(spelling))]
}

/// Databases whose default collation is not ours.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn assert_all_spellings<C: TestConnection>(url: String) {
    let db = TestDb::<C>::at(url);
    db.users.migrate().unwrap();
    assert_eq!(db.users.check().unwrap().findings(), []);
    let usernames = faults(&db, Field::Username, USERNAMES);
    // The realms are the same, and the accounts must not be.
    db.connect().batch_execute("DELETE FROM account_users").unwrap();
    let emails = faults(&db, Field::Email, EMAILS);
    assert_eq!((usernames, emails), (Vec::new(), Vec::new()));
}

#[cfg(feature = "mysql")]
mod mysql_database {
    use diesel::MysqlConnection;
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;

    use super::assert_all_spellings;
    use crate::support::{LoadNumber, mysql_url_of, server_url, unique_name};

    #[test]
    fn of_general_ci_changes_nothing() {
        assert_spellings_in("CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci");
    }

    #[test]
    fn of_unicode_ci_changes_nothing() {
        assert_spellings_in("CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    }

    /// MySQL's counterpart is `0900_ai_ci`.
    #[test]
    fn of_the_newest_accent_insensitive_collation_changes_nothing() {
        let uca1400 = "SELECT COUNT(*) AS number FROM information_schema.collations \
                       WHERE collation_name LIKE '%uca1400_ai_ci'";
        assert_spellings_in(match server().number(uca1400) {
            0 => "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
            _ => "CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci",
        });
    }

    #[test]
    fn of_latin1_changes_nothing() {
        assert_spellings_in("CHARACTER SET latin1");
    }

    fn assert_spellings_in(options: &str) {
        let name = unique_name();
        server().batch_execute(&format!("CREATE DATABASE {name} {options}")).unwrap();
        assert_all_spellings::<MysqlConnection>(mysql_url_of(&name));
    }

    fn server() -> MysqlConnection {
        MysqlConnection::establish(&server_url("ACCOUNTS_TEST_MYSQL_URL")).unwrap()
    }
}

#[cfg(feature = "postgres")]
mod postgres_database {
    use diesel::PgConnection;
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;

    use super::assert_all_spellings;
    use crate::support::{postgres_url_of, server_url, unique_name};

    #[test]
    fn of_icu_without_accents_changes_nothing() {
        assert_spellings_in("LOCALE_PROVIDER icu ICU_LOCALE 'und-u-ks-level1'");
    }

    #[test]
    fn of_turkish_icu_changes_nothing() {
        assert_spellings_in("LOCALE_PROVIDER icu ICU_LOCALE 'tr'");
    }

    #[test]
    fn of_locale_c_changes_nothing() {
        assert_spellings_in("LOCALE_PROVIDER libc LOCALE 'C'");
    }

    fn assert_spellings_in(options: &str) {
        let name = unique_name();
        PgConnection::establish(&server_url("ACCOUNTS_TEST_POSTGRES_URL"))
            .unwrap()
            .batch_execute(&format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {options}"
            ))
            .unwrap();
        assert_all_spellings::<PgConnection>(postgres_url_of(&name));
    }
}
