//! Which texts are hashes, and what they cost.

use super::{Native, Stored};
use crate::password::foreign::Scheme;
use crate::password::{Argon2Cost, PasswordHash};

/// 16 bytes.
const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn is_hash(text: &str) -> bool {
    Stored::parse(&PasswordHash::new(text.to_owned())).is_some()
}

#[test]
fn what_is_not_written_as_we_write_it_is_no_hash() {
    let start = "$argon2id$v=19$m=64,t=1,p=1";
    assert!(is_hash(&format!("{start}${ZEROS}${ZEROS}")));
    assert!(is_hash(&format!("{start},keyid=AA${ZEROS}${ZEROS}")));
    for wrong in [
        format!("{start}$AAAAAAAAAA${ZEROS}"),
        format!("{start}${ZEROS}$AAAAAAAAAA"),
        format!("{start}${ZEROS}${}", ZEROS.repeat(5)),
        format!("{start},keyid=AA,data=AA${ZEROS}${ZEROS}"),
        format!("{start},data=AA${ZEROS}${ZEROS}"),
        format!("{start},keyid=gA${ZEROS}${ZEROS}"),
        format!("$argon2id$v=16$m=64,t=1,p=1${ZEROS}${ZEROS}"),
        format!("$argon2i$v=19$m=64,t=1,p=1${ZEROS}${ZEROS}"),
        format!("$argon2id$v=19$m=+64,t=1,p=1${ZEROS}${ZEROS}"),
        format!("$argon2id$v=19$t=1,m=64,p=1${ZEROS}${ZEROS}"),
        format!("$argon2id$v=19$m=7,t=1,p=1${ZEROS}${ZEROS}"),
        format!("foreign$bcrypt,4,{ZEROS}$AAAAAAAAAA"),
        format!("foreign$bcrypt,4,{ZEROS}"),
        format!("layered$bcrypt,4,{ZEROS}$15{start}${ZEROS}${ZEROS}"),
        format!("layered$bcrypt,4,{ZEROS}${start}${ZEROS}${ZEROS}"),
        format!("something$bcrypt,4,{ZEROS}${ZEROS}"),
        String::new(),
    ] {
        assert!(!is_hash(&wrong), "{wrong}");
    }
    assert!(is_hash(&format!("foreign$bcrypt,4,{ZEROS}${ZEROS}")));
    assert!(is_hash(&format!("layered$bcrypt,4,{ZEROS}$23{start}${ZEROS}${ZEROS}")));
}

/// The text is looked at before anything is made of it.
#[test]
fn no_text_longer_than_512_bytes_is_read() {
    let of_length = |length: usize| {
        let (start, end) = ("$argon2id$v=19$m=64,t=1,p=1$", format!("${}", "AAAA".repeat(6)));
        let salt = length - start.len() - end.len();
        // Base64 has no text of one character more than a multiple of four.
        assert_ne!(salt % 4, 1, "{length}");
        format!("{start}{}{end}", "A".repeat(salt))
    };
    assert!(is_hash(&of_length(512)));
    assert!(!is_hash(&of_length(513)));
    assert!(!is_hash(&of_length(1024)));
}

#[test]
fn memory_is_that_of_every_hash_that_is_computed() {
    let native = |memory| Native {
        cost: Argon2Cost::new(memory, 1, 1).unwrap(),
        key_id: None,
        salt: vec![0; 16],
        tag: vec![0; 32],
    };
    let scrypt = || Scheme::Scrypt { log_n: 14, r: 8, p: 1, salt: Vec::new() };
    let argon2 = Scheme::argon2id(Argon2Cost::new(64, 1, 1).unwrap(), vec![0; 16]);
    let foreign = |scheme| Stored::Foreign { scheme, tag: vec![0; 32] };
    let layered = Stored::Layered { scheme: scrypt(), length: 32, outer: native(64) };
    // What an engine takes, and what all takes beside an engine of nothing and one of 100 KiB.
    for (name, stored, engine, alone, beside) in [
        ("native", Stored::Native(native(64)), 64, 64, 100),
        ("dear", Stored::Native(native(200)), 200, 200, 200),
        ("argon2", foreign(argon2), 64, 64, 100),
        ("scrypt", foreign(scrypt()), 0, 16_387, 16_487),
        ("layered", layered, 64, 16_451, 16_487),
    ] {
        assert_eq!(stored.engine_kib(), engine, "{name}");
        assert_eq!(stored.memory_kib(0), alone, "{name}");
        assert_eq!(stored.memory_kib(100), beside, "{name}");
    }
}
