//! What one hash costs.

use std::fmt;

use super::pace::Shape;

/// What one password hash costs: the parameters of Argon2id (RFC 9106).
///
/// Defaults to [`Argon2Cost::OWASP_19_MIB`]. Anything cheaper than OWASP's table is for tests. The
/// lanes of one hash are computed one after the other.
///
/// ```
/// use diesel_accounts::{Argon2Cost, Hashing, Policy};
///
/// // The second choice of RFC 9106, section 4: 64 MiB, three passes, four lanes.
/// let cost = Argon2Cost::new(65_536, 3, 4)?;
/// let policy = Policy::builder().hashing(Hashing::new().cost(cost)).build()?;
/// # let _ = policy;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Argon2Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The parameters that OWASP's Password Storage Cheat Sheet recommends: equally hard to attack,
/// they trade memory for time.
impl Argon2Cost {
    /// 46 MiB, one pass.
    pub const OWASP_46_MIB: Self = Self { memory_kib: 47_104, passes: 1, lanes: 1 };
    /// 19 MiB, two passes: the default.
    pub const OWASP_19_MIB: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };
    /// 12 MiB, three passes.
    pub const OWASP_12_MIB: Self = Self { memory_kib: 12_288, passes: 3, lanes: 1 };
    /// 9 MiB, four passes.
    pub const OWASP_9_MIB: Self = Self { memory_kib: 9_216, passes: 4, lanes: 1 };
    /// 7 MiB, five passes.
    pub const OWASP_7_MIB: Self = Self { memory_kib: 7_168, passes: 5, lanes: 1 };
}

impl Argon2Cost {
    /// A cost of so many KiB of memory, passes over it, and lanes.
    ///
    /// # Errors
    ///
    /// [`InvalidCost`] if RFC 9106 does not allow the combination: at least 1 pass, 1 to 2^24 - 1
    /// lanes, and 8 KiB of memory for each lane.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, InvalidCost> {
        if passes == 0 || lanes == 0 || lanes > MOST_LANES || memory_kib / 8 < lanes {
            return Err(InvalidCost(()));
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// The memory of one hash, in KiB. Defaults to 19,456.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// How often the memory is passed over. Defaults to 2.
    #[must_use]
    pub const fn passes(&self) -> u32 {
        self.passes
    }

    /// The lanes of the memory. Defaults to 1.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }

    /// How much is computed, in KiB passed over: the time of a hash is proportional to it.
    pub(crate) const fn work(&self) -> u64 {
        self.memory_kib as u64 * self.passes as u64
    }

    /// What the pace of its work depends on.
    pub(crate) const fn shape(&self) -> Shape {
        Shape { kind: "argon2id", parameters: [self.memory_kib, self.passes, self.lanes] }
    }

    /// A cost of as much work, to be made up beside a cheaper hash, in no more memory than this one
    /// takes; `None` if there is nothing to be made up.
    pub(crate) fn of_work(&self, work: u64) -> Option<Self> {
        if work < LEAST_MEMORY_KIB {
            return None;
        }
        let passes = work.div_ceil(u64::from(self.memory_kib));
        let memory = (work / passes).max(LEAST_MEMORY_KIB);
        Some(Self {
            memory_kib: u32::try_from(memory).ok()?,
            passes: u32::try_from(passes).unwrap_or(u32::MAX),
            lanes: 1,
        })
    }
}

impl Default for Argon2Cost {
    fn default() -> Self {
        Self::OWASP_19_MIB
    }
}

impl fmt::Debug for Argon2Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2Cost")
            .field("memory_kib", &self.memory_kib())
            .field("passes", &self.passes())
            .field("lanes", &self.lanes())
            .finish()
    }
}

/// RFC 9106 does not allow these parameters of Argon2 together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the parameters are outside the limits of Argon2")]
pub struct InvalidCost(());

/// RFC 9106, section 3.1: for one lane.
const LEAST_MEMORY_KIB: u64 = 8;

/// RFC 9106, section 3.1.
const MOST_LANES: u32 = (1 << 24) - 1;

#[cfg(test)]
mod tests {
    use super::{Argon2Cost, InvalidCost};

    #[test]
    fn parameters_outside_rfc_9106_are_refused() {
        for (memory, passes, lanes) in [(7, 1, 1), (8, 0, 1), (8, 1, 0), (15, 1, 2)] {
            let refused = Argon2Cost::new(memory, passes, lanes);
            assert_eq!(refused, Err(InvalidCost(())), "{memory} {passes} {lanes}");
        }
    }

    #[test]
    fn what_is_made_up_is_the_missing_work_and_takes_no_more_memory() {
        let today = Argon2Cost::default();
        for missing in [8, 9, 1_000, 19_455, 19_456, 19_457, 38_000, 1_000_000] {
            let cost = today.of_work(missing).unwrap();
            assert!(cost.memory_kib() <= today.memory_kib());
            let difference = missing - cost.work();
            assert!(difference < u64::from(cost.passes()), "{missing} {cost:?}");
        }
        assert_eq!(today.of_work(0), None);
        assert_eq!(today.of_work(7), None);
    }

    #[test]
    fn the_most_that_rfc_9106_allows_is_allowed() {
        let most = Argon2Cost::new(u32::MAX, u32::MAX, (1 << 24) - 1).unwrap();
        assert_eq!(
            (most.memory_kib(), most.passes(), most.lanes()),
            (u32::MAX, u32::MAX, 16_777_215)
        );
        assert_eq!(Argon2Cost::new(u32::MAX, u32::MAX, 1 << 24), Err(InvalidCost(())));
        assert_eq!(
            format!("{:?}", Argon2Cost::new(65_536, 3, 4).unwrap()),
            "Argon2Cost { memory_kib: 65536, passes: 3, lanes: 4 }"
        );
    }
}
