//! The table at the end.

use crate::state::{State, Total};

/// A line for each count, a column for each engine.
pub(crate) fn print(state: &State, engines: &[String]) {
    let totals: Vec<Total> = engines.iter().map(|engine| state.total(engine)).collect();
    let line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        print!("{name:<48}");
        cells.for_each(|cell| print!("{cell:>14}"));
        println!();
    };
    line(&format!("seed {}", state.seed), &mut engines.iter().cloned());
    let mut names: Vec<&str> =
        totals.iter().flat_map(|total| total.counts.iter().map(|(name, _)| name)).collect();
    names.retain(|name| !FIRST.contains(name) && !LAST.contains(name));
    names.sort_unstable();
    names.dedup();
    for name in FIRST.into_iter().chain(names).chain(LAST) {
        line(name, &mut totals.iter().map(|total| total.counts.count(name).to_string()));
    }
    line("time", &mut totals.iter().map(|total| format!("{} s", total.milliseconds / 1000)));
    line("operations a second", &mut totals.iter().map(speed));
}

fn speed(total: &Total) -> String {
    (1000 * total.counts.count("operations") / total.milliseconds.max(1)).to_string()
}

const FIRST: [&str; 4] =
    ["operations", "operations that a fault may have met", "operations that failed", "rounds"];
const LAST: [&str; 1] = ["violations"];
