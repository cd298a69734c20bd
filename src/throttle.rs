//! How often a wrong password may be tried.

use std::time::Duration;

/// How often a wrong password may be tried for an account, before whoever tries has to wait.
///
/// Each attempt is counted before the password is looked at, in the database, for all instances of
/// a service together; a right one clears the counts of the account and of the client that gave it.
/// An attempt that comes during a wait is refused without a look at the password, and neither
/// counts nor makes the wait longer.
///
/// The waits of one client come first, and are for the account and that client only. Those of the
/// account are for all clients together, so that guesses from many addresses are slow too. They
/// double from one to the next. Whoever has a [`DeviceToken`](crate::DeviceToken) of the account
/// has a count of its own and does not wait for strangers. Logins that no account has are counted
/// alike.
///
/// After [`ThrottleRules::most_failures`] in a row, at whatever pace, the password is disabled
/// until it is set anew (NIST SP 800-63B-4, section 3.2.2), for known devices too.
///
/// ```
/// use std::time::Duration;
/// use diesel_accounts::{Policy, ThrottleRules};
///
/// let rules = ThrottleRules::new().client(10, Duration::from_secs(5), Duration::from_secs(600));
/// let policy = Policy::builder().throttle(rules).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ThrottleRules {
    client: Waits,
    account: Waits,
    most_failures: u32,
}

/// When waits begin, and how they grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// The failure after which the first wait begins.
    pub(crate) after: i64,
    /// In microseconds.
    pub(crate) first: i64,
    /// In microseconds.
    pub(crate) longest: i64,
}

impl ThrottleRules {
    /// The default rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// After how many failures one client waits, how long at first, and how long at most: a day at
    /// most. Defaults to 5 failures, 30 seconds and an hour.
    #[must_use]
    pub fn client(mut self, after: u32, first: Duration, longest: Duration) -> Self {
        self.client = Waits::new(after, first, longest);
        self
    }

    /// After how many failures of all clients together each waits, how long at first, and how long
    /// at most: a day at most. Defaults to 20 failures, 30 seconds and an hour.
    #[must_use]
    pub fn account(mut self, after: u32, first: Duration, longest: Duration) -> Self {
        self.account = Waits::new(after, first, longest);
        self
    }

    /// After how many failures in a row the password is disabled: 100 at most, and more than the
    /// failures that bring the first wait. Defaults to 100.
    #[must_use]
    pub fn most_failures(mut self, failures: u32) -> Self {
        self.most_failures = failures;
        self
    }

    pub(crate) fn client_waits(&self) -> &Waits {
        &self.client
    }

    pub(crate) fn account_waits(&self) -> &Waits {
        &self.account
    }

    pub(crate) fn failures_until_disabled(&self) -> i64 {
        i64::from(self.most_failures)
    }

    /// What is wrong with the rules themselves.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        for waits in [&self.client, &self.account] {
            if waits.after < 1 || waits.after >= self.failures_until_disabled() {
                return Some("waits must begin after the first failure, and before the last");
            }
            if waits.first < 1 || waits.longest < waits.first || waits.longest > A_DAY_MICROS {
                return Some("waits must be longer than nothing and shorter than a day");
            }
        }
        (self.most_failures > 100).then_some("more than 100 failures in a row cannot be allowed")
    }
}

impl Default for ThrottleRules {
    fn default() -> Self {
        let (first, longest) = (Duration::from_secs(30), Duration::from_secs(3600));
        Self {
            client: Waits::new(5, first, longest),
            account: Waits::new(20, first, longest),
            most_failures: 100,
        }
    }
}

impl Waits {
    fn new(after: u32, first: Duration, longest: Duration) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self { after: i64::from(after), first: micros(first), longest: micros(longest) }
    }

    /// The wait that so many failures bring; `None` if they bring none.
    pub(crate) fn after_failures(&self, failures: i64) -> Option<i64> {
        let doublings = u32::try_from(failures - self.after).ok()?;
        let factor = 1_i64.checked_shl(doublings.min(62)).unwrap_or(i64::MAX);
        Some(self.first.saturating_mul(factor).min(self.longest))
    }
}

const A_DAY_MICROS: i64 = 86_400_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ThrottleRules, Waits};

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = Waits::new(3, Duration::from_micros(10), Duration::from_micros(70));
        let after = [0, 1, 2, 3, 4, 5, 6, 7, 70, 100].map(|count| waits.after_failures(count));
        let ten = Some(10);
        let most = Some(70);
        assert_eq!(after, [None, None, None, ten, Some(20), Some(40), most, most, most, most]);
    }

    #[test]
    fn impossible_rules_are_told() {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let rules = ThrottleRules::new;
        assert_eq!(rules().problem(), None);
        for rules in [
            rules().client(0, second, second),
            rules().client(100, second, second),
            rules().account(5, Duration::ZERO, second),
            rules().account(5, 2 * second, second),
            rules().account(5, second, day + second),
            rules().most_failures(101),
            rules().most_failures(20),
        ] {
            assert!(rules.problem().is_some(), "{rules:?}");
        }
    }
}
