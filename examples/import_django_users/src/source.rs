//! Where the rows come from.

use std::error::Error;

use crate::arguments::From;
use crate::csv_file::CsvFile;
use crate::django::DjangoUser;
use crate::table::Table;

/// The rows of `auth_user`, page by page: never all of them in memory.
pub(crate) enum Source {
    Csv(CsvFile),
    Table(Table),
}

impl Source {
    pub(crate) fn open(from: &From) -> Result<Self, Box<dyn Error>> {
        match from {
            From::Csv(path) => CsvFile::open(path).map(Self::Csv),
            From::Database(url) => Table::open(url).map(Self::Table),
        }
    }

    /// How many rows there are. A file is read through, so that what is wrong with it is known
    /// before anything is written.
    pub(crate) fn count(&mut self) -> Result<u64, Box<dyn Error>> {
        match self {
            Self::Csv(file) => file.count(),
            Self::Table(table) => table.count(),
        }
    }

    /// The next rows; none at the end.
    pub(crate) fn page(&mut self) -> Result<Vec<DjangoUser>, Box<dyn Error>> {
        match self {
            Self::Csv(file) => file.page(PAGE),
            Self::Table(table) => table.page(PAGE),
        }
    }
}

/// A whole number of the batches of `import_users`.
const PAGE: usize = 1000;
