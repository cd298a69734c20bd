//! Which passwords are allowed.

use zeroize::Zeroizing;

use super::hash::Argon2Cost;
use super::secret::Password;
use crate::identity::key::nfc;
use crate::identity::{Violation, is_assigned};

/// Which passwords are allowed, and what their hashes cost.
///
/// Every character is allowed, spaces and `NUL` among them, and none is asked for; the password is
/// used whole, in the normal form NFC (NIST SP 800-63B-4, section 3.1.1.2; OWASP ASVS 5.0, 6.2.5
/// and 6.2.8). Code points that Unicode 17.0 does not assign are refused, for their normal form
/// may still change ("stabilized strings", UAX #15, section 12.1).
///
/// The default minimum of 8 characters is that of ASVS 5.0, 6.2.1, and of NIST where a second
/// factor is used. For a password alone NIST asks 15: [`PasswordRules::nist_single_factor`].
///
/// ```
/// use diesel_accounts::{PasswordRules, Policy};
///
/// let policy = Policy::builder().passwords(PasswordRules::nist_single_factor()).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug)]
pub struct PasswordRules {
    min_length: usize,
    max_bytes: usize,
    cost: Argon2Cost,
}

impl PasswordRules {
    /// The default rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The default rules with a minimum of 15 characters, for services without a second factor:
    /// NIST SP 800-63B-4, section 3.1.1.2.
    #[must_use]
    pub fn nist_single_factor() -> Self {
        Self::new().min_length(15)
    }

    /// The fewest characters: code points after NFC. At least 8. Defaults to 8.
    #[must_use]
    pub fn min_length(mut self, characters: usize) -> Self {
        self.min_length = characters;
        self
    }

    /// The most bytes of UTF-8 as typed, checked before any other work. At least 256, which are 64
    /// characters of any script. Defaults to 1024.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What one hash costs. Defaults to [`Argon2Cost::default`].
    #[must_use]
    pub fn cost(mut self, cost: Argon2Cost) -> Self {
        self.cost = cost;
        self
    }

    pub(crate) fn argon2_cost(&self) -> &Argon2Cost {
        &self.cost
    }

    /// What is wrong with the rules themselves.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.min_length < 8 {
            return Some("passwords of fewer than 8 characters cannot be allowed");
        }
        if self.max_bytes < 256 || self.max_bytes / 4 < self.min_length {
            return Some(
                "passwords of 256 bytes, and of the least number of characters, must be allowed",
            );
        }
        None
    }

    /// What is wrong with a password.
    pub(crate) fn violations(&self, password: &Password) -> Vec<Violation> {
        let typed = password.as_str();
        if typed.len() > self.max_bytes {
            return vec![Violation::TooManyBytes { maximum: self.max_bytes }];
        }
        let mut violations = Vec::new();
        if Zeroizing::new(nfc(typed).into_owned()).chars().count() < self.min_length {
            violations.push(Violation::TooShort { minimum: self.min_length });
        }
        if !typed.chars().all(is_assigned) {
            violations.push(Violation::UnassignedCharacter);
        }
        violations
    }
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { min_length: 8, max_bytes: 1024, cost: Argon2Cost::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::PasswordRules;
    use crate::password::Password;

    fn codes(rules: &PasswordRules, typed: &str) -> Vec<&'static str> {
        rules.violations(&Password::from(typed)).iter().map(|violation| violation.code()).collect()
    }

    #[test]
    fn length_is_counted_in_code_points_after_nfc() {
        let rules = PasswordRules::new();
        assert_eq!(codes(&rules, "1234567"), ["too_short"]);
        assert_eq!(codes(&rules, "12345678"), [""; 0]);
        assert_eq!(codes(&rules, "\u{1f600}".repeat(8).as_str()), [""; 0]);
        assert_eq!(codes(&rules, "e\u{301}e\u{301}e\u{301}e\u{301}"), ["too_short"]);
        assert_eq!(codes(&PasswordRules::nist_single_factor(), "12345678901234"), ["too_short"]);
        assert_eq!(codes(&PasswordRules::nist_single_factor(), "123456789012345"), [""; 0]);
    }

    #[test]
    fn sixty_four_characters_of_four_bytes_are_allowed_and_1025_bytes_are_not() {
        let rules = PasswordRules::new();
        assert_eq!(codes(&rules, &"\u{1f600}".repeat(64)), [""; 0]);
        assert_eq!(codes(&rules, &"a".repeat(1024)), [""; 0]);
        assert_eq!(codes(&rules, &"a".repeat(1025)), ["too_many_bytes"]);
        assert_eq!(codes(&rules, &"a".repeat(10_000_000)), ["too_many_bytes"]);
    }

    #[test]
    fn every_assigned_character_is_allowed() {
        let printable: String = (' '..='~').collect();
        assert_eq!(codes(&PasswordRules::new(), &printable), [""; 0]);
        assert_eq!(codes(&PasswordRules::new(), "a\0b\u{200d}c\u{202e}\t d"), [""; 0]);
        assert_eq!(codes(&PasswordRules::new(), "12345678\u{378}"), ["unassigned_character"]);
    }

    #[test]
    fn impossible_rules_are_told() {
        assert!(PasswordRules::new().min_length(7).problem().is_some());
        assert!(PasswordRules::new().max_bytes(255).problem().is_some());
        assert!(PasswordRules::new().min_length(65).max_bytes(256).problem().is_some());
        assert_eq!(PasswordRules::nist_single_factor().problem(), None);
    }
}
