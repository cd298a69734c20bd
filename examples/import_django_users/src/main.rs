//! Takes over the accounts of a Django site: the table `auth_user`, or a CSV of it.
//!
//!     cargo run -p import_django_users -- --from sqlite://db.sqlite3 --dry-run
//!     cargo run -p import_django_users -- --from sqlite://db.sqlite3
//!     cargo run -p import_django_users --features postgres,mysql -- \
//!         --from postgres://django@localhost/site --database-url mysql://accounts@localhost/accounts
//!
//! It can be run again at any time, also after it was interrupted: who is there already is left as
//! he is. What it says about a row is the row's id and a reason, never a name, an address or a
//! hash.
//!
//! The service that signs these people in accepts their hashes as this program does: see `policy`.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::process::ExitCode;

mod arguments;
mod csv_file;
mod django;
mod import;
mod report;
mod source;
mod table;

#[path = "../../support/mod.rs"]
#[expect(dead_code, reason = "the arguments of the other examples are parsed there as well")]
mod support;

use arguments::{Arguments, USAGE};
use import::import;
use report::Report;
use source::Source;

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(WRONG_ARGUMENTS);
        }
    };
    match run(&arguments) {
        Ok(report) if report.is_complete() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(SOME_NOT_IMPORTED),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table in any case: what was imported before there was trouble stays.
fn run(arguments: &Arguments) -> Result<Report, Box<dyn Error>> {
    let mut source = Source::open(&arguments.from)?;
    let mut report = Report::new(source.count()?, arguments.dry_run);
    let imported = import(&mut source, arguments, &mut report);
    report.print();
    imported.map(|()| report)
}

const WRONG_ARGUMENTS: u8 = 2;
const SOME_NOT_IMPORTED: u8 = 3;
