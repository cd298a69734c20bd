//! What is shown: a progress bar, a line for each row that was not imported, a table at the end.

use std::fmt::Display;
use std::time::Instant;

use diesel_accounts::{ImportOutcome, InvalidImport};
use indicatif::{ProgressBar, ProgressStyle};

use crate::django::Unreadable;

/// What has come of the rows so far.
pub(crate) struct Report {
    bar: ProgressBar,
    dry_run: bool,
    started: Instant,
    created: u64,
    existing: u64,
    taken: u64,
    invalid: u64,
    failed: u64,
    unreadable: u64,
}

impl Report {
    pub(crate) fn new(rows: u64, dry_run: bool) -> Self {
        let bar = ProgressBar::new(rows);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style);
        }
        let (created, existing, taken, invalid, failed, unreadable) = (0, 0, 0, 0, 0, 0);
        let started = Instant::now();
        Self { bar, dry_run, started, created, existing, taken, invalid, failed, unreadable }
    }

    /// Takes note of what came of a row.
    pub(crate) fn tell(&mut self, id: i64, outcome: &ImportOutcome) {
        match outcome {
            ImportOutcome::Created(_) => self.created += 1,
            ImportOutcome::Existing(_) => self.existing += 1,
            ImportOutcome::Taken(taken) => {
                self.taken += 1;
                self.not_imported(id, taken);
            }
            ImportOutcome::Invalid(invalid) => {
                self.invalid += 1;
                self.not_imported(id, &reasons(invalid));
            }
            ImportOutcome::Failed(error) => {
                self.failed += 1;
                self.not_imported(id, error);
            }
            _ => {
                self.failed += 1;
                self.not_imported(id, &"an outcome that this program does not know");
            }
        }
        self.bar.inc(1);
    }

    /// Takes note of a row that could not be understood.
    pub(crate) fn tell_unreadable(&mut self, id: i64, unreadable: &Unreadable) {
        self.unreadable += 1;
        self.not_imported(id, unreadable);
        self.bar.inc(1);
    }

    /// Whether every row is an account now.
    pub(crate) fn is_complete(&self) -> bool {
        self.taken + self.invalid + self.failed + self.unreadable == 0
    }

    pub(crate) fn print(&self) {
        self.bar.finish_and_clear();
        let created = if self.dry_run { "would be created" } else { "created" };
        println!("{:<20} {:>10}", "outcome", "rows");
        for (outcome, rows) in [
            (created, self.created),
            ("existing", self.existing),
            ("taken", self.taken),
            ("invalid", self.invalid),
            ("unreadable", self.unreadable),
            ("failed", self.failed),
        ] {
            println!("{outcome:<20} {rows:>10}");
        }
        println!("{:<20} {:>9.1}s", "time", self.started.elapsed().as_secs_f64());
    }

    /// The bar would otherwise be torn by the line.
    fn not_imported(&self, id: i64, reason: &dyn Display) {
        self.bar.suspend(|| eprintln!("{id}: {reason}"));
    }
}

/// Everything that is wrong with a row.
fn reasons(invalid: &InvalidImport) -> String {
    let fields = invalid.fields().into_iter().flat_map(|fields| fields.errors());
    let reasons =
        fields.map(ToString::to_string).chain(invalid.hash().map(|hash| hash.to_string()));
    reasons.collect::<Vec<_>>().join("; ")
}
