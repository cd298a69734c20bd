//! The verdict on a record: that of the checker and the second opinion together.

use std::io;
use std::path::{Path, PathBuf};

use crate::checker::{Counts, Violation, check};
use crate::history::History;
use crate::linear::second_opinion;

/// What is found about a record.
#[derive(Debug)]
pub struct Verdict {
    /// Every promise that was broken.
    pub violations: Vec<Violation>,
    /// What the record is made of, and how much of it had a second opinion.
    pub counts: Counts,
}

impl Verdict {
    /// Judges a record.
    #[must_use]
    pub fn on(history: &History) -> Self {
        let mut violations = check(history);
        let opinion = second_opinion(history, &violations);
        violations.extend(opinion.dissents);
        let mut counts = Counts::of(history);
        counts.add("components with a second opinion", opinion.asked);
        counts.add("components where it agrees", opinion.agreed);
        counts.add("components too large for it", opinion.too_large);
        counts.add("violations", u64::try_from(violations.len()).unwrap());
        Self { violations, counts }
    }
}

/// The folder of records, unless another is asked for: `target/proof`.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/proof")
}

/// Writes a record to a folder, reads it back, and judges what was read: whoever has only the file
/// comes to the same verdict.
///
/// # Errors
///
/// When the file cannot be written or read.
pub fn write_and_judge(history: &History, folder: &Path) -> io::Result<(PathBuf, Verdict)> {
    let path = folder.join(format!("{}-{}.jsonl", history.head.engine, history.head.seed));
    history.write(&path)?;
    let verdict = Verdict::on(&History::read(&path)?);
    Ok((path, verdict))
}
