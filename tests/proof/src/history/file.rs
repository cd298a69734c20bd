//! A record as a file: one JSON object a line, the head first.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Call, Fault, Head, History, Leak, PoolState, Row};

/// One line.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head(Head),
    Call(Call),
    Fault(Fault),
    Row(Row),
    HostRow(u64),
    Pool(PoolState),
    Leak(Leak),
}

impl History {
    /// Writes the record, in folders that are made if they are missing.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = BufWriter::new(File::create(path)?);
        let mut write = |line: &Line| -> io::Result<()> {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")
        };
        write(&Line::Head(self.head.clone()))?;
        for call in &self.calls {
            write(&Line::Call(call.clone()))?;
        }
        for fault in &self.faults {
            write(&Line::Fault(fault.clone()))?;
        }
        for row in &self.rows {
            write(&Line::Row(*row))?;
        }
        for call in &self.host_rows {
            write(&Line::HostRow(*call))?;
        }
        for pool in &self.pools {
            write(&Line::Pool(*pool))?;
        }
        for leak in &self.leaks {
            write(&Line::Leak(leak.clone()))?;
        }
        file.flush()
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no record.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut history = Self::default();
        for (number, line) in BufReader::new(File::open(path)?).lines().enumerate() {
            match (number, serde_json::from_str(&line?)?) {
                (0, Line::Head(head)) => history.head = head,
                (0, _) => return Err(io::Error::other("the record has no head")),
                (_, Line::Head(_)) => return Err(io::Error::other("the record has two heads")),
                (_, Line::Call(call)) => history.calls.push(call),
                (_, Line::Fault(fault)) => history.faults.push(fault),
                (_, Line::Row(row)) => history.rows.push(row),
                (_, Line::HostRow(call)) => history.host_rows.push(call),
                (_, Line::Pool(pool)) => history.pools.push(pool),
                (_, Line::Leak(leak)) => history.leaks.push(leak),
            }
        }
        Ok(history)
    }
}
