//! What a thousand hashes at once take: their memory is that of those that run, whatever the number
//! of callers.
//!
//!     cargo bench --bench hashing [-- CALLERS]
//!
//! Each setting runs in a process of its own, for the peak of a process never falls. While the
//! callers hash, another thread looks an account up through the same pool of one: no connection is
//! held.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::SqliteConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_accounts::{Argon2Cost, Hashing, NewUser, Policy, UserManager};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [word, at_once, callers] = &*words {
        if word == "--measure" {
            return measure(at_once.parse()?, callers.parse()?);
        }
    }
    let callers = words.first().map_or("1000", String::as_str);
    println!(
        "{:>8} {:>8} {:>10} {:>12} {:>12} {:>10} {:>10}",
        "callers", "at once", "hashes/s", "peak MiB", "bound MiB", "p50 s", "look-ups"
    );
    for at_once in ["1", "2", "3", "8"] {
        let this = std::env::current_exe()?;
        let status = Command::new(this).args(["--measure", at_once, callers]).status()?;
        if !status.success() {
            return Err("a measurement failed".into());
        }
    }
    Ok(())
}

fn measure(at_once: usize, callers: usize) -> Result<(), Box<dyn Error>> {
    let hashing = Hashing::new()
        .concurrent_hashes(at_once)
        .queue_length(callers)
        .longest_wait(Duration::from_secs(3600));
    let policy = Policy::builder().hashing(hashing).build()?;
    let database = ConnectionManager::<SqliteConnection>::new(":memory:");
    let users = UserManager::with_policy(Pool::builder().max_size(1).build(database)?, policy);
    users.migrate()?;
    let before = peak_kib()?;

    let (done, look_ups) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let mut times = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && users.user_by_username("nobody").is_ok() {
                look_ups.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let threads: Vec<_> = (0..callers)
            .map(|number| {
                let users = &users;
                // A thread of Rust's own reserves 2 MiB for its stack; these need little.
                thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, move || {
                    let name = format!("person{number}");
                    let person =
                        NewUser::new(&*name, format!("{name}@example.org"), "correct horse");
                    let started = Instant::now();
                    users.policy().prepare(person).map(|_| started.elapsed())
                })
            })
            .collect();
        let times: Result<Vec<Duration>, Box<dyn Error>> = threads
            .into_iter()
            .map(|thread| Ok(thread?.join().map_err(|_| "a thread panicked")??))
            .collect();
        done.store(true, Ordering::Relaxed);
        times
    })?;
    let elapsed = started.elapsed();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();

    let memory_kib = u64::from(Argon2Cost::default().memory_kib()) * u64::try_from(at_once)?;
    let (peak, bound) = ((peak_kib()? - before) / 1024, memory_kib / 1024 + 64);
    println!(
        "{callers:>8} {at_once:>8} {:>10.1} {peak:>12} {bound:>12} {:>10.2} {:>10}",
        times.len() as f64 / elapsed.as_secs_f64(),
        median.as_secs_f64(),
        look_ups.load(Ordering::Relaxed),
    );
    if peak > bound {
        return Err("more memory was in use than the bound".into());
    }
    Ok(())
}

/// The most memory that this process ever had, on Linux.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(number.parse()?)
}
