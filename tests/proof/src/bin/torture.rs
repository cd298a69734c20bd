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

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts_proof::checker::Counts;
use diesel_accounts_proof::history::History;
use diesel_accounts_proof::verdict::{Verdict, folder, write_and_judge};
use diesel_accounts_proof::workload::{Plan, run, victim};
use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};

const USAGE: &str = "usage: torture [--operations N] [--engine sqlite|postgres|mysql|all] \
                     [--seed S] [--afresh]\n       torture --check FILE";

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    if let [_, word, engine, url] = &given[..]
        && word == "victim"
    {
        victim::run(&engine.to_string_lossy(), &url.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    match Arguments::parse() {
        Ok(Arguments { check: Some(file), .. }) => check(&file),
        Ok(arguments) => torture(&arguments),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Judges a record that was kept.
fn check(file: &Path) -> ExitCode {
    let history = match History::read(file) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let verdict = Verdict::on(&history);
    verdict.violations.iter().for_each(|violation| println!("{violation}"));
    println!("{}", verdict.counts);
    exit_code(verdict.violations.is_empty())
}

fn torture(arguments: &Arguments) -> ExitCode {
    let mut is_good = true;
    let mut state = State::read(arguments);
    for engine in &arguments.engines {
        let mut total = state.engines.remove(engine).unwrap_or_default();
        let bar = ProgressBar::new(arguments.operations);
        let style = ProgressStyle::with_template("{prefix:8} {bar:40} {pos}/{len} {per_sec} {eta}");
        bar.set_style(style.expect("the template is sound"));
        bar.set_prefix(engine.clone());
        while total.count("operations") < arguments.operations {
            let before = total.count("operations");
            bar.set_position(before);
            let plan = Plan {
                seed: Rng::with_seed(state.seed ^ total.count("rounds")).u64(..),
                operations: OPERATIONS_OF_A_ROUND.min(arguments.operations - before),
                victim: std::env::current_exe().expect("the program has a path"),
            };
            let progress = |done| bar.set_position(before + done);
            let history = match engine.as_str() {
                "sqlite" => run::<SqliteConnection>(&plan, &progress),
                "postgres" => run::<PgConnection>(&plan, &progress),
                _ => run::<MysqlConnection>(&plan, &progress),
            };
            let (path, verdict) = write_and_judge(&history).expect("the record can be written");
            match verdict.violations.is_empty() {
                true => std::fs::remove_file(&path).expect("it was written"),
                false => bar.suspend(|| report(engine, &plan, &path, &verdict)),
            }
            total.add_all(&verdict.counts);
            total.add("rounds", 1);
            state.engines.insert(engine.clone(), total.clone());
            state.write();
        }
        bar.finish_and_clear();
        is_good &= total.count("violations") == 0;
        state.engines.insert(engine.clone(), total);
    }
    print_table(&state, &arguments.engines);
    exit_code(is_good)
}

fn report(engine: &str, plan: &Plan, path: &Path, verdict: &Verdict) {
    println!("{engine}, seed {}, record {}:", plan.seed, path.display());
    verdict.violations.iter().take(10).for_each(|violation| println!("VIOLATION: {violation}"));
}

/// A line for each count, a column for each engine.
fn print_table(state: &State, engines: &[String]) {
    println!("seed {}", state.seed);
    print!("{:<48}", "");
    engines.iter().for_each(|engine| print!("{engine:>12}"));
    println!();
    let totals: Vec<&Counts> =
        engines.iter().filter_map(|engine| state.engines.get(engine)).collect();
    let mut names: Vec<&str> =
        totals.iter().flat_map(|total| total.iter().map(|(name, _)| name)).collect();
    names.push("violations");
    names.sort_unstable();
    names.dedup();
    for name in names {
        print!("{name:<48}");
        totals.iter().for_each(|total| print!("{:>12}", total.count(name)));
        println!();
    }
}

/// What was done so far.
#[derive(Deserialize, Serialize)]
struct State {
    seed: u64,
    engines: BTreeMap<String, Counts>,
}

impl State {
    /// Goes on where an earlier call was interrupted, unless another seed is asked for.
    fn read(arguments: &Arguments) -> Self {
        let kept = std::fs::read_to_string(Self::path()).ok();
        let kept: Option<Self> = kept.and_then(|text| serde_json::from_str(&text).ok());
        let wanted = |kept: &Self| arguments.seed.is_none_or(|seed| seed == kept.seed);
        let fresh = || Self {
            seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..)),
            engines: BTreeMap::new(),
        };
        kept.filter(wanted).filter(|_| !arguments.is_afresh).unwrap_or_else(fresh)
    }

    /// All of it or nothing: whoever interrupts the writing finds the state of before.
    fn write(&self) {
        let (path, new) = (Self::path(), Self::path().with_extension("new"));
        let text = serde_json::to_string_pretty(self).expect("it is plain data");
        std::fs::write(&new, text).expect("the folder of records is there");
        std::fs::rename(new, path).expect("they are in one folder");
    }

    fn path() -> PathBuf {
        folder().join("torture.json")
    }
}

struct Arguments {
    operations: u64,
    engines: Vec<String>,
    seed: Option<u64>,
    is_afresh: bool,
    check: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        let mut arguments = Self {
            operations: OPERATIONS_OF_A_ROUND,
            engines: ENGINES.map(str::to_owned).to_vec(),
            seed: None,
            is_afresh: false,
            check: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("operations") => arguments.operations = parser.value()?.parse()?,
                Long("engine") => {
                    let engine = parser.value()?.string()?;
                    if ENGINES.contains(&engine.as_str()) {
                        arguments.engines = vec![engine];
                    } else if engine != "all" {
                        return Err(format!("there is no engine {engine}").into());
                    }
                }
                Long("seed") => arguments.seed = Some(parser.value()?.parse()?),
                Long("afresh") => arguments.is_afresh = true,
                Long("check") => arguments.check = Some(parser.value()?.into()),
                other => return Err(other.unexpected()),
            }
        }
        Ok(arguments)
    }
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const ENGINES: [&str; 3] = ["sqlite", "postgres", "mysql"];
const OPERATIONS_OF_A_ROUND: u64 = 20_000;
