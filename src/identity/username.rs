//! Usernames: what is allowed, and the parsed form.

use std::collections::BTreeSet;

use icu_properties::props::{GeneralCategory, HangulSyllableType};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection};

use super::character::{category, unsafe_character};
use super::invalid::Violation;
use super::key::{NoKey, UsernameKey, hangul_syllable_type, nfkc};

/// Which usernames are allowed.
///
/// Letters and digits of any script are (the IdentifierClass of PRECIS, RFC 8264, section 4.2),
/// and the punctuation named here. Every rule holds for the canonical form of the name, in which
/// full-width letters are narrow and capitals are small. Never allowed, whatever the rules say:
/// `@` (a username is never somebody's email address), white space, control characters, and
/// characters that cannot be seen or that change the direction of writing.
///
/// ```
/// use diesel_accounts::{Policy, UsernameRules};
///
/// let policy = Policy::builder()
///     .usernames(UsernameRules::new().ascii_only(true).punctuation("._-+").max_length(32))
///     .build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug)]
pub struct UsernameRules {
    min_length: usize,
    max_length: usize,
    punctuation: String,
    ascii_only: bool,
    scripts: Scripts,
    /// `None` for a name that has no canonical form.
    reserved: Vec<Option<UsernameKey>>,
}

impl UsernameRules {
    /// The default rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The fewest characters (code points). Defaults to 1.
    #[must_use]
    pub fn min_length(mut self, characters: usize) -> Self {
        self.min_length = characters;
        self
    }

    /// The most characters (code points), up to 100. Defaults to 64.
    #[must_use]
    pub fn max_length(mut self, characters: usize) -> Self {
        self.max_length = characters;
        self
    }

    /// The characters that are allowed beside letters and digits. Defaults to `._-`.
    ///
    /// Only ASCII punctuation can be allowed, and of it not `@`.
    #[must_use]
    pub fn punctuation(mut self, characters: impl Into<String>) -> Self {
        self.punctuation = characters.into();
        self
    }

    /// Whether letters and digits must be of ASCII. Defaults to `false`.
    #[must_use]
    pub fn ascii_only(mut self, ascii_only: bool) -> Self {
        self.ascii_only = ascii_only;
        self
    }

    /// Which scripts may stand in one name. Defaults to [`Scripts::Any`].
    #[must_use]
    pub fn scripts(mut self, scripts: Scripts) -> Self {
        self.scripts = scripts;
        self
    }

    /// The names that nobody can register, in any spelling.
    ///
    /// Defaults to [`COMMON_RESERVED_USERNAMES`]. A service that wants to create its own `admin`
    /// does so with a manager whose policy reserves nothing.
    #[must_use]
    pub fn reserved<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.reserved =
            names.into_iter().map(|name| UsernameKey::of(name.as_ref().trim()).ok()).collect();
        self
    }

    /// What is wrong with the rules themselves.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.min_length == 0 || self.min_length > self.max_length {
            return Some(
                "the shortest username must have at least 1 and at most `max_length` characters",
            );
        }
        if self.max_length > MAX_LENGTH {
            return Some("a username can have at most 100 characters");
        }
        if self.punctuation.chars().any(|c| !c.is_ascii_punctuation() || c == '@') {
            return Some("only ASCII punctuation other than `@` can be allowed in usernames");
        }
        if self.reserved.contains(&None) {
            return Some("a reserved username has no canonical form");
        }
        None
    }

    /// Parses a username, which has no outer white space and is not empty.
    pub(crate) fn parse(&self, typed: &str) -> Result<Username, BTreeSet<Violation>> {
        let too_long = Violation::TooLong { maximum: self.max_length };
        if typed.len() > MAX_TYPED_BYTES {
            return Err(BTreeSet::from([too_long]));
        }
        let mut violations: BTreeSet<_> = typed.chars().filter_map(unsafe_character).collect();
        if !violations.is_empty() {
            return Err(violations);
        }
        let key = match UsernameKey::of(typed) {
            Ok(key) => key,
            Err(NoKey::TooLong) => return Err(BTreeSet::from([too_long])),
            Err(NoKey::Unstable) => {
                return Err(BTreeSet::from([Violation::UnassignedCharacter]));
            }
        };
        let name = key.as_str();
        let length = name.chars().count();
        if length < self.min_length {
            violations.insert(Violation::TooShort { minimum: self.min_length });
        }
        if length > self.max_length {
            violations.insert(too_long);
        }
        if !name.chars().all(|character| self.allows(character)) || mixes_arabic_digits(name) {
            violations.insert(Violation::CharacterNotAllowed);
        } else if !name.chars().any(is_letter_or_digit) {
            violations.insert(Violation::NoLetterOrDigit);
        }
        if name.chars().next().is_some_and(is_mark) {
            violations.insert(Violation::StartsWithMark);
        }
        if !self.scripts.allow(name) {
            violations.insert(Violation::MixedScripts);
        }
        if self.reserved.iter().flatten().any(|reserved| *reserved == key) {
            violations.insert(Violation::Reserved);
        }
        match violations.is_empty() {
            true => Ok(Username { typed: typed.to_owned(), key }),
            false => Err(violations),
        }
    }

    fn allows(&self, character: char) -> bool {
        if character.is_ascii() {
            return character.is_ascii_alphanumeric() || self.punctuation.contains(character);
        }
        !self.ascii_only && is_identifier_class(character)
    }
}

impl Default for UsernameRules {
    fn default() -> Self {
        Self {
            min_length: 1,
            max_length: 64,
            punctuation: "._-".to_owned(),
            ascii_only: false,
            scripts: Scripts::Any,
            reserved: Vec::new(),
        }
        .reserved(COMMON_RESERVED_USERNAMES)
    }
}

/// Which scripts may stand in one username: the restriction levels of UTS #39, section 5.2.
///
/// ```
/// use diesel_accounts::{NewUser, Policy, Scripts, UsernameRules};
///
/// let rules = UsernameRules::new().scripts(Scripts::HighlyRestrictive);
/// let policy = Policy::builder().usernames(rules).build()?;
/// let cyrillic_a = NewUser::new("p\u{430}ypal", "alice@example.org", "correct horse");
/// assert!(policy.prepare(cyrillic_a).is_err());
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
///
/// A restriction makes look-alikes such as a Cyrillic `а` in a Latin name rare, not impossible: a
/// whole name can be written in look-alikes of one script.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Scripts {
    /// Any scripts together.
    #[default]
    Any,
    /// One script, or Latin with the scripts that Chinese, Japanese or Korean is written in
    /// ("Highly Restrictive").
    HighlyRestrictive,
    /// One script ("Single Script").
    Single,
}

impl Scripts {
    fn allow(self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::HighlyRestrictive => {
                name.check_restriction_level(RestrictionLevel::HighlyRestrictive)
            }
            Self::Single => name.check_restriction_level(RestrictionLevel::SingleScript),
        }
    }
}

/// The usernames that are reserved by default.
///
/// The mailbox names of RFC 2142, and the names by which a service speaks for itself.
pub const COMMON_RESERVED_USERNAMES: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "everyone",
    "hostmaster",
    "info",
    "mailer-daemon",
    "marketing",
    "me",
    "moderator",
    "nobody",
    "noc",
    "noreply",
    "no-reply",
    "null",
    "postmaster",
    "root",
    "sales",
    "security",
    "staff",
    "superuser",
    "support",
    "system",
    "undefined",
    "webmaster",
];

/// A username that the policy allows.
#[derive(Clone)]
pub(crate) struct Username {
    /// What the person typed, without outer white space.
    pub(crate) typed: String,
    /// What decides who is equal to whom.
    pub(crate) key: UsernameKey,
}

/// The IdentifierClass of PRECIS outside ASCII: RFC 8264, sections 8 and 9.
///
/// The characters that are allowed in some contexts only (section 9.9) are refused, but for the
/// Arabic-Indic digits, whose rule is kept by [`mixes_arabic_digits`].
fn is_identifier_class(character: char) -> bool {
    match character {
        '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => return true,
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            return false;
        }
        _ => {}
    }
    let mut buffer = [0; 4];
    let text = &*character.encode_utf8(&mut buffer);
    is_letter_or_digit_or_mark(character)
        && nfkc(text) == text
        && hangul_syllable_type_is_whole(character)
}

fn is_letter_or_digit_or_mark(character: char) -> bool {
    is_letter_or_digit(character) || is_mark(character)
}

fn is_letter_or_digit(character: char) -> bool {
    matches!(
        category(character),
        GeneralCategory::LowercaseLetter
            | GeneralCategory::UppercaseLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::ModifierLetter
            | GeneralCategory::DecimalNumber
    ) || character == '\u{3007}'
}

fn is_mark(character: char) -> bool {
    matches!(
        category(character),
        GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark
    )
}

/// Whether the character is no loose jamo (OldHangulJamo in PRECIS).
fn hangul_syllable_type_is_whole(character: char) -> bool {
    !matches!(
        hangul_syllable_type(character),
        HangulSyllableType::LeadingJamo
            | HangulSyllableType::VowelJamo
            | HangulSyllableType::TrailingJamo
    )
}

/// RFC 5892, appendices A.8 and A.9: Arabic-Indic digits and the extended ones look alike.
fn mixes_arabic_digits(name: &str) -> bool {
    name.contains(|c| ('\u{660}'..='\u{669}').contains(&c))
        && name.contains(|c| ('\u{6f0}'..='\u{6f9}').contains(&c))
}

/// The most characters that any policy can allow: four bytes each still fit the key's column.
const MAX_LENGTH: usize = UsernameKey::MAX_BYTES / 4;

/// The most bytes of a username as typed; the column is as wide. A decomposed or full-width
/// spelling is longer than its key.
const MAX_TYPED_BYTES: usize = 512;

#[cfg(test)]
mod tests;
