//! Each answer beside that of a model which shares no code with the library.
//!
//! Each run plays other histories and says by which seed; `PROPTEST_RNG_SEED=... ` plays them
//! again, and `PROPTEST_CASES=1000` looks longer.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Write, stderr};
use std::time::Duration;

use diesel_accounts_proof::database::ProofConnection;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::support::{DAY, HOUR, Stage, client, micros, on_each_engine, quota};

on_each_engine!(each_answer_is_that_of_a_leaky_bucket,);

fn each_answer_is_that_of_a_leaky_bucket<C: ProofConnection>(stage: Stage<C>) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 4;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().build_hasher().finish(),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    // Not by a macro, whose output the test harness keeps to itself.
    let line = format!("{:?}: {} histories, PROPTEST_RNG_SEED={seed}\n", C::ENGINE, config.cases);
    stderr().write_all(line.as_bytes()).unwrap();
    let played = TestRunner::new(config).run(&vec(step(), 100..200), |steps| {
        stage.execute("DELETE FROM account_limits");
        play(&stage, &steps)
    });
    if let Err(failure) = played {
        panic!("{:?}, PROPTEST_RNG_SEED={seed}: {failure}", C::ENGINE);
    }
}

/// The clock moves, and somebody asks.
#[derive(Clone, Debug)]
struct Step {
    change: Change,
    key: usize,
    quota: usize,
}

#[derive(Clone, Debug)]
enum Change {
    By(i64),
    /// To when the last refusal says, or so many microseconds beside it.
    ToTheNext(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let up_to = |time: Duration| (0..micros(time)).prop_map(Change::By);
    let change = prop_oneof![
        8 => Just(Change::By(0)),
        4 => (-1..=1_i64).prop_map(Change::ToTheNext),
        2 => (-5..10_i64).prop_map(Change::By),
        2 => up_to(Duration::from_secs(10)),
        2 => up_to(HOUR),
        1 => up_to(2 * DAY),
        // To where nothing has been forgotten yet, or to where nothing from before is believed, not
        // even after all steps that there are.
        1 => (0..micros(HOUR)).prop_map(|micros| Change::By(-micros)),
        1 => Just(Change::By(-5 * 365 * micros(DAY))),
    ];
    (change, 0..KEYS.len(), 0..QUOTAS.len()).prop_map(|(change, key, quota)| Step {
        change,
        key,
        quota,
    })
}

fn play<C: ProofConnection>(stage: &Stage<C>, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut buckets, mut next) = (HashMap::new(), stage.clock.micros());
    for (number, step) in steps.iter().enumerate() {
        match step.change {
            Change::By(micros) => stage.clock.move_by(micros),
            Change::ToTheNext(beside) => stage.clock.move_by(next - stage.clock.micros() + beside),
        }
        let (burst, period) = QUOTAS[step.quota];
        let bucket = buckets.entry((step.key, step.quota)).or_insert(Bucket::EMPTY);
        let expected = bucket.pour(stage.clock.micros(), burst.into(), micros(period));
        let key = client(&stage.users, KEYS[step.key]);
        let answer = stage.check(key, quota(burst, period)).map(micros);
        prop_assert_eq!(answer, expected, "step {}: {:?}", number, step);
        next = stage.clock.micros() + answer.unwrap_or(0);
    }
    Ok(())
}

/// The continuous-state leaky bucket of ITU-T I.371: what is in it flows off by one in each
/// microsecond, and each that is admitted pours an interval into it. The library keeps one time in
/// place of both numbers.
struct Bucket {
    content: i64,
    as_of: i64,
}

impl Bucket {
    const EMPTY: Self = Self { content: 0, as_of: 0 };

    /// How long to wait; `None` if it may be now.
    fn pour(&mut self, now: i64, burst: i64, period: i64) -> Option<i64> {
        let mut interval = period / burst;
        if interval * burst < period {
            interval += 1;
        }
        let size = interval * burst;
        let mut content = self.content - (now - self.as_of);
        if content < 0 || content > size + micros(DAY) {
            content = 0;
        }
        if content + interval > size {
            return Some(content + interval - size);
        }
        *self = Self { content: content + interval, as_of: now };
        None
    }
}

const KEYS: [&str; 3] = ["203.0.113.7", "203.0.113.8", "2001:db8::/64"];

/// With intervals of microseconds and of hours, even ones and rounded ones.
const QUOTAS: [(u32, Duration); 5] = [
    (1, Duration::from_secs(10)),
    (3, Duration::from_secs(10)),
    (5, Duration::from_micros(7)),
    (2, Duration::from_secs(7200)),
    (4, DAY),
];
