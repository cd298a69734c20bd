//! The table `auth_user` as a CSV file.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{Reader, StringRecord};

use crate::django::DjangoUser;

/// A CSV file with the columns of `auth_user`, in any order and among others.
pub(crate) struct CsvFile {
    path: PathBuf,
    columns: Columns,
    reader: Reader<File>,
}

impl CsvFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mut reader = Reader::from_path(path)?;
        let columns = Columns::of(reader.headers()?)?;
        Ok(Self { path: path.to_owned(), columns, reader })
    }

    pub(crate) fn count(&self) -> Result<u64, Box<dyn Error>> {
        let mut whole = Self::open(&self.path)?;
        let mut rows = 0;
        while whole.next()?.is_some() {
            rows += 1;
        }
        Ok(rows)
    }

    pub(crate) fn page(&mut self, size: usize) -> Result<Vec<DjangoUser>, Box<dyn Error>> {
        let mut page = Vec::new();
        while page.len() < size {
            let Some(user) = self.next()? else { break };
            page.push(user);
        }
        Ok(page)
    }

    fn next(&mut self) -> Result<Option<DjangoUser>, Box<dyn Error>> {
        let mut record = StringRecord::new();
        if !self.reader.read_record(&mut record)? {
            return Ok(None);
        }
        let line = record.position().map_or(0, |position| position.line());
        let user = self.columns.read(&record);
        user.map(Some).ok_or_else(|| format!("line {line}: the id is not a number").into())
    }
}

/// Which column stands where.
struct Columns {
    id: usize,
    username: usize,
    email: usize,
    password: usize,
    is_active: Option<usize>,
    date_joined: Option<usize>,
    last_login: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, Box<dyn Error>> {
        // Spreadsheets start a file with a mark of its encoding.
        let is = |column: &str, name| column.trim_start_matches('\u{feff}').trim() == name;
        let optional = |name| header.iter().position(|column| is(column, name));
        let required = |name| optional(name).ok_or(format!("the CSV has no column `{name}`"));
        Ok(Self {
            id: required("id")?,
            username: required("username")?,
            email: required("email")?,
            password: required("password")?,
            is_active: optional("is_active"),
            date_joined: optional("date_joined"),
            last_login: optional("last_login"),
        })
    }

    /// `None` if the id is not a number.
    fn read(&self, record: &StringRecord) -> Option<DjangoUser> {
        let text = |column: usize| record.get(column).unwrap_or_default().to_owned();
        Some(DjangoUser {
            id: text(self.id).trim().parse().ok()?,
            username: text(self.username),
            email: text(self.email),
            password: text(self.password),
            is_active: match self.is_active {
                Some(column) => boolean(&text(column)),
                None => Some(true),
            },
            date_joined: self.date_joined.map(text),
            last_login: self.last_login.map(text),
        })
    }
}

/// As PostgreSQL, MariaDB, SQLite, Python and spreadsheets write it.
fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}
