//! What a database URL names.

/// An engine, and what its driver is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target<'a> {
    Mysql(&'a str),
    Postgres(&'a str),
    /// The path of a file.
    Sqlite(&'a str),
}

impl<'a> Target<'a> {
    /// Reads a URL. The error does not repeat it, for it may have a password in it.
    pub(crate) fn of(url: &'a str) -> Result<Self, &'static str> {
        match url.split_once("://") {
            Some(("mysql", _)) => Ok(Self::Mysql(url)),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url)),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path)),
            Some(("sqlite", _)) => Err("the database URL names no file: sqlite://accounts.db"),
            _ => Err("the database URL must start with sqlite://, postgres:// or mysql://"),
        }
    }
}
