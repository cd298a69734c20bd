//! What the benches share: which databases, medians with their spread, and tables.

use std::fmt;

/// The databases to measure: those of the command line, else a new SQLite file and the servers of
/// `scripts/with-servers`, if they are there.
pub(crate) fn urls(file: &str) -> Vec<String> {
    let given: Vec<_> = std::env::args().skip(1).filter(|word| word.contains("://")).collect();
    if !given.is_empty() {
        return given;
    }
    let servers = ["ACCOUNTS_TEST_POSTGRES_URL", "ACCOUNTS_TEST_MYSQL_URL"];
    let servers = servers.iter().filter_map(|name| std::env::var(name).ok());
    std::iter::once(new_sqlite_file(file)).chain(servers).collect()
}

/// The URL of a SQLite file that is not there yet.
pub(crate) fn new_sqlite_file(name: &str) -> String {
    let folder = option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target");
    let path = format!("{folder}/{name}.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{path}{suffix}"));
    }
    format!("sqlite://{path}")
}

/// The number behind a word of the command line, as in `--rounds 9`.
pub(crate) fn number(name: &str, default: usize) -> usize {
    let words: Vec<_> = std::env::args().collect();
    let value = words.iter().zip(words.iter().skip(1)).find(|(word, _)| *word == name);
    value.and_then(|(_, number)| number.parse().ok()).unwrap_or(default)
}

/// A median, with the least and the most of all values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of one value for each round.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        let median = (at(last / 2) + at(last.div_ceil(2))) / 2.0;
        Self { median, least: at(0), most: at(last) }
    }

    /// Of the ratios of two series that were measured in the same rounds: what else the machine did
    /// meanwhile was done to both.
    pub(crate) fn of_ratios(values: &[f64], baseline: &[f64]) -> Self {
        Self::of(values.iter().zip(baseline).map(|(value, baseline)| value / baseline))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { median, least, most } = self;
        write!(f, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// Prints a table in Markdown, row after row, so that it can be watched and pasted.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head. A column is as wide as its title, and at least so wide.
    pub(crate) fn new(columns: &[(&str, usize)]) -> Self {
        let widths: Vec<_> = columns.iter().map(|(title, width)| title.len().max(*width)).collect();
        let table = Self { widths };
        println!();
        table.row(&columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>());
        table.row(&table.widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
        table
    }

    pub(crate) fn row(&self, cells: &[String]) {
        let cells = cells.iter().zip(&self.widths);
        let cells: Vec<_> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
    }
}
