//! The self-check: whether the schema and the server keep what the creation protocol rests on.

use std::fmt;

use diesel::connection::LoadConnection;

use self::Presence::{Always, Sometimes};
use super::AccountBackend;
use super::migrate::{Ledger, SCHEMA_VERSION, ledger};
use crate::error::Result;

/// What [`UserManager::check`](crate::UserManager::check) found.
///
/// ```
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let report = users.check()?;
/// assert!(report.is_sound(), "{report}");
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct SchemaReport {
    findings: Vec<Finding>,
}

impl SchemaReport {
    /// Whether there is nothing worse than a warning.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(Finding::is_warning)
    }

    /// Everything that was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for SchemaReport {
    /// A line for each finding; nothing if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    problem: SchemaProblem,
    subject: String,
}

impl Finding {
    pub(crate) fn new(problem: SchemaProblem, subject: impl Into<String>) -> Self {
        Self { problem, subject: subject.into() }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> SchemaProblem {
        self.problem
    }

    /// The table, the column, the columns of an index, or the setting that it is wrong with. What is
    /// of another table than `account_users` stands in brackets behind its name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether everything works all the same.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(
            self.problem,
            SchemaProblem::HostTrigger | SchemaProblem::RowSecurity | SchemaProblem::SchemaNewer
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_warning() { "warning" } else { "problem" };
        write!(f, "{severity}: {}: {}", self.subject, self.problem)
    }
}

/// What can be wrong with a schema or a server.
///
/// ```
/// use diesel_accounts::diesel::{Connection, SqliteConnection};
/// use diesel_accounts::{Accounts, Policy, SchemaProblem};
///
/// let policy = Policy::default();
/// let mut conn = SqliteConnection::establish(":memory:")?;
/// let report = Accounts::new(&policy, &mut conn).check()?;
/// assert_eq!(report.findings()[0].problem(), SchemaProblem::MissingTable);
/// assert_eq!(report.findings()[0].to_string(), "problem: account_users: is missing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SchemaProblem {
    /// `autocommit` is off: what the library reports as written is not committed.
    AutocommitOff,
    /// The column takes no absent value, and the library leaves it absent.
    ColumnRequired,
    /// The column cannot hold all that validation lets through.
    ColumnTooShort,
    /// A unique index of the host's, or an exclusion constraint: it refuses accounts, and no
    /// look-up of ours finds out why.
    ExtraUniqueIndex,
    /// The table belongs to another program.
    ForeignTable,
    /// A trigger or a rewrite rule of the host's, which may stop accounts from being written. A
    /// warning.
    HostTrigger,
    /// The unique index is checked at the end of the transaction.
    IndexDeferrable,
    /// The index is not a B-tree.
    IndexNotBtree,
    /// The index does not refuse duplicates.
    IndexNotUnique,
    /// The unique index takes two absent names for equal.
    IndexNullsEqual,
    /// The index leaves rows, or parts of the key, out.
    IndexPartial,
    /// The column is not there.
    MissingColumn,
    /// There is no index on these columns.
    MissingIndex,
    /// The table is not there.
    MissingTable,
    /// Some keys were made by another version of the key functions.
    MixedKeyVersions,
    /// `sql_mode` is not strict: values that are too long are cut.
    NotStrict,
    /// The engine of the table knows no transactions.
    NotTransactional,
    /// Texts are stored in another encoding than UTF-8.
    NotUnicode,
    /// Sessions read what is not committed, and may tell of accounts that never are (MariaDB and
    /// MySQL).
    ReadUncommitted,
    /// Row-level security may hide accounts. A warning.
    RowSecurity,
    /// The schema is newer than this version of the crate, and compatible. A warning.
    SchemaNewer,
    /// The schema is older than this version of the crate: run `migrate`.
    SchemaOlder,
    /// The schema is newer than this version of the crate, which cannot work with it.
    SchemaTooNew,
    /// Keys are compared by a collation, which calls different keys equal or equal keys different.
    WrongCollation,
    /// The column has a type that the library cannot read or write.
    WrongType,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AutocommitOff => "is off, so that writes are not committed",
            Self::ColumnRequired => "must have a value, and not every account has one",
            Self::ColumnTooShort => "is too short for all valid values",
            Self::ExtraUniqueIndex => "another unique index or constraint refuses accounts",
            Self::ForeignTable => "belongs to another program",
            Self::HostTrigger => "is a trigger or rule, which can stop accounts from being written",
            Self::IndexDeferrable => "the unique index is deferrable",
            Self::IndexNotBtree => "the unique index is not a B-tree",
            Self::IndexNotUnique => "the index is not unique",
            Self::IndexNullsEqual => "the unique index takes absent names for equal",
            Self::IndexPartial => "the unique index leaves something out, or is not valid",
            Self::MissingColumn => "is missing",
            Self::MissingIndex => "there is no index on these columns",
            Self::MissingTable => "is missing",
            Self::MixedKeyVersions => "has keys of another version",
            Self::NotStrict => "is not strict, so that long values are cut",
            Self::NotTransactional => "is in an engine without transactions",
            Self::NotUnicode => "is not UTF-8",
            Self::ReadUncommitted => "lets sessions read what may never be committed",
            Self::RowSecurity => "has row-level security, which can hide accounts",
            Self::SchemaNewer => "is newer than this version of the library",
            Self::SchemaOlder => "is older than this version of the library",
            Self::SchemaTooNew => "is too new for this version of the library",
            Self::WrongCollation => "is compared by another collation than a bytewise one",
            Self::WrongType => "has the wrong type",
        })
    }
}

/// A column as it is found in the database.
#[derive(Debug)]
pub(crate) struct FoundColumn {
    pub(crate) name: String,
    /// What values it takes; several where the engine does not tell them apart.
    pub(crate) kinds: &'static [Kind],
    /// The most characters or bytes; `None` if not limited.
    pub(crate) length: Option<i64>,
    pub(crate) bytewise: bool,
    pub(crate) unicode: bool,
    /// Whether NULL is refused.
    pub(crate) not_null: bool,
    /// Whether a row that does not name it is refused.
    pub(crate) required: bool,
}

/// Whether every account has a value in a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Presence {
    Always,
    Sometimes,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// 16 bytes.
    Id,
    /// Text that a key is.
    Key,
    /// Text that is shown to people.
    Text,
    /// Text of the library's own.
    Ascii,
    /// An integer of 16 bits.
    Small,
    /// An integer of 64 bits.
    Big,
}

/// An index of our table as it is found in the database.
#[derive(Debug)]
pub(crate) struct FoundIndex {
    pub(crate) columns: Vec<String>,
    pub(crate) unique: bool,
    /// Whether it is that of an exclusion constraint.
    pub(crate) excludes: bool,
    pub(crate) btree: bool,
    pub(crate) immediate: bool,
    pub(crate) whole: bool,
    /// Whether only the beginnings of values are compared.
    pub(crate) of_prefixes: bool,
    pub(crate) nulls_differ: bool,
    pub(crate) bytewise: bool,
}

/// Looks at everything. Some keys are required by policy.
pub(crate) fn check<C, B>(conn: &mut C, required_keys: &[&str]) -> Result<SchemaReport>
where
    C: LoadConnection<Backend = B>,
    B: AccountBackend<C>,
{
    let mut findings = B::server_findings(conn)?;
    let columns = B::columns(conn, "account_users")?;
    if columns.is_empty() {
        findings.push(Finding::new(SchemaProblem::MissingTable, "account_users"));
        return Ok(SchemaReport { findings });
    }
    let of_the_ledger = match ledger(conn)? {
        Ledger::Foreign => Some(SchemaProblem::ForeignTable),
        Ledger::Version { compatible_from, .. } if compatible_from > SCHEMA_VERSION => {
            Some(SchemaProblem::SchemaTooNew)
        }
        Ledger::Version { version, .. } if version > SCHEMA_VERSION => {
            Some(SchemaProblem::SchemaNewer)
        }
        Ledger::Version { version, .. } if version == SCHEMA_VERSION => None,
        Ledger::Empty | Ledger::Missing | Ledger::Version { .. } => {
            Some(SchemaProblem::SchemaOlder)
        }
    };
    findings.extend(of_the_ledger.map(|problem| Finding::new(problem, "account_migrations")));
    let complete = check_columns(&columns, &COLUMNS, required_keys, &mut findings);
    let indexes = B::indexes(conn, "account_users")?;
    check_indexes(&indexes, &UNIQUE_INDEXES, &mut findings);
    if !indexes.iter().any(|index| index.columns == PAGE_INDEX && index.whole) {
        findings.push(Finding::new(SchemaProblem::MissingIndex, PAGE_INDEX.join(", ")));
    }
    for (table, columns, indexes) in OTHER_TABLES {
        let found = B::columns(conn, table)?;
        if found.is_empty() {
            findings.push(Finding::new(SchemaProblem::MissingTable, table));
        } else {
            let mut of_table = Vec::new();
            check_columns(&found, columns, &[], &mut of_table);
            check_indexes(&B::indexes(conn, table)?, indexes, &mut of_table);
            let named = |finding: Finding| {
                Finding::new(finding.problem, format!("{table} ({})", finding.subject))
            };
            findings.extend(of_table.into_iter().map(named));
        }
    }
    if complete && B::has_other_key_version(conn)? {
        findings.push(Finding::new(SchemaProblem::MixedKeyVersions, "account_users"));
    }
    Ok(SchemaReport { findings })
}

/// Whether all columns are there.
fn check_columns(
    found: &[FoundColumn],
    wanted: &[Column],
    required_keys: &[&str],
    findings: &mut Vec<Finding>,
) -> bool {
    // A trigger may give a value to a column of the host's; we would find it out by harm only.
    let has_triggers = findings.iter().any(|finding| finding.problem == SchemaProblem::HostTrigger);
    let mut complete = true;
    for &(name, kind, min_length, presence) in wanted {
        let Some(column) = found.iter().find(|column| column.name == name) else {
            findings.push(Finding::new(SchemaProblem::MissingColumn, name));
            complete = false;
            continue;
        };
        let long_enough = column.length.is_none_or(|length| length >= min_length);
        let of_people = matches!(kind, Kind::Key | Kind::Text);
        let may_be_null = !column.not_null || presence == Always || required_keys.contains(&name);
        let problems = failed([
            (column.kinds.contains(&kind), SchemaProblem::WrongType),
            (long_enough, SchemaProblem::ColumnTooShort),
            (column.bytewise || kind != Kind::Key, SchemaProblem::WrongCollation),
            (column.unicode || !of_people, SchemaProblem::NotUnicode),
            (may_be_null, SchemaProblem::ColumnRequired),
        ]);
        findings.extend(problems.map(|problem| Finding::new(problem, name)));
    }
    let is_ours = |name: &str| wanted.iter().any(|(ours, ..)| *ours == name);
    let of_host = |column: &&FoundColumn| column.required && !is_ours(&column.name);
    for column in found.iter().filter(of_host).filter(|_| !has_triggers) {
        findings.push(Finding::new(SchemaProblem::ColumnRequired, &*column.name));
    }
    complete
}

/// The problems whose check does not hold.
fn failed<const N: usize>(
    checks: [(bool, SchemaProblem); N],
) -> impl Iterator<Item = SchemaProblem> {
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem)
}

fn check_indexes(found: &[FoundIndex], wanted: &[&[&str]], findings: &mut Vec<Finding>) {
    let mut ours = Vec::new();
    for columns in wanted {
        // Another index on the same columns may be there beside the right one.
        let best = found
            .iter()
            .filter(|index| index.columns == **columns)
            .min_by_key(|index| index_problems(index).len());
        ours.extend(best);
        let problems = best.map_or_else(|| vec![SchemaProblem::MissingIndex], index_problems);
        let subject = columns.join(", ");
        findings.extend(problems.into_iter().map(|problem| Finding::new(problem, &*subject)));
    }
    let is_ours = |index: &FoundIndex| ours.iter().any(|found| std::ptr::eq(*found, index));
    for index in found.iter().filter(|index| !is_ours(index) && refuses_more(index, wanted)) {
        findings.push(Finding::new(SchemaProblem::ExtraUniqueIndex, index.columns.join(", ")));
    }
}

/// Whether the index refuses accounts that ours would not: a unique one does not, if it has all
/// columns of one of ours and finds no more values equal.
fn refuses_more(index: &FoundIndex, wanted: &[&[&str]]) -> bool {
    let has = |column: &&str| index.columns.iter().any(|found| found == column);
    let includes_ours = wanted.iter().any(|ours| ours.iter().all(has));
    let compares_as_ours = !index.of_prefixes && index.bytewise && index.nulls_differ;
    index.excludes || index.unique && !(includes_ours && compares_as_ours)
}

fn index_problems(index: &FoundIndex) -> Vec<SchemaProblem> {
    failed([
        (index.unique, SchemaProblem::IndexNotUnique),
        (index.btree, SchemaProblem::IndexNotBtree),
        (index.immediate, SchemaProblem::IndexDeferrable),
        (index.whole, SchemaProblem::IndexPartial),
        (index.nulls_differ, SchemaProblem::IndexNullsEqual),
        (index.bytewise, SchemaProblem::WrongCollation),
    ])
    .collect()
}

/// A column: its name, what it holds, the least length where it is limited, and whether every row
/// has a value.
type Column = (&'static str, Kind, i64, Presence);

const COLUMNS: [Column; 17] = [
    ("id", Kind::Id, 0, Always),
    ("realm", Kind::Id, 0, Always),
    ("username", Kind::Text, 512, Sometimes),
    ("username_key", Kind::Key, 400, Sometimes),
    ("username_key_version", Kind::Small, 0, Always),
    ("email", Kind::Text, 254, Sometimes),
    ("email_key", Kind::Key, 254, Sometimes),
    ("email_key_version", Kind::Small, 0, Always),
    ("email_verified_at", Kind::Big, 0, Sometimes),
    ("password_hash", Kind::Ascii, 255, Sometimes),
    ("state", Kind::Small, 0, Always),
    ("session_generation", Kind::Big, 0, Always),
    ("created_at", Kind::Big, 0, Always),
    ("updated_at", Kind::Big, 0, Always),
    ("password_changed_at", Kind::Big, 0, Sometimes),
    ("last_sign_in_at", Kind::Big, 0, Sometimes),
    ("password_change_required", Kind::Small, 0, Always),
];

/// A table, with its columns and its unique indexes.
type Table = (&'static str, &'static [Column], &'static [&'static [&'static str]]);

const OTHER_TABLES: [Table; 3] = [
    ("account_attempts", &ATTEMPT_COLUMNS, &[&["subject", "client"]]),
    ("account_limits", &LIMIT_COLUMNS, &[&["id"]]),
    ("account_events", &EVENT_COLUMNS, &[&["id"]]),
];

const ATTEMPT_COLUMNS: [Column; 6] = [
    ("subject", Kind::Id, 0, Always),
    ("client", Kind::Id, 0, Always),
    ("failures", Kind::Big, 0, Always),
    ("in_a_row", Kind::Big, 0, Always),
    ("blocked_until", Kind::Big, 0, Always),
    ("last_at", Kind::Big, 0, Always),
];

const LIMIT_COLUMNS: [Column; 2] =
    [("id", Kind::Id, 0, Always), ("theoretical_arrival", Kind::Big, 0, Always)];

const EVENT_COLUMNS: [Column; 9] = [
    ("id", Kind::Id, 0, Always),
    ("realm", Kind::Id, 0, Always),
    ("occurred_at", Kind::Big, 0, Always),
    ("action", Kind::Ascii, 40, Always),
    ("outcome", Kind::Ascii, 40, Always),
    ("user_id", Kind::Id, 0, Sometimes),
    ("actor", Kind::Id, 0, Sometimes),
    ("client", Kind::Text, 255, Sometimes),
    ("request_id", Kind::Text, 255, Sometimes),
];

const UNIQUE_INDEXES: [&[&str]; 3] = [&["id"], &["realm", "username_key"], &["realm", "email_key"]];

const PAGE_INDEX: [&str; 3] = ["realm", "created_at", "id"];
