//! How many accounts are imported at once.

use std::time::Duration;

use crate::store::AccountConnection;
use crate::store::dialect::Dialect;

/// How many accounts are inserted by one statement, where one inserts many. Each takes 16 bound
/// values, of which MariaDB allows 65,535.
pub(crate) const IMPORT_BATCH: usize = 500;

/// How many accounts the next batch of an import is of.
///
/// SQLite writes each page that a transaction has touched once at its end, and accounts touch pages
/// all over the indexes: the more are in a transaction, the less is written for each. But nobody
/// else writes meanwhile, so that a batch there grows until it takes a tenth of a second.
pub(crate) struct BatchSize {
    size: usize,
    most: usize,
}

impl BatchSize {
    pub(crate) fn of<C: AccountConnection>(in_transaction: bool) -> Self {
        let most = match C::Backend::HAS_ONE_WRITER && !in_transaction {
            true => MOST_IN_A_TRANSACTION,
            false => IMPORT_BATCH,
        };
        Self { size: IMPORT_BATCH, most }
    }

    pub(crate) fn get(&self) -> usize {
        self.size
    }

    /// Learns how long so many took.
    pub(crate) fn learn(&mut self, accounts: usize, took: Duration) {
        // A few take the time of a transaction, and tell nothing.
        if accounts < FEWEST_TO_TELL {
            return;
        }
        let in_time = accounts as u128 * GOAL.as_micros() / took.as_micros().max(1);
        let in_time = usize::try_from(in_time).unwrap_or(usize::MAX);
        // A batch that had to wait for others says little of the next.
        let next = in_time.clamp(accounts / 4, accounts * 4);
        self.size = next.clamp(IMPORT_BATCH, self.most);
    }
}

/// How long others wait for a batch.
const GOAL: Duration = Duration::from_millis(100);

/// Of a batch, some accounts may have been refused before.
const FEWEST_TO_TELL: usize = IMPORT_BATCH / 2;

/// More make nothing faster, and are lost together where one is refused.
const MOST_IN_A_TRANSACTION: usize = 8_000;

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::time::Duration;

    use diesel::SqliteConnection;

    use super::{BatchSize, IMPORT_BATCH, MOST_IN_A_TRANSACTION};

    #[test]
    fn batches_grow_where_they_are_fast_and_shrink_where_they_are_slow() {
        let mut size = BatchSize::of::<SqliteConnection>(false);
        assert_eq!(size.get(), IMPORT_BATCH);
        size.learn(500, Duration::from_millis(50));
        assert_eq!(size.get(), 1_000);
        // By no more than four times at once.
        size.learn(1_000, Duration::ZERO);
        assert_eq!(size.get(), 4_000);
        size.learn(4_000, Duration::from_millis(1));
        assert_eq!(size.get(), MOST_IN_A_TRANSACTION);
        size.learn(8_000, Duration::from_millis(200));
        assert_eq!(size.get(), 4_000);
        size.learn(4_000, Duration::from_secs(60));
        assert_eq!(size.get(), 1_000);
        size.learn(1_000, Duration::from_secs(60));
        assert_eq!(size.get(), IMPORT_BATCH);
    }

    #[test]
    fn what_is_left_over_tells_nothing() {
        let mut size = BatchSize::of::<SqliteConnection>(false);
        size.learn(249, Duration::ZERO);
        assert_eq!(size.get(), IMPORT_BATCH);
    }

    #[test]
    fn in_a_transaction_of_the_hosts_there_is_nothing_to_be_gained() {
        let mut size = BatchSize::of::<SqliteConnection>(true);
        size.learn(500, Duration::from_millis(1));
        assert_eq!(size.get(), IMPORT_BATCH);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn where_others_can_write_batches_stay_as_they_are() {
        let mut size = BatchSize::of::<diesel::PgConnection>(false);
        size.learn(500, Duration::from_millis(1));
        assert_eq!(size.get(), IMPORT_BATCH);
    }
}
