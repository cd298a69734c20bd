//! Passwords that everybody tries first.

use std::cmp::Ordering;

/// Whether a folded password is one of the common ones, as a whole.
pub(super) fn is_common(folded: &str) -> bool {
    let lines = COMMON.as_bytes();
    let is_end = |byte: &u8| *byte == b'\n';
    let (mut low, mut high) = (0, lines.len());
    // A binary search over the lines: `low` and `high` are always at the starts of lines.
    while low < high {
        let middle = low + (high - low) / 2;
        let before = lines.get(..middle).unwrap_or_default();
        let start = before.iter().rposition(is_end).map_or(0, |at| at + 1);
        let rest = lines.get(start..).unwrap_or_default();
        let line = rest.split(is_end).next().unwrap_or_default();
        match line.cmp(folded.as_bytes()) {
            Ordering::Equal => return true,
            Ordering::Less => low = start + line.len() + 1,
            Ordering::Greater => high = start,
        }
    }
    false
}

/// Sorted by bytes, folded, one on each line; all of them have 8 characters or more. Made by
/// `scripts/make-common-passwords`, which names the source.
const COMMON: &str = include_str!("common_passwords.txt");

#[cfg(test)]
mod tests {
    use super::{COMMON, is_common};
    use crate::identity::key::folded;

    /// OWASP ASVS 5.0, 6.2.4: at least the 3,000 most common ones that match the policy.
    #[test]
    fn the_list_is_long_sorted_and_every_line_of_it_is_found() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 3000, "{}", lines.len());
        assert!(lines.is_sorted());
        for line in lines {
            assert!(is_common(line), "{line}");
            assert_eq!(folded(line), line);
            assert!(line.chars().count() >= 8, "{line}");
        }
    }

    #[test]
    fn only_whole_passwords_are_common() {
        for common in ["password1", "qwertyuiop", "12345678", "iloveyou"] {
            assert!(is_common(common), "{common}");
            assert!(!is_common(&format!("{common} and more")), "{common}");
            assert!(!is_common(&common[1..]), "{common}");
        }
        for other in ["", "\n", "~~~~~~~~~~~~", "testpass123!", "correct horse", "\u{10ffff}"] {
            assert!(!is_common(other), "{other}");
        }
    }
}
