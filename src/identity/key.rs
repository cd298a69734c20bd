//! The canonical forms that decide equality. Frozen: see [`KEY_VERSION`].

use std::borrow::Cow;
use std::fmt;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{EastAsianWidth, HangulSyllableType};
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed};

use super::character::unsafe_character;

/// The version of both key functions, stored beside each key.
///
/// The functions do not depend on policy, and never change: the keys of accounts made years ago
/// must be found by the code of today. A change is a new version and a re-keying of every row.
///
/// The mappings of characters come from packages whose newest compatible release a host's build may
/// choose. Unicode promises that theirs do not change for assigned characters; a test below holds
/// them to it.
pub(crate) const KEY_VERSION: i16 = 1;

/// The canonical form of a username.
///
/// Two usernames are the same account exactly if their keys are equal, byte for byte.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct UsernameKey(String);

impl UsernameKey {
    /// The most bytes that a key may have; the column is as wide.
    pub(crate) const MAX_BYTES: usize = 400;

    /// NFC, width mapping, full case folding, NFC.
    ///
    /// PRECIS (RFC 8265) lower-cases instead of folding, which leaves `ß` and `ss`, and final and
    /// medial sigma, apart. A text whose key has another key is refused, or a second pass through
    /// this function, somewhere, some day, would name another account.
    pub(crate) fn of(text: &str) -> Result<Self, NoKey> {
        if text.len() > MAX_TYPED_BYTES {
            return Err(NoKey::TooLong);
        }
        if !can_have_a_key(text) {
            return Err(NoKey::Unstable);
        }
        let key = username_pass(text);
        if key.len() > Self::MAX_BYTES {
            return Err(NoKey::TooLong);
        }
        if key.is_empty() || username_pass(&key) != key {
            return Err(NoKey::Unstable);
        }
        Ok(Self(key))
    }

    /// The start of a key, for a search; the end of the text may be in the middle of a sequence.
    pub(crate) fn prefix(text: &str) -> Option<Self> {
        let text = text.trim_start();
        can_have_a_key(text).then(|| Self(username_pass(text)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UsernameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsernameKey(..)")
    }
}

/// Why a text has no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoKey {
    TooLong,
    /// Empty, a character that can stand nowhere, or a key that has another key.
    Unstable,
}

/// The canonical form of an email address.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct EmailKey(String);

impl EmailKey {
    /// The most bytes that an address may have in its canonical form: RFC 5321, section 4.5.3.1.3,
    /// less the angle brackets of a path.
    pub(crate) const MAX_BYTES: usize = 254;

    /// Joins a canonical local part and an A-label domain.
    pub(crate) fn of_parts(local: &str, domain: &str) -> Self {
        Self(format!("{local}@{domain}"))
    }

    /// The key of an address as somebody types it to be found; `None` if it can have none.
    ///
    /// Whether policy would allow the address today is not asked.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if !can_have_a_key(text) {
            return None;
        }
        let (local, domain) = text.rsplit_once('@')?;
        let key = Self::of_parts(&local_part(local)?, &domain_to_a_labels(domain)?);
        (!local.is_empty() && key.0.len() <= Self::MAX_BYTES).then_some(key)
    }

    /// The start of a key, for a search. A domain must be typed in ASCII, or whole.
    pub(crate) fn prefix(text: &str) -> Option<Self> {
        let text = text.trim_start();
        if !can_have_a_key(text) {
            return None;
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return local_part(text).map(Self);
        };
        let domain = match domain.is_ascii() {
            true => domain.to_ascii_lowercase(),
            false => domain_to_a_labels(domain)?,
        };
        Some(Self::of_parts(&local_part(local)?, &domain))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailKey(..)")
    }
}

/// A local part in its canonical form: NFC, each character in simple lower case, NFC.
///
/// No width mapping, no compatibility mapping and no full folding: mailboxes that a mail server may
/// hold apart must stay apart. `İ` stays as it is, for its simple lower case is a plain `i`.
pub(crate) fn local_part(text: &str) -> Option<String> {
    if text.is_ascii() {
        return Some(text.to_ascii_lowercase());
    }
    let pass = |text: &str| -> String {
        let lower = nfc(text).chars().map(simple_lowercase).collect::<String>();
        nfc(&lower).into_owned()
    };
    let key = pass(text);
    (pass(&key) == key).then_some(key)
}

/// A domain as its A-labels, in lower case: UTS #46, strict.
pub(crate) fn domain_to_a_labels(domain: &str) -> Option<String> {
    idna::domain_to_ascii_strict(domain).ok()
}

pub(crate) fn nfc(text: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfc() }.normalize(text)
}

pub(crate) fn nfkc(text: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfkc() }.normalize(text)
}

pub(crate) fn hangul_syllable_type(character: char) -> HangulSyllableType {
    const MAP: CodePointMapDataBorrowed<'static, HangulSyllableType> = CodePointMapData::new();
    MAP.get(character)
}

/// A text without regard to case, width and composition.
pub(crate) fn folded(text: &str) -> String {
    username_pass(text)
}

fn username_pass(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded = CaseMapper::new().fold_string(&width_mapped(&nfc(text))).into_owned();
    nfc(&folded).into_owned()
}

/// Full-width and half-width characters as their usual selves: RFC 8264, section 5.2.1.
fn width_mapped(text: &str) -> String {
    const WIDTH: CodePointMapDataBorrowed<'static, EastAsianWidth> = CodePointMapData::new();
    let mut mapped = String::with_capacity(text.len());
    for character in text.chars() {
        match WIDTH.get(character) {
            EastAsianWidth::Fullwidth | EastAsianWidth::Halfwidth => {
                push_width_mapped(&mut mapped, character);
            }
            _ => mapped.push(character),
        }
    }
    mapped
}

fn push_width_mapped(text: &mut String, character: char) {
    let decomposed = const { DecomposingNormalizerBorrowed::new_nfkd() }
        .normalize(character.encode_utf8(&mut [0; 4]))
        .into_owned();
    // Half-width Hangul would become loose jamo, which then combine with their neighbours.
    let loose_jamo = |part| hangul_syllable_type(part) != HangulSyllableType::NotApplicable;
    match decomposed.chars().any(loose_jamo) {
        true => text.push(character),
        false => text.push_str(&decomposed),
    }
}

fn simple_lowercase(character: char) -> char {
    match character {
        '\u{130}' => character,
        _ => CaseMapper::new().simple_lowercase(character),
    }
}

/// Whether a text is short enough and has no character that neither field can ever have.
fn can_have_a_key(text: &str) -> bool {
    text.len() <= MAX_TYPED_BYTES && text.chars().all(|c| unsafe_character(c).is_none())
}

/// More bytes than any text that is looked at: beyond, no work is done at all.
const MAX_TYPED_BYTES: usize = 1016;

#[cfg(test)]
mod tests {
    use super::{EmailKey, NoKey, UsernameKey, local_part, unsafe_character};

    #[test]
    fn spellings_of_one_username_have_one_key() {
        for (left, right) in [
            ("bob", "BOB"),
            ("jos\u{e9}", "JOSE\u{301}"),
            ("alice", "\u{ff21}\u{ff4c}ice"),
            ("stra\u{df}e", "STRASSE"),
            ("stra\u{1e9e}e", "strasse"),
            ("\u{3c3}\u{3bf}\u{3c6}\u{3bf}\u{3c2}", "\u{3a3}\u{39f}\u{3a6}\u{39f}\u{3a3}"),
            ("\u{212a}elvin", "kelvin"),
            ("\u{ff76}\u{ff9e}", "\u{30ac}"),
            ("\u{fb01}n", "fin"),
        ] {
            assert_eq!(UsernameKey::of(left), UsernameKey::of(right), "{left} {right}");
            assert!(UsernameKey::of(left).is_ok(), "{left}");
        }
    }

    #[test]
    fn other_usernames_have_other_keys() {
        for (left, right) in [
            ("mike", "m\u{131}ke"),
            ("jose", "jos\u{e9}"),
            ("admin", "\u{e1}dmin"),
            ("i", "\u{130}"),
            ("s", "\u{df}"),
            ("a", "\u{430}"),
        ] {
            assert_ne!(UsernameKey::of(left), UsernameKey::of(right), "{left} {right}");
        }
    }

    #[test]
    fn every_character_has_a_key_that_is_its_own_key_or_none() {
        for character in assigned_characters() {
            let Ok(key) = UsernameKey::of(&format!("a{character}\u{301}")) else {
                continue;
            };
            assert_eq!(UsernameKey::of(key.as_str()), Ok(key), "{character:?}");
        }
    }

    #[test]
    fn every_character_of_a_local_part_has_a_key_that_is_its_own_key_or_none() {
        for character in assigned_characters() {
            let Some(key) = local_part(&format!("a{character}\u{301}")) else {
                continue;
            };
            assert_eq!(local_part(&key), Some(key), "{character:?}");
        }
    }

    fn assigned_characters() -> impl Iterator<Item = char> {
        ('\0'..=char::MAX).filter(|&character| unsafe_character(character).is_none())
    }

    /// A new release of a dependency must not change a key that is stored. If this fails, pin the
    /// release before; whatever the change is, it needs a new version of the keys.
    #[test]
    fn the_keys_of_all_characters_are_as_they_were_when_the_version_was_frozen() {
        let mut usernames = Digest::default();
        let mut addresses = Digest::default();
        for character in assigned_characters() {
            usernames.add(UsernameKey::of(&format!("a{character}b")).ok().map(|key| key.0));
            let address = format!("a{character}b@a{character}b.example");
            addresses.add(EmailKey::of(&address).map(|key| key.0));
        }
        assert_eq!((usernames.0, addresses.0), (5836338024292951709, 3429993639954836100));
    }

    /// FNV-1a, 64 bits.
    struct Digest(u64);

    impl Default for Digest {
        fn default() -> Self {
            Self(0xcbf2_9ce4_8422_2325)
        }
    }

    impl Digest {
        fn add(&mut self, key: Option<String>) {
            for byte in key.unwrap_or_default().bytes().chain([0xff]) {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
    }

    #[test]
    fn spellings_of_one_address_have_one_key() {
        for (left, right) in [
            ("Ann@Example.ORG", "ann@example.org"),
            ("ann@b\u{fc}cher.example", "ann@xn--bcher-kva.example"),
            ("ann@\u{ff45}xample.org", "ann@example.org"),
            ("\u{c9}va@example.org", "e\u{301}va@example.org"),
        ] {
            assert_eq!(EmailKey::of(left), EmailKey::of(right), "{left} {right}");
            assert!(EmailKey::of(left).is_some(), "{left}");
        }
        assert_ne!(EmailKey::of("i@example.org"), EmailKey::of("\u{130}@example.org"));
        assert_ne!(EmailKey::of("\u{ff41}@example.org"), EmailKey::of("a@example.org"));
    }

    #[test]
    fn an_unassigned_character_has_no_key() {
        assert_eq!(UsernameKey::of("ann\u{378}"), Err(NoKey::Unstable));
        assert_eq!(EmailKey::of("ann\u{378}@example.org"), None);
        assert_eq!(EmailKey::of("ann@exam\u{378}ple.org"), None);
    }
}
