//! Which passwords are allowed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::blocklist::is_common;
use super::breach::{BreachCheck, WhenUnavailable};
use super::secret::Password;
use crate::error::{Error, Result};
use crate::identity::key::{folded, nfc};
use crate::identity::{Violation, is_assigned};

/// Which passwords are allowed.
///
/// Every character is allowed, spaces and `NUL` among them, and none is asked for; the password is
/// used whole, in the normal form NFC (NIST SP 800-63B-4, section 3.1.1.2; OWASP ASVS 5.0, 6.2.5
/// and 6.2.8). Code points that Unicode 17.0 does not assign are refused, for their normal form may
/// still change ("stabilized strings", UAX #15, section 12.1). There are no rules of composition
/// and no expiry.
///
/// Refused are passwords that everybody tries first, and those that are the person's own username
/// or address, or the name of the service, with nothing but digits and symbols around it: whole
/// passwords, never parts of them (NIST, the same section; ASVS 6.2.4 and 6.2.11).
///
/// The default minimum of 8 characters is that of ASVS 5.0, 6.2.1, and of NIST where a second
/// factor is used. For a password alone NIST asks 15: [`PasswordRules::nist_single_factor`].
///
/// ```
/// use diesel_accounts::{PasswordRules, Policy};
///
/// let rules = PasswordRules::nist_single_factor().service_names(["example"]);
/// let policy = Policy::builder().passwords(rules).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone)]
pub struct PasswordRules {
    min_length: usize,
    max_bytes: usize,
    common: bool,
    blocked: Arc<BTreeSet<String>>,
    service_names: Arc<Vec<String>>,
    breach_check: Option<(Arc<dyn BreachCheck>, WhenUnavailable)>,
    #[cfg(feature = "zxcvbn")]
    min_score: u8,
}

impl PasswordRules {
    /// The default rules, which are those of [`PasswordRules::asvs_level_1`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At least 15 characters, for services without a second factor: NIST SP 800-63B-4, section
    /// 3.1.1.2.
    ///
    /// Few of the common passwords that are shipped are so long; a [`BreachCheck`] knows more.
    #[must_use]
    pub fn nist_single_factor() -> Self {
        Self::new().min_length(15)
    }

    /// At least 8 characters, for services with a second factor: NIST SP 800-63B-4, section
    /// 3.1.1.2.
    #[must_use]
    pub fn nist_with_mfa() -> Self {
        Self::new().min_length(8)
    }

    /// At least 8 characters, and none of the most common passwords: OWASP ASVS 5.0, 6.2.1 to
    /// 6.2.8. It recommends 15.
    #[must_use]
    pub fn asvs_level_1() -> Self {
        Self::new().min_length(8).common_passwords_allowed(false)
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

    /// Whether the most common passwords are allowed, of which a list is shipped. Defaults to
    /// `false`.
    #[must_use]
    pub fn common_passwords_allowed(mut self, allowed: bool) -> Self {
        self.common = allowed;
        self
    }

    /// More passwords that are refused, whatever their case or width. Defaults to none.
    #[must_use]
    pub fn blocked<T: AsRef<str>>(mut self, passwords: impl IntoIterator<Item = T>) -> Self {
        let more = passwords.into_iter().map(|password| folded(password.as_ref()));
        self.blocked = Arc::new(self.blocked.iter().cloned().chain(more).collect());
        self
    }

    /// The names of the service, which make no password. Defaults to none.
    #[must_use]
    pub fn service_names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.service_names = Arc::new(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks whether a new password was stolen elsewhere. Defaults to not asking anybody.
    #[must_use]
    pub fn breach_check(
        mut self,
        check: impl BreachCheck + 'static,
        when_unavailable: WhenUnavailable,
    ) -> Self {
        self.breach_check = Some((Arc::new(check), when_unavailable));
        self
    }

    /// The least strength, as [zxcvbn](https://docs.rs/zxcvbn) estimates it: from 0, too guessable,
    /// to 4, very unguessable. Only the first 100 characters are looked at. Defaults to 0.
    ///
    /// NIST asks for no such rule; an estimate helps where passwords may be short.
    #[cfg(feature = "zxcvbn")]
    #[must_use]
    pub fn min_score(mut self, score: u8) -> Self {
        self.min_score = score;
        self
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
        #[cfg(feature = "zxcvbn")]
        if self.min_score > 4 {
            return Some("the strength of a password is 4 at most");
        }
        None
    }

    /// Whether a password may be looked at at all.
    pub(crate) fn is_short_enough(&self, password: &Password) -> bool {
        password.as_str().len() <= self.max_bytes
    }

    /// What is wrong with a new password of somebody with these names and addresses: everything
    /// that can be told without asking anybody.
    pub(crate) fn violations(&self, password: &Password, of_person: &[&str]) -> Vec<Violation> {
        let typed = password.as_str();
        if !self.is_short_enough(password) {
            return vec![Violation::TooManyBytes { maximum: self.max_bytes }];
        }
        let mut violations = Vec::new();
        let normal = Zeroizing::new(nfc(typed).into_owned());
        if normal.chars().count() < self.min_length {
            violations.push(Violation::TooShort { minimum: self.min_length });
        }
        if !typed.chars().all(is_assigned) {
            violations.push(Violation::UnassignedCharacter);
        }
        let folded_password = Zeroizing::new(folded(typed));
        if !self.common && is_common(&folded_password)
            || self.blocked.contains(folded_password.as_str())
        {
            violations.push(Violation::CommonPassword);
        }
        let names = self.service_names.iter().map(String::as_str);
        let words: Vec<&str> =
            of_person.iter().flat_map(|word| parts_of(word)).chain(names).collect();
        if words.iter().any(|word| is_derived(&folded_password, word)) {
            violations.push(Violation::PersonalPassword);
        }
        #[cfg(feature = "zxcvbn")]
        if self.min_score > 0 && u8::from(zxcvbn::zxcvbn(&normal, &words).score()) < self.min_score
        {
            violations.push(Violation::GuessablePassword);
        }
        violations
    }

    /// Asks whether the password was stolen elsewhere, if anybody is to be asked.
    pub(crate) fn breach(&self, password: &Password) -> Result<Option<Violation>> {
        let Some((check, when_unavailable)) = &self.breach_check else {
            return Ok(None);
        };
        let normal = Zeroizing::new(nfc(password.as_str()).into_owned());
        match (check.is_breached(&normal), when_unavailable) {
            (Ok(breached), _) => Ok(breached.then_some(Violation::BreachedPassword)),
            (Err(_), WhenUnavailable::Allow) => Ok(None),
            (Err(_), WhenUnavailable::Refuse) => Err(Error::BreachCheckUnavailable),
        }
    }
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            min_length: 8,
            max_bytes: 1024,
            common: false,
            blocked: Arc::default(),
            service_names: Arc::default(),
            breach_check: None,
            #[cfg(feature = "zxcvbn")]
            min_score: 0,
        }
    }
}

/// Without what the host has blocked: some of it may be somebody's password.
impl fmt::Debug for PasswordRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordRules")
            .field("min_length", &self.min_length)
            .field("max_bytes", &self.max_bytes)
            .field("common_passwords_allowed", &self.common)
            .field("service_names", &self.service_names)
            .field("breach_check", &self.breach_check)
            .finish_non_exhaustive()
    }
}

/// A name or an address, and of an address what stands on both sides of the `@`.
fn parts_of(word: &str) -> impl Iterator<Item = &str> {
    let (local, domain) = match word.rsplit_once('@') {
        Some((local, domain)) => (Some(local), Some(domain)),
        None => (None, None),
    };
    let name = domain.and_then(|domain| domain.split('.').next());
    [Some(word), local, domain, name].into_iter().flatten()
}

/// Whether a folded password is a word, or a word that was made longer with digits and symbols or
/// by repetition.
fn is_derived(folded_password: &str, word: &str) -> bool {
    let folded_word = folded(word);
    if folded_word.is_empty() {
        return false;
    }
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|character| character.is_alphabetic()).collect()
    };
    let (of_password, of_word) = (Zeroizing::new(letters(folded_password)), letters(&folded_word));
    folded_password == folded_word
        || !of_word.is_empty()
            && !of_password.is_empty()
            && of_password.len() % of_word.len() == 0
            && of_password.chunks(of_word.len()).all(|chunk| chunk == of_word)
}

#[cfg(test)]
mod tests;
