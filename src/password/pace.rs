//! How long work takes of one shape beside another.
//!
//! Among hashes of one kind, time is proportional to work: nearly. A memory that fits in a cache is
//! passed over faster than one that does not, and one that must be mapped anew slower; how much
//! differs from machine to machine. So it is learnt, from what is computed anyway: each pace beside
//! that of a base at the same time, for whatever else a machine does slows both.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cpu_time::ThreadTime;

/// What work is like: a kind of hash, and those of its parameters that tell how fast it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Shape {
    pub(crate) kind: &'static str,
    pub(crate) parameters: [u32; 3],
}

/// How long a unit of work takes, of each shape that there was lately.
#[derive(Debug)]
pub(crate) struct Paces {
    clock: Clock,
    learnt: Mutex<Learnt>,
}

/// What time it is.
pub(crate) type Clock = fn() -> Duration;

#[derive(Debug, Default)]
struct Learnt {
    /// In picoseconds a unit.
    bases: HashMap<Shape, Recent>,
    /// In parts of `ONE`, beside the base.
    others: HashMap<Shape, Recent>,
}

impl Paces {
    /// By the processor's time of the thread: who else runs there does not count.
    pub(crate) fn new() -> Self {
        Self::by(|| ThreadTime::try_now().map_or(Duration::ZERO, |time| time.as_duration()))
    }

    pub(crate) fn by(clock: Clock) -> Self {
        Self { clock, learnt: Mutex::default() }
    }

    /// Does work, and learns how long it takes if it can be done.
    pub(crate) fn timed<T, E>(
        &self,
        (shape, units): (Shape, u64),
        base: Shape,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let started = (self.clock)();
        let done = work()?;
        self.learn(shape, units, base, (self.clock)().saturating_sub(started));
        Ok(done)
    }

    fn learn(&self, shape: Shape, units: u64, base: Shape, took: Duration) {
        if took < LEAST_TIME || units == 0 {
            return;
        }
        let pace = took.as_nanos() * 1_000 / u128::from(units);
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if shape == base {
            return learnt.bases.entry(shape).or_default().add(pace);
        }
        let of_base = learnt.bases.get(&base).and_then(Recent::median);
        // Hosts have few shapes; if one had more, it would do without those.
        let is_room = learnt.others.len() < MOST_SHAPES || learnt.others.contains_key(&shape);
        if let Some(of_base) = of_base.filter(|_| is_room) {
            learnt.others.entry(shape).or_default().add(pace * ONE / of_base.max(1));
        }
    }

    /// How much work of the base takes as long as so much of a shape; as much, until that is known.
    pub(crate) fn convert(&self, shape: Shape, units: u64, base: Shape) -> u64 {
        if shape == base {
            return units;
        }
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        match learnt.others.get(&shape).and_then(Recent::median) {
            Some(ratio) => {
                let ratio = ratio.clamp(ONE / MOST_RATIO, ONE * MOST_RATIO);
                u64::try_from(u128::from(units) * ratio / ONE).unwrap_or(u64::MAX)
            }
            None => units,
        }
    }
}

/// The last values of a shape.
#[derive(Debug, Default)]
struct Recent {
    last: [u128; WINDOW],
    seen: usize,
}

impl Recent {
    fn add(&mut self, value: u128) {
        if let Some(oldest) = self.last.get_mut(self.seen % WINDOW) {
            *oldest = value;
        }
        self.seen += 1;
    }

    /// `None` while there are too few.
    fn median(&self) -> Option<u128> {
        let mut known: Vec<u128> = self.last.iter().take(self.seen).copied().collect();
        known.sort_unstable();
        known.get(known.len() / 2).copied().filter(|_| self.seen >= FEWEST)
    }
}

/// Less is too little to be measured, and to be told.
const LEAST_TIME: Duration = Duration::from_millis(1);

/// How many values are remembered of a shape.
const WINDOW: usize = 16;

/// How many say anything.
const FEWEST: usize = 3;

const MOST_SHAPES: usize = 256;

/// Whatever was measured, no work counts for more than so many times as much of the base, or less
/// than that part.
const MOST_RATIO: u128 = 2;

/// The parts that a ratio is counted in.
const ONE: u128 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FEWEST, MOST_SHAPES, Paces, Shape, WINDOW};

    const BASE: Shape = shape(0);

    const fn shape(number: u32) -> Shape {
        Shape { kind: "test", parameters: [number, 0, 0] }
    }

    fn learn(paces: &Paces, shape: Shape, millis: &[u64]) {
        for millis in millis {
            paces.learn(shape, 1_000, BASE, Duration::from_millis(*millis));
        }
    }

    #[test]
    fn work_is_converted_by_the_median_of_the_last_ratios() {
        let paces = Paces::new();
        learn(&paces, BASE, &[99, 20, 1]);
        learn(&paces, shape(1), &[10, 5, 80]);
        assert_eq!(paces.convert(shape(1), 100, BASE), 50);
        learn(&paces, shape(1), &[30; WINDOW]);
        assert_eq!(paces.convert(shape(1), 100, BASE), 150);
        assert_eq!(paces.convert(BASE, 100, BASE), 100);
    }

    /// As a flood of logins that nobody has would bring about.
    #[test]
    fn what_was_learnt_at_rest_holds_under_load() {
        let paces = Paces::new();
        learn(&paces, BASE, &[20; WINDOW]);
        learn(&paces, shape(1), &[16; WINDOW]);
        learn(&paces, BASE, &[30; WINDOW]);
        assert_eq!(paces.convert(shape(1), 100, BASE), 79);
        learn(&paces, shape(1), &[24; WINDOW]);
        assert_eq!(paces.convert(shape(1), 100, BASE), 79);
    }

    #[test]
    fn nothing_is_converted_until_enough_is_known_of_both() {
        let paces = Paces::new();
        learn(&paces, shape(1), &[10; FEWEST]);
        learn(&paces, BASE, &[20; FEWEST - 1]);
        learn(&paces, shape(1), &[10; FEWEST]);
        // Too short to be measured.
        paces.learn(BASE, 1, BASE, Duration::from_micros(999));
        paces.learn(BASE, 0, BASE, Duration::from_secs(1));
        learn(&paces, shape(1), &[10; FEWEST]);
        assert_eq!(paces.convert(shape(1), 8, BASE), 8);
        learn(&paces, BASE, &[20]);
        learn(&paces, shape(1), &[10; FEWEST - 1]);
        assert_eq!(paces.convert(shape(1), 8, BASE), 8);
        learn(&paces, shape(1), &[10]);
        assert_eq!(paces.convert(shape(1), 8, BASE), 4);
    }

    #[test]
    fn no_measurement_is_believed_beyond_twice() {
        let paces = Paces::new();
        learn(&paces, BASE, &[10; FEWEST]);
        learn(&paces, shape(1), &[1; FEWEST]);
        learn(&paces, shape(2), &[1_000; FEWEST]);
        assert_eq!(paces.convert(shape(1), 100, BASE), 50);
        assert_eq!(paces.convert(shape(2), 100, BASE), 200);
    }

    #[test]
    fn what_fails_tells_nothing() {
        let paces = Paces::by(|| Duration::from_millis(u64::from(fastrand::u32(..))));
        let failed: Result<(), ()> = paces.timed((BASE, 1_000), BASE, || Err(()));
        assert_eq!(failed, Err(()));
        assert!(paces.learnt.lock().unwrap().bases.is_empty());
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let paces = Paces::new();
        learn(&paces, BASE, &[10; FEWEST]);
        for number in 1..2_000 {
            learn(&paces, shape(number), &[10; FEWEST]);
        }
        assert_eq!(paces.learnt.lock().unwrap().others.len(), MOST_SHAPES);
    }
}
