//! Email addresses: what is allowed, and the parsed form.

use std::collections::BTreeSet;

use email_address::{EmailAddress, Options};

use super::character::unsafe_character;
use super::invalid::Violation;
use super::key::{EmailKey, domain_to_a_labels, local_part};

/// Which email addresses are allowed.
///
/// An address is `local@domain` and nothing else: no display name, no comment, no quoted local
/// part, no leading `-`, a domain with a dot that IDNA (UTS #46, strict) accepts, at most 64 bytes
/// before the `@` and 254 in all (RFC 5321, section 4.5.3.1), as typed and in its canonical form.
/// Whether mail arrives there is not known until somebody proves it.
///
/// ```
/// use diesel_accounts::{EmailRules, Policy};
///
/// let policy = Policy::builder().emails(EmailRules::new().utf8_local_part(true)).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct EmailRules {
    utf8_local_part: bool,
}

impl EmailRules {
    /// The default rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the part before the `@` may be other than ASCII (RFC 6531). Defaults to `false`,
    /// for many mail servers still cannot deliver to such an address.
    #[must_use]
    pub fn utf8_local_part(mut self, allowed: bool) -> Self {
        self.utf8_local_part = allowed;
        self
    }

    /// Parses an address, which has no outer white space and is not empty.
    pub(crate) fn parse(&self, typed: &str) -> Result<Email, BTreeSet<Violation>> {
        let too_long = Violation::TooManyBytes { maximum: EmailKey::MAX_BYTES };
        if typed.len() > EmailKey::MAX_BYTES {
            return Err(BTreeSet::from([too_long]));
        }
        let mut violations: BTreeSet<_> = typed.chars().filter_map(unsafe_character).collect();
        if !violations.is_empty() {
            return Err(violations);
        }
        let Some((local, domain)) = typed.rsplit_once('@') else {
            return Err(BTreeSet::from([Violation::Malformed]));
        };
        let ascii_domain = domain_to_a_labels(domain).filter(|domain| is_public_name(domain));
        if ascii_domain.is_none() {
            violations.insert(Violation::InvalidDomain);
        }
        let canonical_local = local_part(local);
        // The canonical form of an address is another spelling of it, and allowed as well.
        let is_too_long = |local: &str| local.len() > MAX_LOCAL_BYTES;
        if is_too_long(local) || canonical_local.as_deref().is_some_and(is_too_long) {
            violations.insert(Violation::LocalPartTooLong { maximum: MAX_LOCAL_BYTES });
        }
        if !local.is_ascii() && !self.utf8_local_part {
            violations.insert(Violation::LocalPartNotAscii);
        } else {
            match &canonical_local {
                None => violations.insert(Violation::UnassignedCharacter),
                Some(local) => {
                    !is_dot_atom(beginning(local)) && violations.insert(Violation::Malformed)
                }
            };
        }
        match (canonical_local, ascii_domain) {
            (Some(local), Some(domain)) if violations.is_empty() => {
                let key = EmailKey::of_parts(&local, &domain);
                if key.as_str().len() > EmailKey::MAX_BYTES {
                    return Err(BTreeSet::from([too_long]));
                }
                Ok(Email { typed: typed.to_owned(), key })
            }
            _ => Err(violations),
        }
    }
}

/// An email address that the policy allows.
#[derive(Clone)]
pub(crate) struct Email {
    /// What the person typed, without outer white space.
    pub(crate) typed: String,
    /// What decides who is equal to whom.
    pub(crate) key: EmailKey,
}

/// As much of a local part as may be there: what is too long is not malformed for it.
fn beginning(local: &str) -> &str {
    if local.len() <= MAX_LOCAL_BYTES {
        return local;
    }
    let end = (0..=MAX_LOCAL_BYTES).rev().find(|end| local.is_char_boundary(*end));
    local.get(..end.unwrap_or_default()).unwrap_or_default().trim_end_matches('.')
}

/// Whether a local part is unquoted, and cannot be taken for an option of a mail program.
fn is_dot_atom(local: &str) -> bool {
    let address = format!("{local}@example.org");
    let options =
        Options::default().with_required_tld().without_display_text().without_domain_literal();
    !local.starts_with('-')
        && !local.contains(['"', '\\', ' ', '(', ')', '<', '>'])
        && !local.contains(char::is_whitespace)
        && EmailAddress::parse_with_options(&address, options).is_ok()
}

/// Whether an A-label domain can be a name on the internet: a dot, and no number as its last label.
///
/// A last label of digits would make it an address (WHATWG URL, "ends in a number checker"), also
/// where it was typed in full-width digits.
fn is_public_name(domain: &str) -> bool {
    let Some((_, top)) = domain.rsplit_once('.') else {
        return false;
    };
    !top.is_empty() && !top.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::{EmailRules, Violation};

    fn codes(rules: &EmailRules, typed: &str) -> Vec<&'static str> {
        match rules.parse(typed) {
            Ok(_) => Vec::new(),
            Err(violations) => violations.iter().map(Violation::code).collect(),
        }
    }

    #[test]
    fn ordinary_addresses_are_allowed() {
        for typed in [
            "alice@example.org",
            "a.b+tag@sub.example.co.uk",
            "O'Brien@example.org",
            "_x@example.org",
            "ann@b\u{fc}cher.example",
            "ann@xn--bcher-kva.example",
            "ann@\u{ff45}xample.org",
            "ann@1.example",
        ] {
            assert_eq!(codes(&EmailRules::new(), typed), [""; 0], "{typed:?}");
        }
    }

    #[test]
    fn each_fault_has_its_code() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}.org", "a.".repeat(130));
        // Each label of one letter takes three bytes as typed, and eight as an A-label.
        let longer_in_ascii = format!("{}@{}org", "a".repeat(40), "\u{fc}.".repeat(27));
        for (typed, expected) in [
            ("nobody", "malformed"),
            ("@example.org", "malformed"),
            ("\"a b\"@example.org", "malformed"),
            ("\"a@b\"@example.org", "malformed"),
            ("-oX/tmp@example.org", "malformed"),
            ("Ann <ann@example.org>", "malformed"),
            ("a..b@example.org", "malformed"),
            (".a@example.org", "malformed"),
            ("a(comment)@example.org", "malformed"),
            ("a@b@example.org", "malformed"),
            ("ann@", "invalid_domain"),
            ("ann@localhost", "invalid_domain"),
            ("ann@[127.0.0.1]", "invalid_domain"),
            ("ann@127.0.0.1", "invalid_domain"),
            ("ann@\u{ff11}\u{ff12}\u{ff17}.0.0.1", "invalid_domain"),
            ("ann@a_b.org", "invalid_domain"),
            ("ann@example.org.", "invalid_domain"),
            ("ann@example..org", "invalid_domain"),
            ("ann@xn--example-.org", "invalid_domain"),
            ("ann@-example.org", "invalid_domain"),
            ("j\u{f6}rg@example.org", "local_part_not_ascii"),
            (&long_local, "local_part_too_long"),
            (&long, "too_many_bytes"),
            (&longer_in_ascii, "too_many_bytes"),
            ("ann@example.org\r\nBcc: x@example.org", "control_character"),
            ("an\0n@example.org", "control_character"),
            ("an\u{2028}n@example.org", "control_character"),
            ("an\u{85}n@example.org", "control_character"),
            ("an\u{200b}n@example.org", "invisible_character"),
            ("ann@exam\u{ad}ple.org", "invisible_character"),
            ("ann\u{202e}@example.org", "invisible_character"),
        ] {
            assert!(codes(&EmailRules::new(), typed).contains(&expected), "{typed:?}");
        }
    }

    #[test]
    fn a_host_can_allow_other_local_parts_than_ascii() {
        let rules = EmailRules::new().utf8_local_part(true);
        assert_eq!(codes(&rules, "j\u{f6}rg@example.org"), [""; 0]);
        assert_eq!(codes(&rules, "j\u{f6}\u{2003}rg@example.org"), ["malformed"]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let typed = format!("-{}@localhost", "a".repeat(70));
        assert_eq!(
            codes(&EmailRules::new(), &typed),
            ["malformed", "local_part_too_long", "invalid_domain"]
        );
    }

    #[test]
    fn a_local_part_that_is_too_long_is_not_malformed_for_it() {
        let rules = EmailRules::new().utf8_local_part(true);
        let dot_at_the_end = format!("{}.{}", "a".repeat(63), "b".repeat(9));
        for local in ["a".repeat(65), dot_at_the_end, "\u{f6}".repeat(33), "a\u{4e2d}".repeat(20)] {
            assert_eq!(codes(&rules, &format!("{local}@example.org")), ["local_part_too_long"]);
        }
        let dots = format!("a..b{}@example.org", "c".repeat(70));
        assert_eq!(codes(&rules, &dots), ["malformed", "local_part_too_long"]);
    }

    #[test]
    fn a_local_part_that_grows_beyond_the_limit_is_too_long_in_each_of_its_spellings() {
        let rules = EmailRules::new().utf8_local_part(true);
        // One character of three bytes, whose NFC is two of three bytes each.
        for local in ["\u{f4d}", "\u{f4c}\u{fb7}"] {
            let with = |letters| format!("{local}{}@example.org", "a".repeat(letters));
            assert_eq!(codes(&rules, &with(58)), [""; 0]);
            assert_eq!(codes(&rules, &with(59)), ["local_part_too_long"]);
        }
    }
}
