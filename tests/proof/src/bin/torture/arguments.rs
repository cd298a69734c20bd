//! What is asked for on the command line.

use std::path::PathBuf;

use diesel_accounts_proof::verdict;
use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: torture [--operations N] [--engine sqlite|postgres|mysql|all] [--seed S] [--afresh]
               [--round N] [--lanes N] [--folder FOLDER]
               [--code TEXT [--afresh-if-of-other-code]]
       torture --check FILE

  --operations  how many calls there are to be on each engine, those of earlier runs included
  --seed        what random choices are made from, as far as threads allow
  --afresh      forgets what earlier runs have done
  --round       how many calls are made to one database and judged together
  --lanes       how many rounds are under way at the same time
  --folder      where totals and bad records are kept, target/proof unless given
  --code        the state of the code that is tested: totals of another are not added to
  --afresh-if-of-other-code
                forgets what earlier runs have done with another
  --check       judges a record that was kept";

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) operations: u64,
    pub(crate) engines: Vec<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) is_afresh: bool,
    pub(crate) is_afresh_if_of_other_code: bool,
    pub(crate) code: Option<String>,
    pub(crate) round: u64,
    lanes: Option<usize>,
    pub(crate) folder: PathBuf,
    pub(crate) check: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut arguments = Self {
            operations: OPERATIONS_OF_A_ROUND,
            engines: ENGINES.map(str::to_owned).to_vec(),
            seed: None,
            is_afresh: false,
            is_afresh_if_of_other_code: false,
            code: None,
            round: OPERATIONS_OF_A_ROUND,
            lanes: None,
            folder: verdict::folder(),
            check: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("operations") => arguments.operations = parser.value()?.parse()?,
                Long("engine") => arguments.engines = engines(parser.value()?.string()?)?,
                Long("seed") => arguments.seed = Some(parser.value()?.parse()?),
                Long("afresh") => arguments.is_afresh = true,
                Long("afresh-if-of-other-code") => arguments.is_afresh_if_of_other_code = true,
                Long("code") => arguments.code = Some(parser.value()?.string()?),
                Long("round") => arguments.round = parser.value()?.parse()?,
                Long("lanes") => arguments.lanes = Some(parser.value()?.parse()?),
                Long("folder") => arguments.folder = parser.value()?.into(),
                Long("check") => arguments.check = Some(parser.value()?.into()),
                other => return Err(other.unexpected()),
            }
        }
        match arguments.round == 0 || arguments.lanes == Some(0) {
            true => Err("there is no round without calls, and none without a lane".into()),
            false => Ok(arguments),
        }
    }

    /// How many rounds are under way at the same time: so many that nothing but the processor sets
    /// the pace, for most of a round is waiting.
    pub(crate) fn lanes_on(&self, engine: &str) -> usize {
        self.lanes.unwrap_or(if engine == "sqlite" { 8 } else { 4 })
    }
}

fn engines(named: String) -> Result<Vec<String>, lexopt::Error> {
    match named.as_str() {
        "all" => Ok(ENGINES.map(str::to_owned).to_vec()),
        name if ENGINES.contains(&name) => Ok(vec![named]),
        name => Err(format!("there is no engine {name}").into()),
    }
}

const ENGINES: [&str; 3] = ["sqlite", "postgres", "mysql"];
const OPERATIONS_OF_A_ROUND: u64 = 20_000;
