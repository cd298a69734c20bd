//! What a hash of another system costs, and how as much is made up.

use super::{Function, Scheme};
use crate::password::Argon2Cost;

fn scrypt(log_n: u8, r: u32, p: u32) -> Scheme {
    Scheme::Scrypt { log_n, r, p, salt: Vec::new() }
}

fn bcrypt(cost: u32) -> Scheme {
    Scheme::Bcrypt { cost, salt: [0; 16], of_digest: false }
}

fn pbkdf2(function: Function, iterations: u32) -> Scheme {
    Scheme::Pbkdf2 { function, iterations, salt: Vec::new() }
}

#[test]
fn what_is_made_up_is_the_missing_work_and_takes_no_more_memory() {
    // With the least work of each that can be made up.
    let dearest = [
        (pbkdf2(Function::Sha1, 1000), 1),
        (pbkdf2(Function::Sha256, 1000), 1),
        (pbkdf2(Function::Sha512, 1000), 1),
        (bcrypt(12), 16),
        (scrypt(14, 8, 5), 16),
        (scrypt(4, 3, 2), 6),
        (scrypt(1, 1, 1), 2),
    ];
    for (dearest, least) in dearest {
        for missing in [0, 1, 2, 5, 6, 15, 16, 17, 96, 4096, 5000, 131_072, 300_000, 655_360] {
            let hashes = dearest.coming_to(missing);
            let done: u64 = hashes.iter().map(|hash| hash.units(16)).sum();
            assert_eq!(done, missing - missing % least, "of {missing}");
            for hash in hashes {
                assert!(hash.is_possible() && hash.is_of_kind(&dearest));
                let width = |scheme: &Scheme| match scheme {
                    Scheme::Scrypt { log_n, r, .. } => (u64::from(*r)) << log_n,
                    _ => 0,
                };
                assert!(width(&hash) <= width(&dearest), "no more memory");
            }
        }
    }
    let argon2 = Scheme::argon2id(Argon2Cost::default(), vec![0; 16]);
    assert!(argon2.coming_to(1000).is_empty(), "an engine makes it up");
    let digest = Scheme::Digest { function: Function::Md5, salt: Vec::new() };
    assert!(digest.coming_to(1000).is_empty());
}

/// RFC 7914, section 2: N blocks of 128 * r bytes, p of them beside, and two to work in.
#[test]
fn memory_is_that_of_an_engine_and_what_scrypt_takes_beside_it() {
    assert_eq!(scrypt(14, 8, 5).memory_kib(0), 16_384 + 5 + 2);
    assert_eq!(scrypt(14, 8, 5).memory_kib(100), 16_384 + 5 + 2 + 100);
    assert_eq!(scrypt(1, 1, 1).memory_kib(0), 1, "rounded up");
    assert_eq!(scrypt(64, 8, 1).memory_kib(0), u64::MAX / 8 + 1);
    let argon2 = Scheme::argon2id(Argon2Cost::new(64, 1, 1).unwrap(), vec![0; 16]);
    assert_eq!(argon2.memory_kib(0), 64);
    assert_eq!(argon2.memory_kib(64), 64);
    assert_eq!(argon2.memory_kib(65), 65);
    for other in [bcrypt(31), pbkdf2(Function::Sha512, u32::MAX)] {
        assert_eq!((other.memory_kib(0), other.memory_kib(7)), (0, 7));
    }
}
