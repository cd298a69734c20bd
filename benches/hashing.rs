//! What a hash takes, by engine, memory and number of callers; and that the memory of all hashes is
//! that of those that run, whatever the number of callers.
//!
//!     cargo bench --bench hashing --features simd
//!     cargo bench --bench hashing --features simd -- --callers 1,2,16,64 --hashes 400 --rounds 3
//!     cargo bench --bench hashing --features simd -- --flat
//!     cargo bench --bench hashing -- CALLERS
//!
//! Each setting runs in a process of its own, for the peak of a process never falls. `--flat` makes
//! ten times as many hashes, to see whether memory grows with them. The last form measures so many
//! callers at once. Behind a gate, it fails where the memory exceeds its bound, also if it is given
//! back after each hash.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel_accounts::{
    Argon2Cost, Argon2Engine, Argon2Input, Argon2Variant, Hashing, HashingFailure, NewUser, Policy,
};

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "others measure databases")]
mod common;

use common::{Spread, Table, number};

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let callers = words.iter().skip_while(|word| **word != "--callers").nth(1).unwrap_or(&CALLERS);
    match *words {
        ["--setting", engine, memory, gate, callers, hashes] => {
            let setting = Setting { engine, memory, gate, callers: callers.parse()? };
            measure(&setting, hashes.parse()?)
        }
        [] => bounded(1000).and_then(|()| compare(callers)),
        ["--flat"] => flat(),
        [callers] => bounded(callers.parse()?),
        _ => compare(callers),
    }
}

/// The memory and the waits of so many callers at once, of whom so many are let in.
fn bounded(callers: usize) -> Result<(), Failure> {
    let columns = ["callers", "at once", "memory", "hashes/s", "peak MiB", "bound MiB", "p50 s"];
    let table = Table::new(&columns.map(|title| (title, 0)));
    let kept = ["1", "2", "3", "8"].map(|gate| (gate, "kept"));
    for (gate, memory) in kept.into_iter().chain([("3", "fresh")]) {
        let setting = Setting { engine: "default", memory, gate, callers };
        let [rate, p50, _, _, peak, ..] = setting.figures(callers)?;
        let cells = [rate, peak, setting.bound()?, p50 / 1e3].map(|value| format!("{value:.2}"));
        let words = [&*callers.to_string(), gate, memory].map(str::to_owned);
        table.row(&[&words[..], &cells[..]].concat());
    }
    Ok(())
}

/// All settings, interleaved, so that whatever else the machine does is done to all.
fn compare(callers: &str) -> Result<(), Failure> {
    let callers: Vec<usize> = callers.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let mut runs: Vec<_> = settings(&callers).map(|setting| (setting, Vec::new())).collect();
    for _ in 0..number("--rounds", 3) {
        for (setting, figures) in &mut runs {
            figures.push(setting.figures(number("--hashes", 400))?);
        }
    }
    let titles = ["engine", "memory", "gate", "callers"].map(|title| (title, 7));
    let widths = TITLES.map(|title| (title, 25));
    let table = Table::new(&[&titles[..], &[("ratio", 19)], &widths].concat());
    for (setting, figures) in &runs {
        let baseline = Setting { memory: "kept", gate: "none", callers: 2, ..*setting };
        let baseline = runs.iter().find(|(other, _)| *other == baseline);
        let ratio = baseline.map_or(String::new(), |(_, other)| ratio(figures, other).to_string());
        let cells = DIGITS.iter().enumerate().map(|(place, digits)| {
            let values = figures.iter().filter_map(|figures| figures.get(place).copied());
            format!("{:.digits$}", Spread::of(values))
        });
        table.row(&[&setting.words()[..], &[ratio], &cells.collect::<Vec<_>>()].concat());
    }
    Ok(())
}

fn settings(callers: &[usize]) -> impl Iterator<Item = Setting<'static>> {
    let gates = ENGINES.iter().flat_map(|engine| GATES.map(|gate| (*engine, gate)));
    gates.flat_map(move |(engine, gate)| {
        callers.iter().flat_map(move |&callers| {
            ["fresh", "kept"].map(|memory| Setting { engine, memory, gate, callers })
        })
    })
}

fn ratio(figures: &[Figures], baseline: &[Figures]) -> Spread {
    let [own, baseline] = [figures, baseline].map(|figures| {
        figures.iter().map(|[hashes_per_second, ..]| *hashes_per_second).collect::<Vec<_>>()
    });
    Spread::of_ratios(&own, &baseline)
}

/// Whether ten times as many hashes take more memory.
fn flat() -> Result<(), Failure> {
    let table = Table::new(&["engine", "hashes", "peak MiB", "bound MiB"].map(|title| (title, 9)));
    for engine in ENGINES {
        let setting = Setting { engine, memory: "kept", gate: "default", callers: 64 };
        for hashes in [1_000, 10_000] {
            let [_, _, _, _, peak, ..] = setting.figures(hashes)?;
            let cells = [peak, setting.bound()?].map(|mib| format!("{mib:.1}"));
            table.row(&[&[(*engine).to_owned(), hashes.to_string()], &cells[..]].concat());
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
struct Setting<'a> {
    engine: &'a str,
    /// `kept` from one hash to the next, or `fresh` for each.
    memory: &'a str,
    /// `none`, `default`, or how many are let in.
    gate: &'a str,
    callers: usize,
}

impl Setting<'_> {
    fn words(&self) -> [String; 4] {
        [self.engine, self.memory, self.gate, &self.callers.to_string()].map(str::to_owned)
    }

    /// In MiB, of the hashes that run at once and of all else.
    fn bound(&self) -> Result<f64, Failure> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(match self.gate {
            "none" => f64::INFINITY,
            "default" => (cores + 1) as f64 * MIB_OF_A_HASH + 40.0,
            at_once => at_once.parse::<f64>()? * MIB_OF_A_HASH + 64.0,
        })
    }

    /// What this program prints when it is run once more, to measure.
    fn figures(&self, hashes: usize) -> Result<Figures, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--setting").args(self.words()).arg(hashes.to_string());
        let output = command.stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let figures = Figures::try_from(numbers).map_err(|_| "a measurement failed")?;
        match figures {
            [_, _, _, _, peak, ..] if peak > self.bound()? => {
                Err(format!("{:?} took {peak:.0} MiB, more than the bound", self.words()).into())
            }
            _ => Ok(figures),
        }
    }

    fn engine(&self) -> Result<Engine, HashingFailure> {
        let engine: Box<dyn Argon2Engine> = match self.engine {
            #[cfg(feature = "simd")]
            "simd" => Box::new(diesel_accounts::SimdEngine::new()?),
            _ => Hashing::default_engine(),
        };
        Ok(Engine { engine, is_kept: self.memory == "kept" })
    }

    fn policy(&self, engine: Engine) -> Result<Policy, Failure> {
        let hashing = Hashing::new().engine(engine).queue_length(self.callers);
        let hashing = hashing.longest_wait(Duration::from_secs(3600));
        let at_once = self.gate.parse().map(|at_once| hashing.clone().concurrent_hashes(at_once));
        Ok(Policy::builder().hashing(at_once.unwrap_or(hashing)).build()?)
    }
}

/// An engine whose memory is kept from one hash to the next, or not.
#[derive(Debug)]
struct Engine {
    engine: Box<dyn Argon2Engine>,
    is_kept: bool,
}

impl Argon2Engine for Engine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self { engine: self.engine.another(), is_kept: self.is_kept })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        match self.is_kept {
            true => self.engine.compute(input, tag),
            false => self.engine.another().compute(input, tag),
        }
    }
}

/// Each caller makes its share, after one hash that is not measured, unless all come at once.
fn measure(setting: &Setting<'_>, hashes: usize) -> Result<(), Failure> {
    let each = hashes.div_ceil(setting.callers);
    let (engine, policy) = (setting.engine()?, setting.policy(setting.engine()?)?);
    // Engines are compared in memory that does not count.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let peak_before = peak_mib()?;
    let caller = |_| if setting.gate == "none" { with(engine.another()) } else { through(&policy) };
    let mut callers: Vec<Hash<'_>> = (0..setting.callers).map(caller).collect();
    if GATES.contains(&setting.gate) {
        together(&mut callers, 1)?;
    }
    let (faults_before, cpu_before) = faults_and_cpu_ms()?;
    let started = Instant::now();
    let times = together(&mut callers, each)?;
    let elapsed = started.elapsed().as_secs_f64();
    let (faults, cpu) = faults_and_cpu_ms()?;
    let (done, peak) = (times.len() as f64, peak_mib()? - peak_before);
    let [p50, p99] = [50, 99].map(|part| times.get(times.len() * part / 100).map_or(0.0, |ms| *ms));
    let (faults, cpu) = ((faults - faults_before) / done, (cpu - cpu_before) / done);
    println!("{} {p50} {p99} {} {peak} {faults} {cpu}", done / elapsed, p99 / p50);
    Ok(())
}

type Failure = Box<dyn Error + Send + Sync>;

/// What makes one hash.
type Hash<'a> = Box<dyn FnMut() -> Result<(), Failure> + Send + 'a>;

fn through(policy: &Policy) -> Hash<'_> {
    let person = || NewUser::new("person", "person@example.org", "correct horse");
    Box::new(move || Ok(policy.prepare(person()).map(drop)?))
}

fn with(mut engine: Box<dyn Argon2Engine>) -> Hash<'static> {
    let cost = Argon2Cost::default();
    let input = Argon2Input {
        variant: Argon2Variant::Id,
        version: 0x13,
        memory_kib: cost.memory_kib(),
        passes: cost.passes(),
        lanes: cost.lanes(),
        password: b"correct horse",
        salt: b"sixteen bytes of",
        secret: &[],
        associated_data: &[],
    };
    Box::new(move || Ok(engine.compute(&input, &mut [0; 32])?))
}

/// Lets each caller hash so often in a thread of its own. The times, in order, in milliseconds.
fn together(callers: &mut [Hash<'_>], times: usize) -> Result<Vec<f64>, Failure> {
    let timed = |hash: &mut Hash<'_>| {
        let started = Instant::now();
        hash().map(|()| started.elapsed().as_secs_f64() * 1e3)
    };
    let mut taken = Vec::new();
    thread::scope(|scope| -> Result<(), Failure> {
        let threads = callers.iter_mut().map(|hash| {
            // A thread of Rust's own reserves 2 MiB for its stack; these need little.
            let thread = thread::Builder::new().stack_size(256 * 1024);
            let hashes = move || (0..times).map(|_| timed(hash)).collect::<Result<Vec<_>, _>>();
            thread.spawn_scoped(scope, hashes)
        });
        for thread in threads.collect::<Vec<_>>() {
            taken.extend(thread?.join().map_err(|_| "a thread panicked")??);
        }
        Ok(())
    })?;
    taken.sort_by(f64::total_cmp);
    Ok(taken)
}

/// The most memory that this process ever had, on Linux.
fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// The minor page faults and the processor time of this process: proc_pid_stat(5).
fn faults_and_cpu_ms() -> Result<(f64, f64), Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the name of the program in brackets, with anything in it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let fields: Vec<f64> = fields.map(|field| field.parse().unwrap_or(f64::NAN)).collect();
    let field = |number: usize| fields.get(number - 3).copied().ok_or("no such field");
    Ok((field(10)?, (field(14)? + field(15)?) * MS_OF_A_TICK))
}

/// What is measured of a setting.
type Figures = [f64; TITLES.len()];

const TITLES: [&str; 7] =
    ["hashes/s", "p50 ms", "p99 ms", "p99/p50", "peak MiB", "faults/hash", "CPU ms/hash"];
/// Behind the point.
const DIGITS: [usize; TITLES.len()] = [1, 1, 1, 2, 0, 0, 1];

const CALLERS: &str = "1,2,16,64";
const ENGINES: &[&str] = if cfg!(feature = "simd") { &["default", "simd"] } else { &["default"] };
const GATES: [&str; 2] = ["none", "default"];

const MIB_OF_A_HASH: f64 = 19.0;

/// `USER_HZ` is 100.
const MS_OF_A_TICK: f64 = 10.0;
