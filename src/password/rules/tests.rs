use super::PasswordRules;
use crate::password::Password;

fn codes(rules: &PasswordRules, typed: &str) -> Vec<&'static str> {
    rules.violations(&Password::from(typed), &[]).iter().map(|violation| violation.code()).collect()
}

#[test]
fn length_is_counted_in_code_points_after_nfc() {
    let rules = PasswordRules::new();
    assert_eq!(codes(&rules, "1234567"), ["too_short"]);
    assert_eq!(codes(&rules, "1234 678"), [""; 0]);
    assert_eq!(codes(&rules, "\u{1f600}".repeat(8).as_str()), [""; 0]);
    assert_eq!(codes(&rules, "e\u{301}e\u{301}e\u{301}e\u{301}"), ["too_short"]);
    assert_eq!(codes(&PasswordRules::nist_single_factor(), "12345678901234"), ["too_short"]);
    assert_eq!(codes(&PasswordRules::nist_single_factor(), "1234567 9012345"), [""; 0]);
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
    assert_eq!(codes(&PasswordRules::new(), "1234567\u{378}8"), ["unassigned_character"]);
}

#[test]
fn common_passwords_are_refused_whole_and_in_any_case() {
    let rules = PasswordRules::new().blocked(["Stra\u{df}enbahn"]);
    assert_eq!(codes(&rules, "PassWord123"), ["common_password"]);
    assert_eq!(codes(&rules, "\u{ff30}assword123"), ["common_password"]);
    assert_eq!(codes(&rules, "password123 of mine"), [""; 0]);
    assert_eq!(codes(&rules, "STRASSENBAHN"), ["common_password"]);
    assert_eq!(codes(&rules, "strassenbahnen"), [""; 0]);
    let all = PasswordRules::new().common_passwords_allowed(true);
    assert_eq!(codes(&all, "password123"), [""; 0]);
    assert_eq!(
        codes(&PasswordRules::nist_single_factor(), "password"),
        ["too_short", "common_password"]
    );
}

#[test]
fn what_the_person_or_the_service_is_called_makes_no_password() {
    let rules = PasswordRules::new().service_names(["Mail Box"]);
    let of_alice = ["alice", "al.ice.w@wonder-land.example"];
    let codes = |typed: &str| -> Vec<&'static str> {
        let violations = rules.violations(&Password::from(typed), &of_alice);
        violations.iter().map(|violation| violation.code()).collect()
    };
    for personal in [
        "Alice2026!!!",
        "alicealice",
        "ALICE-alice-1",
        "al.ice.w@wonder-land.example",
        "wonder-land",
        "Wonderland1",
        "aliceW99",
        "mailbox2026",
    ] {
        assert_eq!(codes(personal), ["personal_password"], "{personal}");
    }
    for other in ["my-alice-in-wonderland-quote", "alicia2026", "2026!!!!", "malicebox"] {
        assert_eq!(codes(other), [""; 0], "{other}");
    }
}

#[test]
fn a_breach_check_is_asked_and_its_absence_is_policy() {
    use crate::password::{BreachCheck, BreachCheckUnavailable, WhenUnavailable};

    #[derive(Debug)]
    struct Service(Result<bool, BreachCheckUnavailable>);

    impl BreachCheck for Service {
        fn is_breached(&self, password: &str) -> Result<bool, BreachCheckUnavailable> {
            assert_eq!(password, "caf\u{e9} noir");
            self.0
        }
    }

    let asked = |answer, when_unavailable| {
        let rules = PasswordRules::new().breach_check(Service(answer), when_unavailable);
        let found = rules.breach(&Password::from("cafe\u{301} noir"));
        found.map(|violation| violation.map(|violation| violation.code())).map_err(|error| {
            assert!(error.is_retryable());
            error.to_string()
        })
    };
    assert_eq!(asked(Ok(false), WhenUnavailable::Refuse), Ok(None));
    assert_eq!(asked(Ok(true), WhenUnavailable::Allow), Ok(Some("breached_password")));
    assert_eq!(asked(Err(BreachCheckUnavailable), WhenUnavailable::Allow), Ok(None));
    assert!(asked(Err(BreachCheckUnavailable), WhenUnavailable::Refuse).is_err());
}

#[cfg(feature = "zxcvbn")]
#[test]
fn a_host_can_ask_for_strength() {
    let rules = PasswordRules::new().min_score(3);
    assert_eq!(codes(&rules, "zxcvbnm,./"), ["guessable_password"]);
    assert_eq!(codes(&rules, "correct horse battery staple"), [""; 0]);
    // It comes to that score, and no more.
    assert_eq!(codes(&PasswordRules::new().min_score(3), "horse battery"), [""; 0]);
    assert_eq!(codes(&PasswordRules::new().min_score(4), "horse battery"), ["guessable_password"]);
    assert_eq!(PasswordRules::new().min_score(4).problem(), None);
    assert!(PasswordRules::new().min_score(5).problem().is_some());
}

#[test]
fn impossible_rules_are_told() {
    assert_eq!(PasswordRules::new().max_bytes(256).min_length(64).problem(), None);
    assert!(PasswordRules::new().min_length(7).problem().is_some());
    assert!(PasswordRules::new().max_bytes(255).problem().is_some());
    assert!(PasswordRules::new().min_length(65).max_bytes(256).problem().is_some());
    assert_eq!(PasswordRules::nist_single_factor().problem(), None);
}

#[test]
fn the_rules_are_printed_without_what_is_blocked() {
    let rules = PasswordRules::new().min_length(9).blocked(["swordfish"]);
    let printed = format!("{rules:?}");
    assert!(printed.contains("min_length: 9"), "{printed}");
    assert!(!printed.contains("swordfish"), "{printed}");
}
