//! What comes of each kind of row that a Django table can hold.

use std::time::Duration;

use diesel_accounts::{
    Argon2Cost, Engine, ForeignHashes, Hashing, Identifiers, Timestamp, UserManager, UserState,
};

use crate::program::{TestFile, import_into, lines, status, table, url_of};
use crate::support::{TestConnection, TestDb, cheap_policy, on_each_engine};

on_each_engine!(
    every_kind_of_row_of_a_django_table_is_coped_with,
    a_csv_says_the_same_as_the_table,
    a_dry_run_says_what_an_import_would_and_writes_nothing,
    weak_hashes_are_wrapped_if_asked_for,
    dearer_hashes_are_accepted_if_asked_for,
    a_table_of_many_pages_is_read_to_the_end,
);

fn every_kind_of_row_of_a_django_table_is_coped_with<C: TestConnection>(db: TestDb<C>) {
    let django = django_site::<C>();
    let output = import_into(&db, &["--from", &url_of(&django)]);
    assert_eq!(lines(&output), NOT_IMPORTED);
    assert_eq!(table(&output), [8, 0, 2, 4, 1, 0]);
    assert_eq!(status(&output), 3);
    assert_imported(&db);

    let again = import_into(&db, &["--from", &url_of(&django)]);
    assert_eq!(lines(&again), NOT_IMPORTED);
    assert_eq!((table(&again), status(&again)), ([0, 8, 2, 4, 1, 0], 3));
    assert_imported(&db);
}

fn a_csv_says_the_same_as_the_table<C: TestConnection>(db: TestDb<C>) {
    let mut text =
        "\u{feff}last_login,id,username,is_active,date_joined,first_name,email,password\n"
            .to_owned();
    for (number, row) in ROWS.iter().enumerate() {
        let active = [["True", "False"], ["t", "f"], ["1", "0"]][number % 3];
        let active = active[usize::from(!row.is_active)];
        let [joined, seen] = match (row.id, number % 2) {
            (15, _) => ["yesterday", ""],
            (_, 0) => ["2014-05-13T18:53:20.123456+02:00", "2017-07-14 02:40:00"],
            _ => ["2014-05-13T16:53:20.123456Z", "2017-07-14T02:40:00+00:00"],
        };
        let (id, username, email, password) = (row.id, row.username, row.email, row.password);
        text += &format!("{seen},{id},{username},{active},{joined},\"A, \"\"B\"\"\nC\",{email},");
        text += &format!("{password}\r\n");
    }
    let csv = TestFile::new(&text);
    let output = import_into(&db, &["--from-csv", csv.path()]);
    assert_eq!(lines(&output), NOT_IMPORTED);
    assert_eq!((table(&output), status(&output)), ([8, 0, 2, 4, 1, 0], 3));
    assert_imported(&db);
}

fn a_dry_run_says_what_an_import_would_and_writes_nothing<C: TestConnection>(_: TestDb<C>) {
    let db = TestDb::<C>::empty();
    let django = django_site::<C>();
    let url = url_of(&django);
    let dry_run = ["--from", &url, "--dry-run"];
    // There are no tables yet, and there are none afterwards.
    let before = db.users.check().unwrap();
    let output = import_into(&db, &dry_run);
    assert_eq!(lines(&output), NOT_IMPORTED);
    assert_eq!((table(&output), status(&output)), ([8, 0, 2, 4, 1, 0], 3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("would be created"));
    assert_eq!(db.users.check().unwrap(), before);
    // With tables, but without accounts.
    db.users.migrate().unwrap();
    assert_eq!(table(&import_into(&db, &dry_run)), [8, 0, 2, 4, 1, 0]);
    assert_eq!(db.count(), 0);
    // With some of the accounts.
    let csv = TestFile::new("id,username,email,password\n4,DAN,,!\n7,fay,else@example.org,\n");
    let output = import_into(&db, &["--from-csv", csv.path()]);
    assert_eq!((table(&output), status(&output)), ([2, 0, 0, 0, 0, 0], 0));
    let output = import_into(&db, &dry_run);
    assert_eq!(table(&output), [6, 1, 3, 4, 1, 0]);
    assert_eq!(db.count(), 2);
    let output = import_into(&db, &["--from-csv", csv.path(), "--dry-run"]);
    assert_eq!((table(&output), status(&output)), ([0, 2, 0, 0, 0, 0], 0));
}

fn weak_hashes_are_wrapped_if_asked_for<C: TestConnection>(db: TestDb<C>) {
    let django = django_site::<C>();
    let output = import_into(&db, &["--from", &url_of(&django), "--layer"]);
    // The plain digest is one of them now.
    assert_eq!(table(&output), [9, 0, 2, 3, 1, 0]);
    assert_eq!((hashes_like(&db, "layered$%"), hashes_like(&db, "%")), (8, 8));
    let accepted = ForeignHashes::none().pbkdf2_sha256(1).layered();
    let users = service(&db, Hashing::new().accept(accepted));
    assert!(users.authenticate("ann", PASSWORD).unwrap().is_accepted());
    assert!(users.authenticate("kim", "p\u{e4}ssw\u{f6}rd").unwrap().is_accepted());
    assert_eq!(hashes_like(&db, "layered$%"), 6);
}

fn dearer_hashes_are_accepted_if_asked_for<C: TestConnection>(db: TestDb<C>) {
    let django = django_site::<C>();
    let output = import_into(&db, &["--from", &url_of(&django), "--iterations", "9000000"]);
    assert_eq!(table(&output), [9, 0, 2, 3, 1, 0]);
    let none = TestDb::<C>::new();
    let csv = TestFile::new(&format!("id,username,email,password\n1,ann,,{DEAR}\n"));
    let refused = import_into(&none, &["--from-csv", csv.path(), "--iterations", "8999999"]);
    assert_eq!(lines(&refused), ["1: the password hash costs more than the policy accepts"]);
    assert_eq!(status(&refused), 3);
}

fn a_table_of_many_pages_is_read_to_the_end<C: TestConnection>(db: TestDb<C>) {
    let django = TestDb::<C>::empty();
    let mut conn = django.connect();
    conn.batch_execute(create_table(C::ENGINE)).unwrap();
    // With gaps between the ids, and more than the two pages of 1,000.
    for part in 0..5_usize {
        let rows = (500 * part..500 * (part + 1)).map(|number| {
            let active = boolean(C::ENGINE, true);
            format!(
                "({}, 'u{number}', '', '!', {active}, '2014-05-13 16:53:20', NULL)",
                7 * number + 1
            )
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        conn.batch_execute(&format!("{INSERT} VALUES {rows}")).unwrap();
    }
    let output = import_into(&db, &["--from", &url_of(&django)]);
    assert_eq!((table(&output), status(&output)), ([2500, 0, 0, 0, 0, 0], 0));
    assert_eq!(db.count(), 2500);
    assert!(db.users.user_by_username("u2499").unwrap().is_some());
}

/// What has to be there after the rows were imported.
fn assert_imported<C: TestConnection>(db: &TestDb<C>) {
    assert_eq!(db.count(), 8);
    let cheap = Hashing::new().cost(Argon2Cost::new(8, 1, 1).unwrap());
    let users = service(db, cheap.accept(ForeignHashes::none().pbkdf2_sha256(1)));
    let named = |login| users.user_by_login(login).unwrap().unwrap();
    let ann = named("ann");
    assert_eq!(ann.created_at(), Timestamp::from_micros(1_400_000_000_123_456));
    assert_eq!(ann.last_sign_in_at(), Some(Timestamp::from_micros(1_500_000_000_000_000)));
    assert_eq!(ann.email(), Some("ann@example.org"));
    assert_eq!(named("ben@example.org").username(), None);
    assert_eq!(named("cat@example.org").email(), Some("Cat@Example.org"));
    assert_eq!(named("dan").email(), None);
    assert_eq!(named("fay").state(), UserState::Disabled);
    assert_eq!(named("gus+tag").email(), Some("gus@example.org"));
    assert_eq!(named("admin").state(), UserState::Active);
    for (login, accepted) in [
        ("ben@example.org", true),
        ("cat@example.org", true),
        ("dan", true),
        ("gus@example.org", true),
        ("eve", false),
        ("fay", false),
    ] {
        assert_eq!(users.authenticate(login, PASSWORD).unwrap().is_accepted(), accepted, "{login}");
    }
}

/// The manager of the service that these people sign in to.
fn service<C: TestConnection>(db: &TestDb<C>, hashing: Hashing) -> UserManager<C> {
    let hashing = hashing.longest_wait(Duration::from_secs(60));
    db.users_with(cheap_policy().identifiers(Identifiers::Either).hashing(hashing))
}

fn hashes_like<C: TestConnection>(db: &TestDb<C>, pattern: &str) -> i64 {
    db.connect().number(&format!(
        "SELECT COUNT(*) AS number FROM account_users WHERE password_hash LIKE '{pattern}'"
    ))
}

/// The database of a Django site, with `ROWS` in it.
fn django_site<C: TestConnection>() -> TestDb<C> {
    let site = TestDb::<C>::empty();
    let mut conn = site.connect();
    conn.batch_execute(create_table(C::ENGINE)).unwrap();
    if C::ENGINE == Engine::Mysql {
        // As servers were set up when many of these tables were filled.
        conn.batch_execute("SET sql_mode = ''").unwrap();
    }
    for row in ROWS {
        let joined = match (row.id, C::ENGINE) {
            (15, Engine::Sqlite) => "yesterday",
            (15, Engine::Postgres) => "infinity",
            (15, _) => "0000-00-00 00:00:00",
            // The same moment, in another time zone.
            (_, Engine::Postgres) => "2014-05-13 18:53:20.123456+02",
            _ => "2014-05-13 16:53:20.123456",
        };
        let seen = match C::ENGINE {
            Engine::Postgres => "2017-07-14 02:40:00+00",
            _ => "2017-07-14 02:40:00",
        };
        let (id, username, email, password) = (row.id, row.username, row.email, row.password);
        let active = boolean(C::ENGINE, row.is_active);
        conn.batch_execute(&format!(
            "{INSERT} VALUES \
             ({id}, '{username}', '{email}', '{password}', {active}, '{joined}', '{seen}')"
        ))
        .unwrap();
    }
    site
}

const INSERT: &str =
    "INSERT INTO auth_user (id, username, email, password, is_active, date_joined, last_login)";

fn boolean(engine: Engine, value: bool) -> &'static str {
    match (engine, value) {
        (Engine::Postgres, true) => "true",
        (Engine::Postgres, false) => "false",
        (_, true) => "1",
        (_, false) => "0",
    }
}

/// What `manage.py migrate` of Django 5.2 creates, with values for the columns that are not read;
/// on MariaDB in a collation in which two spellings of a username are two.
fn create_table(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            r#"CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
            "password" varchar(128) NOT NULL, "last_login" datetime NULL,
            "is_superuser" bool NOT NULL DEFAULT 0, "username" varchar(150) NOT NULL UNIQUE,
            "last_name" varchar(150) NOT NULL DEFAULT '', "email" varchar(254) NOT NULL,
            "is_staff" bool NOT NULL DEFAULT 0, "is_active" bool NOT NULL,
            "date_joined" datetime NOT NULL, "first_name" varchar(150) NOT NULL DEFAULT '')"#
        }
        Engine::Postgres => {
            r#"CREATE TABLE "auth_user" (
            "id" integer NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
            "password" varchar(128) NOT NULL, "last_login" timestamp with time zone NULL,
            "is_superuser" boolean NOT NULL DEFAULT false, "username" varchar(150) NOT NULL UNIQUE,
            "first_name" varchar(150) NOT NULL DEFAULT '',
            "last_name" varchar(150) NOT NULL DEFAULT '', "email" varchar(254) NOT NULL,
            "is_staff" boolean NOT NULL DEFAULT false, "is_active" boolean NOT NULL,
            "date_joined" timestamp with time zone NOT NULL)"#
        }
        _ => {
            "CREATE TABLE `auth_user` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY,
            `password` varchar(128) NOT NULL, `last_login` datetime(6) NULL,
            `is_superuser` bool NOT NULL DEFAULT 0, `username` varchar(150) NOT NULL UNIQUE,
            `first_name` varchar(150) NOT NULL DEFAULT '',
            `last_name` varchar(150) NOT NULL DEFAULT '', `email` varchar(254) NOT NULL,
            `is_staff` bool NOT NULL DEFAULT 0, `is_active` bool NOT NULL,
            `date_joined` datetime(6) NOT NULL) COLLATE utf8mb4_bin"
        }
    }
}

struct Row {
    id: i64,
    username: &'static str,
    email: &'static str,
    password: &'static str,
    is_active: bool,
}

const fn row(id: i64, username: &'static str, email: &'static str, password: &'static str) -> Row {
    Row { id, username, email, password, is_active: id != 7 }
}

const ROWS: [Row; 15] = [
    row(1, "ann", "ann@example.org", CHEAP),
    row(2, "Ben@example.org", "ben@example.org", CHEAP),
    row(3, "Cat@Example.org", "", CHEAP),
    row(4, "dan", "", CHEAP),
    row(5, "ANN", "other@example.org", CHEAP),
    row(6, "eve", "", "!q48n8cXtVGG0oDNNCIfrHYwFzsFB86qVq48n8cXt"),
    row(7, "fay", "fay@example.org", CHEAP),
    row(8, "gus+tag", "gus@example.org", CHEAP),
    row(9, "hal@old.example", "hal@new.example", CHEAP),
    row(10, "ivy", "Ann@example.org", CHEAP),
    row(11, "jon", "jon@example.org", DEAR),
    row(
        12,
        "kim",
        "kim@example.org",
        "md5$4XvZybrxa44R75sgsroDLn$3c0942ff71e2e3991db6fffc942a1b9a",
    ),
    row(13, "admin", "admin@example.org", CHEAP),
    row(14, "lee", "lee@localhost", CHEAP),
    row(15, "max", "max@example.org", CHEAP),
];

/// What is said of them, page by page: first what cannot be read.
const NOT_IMPORTED: [&str; 7] = [
    "15: date_joined cannot be read",
    "5: the username is taken",
    "9: the username has a character that is not allowed",
    "10: the email is taken",
    "11: the password hash costs more than the policy accepts",
    "12: a plain digest must be wrapped into Argon2id",
    "14: the email does not have a valid domain",
];

const PASSWORD: &str = "Correct-horse-42";
/// Of `PASSWORD`, by Django 5.2.
const CHEAP: &str =
    "pbkdf2_sha256$1$vAvbOAKErSjePcmcH5sPHY$oDS2GIx+kzcFDjjb+JJC2tCrn6PHQqQZbROHToOEsOY=";
const DEAR: &str =
    "pbkdf2_sha256$9000000$vAvbOAKErSjePcmcH5sPHY$oDS2GIx+kzcFDjjb+JJC2tCrn6PHQqQZbROHToOEsOY=";
