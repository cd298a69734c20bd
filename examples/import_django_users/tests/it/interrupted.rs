//! A large import that is killed in the middle.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::program::{TestFile, import_into, lines, program, status, table, url_of};
use crate::support::{TestConnection, TestDb, on_each_engine};

on_each_engine!(an_import_of_a_hundred_thousand_rows_is_repeated_after_a_kill);

fn an_import_of_a_hundred_thousand_rows_is_repeated_after_a_kill<C: TestConnection>(db: TestDb<C>) {
    let csv = TestFile::new(&hundred_thousand_rows());
    let arguments = ["--from-csv", csv.path()];
    let mut killed = program(&arguments)
        .args(["--database-url", &url_of(&db)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is told of as soon as its batch is committed.
    let stderr = BufReader::new(killed.stderr.take().unwrap());
    let told = stderr.lines().map(Result::unwrap).find(|line| line.starts_with(&format!("{BAD}:")));
    assert!(told.is_some());
    // By SIGKILL.
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success());

    let before = db.count();
    assert!((20_000..ROWS - 1).contains(&before), "{before}");
    let newest = number(&db, "MAX(updated_at)", "true");

    let output = import_into(&db, &arguments);
    let [created, existing, rest @ ..] = table(&output);
    assert_eq!((created + existing, rest, status(&output)), (99_999, [0, 1, 0, 0], 3));
    assert_eq!(
        lines(&output),
        [format!("{BAD}: the username has a character that is not allowed")]
    );
    // A server may finish a statement of a client that is gone: one batch.
    let before = u64::try_from(before).unwrap();
    assert!((before..=before + 500).contains(&existing), "{before} {existing}");

    assert_eq!(db.count(), ROWS - 1);
    assert_eq!(number(&db, "COUNT(DISTINCT username_key)", "true"), ROWS - 1);
    assert_eq!(number(&db, "COUNT(DISTINCT email_key)", "true"), ROWS / 10);
    assert_eq!(number(&db, "COUNT(password_hash)", "true"), ROWS / 1000);
    // What the first run wrote was not written again.
    let untouched = number(&db, "COUNT(*)", &format!("updated_at <= {newest}"));
    assert!(u64::try_from(untouched).unwrap() >= before, "{untouched} {before}");
    for last in [1, BAD - 1, BAD + 1, ROWS] {
        assert!(db.users.user_by_username(&format!("user{last}")).unwrap().is_some(), "{last}");
    }
}

fn number<C: TestConnection>(db: &TestDb<C>, what: &str, condition: &str) -> i64 {
    let sql = format!("SELECT {what} AS number FROM account_users WHERE {condition}");
    db.connect().number(&sql)
}

fn hundred_thousand_rows() -> String {
    let mut text = "id,username,email,password,is_active,date_joined,last_login\n".to_owned();
    for id in 1..=ROWS {
        let blank = if id == BAD { " " } else { "" };
        let password = match id % 1000 {
            0 => {
                "pbkdf2_sha256$1$vAvbOAKErSjePcmcH5sPHY$oDS2GIx+kzcFDjjb+JJC2tCrn6PHQqQZbROHToOEsOY="
            }
            _ => "!q48n8cXtVGG0oDNNCIfrHYwFzsFB86qVq48n8cXt",
        };
        // Few have an address, for that takes the most time without optimisation.
        let email = if id % 10 == 0 { format!("user{id}@example.org") } else { String::new() };
        writeln!(text, "{id},user{blank}{id},{email},{password},t,2014-05-13 16:53:20.123456+00,")
            .unwrap();
    }
    text
}

const ROWS: i64 = 100_000;
/// The row that is not valid, by which the program tells how far it is.
const BAD: i64 = 20_001;
