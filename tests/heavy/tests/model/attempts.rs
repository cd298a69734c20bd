//! The model of what is known about wrong passwords.

use std::collections::BTreeMap;

use crate::answer::Who;

/// Whose attempts are counted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    Account(Who),
    /// A login that no account has.
    Login(u8, String),
}

/// Where they come from.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    All,
    Client(u8, Option<u8>),
    Device(u32),
}

#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Counts {
    pub(crate) failures: i64,
    pub(crate) in_a_row: i64,
    pub(crate) blocked_until: i64,
    pub(crate) last_at: i64,
}

/// Whether a password may be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission {
    Admitted(i64),
    PasswordDisabled(i64),
    Waiting(i64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) rows: BTreeMap<(Subject, Origin), Counts>,
}

/// When waits begin, and how they grow; in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Waits {
    pub(crate) after: u32,
    pub(crate) first: i64,
    pub(crate) longest: i64,
}

pub(crate) const OF_CLIENT: Waits = Waits { after: 2, first: 10 * SECOND, longest: 40 * SECOND };
pub(crate) const OF_ACCOUNT: Waits = Waits { after: 3, first: 20 * SECOND, longest: 60 * SECOND };
pub(crate) const MOST_FAILURES: u32 = 6;
pub(crate) const SECOND: i64 = 1_000_000;

const TWO_DAYS: i64 = 2 * 86_400 * SECOND;
const SKEW: i64 = 300 * SECOND;

impl Attempts {
    /// Counts an attempt, unless it has to wait.
    pub(crate) fn admit(&mut self, subject: &Subject, origin: &Origin, now: i64) -> Admission {
        let own_wait = self.wait(subject, origin, OF_CLIENT, now);
        let common_wait = match origin {
            Origin::Device(_) => None,
            _ => self.wait(subject, &Origin::All, OF_ACCOUNT, now),
        };
        if let Some(until) = own_wait.max(common_wait) {
            return Admission::Waiting(until);
        }
        let is_disabled = self.row(subject, &Origin::All).in_a_row >= i64::from(MOST_FAILURES);
        self.count(subject, origin, Some(OF_CLIENT), now);
        if is_disabled {
            return Admission::PasswordDisabled(now);
        }
        let waits = (!matches!(origin, Origin::Device(_))).then_some(OF_ACCOUNT);
        self.count(subject, &Origin::All, waits, now);
        Admission::Admitted(now)
    }

    /// Undoes what an admission did, as far as nobody came after it.
    pub(crate) fn take_back(&mut self, subject: &Subject, origin: &Origin, admission: Admission) {
        let (then, in_common) = match admission {
            Admission::Waiting(_) => return,
            Admission::PasswordDisabled(then) => (then, false),
            Admission::Admitted(then) => (then, true),
        };
        self.refund(subject, origin, then, true);
        if in_common {
            let brought_wait = !matches!(origin, Origin::Device(_));
            self.refund(subject, &Origin::All, then, brought_wait);
        }
    }

    /// Somebody gave the right password.
    pub(crate) fn clear(&mut self, subject: &Subject, origin: &Origin) {
        for origin in [origin, &Origin::All] {
            if let Some(row) = self.rows.get_mut(&(subject.clone(), origin.clone())) {
                *row = Counts { last_at: row.last_at, ..Counts::default() };
            }
        }
    }

    /// The waits of an account begin anew.
    pub(crate) fn unlock(&mut self, who: Who) {
        for ((subject, _), row) in &mut self.rows {
            if *subject == Subject::Account(who) {
                (row.failures, row.blocked_until) = (0, 0);
            }
        }
    }

    pub(crate) fn forget(&mut self, who: Who) {
        self.rows.retain(|(subject, _), _| *subject != Subject::Account(who));
    }

    /// Forgets what is old, but the failures in a row of an account; tells how many rows that were.
    pub(crate) fn forget_old(&mut self, now: i64, is_account: impl Fn(Who) -> bool) -> usize {
        let before = self.rows.len();
        self.rows.retain(|(subject, origin), row| {
            let keeps_the_password_disabled = match subject {
                Subject::Account(who) => {
                    *origin == Origin::All && row.in_a_row > 0 && is_account(*who)
                }
                Subject::Login(..) => false,
            };
            row.last_at >= now - TWO_DAYS || keeps_the_password_disabled
        });
        before - self.rows.len()
    }

    pub(crate) fn row(&self, subject: &Subject, origin: &Origin) -> Counts {
        self.rows.get(&(subject.clone(), origin.clone())).copied().unwrap_or_default()
    }

    /// When a wait is over. A clock that was set back keeps nobody waiting for longer than the
    /// longest wait, and a little is taken for the clock of another instance.
    pub(crate) fn wait(
        &self,
        subject: &Subject,
        origin: &Origin,
        waits: Waits,
        now: i64,
    ) -> Option<i64> {
        let until = self.row(subject, origin).blocked_until;
        let is_waiting = until > now && until <= now + waits.longest + SKEW;
        is_waiting.then(|| until.min(now + waits.longest))
    }

    fn count(&mut self, subject: &Subject, origin: &Origin, waits: Option<Waits>, now: i64) {
        let fresh = Counts { last_at: now, ..Counts::default() };
        let row = self.rows.entry((subject.clone(), origin.clone())).or_insert(fresh);
        row.failures = if row.last_at < now - TWO_DAYS { 1 } else { row.failures + 1 };
        row.in_a_row += 1;
        row.last_at = now;
        if let Some(waits) = waits {
            row.blocked_until = waits.after(row.failures).map_or(0, |wait| now + wait);
        }
    }

    fn refund(&mut self, subject: &Subject, origin: &Origin, then: i64, brought_wait: bool) {
        let row = self.rows.get_mut(&(subject.clone(), origin.clone()));
        let Some(row) = row.filter(|row| row.in_a_row > 0) else {
            return;
        };
        row.in_a_row -= 1;
        row.failures = (row.failures - 1).max(0);
        if brought_wait && row.last_at == then {
            row.blocked_until = 0;
        }
    }
}

impl Waits {
    fn after(self, failures: i64) -> Option<i64> {
        let doublings = u32::try_from(failures - i64::from(self.after)).ok()?;
        Some((self.first << doublings.min(20)).min(self.longest))
    }
}
