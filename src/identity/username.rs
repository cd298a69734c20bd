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
mod tests {
    use super::{Scripts, UsernameRules, Violation};

    fn codes(rules: &UsernameRules, typed: &str) -> Vec<&'static str> {
        match rules.parse(typed) {
            Ok(_) => Vec::new(),
            Err(violations) => violations.iter().map(Violation::code).collect(),
        }
    }

    #[test]
    fn letters_digits_and_the_named_punctuation_are_allowed() {
        let rules = UsernameRules::new();
        for typed in [
            "alice",
            "Al.ice_2-x",
            "jos\u{e9}",
            "jose\u{301}",
            "\u{ff21}lice",
            "\u{5f35}\u{4e09}",
            "\u{648}\u{633}\u{627}\u{645}\u{661}",
            "\u{1f8}x",
            "stra\u{df}e",
            "\u{d64d}\u{ae38}",
            "\u{939}\u{93f}",
            // RFC 5892, section 2.6, beside what their general category would say.
            "\u{6fd}\u{62f}",
            "\u{6fe}\u{62f}",
            "\u{f40}\u{f0b}",
            "\u{3007}",
            "7",
        ] {
            assert_eq!(codes(&rules, typed), [""; 0], "{typed:?}");
        }
    }

    #[test]
    fn each_fault_has_its_code() {
        let rules = UsernameRules::new();
        for (typed, expected) in [
            ("a b", "character_not_allowed"),
            ("a@b", "character_not_allowed"),
            ("a\u{ff20}b", "character_not_allowed"),
            ("a\u{fe6b}b", "character_not_allowed"),
            ("a+b", "character_not_allowed"),
            ("a\u{1f600}", "character_not_allowed"),
            ("\u{1d2e}\u{1d35}\u{1d33}", "character_not_allowed"),
            ("a\u{30fb}b", "character_not_allowed"),
            ("\u{1100}\u{1100}", "character_not_allowed"),
            ("\u{ffa1}\u{ffc2}", "character_not_allowed"),
            ("\u{661}\u{6f1}", "character_not_allowed"),
            ("\u{62f}\u{640}", "character_not_allowed"),
            ("\u{7ca}\u{7fa}", "character_not_allowed"),
            ("\u{ac00}\u{302e}", "character_not_allowed"),
            ("\u{ac00}\u{302f}", "character_not_allowed"),
            ("\u{304b}\u{3031}", "character_not_allowed"),
            ("\u{304b}\u{3035}", "character_not_allowed"),
            ("\u{4e00}\u{303b}", "character_not_allowed"),
            ("a\u{e000}", "character_not_allowed"),
            ("a\0b", "control_character"),
            ("a\u{85}b", "control_character"),
            ("a\nb", "control_character"),
            ("a\u{2028}b", "control_character"),
            ("a\u{200b}b", "invisible_character"),
            ("a\u{200d}b", "invisible_character"),
            ("a\u{ad}b", "invisible_character"),
            ("a\u{202e}b", "invisible_character"),
            ("a\u{3164}b", "invisible_character"),
            ("a\u{feff}", "invisible_character"),
            ("a\u{378}", "unassigned_character"),
            ("\u{301}a", "starts_with_mark"),
            ("-.-", "no_letter_or_digit"),
            ("Admin", "reserved"),
            ("\u{ff52}oot", "reserved"),
        ] {
            assert_eq!(codes(&rules, typed), [expected], "{typed:?}");
        }
    }

    #[test]
    fn every_control_character_is_refused_wherever_it_stands() {
        let rules = UsernameRules::new();
        for character in ('\0'..='\u{9f}').filter(|character| character.is_control()) {
            for typed in
                [format!("{character}ab"), format!("a{character}b"), format!("ab{character}")]
            {
                assert_eq!(codes(&rules, &typed), ["control_character"], "{typed:?}");
            }
        }
    }

    #[test]
    fn lengths_are_those_of_the_canonical_form_in_code_points() {
        let rules = UsernameRules::new().min_length(3).max_length(5);
        assert_eq!(codes(&rules, "ab"), ["too_short"]);
        assert_eq!(codes(&rules, "abcdef"), ["too_long"]);
        assert_eq!(codes(&rules, "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"), [""; 0]);
        assert_eq!(codes(&rules, "\u{df}\u{df}"), [""; 0]);
        assert_eq!(codes(&rules, "\u{df}\u{df}\u{df}"), ["too_long"]);
        for length in [6, 65, 400, 401, 512, 513, 1017, 10_000_000] {
            assert_eq!(codes(&rules, &"a".repeat(length)), ["too_long"], "{length}");
        }
        for length in [64, 65, 134, 170, 171] {
            let expected = if length > 64 { vec!["too_long"] } else { vec![] };
            let chinese = "\u{5f35}".repeat(length);
            assert_eq!(codes(&UsernameRules::new(), &chinese), expected, "{length}");
        }
    }

    #[test]
    fn a_host_can_ask_for_ascii_or_allow_more_punctuation() {
        let ascii = UsernameRules::new().ascii_only(true);
        assert_eq!(codes(&ascii, "jos\u{e9}"), ["character_not_allowed"]);
        assert_eq!(codes(&ascii, "\u{ff21}lice"), [""; 0]);
        let plus = UsernameRules::new().punctuation("+");
        assert_eq!(codes(&plus, "a+b"), [""; 0]);
        assert_eq!(codes(&plus, "a.b"), ["character_not_allowed"]);
    }

    #[test]
    fn mixed_scripts_are_refused_on_demand() {
        let cyrillic_a = "p\u{430}ypal";
        let japanese = "tanaka\u{7530}\u{4e2d}\u{306e}";
        let highly = UsernameRules::new().scripts(Scripts::HighlyRestrictive);
        let single = UsernameRules::new().scripts(Scripts::Single);
        assert_eq!(codes(&UsernameRules::new(), cyrillic_a), [""; 0]);
        assert_eq!(codes(&highly, cyrillic_a), ["mixed_scripts"]);
        assert_eq!(codes(&highly, japanese), [""; 0]);
        assert_eq!(codes(&single, japanese), ["mixed_scripts"]);
        assert_eq!(codes(&single, "pay_pal-2.x"), [""; 0]);
    }

    #[test]
    fn impossible_rules_are_told() {
        for rules in [
            UsernameRules::new().min_length(0),
            UsernameRules::new().min_length(9).max_length(8),
            UsernameRules::new().max_length(101),
            UsernameRules::new().punctuation("@"),
            UsernameRules::new().punctuation(" "),
            UsernameRules::new().reserved(["\u{378}"]),
        ] {
            assert!(rules.problem().is_some(), "{rules:?}");
        }
        assert_eq!(UsernameRules::new().problem(), None);
    }
}
