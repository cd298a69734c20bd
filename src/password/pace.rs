//! How long work takes of one shape beside another.
//!
//! Among hashes of one kind, time is proportional to work: nearly. A memory that fits in a cache is
//! passed over faster than one that does not, and one that must be mapped anew slower; how much
//! differs from machine to machine. So it is learnt, from what is computed anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What work is like: a kind of hash, and those of its parameters that tell how fast it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Shape {
    pub(crate) kind: &'static str,
    pub(crate) parameters: [u32; 3],
}

/// How long a unit of work takes, of each shape that there was lately.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    learnt: Mutex<HashMap<Shape, Times>>,
}

impl Paces {
    /// Learns how long work took.
    pub(crate) fn learn(&self, shape: Shape, units: u64, took: Duration) {
        if took < LEAST_TIME || units == 0 {
            return;
        }
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        // Hosts have few shapes; if one had more, it would do without those.
        if learnt.len() < MOST_SHAPES || learnt.contains_key(&shape) {
            let picoseconds = took.as_nanos() * 1_000 / u128::from(units);
            learnt.entry(shape).or_default().add(picoseconds.max(1));
        }
    }

    /// How much work of a second shape takes as long as so much of a first. As much, until both are
    /// known.
    pub(crate) fn convert(&self, units: u64, from: Shape, to: Shape) -> u64 {
        if from == to {
            return units;
        }
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let least = |shape| learnt.get(&shape).and_then(Times::least);
        match least(from).zip(least(to)) {
            Some((from, to)) => {
                let converted = u128::from(units) * from / to;
                let converted = u64::try_from(converted).unwrap_or(u64::MAX);
                converted.clamp(units / MOST_RATIO, units.saturating_mul(MOST_RATIO))
            }
            None => units,
        }
    }
}

/// The last times that a unit took, in picoseconds.
#[derive(Debug, Default)]
struct Times {
    last: [u128; WINDOW],
    seen: usize,
}

impl Times {
    fn add(&mut self, time: u128) {
        if let Some(oldest) = self.last.get_mut(self.seen % WINDOW) {
            *oldest = time;
        }
        self.seen += 1;
    }

    /// The least of the last, for whatever else a machine does makes work slower, and never faster.
    fn least(&self) -> Option<u128> {
        let known = self.last.iter().take(self.seen).copied();
        known.min().filter(|_| self.seen >= FEWEST)
    }
}

/// Less is too little to be measured, and to be told.
const LEAST_TIME: Duration = Duration::from_millis(1);

/// How many times are remembered of a shape.
const WINDOW: usize = 16;

/// How many say anything.
const FEWEST: usize = 3;

const MOST_SHAPES: usize = 256;

/// Whatever was measured, no work counts for more than so many times as much of another shape.
const MOST_RATIO: u64 = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FEWEST, MOST_SHAPES, Paces, Shape, WINDOW};

    const fn shape(number: u32) -> Shape {
        Shape { kind: "test", parameters: [number, 0, 0] }
    }

    fn learn(paces: &Paces, shape: Shape, millis: &[u64]) {
        for millis in millis {
            paces.learn(shape, 1_000, Duration::from_millis(*millis));
        }
    }

    #[test]
    fn work_is_converted_by_the_least_of_the_last_times() {
        let paces = Paces::default();
        learn(&paces, shape(1), &[30, 10, 50]);
        learn(&paces, shape(2), &[99, 20, 40]);
        assert_eq!(paces.convert(100, shape(1), shape(2)), 50);
        assert_eq!(paces.convert(100, shape(2), shape(1)), 200);
        learn(&paces, shape(1), &[20; WINDOW]);
        assert_eq!(paces.convert(100, shape(1), shape(2)), 100);
    }

    #[test]
    fn nothing_is_converted_until_enough_is_known_of_both() {
        let paces = Paces::default();
        learn(&paces, shape(1), &[10; FEWEST]);
        assert_eq!(paces.convert(7, shape(1), shape(2)), 7);
        learn(&paces, shape(2), &[20; FEWEST - 1]);
        assert_eq!(paces.convert(7, shape(1), shape(2)), 7);
        // Too short to be measured.
        paces.learn(shape(2), 1, Duration::from_micros(999));
        paces.learn(shape(2), 0, Duration::from_secs(1));
        assert_eq!(paces.convert(7, shape(1), shape(2)), 7);
        learn(&paces, shape(2), &[20]);
        assert_eq!(paces.convert(8, shape(1), shape(2)), 4);
        assert_eq!(paces.convert(8, shape(1), shape(1)), 8);
    }

    #[test]
    fn no_measurement_is_believed_beyond_four_times() {
        let paces = Paces::default();
        learn(&paces, shape(1), &[1; FEWEST]);
        learn(&paces, shape(2), &[1_000; FEWEST]);
        assert_eq!(paces.convert(100, shape(1), shape(2)), 25);
        assert_eq!(paces.convert(100, shape(2), shape(1)), 400);
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let paces = Paces::default();
        for number in 0..2_000 {
            learn(&paces, shape(number), &[10; FEWEST]);
        }
        assert_eq!(paces.learnt.lock().unwrap().len(), MOST_SHAPES);
    }
}
