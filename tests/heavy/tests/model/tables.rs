//! The whole tables, beside those of the model.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::schema::{account_attempts, account_users};
use diesel_accounts::{RealmId, UserId, UserState};

use crate::accounts::{Form, Keys};
use crate::answer::{Person, Who};
use crate::attempts::{Counts, Origin, Subject};
use crate::operation::HashingRule;
use crate::reference::Tables;

/// A connection that reads everything.
pub(crate) trait ReadTables {
    fn users(&mut self) -> Vec<UserRow>;
    fn attempts(&mut self) -> Vec<AttemptRow>;
}

macro_rules! read_tables {
    ($($connection:ty),+ $(,)?) => {$(
        impl ReadTables for $connection {
            fn users(&mut self) -> Vec<UserRow> {
                account_users::table.load(self).unwrap()
            }

            fn attempts(&mut self) -> Vec<AttemptRow> {
                account_attempts::table.load(self).unwrap()
            }
        }
    )+};
}
read_tables!(MysqlConnection, PgConnection, SqliteConnection);

/// What both sides have in a row of an account.
#[derive(Debug, Eq, PartialEq)]
struct Entry {
    person: Person,
    keys: Keys,
    form: Option<Form>,
}

/// The attempts on one subject: of an account, or of a login whose digest tells nothing. Of each
/// row: whether it counts all clients together.
type AttemptsOnOne = (Option<Who>, Vec<(bool, Counts)>);

/// Compares everything that is stored with the model.
pub(crate) fn assert_equal<C: ReadTables>(
    conn: &mut C,
    model: &Tables,
    who: impl Fn(UserId) -> Option<Who>,
) {
    let mut found: Vec<Entry> = conn
        .users()
        .into_iter()
        .map(|row| row.entry(&who).expect("the history knows everybody"))
        .collect();
    found.sort_by_key(|entry| entry.person.who);
    let expected: Vec<Entry> = model
        .accounts
        .rows
        .iter()
        .map(|(who, account)| Entry {
            person: account.person(*who),
            keys: account.keys.clone(),
            form: account.password.as_ref().map(|secret| secret.form),
        })
        .collect();
    assert_eq!(found, expected, "the accounts");
    assert_eq!(attempts_found(conn, who), attempts_expected(model), "the attempts");
}

fn attempts_found<C: ReadTables>(
    conn: &mut C,
    who: impl Fn(UserId) -> Option<Who>,
) -> Vec<AttemptsOnOne> {
    let mut by_subject: BTreeMap<UserId, Vec<(bool, Counts)>> = BTreeMap::new();
    for row in conn.attempts() {
        let counts = Counts {
            failures: row.failures,
            in_a_row: row.in_a_row,
            blocked_until: row.blocked_until,
            last_at: row.last_at,
        };
        let of_all = row.client.as_bytes() == &[0; 16];
        by_subject.entry(row.subject).or_default().push((of_all, counts));
    }
    sorted(by_subject.into_iter().map(|(subject, rows)| (who(subject), rows)))
}

fn attempts_expected(model: &Tables) -> Vec<AttemptsOnOne> {
    let mut by_subject: BTreeMap<&Subject, Vec<(bool, Counts)>> = BTreeMap::new();
    for ((subject, origin), counts) in &model.attempts.rows {
        by_subject.entry(subject).or_default().push((*origin == Origin::All, *counts));
    }
    sorted(by_subject.into_iter().map(|(subject, rows)| match subject {
        Subject::Account(who) => (Some(*who), rows),
        Subject::Login(..) => (None, rows),
    }))
}

fn sorted(subjects: impl Iterator<Item = AttemptsOnOne>) -> Vec<AttemptsOnOne> {
    let mut subjects: Vec<_> = subjects.collect();
    subjects.iter_mut().for_each(|(_, rows)| rows.sort());
    subjects.sort();
    subjects
}

#[derive(Queryable)]
pub(crate) struct UserRow {
    id: UserId,
    realm: RealmId,
    username: Option<String>,
    username_key: Option<String>,
    username_key_version: i16,
    email: Option<String>,
    email_key: Option<String>,
    email_key_version: i16,
    email_verified_at: Option<i64>,
    password_hash: Option<String>,
    state: UserState,
    session_generation: i64,
    created_at: i64,
    updated_at: i64,
    password_changed_at: Option<i64>,
    last_sign_in_at: Option<i64>,
    password_change_required: i16,
}

impl UserRow {
    fn entry(self, who: impl Fn(UserId) -> Option<Who>) -> Option<Entry> {
        assert_eq!((self.username_key_version, self.email_key_version), (1, 1));
        let person = Person {
            who: who(self.id)?,
            realm: number_of(self.realm),
            username: self.username,
            email: self.email,
            email_verified_at: self.email_verified_at,
            state: self.state,
            session_generation: self.session_generation,
            created_at: self.created_at,
            updated_at: self.updated_at,
            password_changed_at: self.password_changed_at,
            last_sign_in_at: self.last_sign_in_at,
            must_change_password: self.password_change_required == 1,
        };
        let keys = Keys { username: self.username_key, email: self.email_key };
        Some(Entry { person, keys, form: self.password_hash.as_deref().map(form_of) })
    }
}

#[derive(Queryable)]
pub(crate) struct AttemptRow {
    subject: UserId,
    client: UserId,
    failures: i64,
    in_a_row: i64,
    blocked_until: i64,
    last_at: i64,
}

pub(crate) fn realm_of(number: u8) -> RealmId {
    RealmId::from_bytes([number; 16])
}

pub(crate) fn number_of(realm: RealmId) -> u8 {
    let number = realm.as_bytes()[0];
    assert_eq!(realm, realm_of(number));
    number
}

fn form_of(hash: &str) -> Form {
    let rule = || {
        let (_, parameters) = hash.split_once("$argon2id$v=19$").expect("it is one of ours");
        match parameters.split('$').next().unwrap() {
            "m=8,t=1,p=1" => HashingRule::Cheap,
            "m=16,t=1,p=1" => HashingRule::Dearer,
            "m=8,t=1,p=1,keyid=cDE" => HashingRule::Peppered,
            other => panic!("no rule makes {other}"),
        }
    };
    match hash.split('$').next() {
        Some("") => Form::Own(rule()),
        Some("layered") => Form::Layered(rule()),
        Some("foreign") => Form::Foreign,
        _ => panic!("an unknown form"),
    }
}
