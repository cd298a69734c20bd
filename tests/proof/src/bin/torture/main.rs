//! Load under faults for as long as one likes: in rounds, each on a database of its own and judged
//! by itself. The record of a good round is thrown away, that of a bad one is kept.
//!
//!     scripts/torture --operations 1000000 --engine postgres
//!
//! What was done is kept in `target/proof`, so that a second call goes on where the first was
//! interrupted. Exit status: 0 all is well, 1 a promise was broken, 2 wrong arguments.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for the command line, which fails by panicking"
)]

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use diesel_accounts_proof::history::History;
use diesel_accounts_proof::verdict::Verdict;
use diesel_accounts_proof::workload::victim;

use self::arguments::Arguments;
use self::rounds::Rounds;
use self::state::State;

mod arguments;
mod rounds;
mod state;
mod table;

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    if let [_, word, engine, url] = &given[..]
        && word == "victim"
    {
        victim::run(&engine.to_string_lossy(), &url.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    let outcome = match Arguments::parse() {
        Ok(Arguments { check: Some(file), .. }) => check(&file),
        Ok(arguments) => torture(&arguments),
        Err(error) => Err(format!("{error}\n{}", arguments::USAGE)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Judges a record that was kept, and tells whether all is well.
fn check(file: &Path) -> Result<bool, String> {
    let history = History::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let verdict = Verdict::on(&history);
    verdict.violations.iter().for_each(|violation| println!("VIOLATION: {violation}"));
    print!("{}", verdict.counts);
    Ok(verdict.violations.is_empty())
}

/// Does the rounds that are missing, and tells whether all were well, those of earlier calls too.
fn torture(arguments: &Arguments) -> Result<bool, String> {
    let state = Mutex::new(State::read(arguments)?);
    for engine in &arguments.engines {
        Rounds::new(arguments, engine, &state).run();
    }
    let state = state.into_inner().expect("no round has panicked");
    table::print(&state, &arguments.engines);
    let is_good = |engine: &String| state.total(engine).counts.count("violations") == 0;
    Ok(arguments.engines.iter().all(is_good))
}
