//! How long an attempt to sign in has to wait, and what it adds to the counts.

use super::attempts::long_before;
use crate::store::attempts::{AttemptCounts, AttemptKey, AttemptRow};
use crate::throttle::Waits;
use crate::timestamp::Timestamp;

/// What holds up the attempts of one client, or of all together.
#[derive(Clone, Copy)]
pub(super) struct Limit<'a> {
    pub(super) client: AttemptKey,
    /// `None` if no wait does.
    pub(super) waits: Option<&'a Waits>,
    /// So many failures, and no more.
    pub(super) most_in_a_row: i64,
}

impl Limit<'_> {
    pub(super) fn wait_of(&self, row: &AttemptRow, now: Timestamp) -> Option<Timestamp> {
        self.waits.and_then(|waits| wait_of(row, waits, now))
    }

    /// Whether no attempt may be counted any more.
    pub(super) fn is_reached(&self, row: &AttemptRow, now: Timestamp) -> bool {
        row.counts.in_a_row >= self.most_in_a_row || self.wait_of(row, now).is_some()
    }

    /// The counts with one attempt more, and the wait that it brings. Waits of long ago begin anew:
    /// those of logins that nobody has are forgotten after the same time.
    pub(super) fn counted(&self, seen: &AttemptCounts, now: Timestamp) -> AttemptCounts {
        let is_old = seen.last_at < long_before(now);
        let failures = if is_old { 1 } else { seen.failures.saturating_add(1) };
        let blocked_until = match self.waits {
            None => seen.blocked_until,
            Some(waits) => waits
                .after_failures(failures)
                .map_or(0, |wait| now.as_micros().saturating_add(wait)),
        };
        let in_a_row = seen.in_a_row.saturating_add(1);
        AttemptCounts { failures, in_a_row, blocked_until, last_at: now }
    }
}

/// When the wait of a row is over, if it is not.
pub(super) fn wait_of(row: &AttemptRow, waits: &Waits, now: Timestamp) -> Option<Timestamp> {
    let (now, until) = (now.as_micros(), row.counts.blocked_until);
    // The clocks of a service differ a little, and a wait that another instance has just written
    // holds. But a clock that was set back keeps nobody waiting for longer than any wait.
    let longest = now.saturating_add(waits.longest);
    let is_waiting = until > now && until <= longest.saturating_add(MOST_SKEW);
    is_waiting.then(|| Timestamp::from_micros(until.min(longest)))
}

/// By how much the clocks of a service may differ, in microseconds: five minutes.
const MOST_SKEW: i64 = 300_000_000;
