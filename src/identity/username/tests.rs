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
        for typed in [format!("{character}ab"), format!("a{character}b"), format!("ab{character}")]
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
