//! What is read of a text of another system, and what is not.

use super::{Function, InvalidHash, Parsed, Scheme, parse};
use crate::password::engine::Argon2Variant;

/// 16 bytes.
const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn read(encoded: &str) -> Result<(Scheme, usize), InvalidHash> {
    match parse(encoded)? {
        Parsed::Hash { scheme, tag } => Ok((scheme, tag.len())),
        Parsed::Unusable => panic!("{encoded} is a hash"),
    }
}

fn failure(encoded: &str) -> Option<InvalidHash> {
    parse(encoded).err()
}

#[test]
fn an_argon2_without_a_version_is_of_the_old_one() {
    let expected = |version| Scheme::Argon2 {
        variant: Argon2Variant::I,
        version,
        memory_kib: 64,
        passes: 3,
        lanes: 2,
        salt: vec![0; 16],
    };
    for name in ["$argon2i", "argon2$argon2i"] {
        let old = read(&format!("{name}$m=64,t=3,p=2${ZEROS}${ZEROS}"));
        assert!(old == Ok((expected(0x10), 16)), "{name}");
        let new = read(&format!("{name}$v=19$m=64,t=3,p=2${ZEROS}${ZEROS}"));
        assert!(new == Ok((expected(0x13), 16)), "{name}");
    }
}

#[test]
fn nothing_but_pbkdf2_is_taken_for_it() {
    let rest = format!("1000${ZEROS}${ZEROS}");
    for name in ["pbkdf2-sha256", "pbkdf2-sha512", "pbkdf2-sha1", "pbkdf2"] {
        assert!(read(&format!("${name}${rest}")).is_ok(), "{name}");
    }
    for name in ["sha256", "-sha256", "sha1", "5", "pbkdf2-md5", "pbkdf2-sha3"] {
        assert_eq!(failure(&format!("${name}${rest}")), Some(InvalidHash::Unknown), "{name}");
    }
    assert_eq!(
        failure("pbkdf2:md5:1000$salt$00000000000000000000000000000000"),
        Some(InvalidHash::Unknown)
    );
}

/// A salt of 16 bytes leaves 4 bits of its last character unused, a tag of 23 bytes 2.
#[test]
fn rubbish_in_the_unused_bits_of_a_bcrypt_hash_does_not_count() {
    let bcrypt = |salt: &str, tag: &str| {
        read(&format!("$2b$04${}{salt}{}{tag}", ".".repeat(21), ".".repeat(30)))
    };
    let clean = bcrypt(".", ".").unwrap();
    for (salt, tag) in [("M", "."), (".", "/"), ("/", "A")] {
        assert!(bcrypt(salt, tag) == Ok(clean.clone()), "{salt} {tag}");
    }
    assert!(bcrypt("O", ".") != Ok(clean), "that is another salt");
}

#[test]
fn salts_and_tags_are_bounded() {
    let with_salt =
        |length: usize| read(&format!("pbkdf2_sha256$1${}${ZEROS}", "s".repeat(length)));
    assert!(with_salt(64).is_ok());
    assert!(with_salt(65) == Err(InvalidHash::Malformed));
    let with_tag = |length: usize| {
        read(&format!("pbkdf2:sha256:1$salt${}", "00".repeat(length))).map(|(_, length)| length)
    };
    for length in [16, 64] {
        assert_eq!(with_tag(length), Ok(length));
    }
    for length in [15, 65] {
        assert_eq!(with_tag(length), Err(InvalidHash::Malformed));
    }
}

/// The text is looked at before anything is made of it.
#[test]
fn no_text_longer_than_512_bytes_is_read() {
    let unusable =
        |length: usize| parse(&"!".repeat(length)).map(|parsed| matches!(parsed, Parsed::Unusable));
    assert_eq!(unusable(512), Ok(true));
    assert_eq!(unusable(513), Err(InvalidHash::Malformed));
    assert_eq!(unusable(1024), Err(InvalidHash::Malformed));
}

#[test]
fn a_plain_digest_is_told_by_its_length() {
    for (bytes, function) in [(16, Function::Md5), (20, Function::Sha1), (32, Function::Sha256)] {
        let expected = Scheme::Digest { function, salt: Vec::new() };
        assert!(read(&"0f".repeat(bytes)) == Ok((expected, bytes)), "{bytes}");
    }
}
