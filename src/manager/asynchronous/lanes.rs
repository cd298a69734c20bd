//! The bounds of what is on blocking threads at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};
use crate::observe::Queued;
use crate::policy::Policy;

/// One for each kind of operation.
pub(super) struct Lanes {
    setting: Lane,
    verifying: Lane,
    importing: Lane,
    others: Lane,
}

impl Lanes {
    pub(super) fn new(policy: &Policy, connections: usize) -> Self {
        let hashing =
            || Lane::new(policy, connections.saturating_add(policy.concurrent_hashes()), true);
        let others = || Lane::new(policy, connections, false);
        Self { setting: hashing(), verifying: hashing(), importing: others(), others: others() }
    }

    pub(super) fn setting(&self) -> &Lane {
        &self.setting
    }

    pub(super) fn verifying(&self) -> &Lane {
        &self.verifying
    }

    pub(super) fn importing(&self) -> &Lane {
        &self.importing
    }

    pub(super) fn others(&self) -> &Lane {
        &self.others
    }
}

pub(super) struct Lane {
    policy: Policy,
    places: Arc<Semaphore>,
    /// Of those who may wait to hash; `None` where nothing is hashed, and any number may wait.
    queue: Option<Semaphore>,
    queue_length: usize,
    longest_wait: Duration,
}

impl Lane {
    fn new(policy: &Policy, places: usize, hashes: bool) -> Self {
        let longest_wait = if hashes { policy.longest_wait() } else { policy.deadline() };
        let queue_length = policy.queue_length().min(MOST_PERMITS);
        let queue = hashes.then(|| Semaphore::new(queue_length));
        let places = Arc::new(Semaphore::new(places.clamp(1, MOST_PERMITS)));
        Self { policy: policy.clone(), places, queue, queue_length, longest_wait }
    }

    /// Until when an operation that comes now waits for a place.
    pub(super) fn waits_until(&self) -> Instant {
        Instant::now() + self.longest_wait
    }

    /// A place, in turn.
    pub(super) async fn place(&self, until: Instant) -> Result<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let in_queue = match &self.queue {
            Some(queue) => Some(queue.try_acquire().map_err(|_| self.busy())?),
            None => None,
        };
        let queued = in_queue.is_some().then(Queued::new);
        let place = timeout_at(until, Arc::clone(&self.places).acquire_owned()).await;
        drop((queued, in_queue));
        // It is never closed.
        place.ok().and_then(std::result::Result::ok).ok_or_else(|| self.busy())
    }

    /// What an operation comes to that never begins.
    pub(super) fn busy(&self) -> Error {
        match &self.queue {
            Some(queue) => {
                let queued = self.queue_length.saturating_sub(queue.available_permits());
                self.policy.hashing_busy(queued)
            }
            None => Error::Busy,
        }
    }
}

const MOST_PERMITS: usize = Semaphore::MAX_PERMITS;
