//! The self-check: whether the schema and the server keep what the creation protocol rests on.

use std::fmt;

use diesel::connection::LoadConnection;

use super::AccountBackend;
use super::migrate::{SCHEMA_VERSION, applied_version};
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
        self.findings
            .iter()
            .try_for_each(|finding| writeln!(f, "{finding}"))
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
        Self {
            problem,
            subject: subject.into(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> SchemaProblem {
        self.problem
    }

    /// The table, the column, the columns of an index, or the setting that it is wrong with.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether everything works all the same.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(
            self.problem,
            SchemaProblem::RowSecurity | SchemaProblem::SchemaNewer
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_warning() {
            "warning"
        } else {
            "problem"
        };
        write!(f, "{severity}: {}: {}", self.subject, self.problem)
    }
}

/// What can be wrong with a schema or a server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SchemaProblem {
    /// `autocommit` is off: what the library reports as written is not committed.
    AutocommitOff,
    /// The column cannot hold all that validation lets through.
    ColumnTooShort,
    /// The unique index is checked at the end of the transaction.
    IndexDeferrable,
    /// The index is not a B-tree.
    IndexNotBtree,
    /// The index does not refuse duplicates.
    IndexNotUnique,
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
    /// Row-level security may hide accounts. A warning.
    RowSecurity,
    /// The schema is newer than this version of the crate, and compatible. A warning.
    SchemaNewer,
    /// The schema is older than this version of the crate: run `migrate`.
    SchemaOlder,
    /// Keys are compared by a collation, which calls different keys equal or equal keys different.
    WrongCollation,
    /// The column has a type that the library cannot read or write.
    WrongType,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AutocommitOff => "is off, so that writes are not committed",
            Self::ColumnTooShort => "is too short for all valid values",
            Self::IndexDeferrable => "the unique index is deferrable",
            Self::IndexNotBtree => "the unique index is not a B-tree",
            Self::IndexNotUnique => "the index is not unique",
            Self::IndexPartial => "the unique index leaves something out, or is not valid",
            Self::MissingColumn => "is missing",
            Self::MissingIndex => "there is no index on these columns",
            Self::MissingTable => "is missing",
            Self::MixedKeyVersions => "has keys of another version",
            Self::NotStrict => "is not strict, so that long values are cut",
            Self::NotTransactional => "is in an engine without transactions",
            Self::NotUnicode => "is not UTF-8",
            Self::RowSecurity => "has row-level security, which can hide accounts",
            Self::SchemaNewer => "is newer than this version of the library",
            Self::SchemaOlder => "is older than this version of the library",
            Self::WrongCollation => "is compared by another collation than a bytewise one",
            Self::WrongType => "has the wrong type",
        })
    }
}

/// A column of our table as it is found in the database.
#[derive(Debug)]
pub(crate) struct FoundColumn {
    pub(crate) name: String,
    /// The most characters or bytes; `None` if not limited.
    pub(crate) length: Option<i64>,
    pub(crate) bytewise: bool,
    pub(crate) unicode: bool,
    pub(crate) right_type: bool,
}

/// An index of our table as it is found in the database.
#[derive(Debug)]
pub(crate) struct FoundIndex {
    pub(crate) columns: Vec<String>,
    pub(crate) unique: bool,
    pub(crate) btree: bool,
    pub(crate) immediate: bool,
    pub(crate) whole: bool,
    pub(crate) bytewise: bool,
}

/// Looks at everything.
pub(crate) fn check<C, B>(conn: &mut C) -> Result<SchemaReport>
where
    C: LoadConnection<Backend = B>,
    B: AccountBackend<C>,
{
    let mut findings = B::server_findings(conn)?;
    let columns = B::columns(conn)?;
    if columns.is_empty() {
        findings.push(Finding::new(SchemaProblem::MissingTable, "account_users"));
        return Ok(SchemaReport { findings });
    }
    let version = applied_version(conn)?;
    if version < SCHEMA_VERSION {
        findings.push(Finding::new(
            SchemaProblem::SchemaOlder,
            "account_migrations",
        ));
    } else if version > SCHEMA_VERSION {
        findings.push(Finding::new(
            SchemaProblem::SchemaNewer,
            "account_migrations",
        ));
    }
    let complete = check_columns(&columns, &mut findings);
    check_indexes(&B::indexes(conn)?, &mut findings);
    if complete && B::has_other_key_version(conn)? {
        findings.push(Finding::new(
            SchemaProblem::MixedKeyVersions,
            "account_users",
        ));
    }
    Ok(SchemaReport { findings })
}

/// Whether all columns are there.
fn check_columns(found: &[FoundColumn], findings: &mut Vec<Finding>) -> bool {
    let mut complete = true;
    for (name, min_length, is_key, is_text) in COLUMNS {
        let Some(column) = found.iter().find(|column| column.name == name) else {
            findings.push(Finding::new(SchemaProblem::MissingColumn, name));
            complete = false;
            continue;
        };
        if !column.right_type {
            findings.push(Finding::new(SchemaProblem::WrongType, name));
        }
        if column.length.is_some_and(|length| length < min_length) {
            findings.push(Finding::new(SchemaProblem::ColumnTooShort, name));
        }
        if is_key && !column.bytewise {
            findings.push(Finding::new(SchemaProblem::WrongCollation, name));
        }
        if is_text && !column.unicode {
            findings.push(Finding::new(SchemaProblem::NotUnicode, name));
        }
    }
    complete
}

fn check_indexes(found: &[FoundIndex], findings: &mut Vec<Finding>) {
    for wanted in UNIQUE_INDEXES {
        // Another index on the same columns may be there beside the right one.
        let problems = found
            .iter()
            .filter(|index| index.columns == wanted)
            .map(index_problems)
            .min_by_key(Vec::len)
            .unwrap_or_else(|| vec![SchemaProblem::MissingIndex]);
        let subject = wanted.join(", ");
        findings.extend(
            problems
                .into_iter()
                .map(|problem| Finding::new(problem, &*subject)),
        );
    }
    if !found
        .iter()
        .any(|index| index.columns == PAGE_INDEX && index.whole)
    {
        findings.push(Finding::new(
            SchemaProblem::MissingIndex,
            PAGE_INDEX.join(", "),
        ));
    }
}

fn index_problems(index: &FoundIndex) -> Vec<SchemaProblem> {
    let checks = [
        (index.unique, SchemaProblem::IndexNotUnique),
        (index.btree, SchemaProblem::IndexNotBtree),
        (index.immediate, SchemaProblem::IndexDeferrable),
        (index.whole, SchemaProblem::IndexPartial),
        (index.bytewise, SchemaProblem::WrongCollation),
    ];
    checks
        .into_iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, problem)| problem)
        .collect()
}

/// The columns: name, the least length if it is limited, whether it is a key, whether it is a text
/// of people's.
const COLUMNS: [(&str, i64, bool, bool); 16] = [
    ("id", 0, false, false),
    ("realm", 0, false, false),
    ("username", 512, false, true),
    ("username_key", 400, true, true),
    ("username_key_version", 0, false, false),
    ("email", 254, false, true),
    ("email_key", 254, true, true),
    ("email_key_version", 0, false, false),
    ("email_verified_at", 0, false, false),
    ("password_hash", 255, false, false),
    ("state", 0, false, false),
    ("session_generation", 0, false, false),
    ("created_at", 0, false, false),
    ("updated_at", 0, false, false),
    ("password_changed_at", 0, false, false),
    ("last_sign_in_at", 0, false, false),
];

const UNIQUE_INDEXES: [&[&str]; 3] = [&["id"], &["realm", "username_key"], &["realm", "email_key"]];

const PAGE_INDEX: [&str; 3] = ["realm", "created_at", "id"];
