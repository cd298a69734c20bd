//! The texts that people, and programs that are up to something, may type.

use proptest::collection::vec;
use proptest::prelude::*;

/// Texts that have broken other programs: pieces of every kind of character, in any order.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-zA-Z0-9]{1,4}",
        2 => prop::sample::select(vec![
            "@", ".", "..", " ", "-", "_", "xn--", "xn--a", "xn--bcher-kva", ".org", "example.org",
            "\"", "\\", "<", "(", "[127.0.0.1]", "\u{ff20}", "\u{fe6b}", "\u{3002}", "\u{ff0e}",
            "\u{131}", "\u{130}", "\u{df}", "\u{1e9e}", "\u{345}", "\u{3c2}", "\u{fdfa}", "\u{200d}",
            "\u{202e}", "\u{ad}", "\u{feff}", "\u{34f}", "\u{378}", "\u{fffe}", "\u{10ffff}",
            "\u{e000}", "\u{3000}", "\u{2028}",
        ]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        1 => prop::char::range('\0', '\u{9f}').prop_map(String::from),
        1 => prop::char::range('\u{300}', '\u{36f}').prop_map(String::from),
        1 => prop::char::range('\u{ff01}', '\u{ffee}').prop_map(String::from),
        1 => prop::char::range('\u{1100}', '\u{11ff}').prop_map(String::from),
        1 => prop::char::range('\u{660}', '\u{6f9}').prop_map(String::from),
        1 => "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]",
    ];
    let usual = vec(piece.clone(), 0..16).prop_map(|pieces| pieces.concat());
    let long = (piece, 1..1_200_usize).prop_map(|(piece, times)| piece.repeat(times));
    prop_oneof![8 => usual, 1 => long, 1 => any::<String>()]
}

/// Texts of which many can be usernames.
pub(crate) fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._-]{1,12}",
        "[\u{c0}-\u{24f}a-z]{1,8}",
        "[\u{370}-\u{3ff}\u{1f00}-\u{1fff}]{1,4}",
        "[\u{400}-\u{52f}\u{531}-\u{556}\u{10d0}-\u{10ff}\u{13a0}-\u{13ff}]{1,6}",
        "[a-zA-Z\u{300}-\u{345}]{1,6}",
        "[\\p{Lu}\\p{Ll}][\\p{Lu}\\p{Ll}\\p{Lo}\\p{Mn}\\p{Nd}]{0,5}",
        "[\u{3041}-\u{30ff}\u{4e00}-\u{4eff}\u{ac00}-\u{acff}\u{ff66}-\u{ff9f}]{1,6}",
    ]
}

/// Texts of which many can be email addresses.
pub(crate) fn addresses() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9.+'_-]{1,8}@[a-zA-Z0-9-]{1,6}\\.(org|example|ORG)",
        "[a-z\u{e0}-\u{ff}]{1,4}@[a-z\u{e0}-\u{ff}\u{ff41}-\u{ff5a}]{1,6}[.\u{3002}\u{ff0e}]org",
        "[a-z]{1,3}@(xn--bcher-kva|xn--[a-z0-9-]{1,6})\\.example",
    ]
}

/// Texts that do not occur in any message by chance, and are valid names, local parts and
/// passwords.
pub(crate) fn secrets() -> impl Strategy<Value = String> {
    "q[0-9]z[a-z0-9]{8,16}x[0-9]q"
}

/// What makes a text invalid as username, email and password together, or one of them.
pub(crate) fn faults() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\u{378}".to_owned()),
        Just("\0@".to_owned()),
        Just(" (at) example".to_owned()),
        Just("@".to_owned()),
        Just("@@example".to_owned()),
        Just("x".repeat(2_000)),
    ]
}

pub(crate) fn full_width(text: &str) -> String {
    let widen = |character: char| match character {
        'A'..='Z' | 'a'..='z' => char::from_u32(u32::from(character) + 0xfee0).unwrap(),
        _ => character,
    };
    text.chars().map(widen).collect()
}
