//! How passwords are hashed: what the host sets.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::cost::Argon2Cost;
use super::engine::{Argon2Engine, PortableEngine};
use super::foreign::ForeignHashes;
use super::hasher::dummy_hash;
use super::pepper::Pepper;
use crate::error::{Error, HashingFailure, Result};

/// How passwords are hashed: at which cost, how many at once, with which secret keys, and which
/// hashes of other systems are accepted.
///
/// All hashing of a [`Policy`](crate::Policy) and of its clones goes through one gate. Peak memory
/// is that of the hashes that run at once, whatever the number of callers: 19 MiB each by default.
///
/// ```
/// use std::time::Duration;
/// use diesel_accounts::{Argon2Cost, Hashing, Policy};
///
/// let hashing = Hashing::new()
///     .cost(Argon2Cost::OWASP_46_MIB)
///     .concurrent_hashes(4)
///     .longest_wait(Duration::from_secs(2));
/// let policy = Policy::builder().hashing(hashing).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hashing {
    pub(super) cost: Argon2Cost,
    pub(super) engine: Arc<dyn Argon2Engine>,
    pub(super) concurrent: usize,
    pub(super) queue_length: usize,
    pub(super) longest_wait: Duration,
    pub(super) peppers: Vec<Pepper>,
    pub(super) former: Option<Argon2Cost>,
    pub(super) foreign: ForeignHashes,
}

impl Hashing {
    /// The default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What one hash costs. Defaults to [`Argon2Cost::OWASP_19_MIB`]. [`Hashing::calibrate`]
    /// proposes one for a machine.
    ///
    /// Hashes of another cost go on to verify, and are replaced when their owners sign in.
    #[must_use]
    pub fn cost(mut self, cost: Argon2Cost) -> Self {
        self.cost = cost;
        self
    }

    /// What computes Argon2. Defaults to [`Hashing::default_engine`].
    #[must_use]
    pub fn engine(mut self, engine: impl Argon2Engine + 'static) -> Self {
        self.engine = Arc::new(engine);
        self
    }

    /// The `argon2` package.
    #[must_use]
    pub fn default_engine() -> Box<dyn Argon2Engine> {
        Box::new(PortableEngine::new())
    }

    /// How many hashes run at once. Defaults to one more than there are cores, and to 16 at most.
    ///
    /// They take so many times the memory of one hash in all, and no more: a stored hash that needs
    /// more memory than a new one takes the place of several. If one that is accepted needs more
    /// than all of it, that is what there is: of our own 46 MiB, the most of OWASP's table, or
    /// [`Hashing::former_cost`].
    #[must_use]
    pub fn concurrent_hashes(mut self, count: usize) -> Self {
        self.concurrent = count;
        self
    }

    /// How many callers may wait for their turn to set a password, and as many again to have one
    /// verified; whoever comes when it is full hears [`Error::HashingBusy`] at once. The two are
    /// served in turn, so that a flood of registrations cannot starve sign-ins. Defaults to 1024.
    #[must_use]
    pub fn queue_length(mut self, callers: usize) -> Self {
        self.queue_length = callers;
        self
    }

    /// How long one caller may wait for its turn: a day at most. Defaults to 5 seconds.
    #[must_use]
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }

    /// Adds a secret key. New hashes use the one that was added last; those added before still
    /// verify, and their hashes are replaced when their owners sign in. Defaults to none.
    ///
    /// To change a key, add the new one behind the old one. The old one can be taken out when no
    /// hash has its id any more; until then a sign-in whose hash needs it is an error
    /// ([`ConfigurationFailure::PepperMissing`](crate::ConfigurationFailure::PepperMissing)), not a
    /// wrong password. Another key under an old id cannot be told from a wrong password: never use
    /// an id twice.
    #[must_use]
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.peppers.push(pepper);
        self
    }

    /// A dearer cost at which hashes of this service were made before, if it was ever lowered: they
    /// go on to verify, and every sign-in costs as much from then on. Defaults to none.
    ///
    /// Without it what costs more than [`Hashing::cost`] verifies only within OWASP's table; its
    /// owners wait a little longer than others until they have signed in once.
    #[must_use]
    pub fn former_cost(mut self, dearest: Argon2Cost) -> Self {
        self.former = Some(dearest);
        self
    }

    /// Which hashes of other systems are accepted. Defaults to [`ForeignHashes::none`].
    #[must_use]
    pub fn accept(mut self, foreign: ForeignHashes) -> Self {
        self.foreign = foreign;
        self
    }

    /// Measures this machine, and proposes a cost whose hash takes about so long: from OWASP's
    /// table upwards, with more passes over 19 MiB where there is time.
    ///
    /// 19 MiB and two passes are the least, also if they take longer; the target is 10 seconds at
    /// most. It takes some tenths of a second, or four times the target, on one core; the machine
    /// should be doing nothing else. A sign-in of half a second is as much as people put up with.
    ///
    /// # Errors
    ///
    /// [`Error::Hashing`] if there is no memory for a hash.
    ///
    /// ```
    /// use std::time::Duration;
    /// use diesel_accounts::Hashing;
    ///
    /// let proposal = Hashing::new().calibrate(Duration::from_millis(40))?;
    /// println!("{:?}: {:.0} a second on one core", proposal.cost(), proposal.hashes_per_second());
    /// # assert!(proposal.cost().passes() >= 2);
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    pub fn calibrate(&self, target: Duration) -> Result<Calibration> {
        let mut engine = self.engine.another();
        let mut time = |cost: Argon2Cost| -> Result<Duration, HashingFailure> {
            let mut best = Duration::MAX;
            // The first one pays for the memory.
            for _ in 0..4 {
                let started = Instant::now();
                dummy_hash(cost, &mut *engine)?;
                best = best.min(started.elapsed());
            }
            Ok(best)
        };
        let base = Argon2Cost::OWASP_19_MIB;
        let pass = time(base).map_err(Error::Hashing)? / base.passes();
        let passes = passes_within(target.min(MOST_TARGET), pass).max(base.passes());
        let cost = Argon2Cost::new(base.memory_kib(), passes, 1).unwrap_or(base);
        let time = time(cost).map_err(Error::Hashing)?;
        Ok(Calibration { cost, time })
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn concurrent(&self) -> usize {
        self.concurrent
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn queue(&self) -> usize {
        self.queue_length
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn wait(&self) -> Duration {
        self.longest_wait
    }

    /// What is wrong with these settings.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let ids = self.peppers.iter().map(Pepper::id);
        if ids.clone().enumerate().any(|(at, id)| ids.clone().take(at).any(|other| other == id)) {
            return Some("two peppers have one id");
        }
        if self.concurrent == 0 {
            return Some("at least one hash must run at once");
        }
        if self.longest_wait > A_DAY {
            return Some("the wait for a hash can be a day at most");
        }
        self.foreign.problem()
    }
}

impl Default for Hashing {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            cost: Argon2Cost::default(),
            engine: Arc::new(PortableEngine::new()),
            concurrent: (cores + 1).min(16),
            queue_length: 1024,
            longest_wait: Duration::from_secs(5),
            peppers: Vec::new(),
            former: None,
            foreign: ForeignHashes::none(),
        }
    }
}

/// A cost for this machine, and how long it takes: see [`Hashing::calibrate`].
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    cost: Argon2Cost,
    time: Duration,
}

impl Calibration {
    /// The proposed cost.
    #[must_use]
    pub fn cost(&self) -> Argon2Cost {
        self.cost
    }

    /// How long one hash takes.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.time
    }

    /// How many hashes one core makes in a second.
    #[must_use]
    pub fn hashes_per_second(&self) -> f64 {
        1.0 / self.time.as_secs_f64()
    }
}

/// How many passes that take so long each there is time for.
fn passes_within(target: Duration, pass: Duration) -> u32 {
    u32::try_from(target.as_nanos() / pass.as_nanos().max(1)).unwrap_or(u32::MAX)
}

const A_DAY: Duration = Duration::from_secs(86_400);

/// Longer than anybody waits.
const MOST_TARGET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::passes_within;

    #[test]
    fn there_is_time_for_as_many_passes_as_fit_in_whole() {
        let passes = |target, pass| {
            passes_within(Duration::from_millis(target), Duration::from_millis(pass))
        };
        assert_eq!(passes(100, 30), 3);
        assert_eq!(passes(90, 30), 3);
        assert_eq!(passes(0, 30), 0);
        assert_eq!(passes(10_000, 0), u32::MAX);
    }
}
