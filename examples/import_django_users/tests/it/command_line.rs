//! Arguments, exit statuses, and what is never told.

use std::process::Output;

use crate::program::{TestFile, import_into, lines, program, status, table, url_of};
use crate::support::{TestConnection, TestDb, on_each_engine};

on_each_engine!(
    a_file_that_is_not_such_a_table_is_trouble_and_nothing_is_written,
    a_database_without_the_table_is_trouble,
    nothing_personal_is_told_of_a_row,
);

#[test]
fn help_is_given_and_wrong_arguments_are_told() {
    let help = program(&["--help"]).output().unwrap();
    assert_eq!(status(&help), 0);
    assert!(String::from_utf8(help.stdout).unwrap().starts_with("usage: "));
    for arguments in [
        &[][..],
        &["--from"],
        &["--dry-run"],
        &["--from-csv", "a", "--from", "sqlite://b"],
        &["--from-csv", "a", "--iterations", "0"],
        &["--from-csv", "a", "--iterations", "many"],
        &["--from-csv", "a", "--dry-run=yes"],
        &["--from-csv", "a", "b"],
        &["--from-csv", "a", "--force"],
    ] {
        let output = program(arguments).output().unwrap();
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("usage: "), "{arguments:?}");
    }
}

#[test]
fn a_database_that_is_not_there_is_trouble_and_is_not_made() {
    let [absent, target] = [TestFile::absent(), TestFile::absent()];
    let from = format!("sqlite://{}", absent.path());
    let url = format!("sqlite://{}", target.path());
    let csv = TestFile::new("id,username,email,password\n1,ann,,\n");
    for (source, database) in [
        (["--from", from.as_str()], url.as_str()),
        (["--from-csv", absent.path()], url.as_str()),
        (["--from", "nowhere://"], url.as_str()),
        (["--from-csv", csv.path()], "nowhere://"),
    ] {
        let output = program(&source).args(["--database-url", database]).output().unwrap();
        assert_eq!(status(&output), 1, "{source:?}");
        assert!(!output.stderr.is_empty());
    }
    // Nor does a dry run make one.
    let arguments = ["--from-csv", csv.path(), "--dry-run", "--database-url", &url];
    let output = program(&arguments).output().unwrap();
    assert_eq!((table(&output), status(&output)), ([1, 0, 0, 0, 0, 0], 0));
    assert!(!absent.exists() && !target.exists());
}

fn a_file_that_is_not_such_a_table_is_trouble_and_nothing_is_written<C: TestConnection>(
    db: TestDb<C>,
) {
    for (content, told) in [
        ("", "the CSV has no column `id`"),
        ("id,username,password\n1,ann,!\n", "the CSV has no column `email`"),
        ("id,username,email,password\n1,ann,,!\nben,2,,!\n", "line 3: the id is not a number"),
        ("id,username,email,password\n1,ann,,!\n2,ben,!\n", "CSV error"),
    ] {
        let csv = TestFile::new(content);
        let output = import_into(&db, &["--from-csv", csv.path()]);
        assert_eq!(status(&output), 1, "{content}");
        assert!(lines(&output)[0].starts_with(told), "{output:?}");
        assert!(!text(&output).contains("ben"), "{output:?}");
    }
    assert_eq!(db.count(), 0);
    let empty = TestFile::new("id,username,email,password\n");
    let output = import_into(&db, &["--from-csv", empty.path()]);
    assert_eq!((table(&output), status(&output)), ([0; 6], 0));
}

fn a_database_without_the_table_is_trouble<C: TestConnection>(db: TestDb<C>) {
    let output = import_into(&db, &["--from", &url_of(&db)]);
    assert_eq!(status(&output), 1);
    assert!(lines(&output)[0].contains("auth_user"), "{output:?}");
}

fn nothing_personal_is_told_of_a_row<C: TestConnection>(db: TestDb<C>) {
    let csv = TestFile::new(
        "id,username,email,password,is_active,date_joined\n\
         1,canary 1,canary-1,canary$1,t,\n\
         2,canary-2,canary@example.org,,canary,\n\
         3,canary-3,canary@example.org,,t,canary\n\
         4,canary-4,canary@example.org,,t,\n\
         5,canary-4,canary-5@example.org,,t,\n\
         6,canary-6,canary@example.org,canary$canary,t,\n",
    );
    for dry_run in [&["--dry-run"][..], &[], &["--layer"]] {
        let arguments = [&["--from-csv", csv.path()], dry_run].concat();
        let output = import_into(&db, &arguments);
        assert_eq!(
            lines(&output),
            [
                "2: is_active cannot be read",
                "3: date_joined cannot be read",
                "1: the username has a character that is not allowed; the email is not an email \
                 address; the format of the password hash is not known",
                "5: the username is taken",
                "6: the format of the password hash is not known",
            ]
        );
        assert!(!text(&output).contains("canary"), "{output:?}");
    }
    assert_eq!(db.count(), 1);
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
