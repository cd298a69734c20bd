//! Loads: the same calls by some threads at once, in rounds; and hashes without this library.

use std::error::Error;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use base64ct::{Base64Unpadded, Encoding};
use diesel_accounts::{Argon2Cost, Argon2Engine, Argon2Input, Argon2Variant, Hashing};

/// Something that is measured beside others.
pub struct Subject<'a> {
    pub name: &'static str,
    /// Makes what one thread calls so many times.
    make: Box<dyn Fn(usize) -> Box<dyn FnMut() + 'a> + Sync + 'a>,
}

impl<'a> Subject<'a> {
    pub fn new<F: FnMut() + 'a>(name: &'static str, make: impl Fn() -> F + Sync + 'a) -> Self {
        Self { name, make: Box::new(move |_| Box::new(make())) }
    }

    /// What each call needs is made before the time runs.
    pub fn prepared<T: 'a>(
        name: &'static str,
        prepare: impl Fn() -> T + Sync + 'a,
        call: impl Fn(&T) + Copy + Sync + 'a,
    ) -> Self {
        let make = move |count| -> Box<dyn FnMut() + 'a> {
            let mut prepared = (0..count).map(|_| prepare()).collect::<Vec<_>>().into_iter();
            Box::new(move || call(&prepared.next().expect("one for each call")))
        };
        Self { name, make: Box::new(make) }
    }
}

/// Calls each subject in turn, round after round, by some threads so many times each. For each
/// subject the seconds that a call took in each round: the time of all calls, by their number.
pub fn measure(
    subjects: &[Subject<'_>],
    threads: usize,
    count: usize,
    rounds: usize,
) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::with_capacity(rounds); subjects.len()];
    for round in 0..=rounds {
        for turn in 0..subjects.len() {
            // Nobody is always the first after a pause, or always behind the same neighbour.
            let place = (turn + round) % subjects.len();
            let seconds = run(&subjects[place], threads, count);
            // The first round warms up.
            if round > 0 {
                times[place].push(seconds / (threads * count) as f64);
            }
        }
    }
    times
}

fn run(subject: &Subject<'_>, threads: usize, count: usize) -> f64 {
    let (start, end) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut call = (subject.make)(count);
                start.wait();
                (0..count).for_each(|_| call());
                end.wait();
            });
        }
        start.wait();
        let started = Instant::now();
        end.wait();
        started.elapsed().as_secs_f64()
    })
}

/// The default engine, or the fast one.
pub fn engine(is_fast: bool) -> Result<Box<dyn Argon2Engine>, Box<dyn Error>> {
    match is_fast {
        false => Ok(Hashing::default_engine()),
        #[cfg(feature = "simd")]
        true => Ok(Box::new(diesel_accounts::SimdEngine::new()?)),
        #[cfg(not(feature = "simd"))]
        true => Err("build with `--features simd`".into()),
    }
}

/// Hashing with it.
pub fn hashing(is_fast: bool) -> Result<Hashing, Box<dyn Error>> {
    match is_fast {
        false => Ok(Hashing::new()),
        #[cfg(feature = "simd")]
        true => Ok(Hashing::new().engine(diesel_accounts::SimdEngine::new()?)),
        #[cfg(not(feature = "simd"))]
        true => Err("build with `--features simd`".into()),
    }
}

/// A hash in the form of a PHC string.
pub fn phc(engine: &mut dyn Argon2Engine, cost: Argon2Cost, salt: &[u8; 16]) -> String {
    let mut tag = [0; 32];
    let input = Argon2Input {
        variant: Argon2Variant::Id,
        version: 0x13,
        memory_kib: cost.memory_kib(),
        passes: cost.passes(),
        lanes: cost.lanes(),
        password: b"correct horse battery",
        salt,
        secret: &[],
        associated_data: &[],
    };
    engine.compute(&input, &mut tag).expect("a hash");
    let [salt, tag] = [salt.as_slice(), tag.as_slice()].map(Base64Unpadded::encode_string);
    let (memory, passes) = (cost.memory_kib(), cost.passes());
    format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${tag}")
}
