//! Names in spellings that are equal, and in some that are only similar: written by hand, so that
//! nobody who uses them needs the library to tell which are which.

use crate::history::{Name, Password};

/// Each line is one username; names of different lines differ.
const USERNAMES: [&[&str]; 8] = [
    &["jos\u{e9}", "JOS\u{c9}", "jose\u{301}", "Jos\u{e9}", "\u{ff2a}\u{ff4f}\u{ff53}\u{e9}"],
    &["jose", "JOSE", "Jose", "\u{ff4a}\u{ff4f}\u{ff53}\u{ff45}"],
    &["stra\u{df}e", "STRASSE", "Strasse", "STRA\u{1e9e}E", "stra\u{17f}\u{17f}e"],
    &["mike", "MIKE", "Mike", "\u{ff4d}\u{ff29}\u{ff4b}\u{ff25}", "mi\u{212a}e"],
    &["m\u{131}ke", "M\u{131}KE", "m\u{131}\u{212a}e"],
    &[
        "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
        "\u{3a3}\u{38a}\u{3a3}\u{3a5}\u{3a6}\u{39f}\u{3a3}",
        "\u{3a3}\u{3b9}\u{301}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}",
    ],
    &["\u{430}\u{43d}\u{44f}", "\u{410}\u{41d}\u{42f}", "\u{410}\u{43d}\u{44f}"],
    &["\u{e4}nne", "\u{c4}NNE", "a\u{308}nne", "\u{c4}nne"],
];

/// Each line is one domain.
const DOMAINS: [&[&str]; 5] = [
    &[
        "b\u{fc}cher.example",
        "B\u{dc}CHER.Example",
        "bu\u{308}cher.example",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.EXAMPLE",
    ],
    &["bucher.example", "BUCHER.EXAMPLE", "\u{ff42}ucher.example"],
    &["stra\u{df}e.example", "Stra\u{df}e.EXAMPLE", "xn--strae-oqa.example"],
    &["strasse.example", "STRASSE.example", "Strasse.Example"],
    &["example.org", "EXAMPLE.ORG", "Example.Org", "\u{ff45}\u{ff58}ample.org"],
];

/// In every address, in some case.
pub const EMAIL_CANARY: &str = "mailc4n";

/// In every password.
pub const PASSWORD_CANARY: &str = "pwc4n";

impl Name {
    /// One that nobody gave.
    pub const STRANGE: Self = Self { class: u32::MAX, spelling: 0 };

    /// The username of this name.
    #[must_use]
    pub fn username(self) -> String {
        let (family, number) = family_of(self.class, USERNAMES.len());
        format!("{}-{number}", USERNAMES[family][usize::from(self.spelling)])
    }

    /// The email address of this name.
    #[must_use]
    pub fn email(self) -> String {
        let (family, number) = family_of(self.class, DOMAINS.len());
        let spelling = usize::from(self.spelling);
        let local = format!("{EMAIL_CANARY}.{number}.x");
        let local = match spelling / DOMAINS[family].len() {
            0 => local,
            _ => local.to_ascii_uppercase(),
        };
        format!("{local}@{}", DOMAINS[family][spelling % DOMAINS[family].len()])
    }

    /// The name that a username is of.
    #[must_use]
    pub fn of_username(text: &str) -> Self {
        let read = || {
            let (start, number) = text.rsplit_once('-')?;
            let number: u32 = number.parse().ok()?;
            let spellings = USERNAMES.iter().enumerate();
            spellings.into_iter().find_map(|(family, spellings)| {
                let spelling = spellings.iter().position(|spelling| *spelling == start)?;
                Some(Self::new(family, USERNAMES.len(), number, spelling))
            })
        };
        read().unwrap_or(Self::STRANGE)
    }

    /// The name that an email address is of.
    #[must_use]
    pub fn of_email(text: &str) -> Self {
        let read = || {
            let (local, domain) = text.rsplit_once('@')?;
            let number: u32 = local.split('.').nth(1)?.parse().ok()?;
            DOMAINS.iter().enumerate().find_map(|(family, spellings)| {
                let spelling = spellings.iter().position(|spelling| *spelling == domain)?;
                let capitals = [0, spellings.len()];
                capitals.into_iter().find_map(|more| {
                    let name = Self::new(family, DOMAINS.len(), number, spelling + more);
                    (name.email() == text).then_some(name)
                })
            })
        };
        read().unwrap_or(Self::STRANGE)
    }

    /// How many spellings a username of a class has.
    #[must_use]
    pub fn username_spellings(class: u32) -> u8 {
        spellings(USERNAMES[family_of(class, USERNAMES.len()).0].len())
    }

    /// How many spellings an email address of a class has.
    #[must_use]
    pub fn email_spellings(class: u32) -> u8 {
        spellings(2 * DOMAINS[family_of(class, DOMAINS.len()).0].len())
    }

    fn new(family: usize, families: usize, number: u32, spelling: usize) -> Self {
        let class = u32::try_from(family).unwrap() + u32::try_from(families).unwrap() * number;
        Self { class, spelling: spellings(spelling) }
    }
}

impl Password {
    /// The password of this number.
    #[must_use]
    pub fn text(self) -> String {
        format!("{PASSWORD_CANARY} {:x} \u{e4} {}", self.0.wrapping_mul(2_654_435_761), self.0)
    }
}

fn family_of(class: u32, families: usize) -> (usize, u32) {
    let families = u32::try_from(families).unwrap();
    (usize::try_from(class % families).unwrap(), class / families)
}

fn spellings(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Name;

    #[test]
    fn every_spelling_is_read_as_the_name_that_wrote_it() {
        let mut texts = BTreeSet::new();
        for class in 0..200 {
            for spelling in 0..Name::username_spellings(class) {
                let name = Name { class, spelling };
                assert_eq!(Name::of_username(&name.username()), name);
                assert!(texts.insert(name.username()), "{}", name.username());
            }
            for spelling in 0..Name::email_spellings(class) {
                let name = Name { class, spelling };
                assert_eq!(Name::of_email(&name.email()), name);
                assert!(texts.insert(name.email()), "{}", name.email());
            }
        }
        assert_eq!(Name::of_username("somebody"), Name::STRANGE);
        assert_eq!(Name::of_email("somebody@example.org"), Name::STRANGE);
    }
}
