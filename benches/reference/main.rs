//! How long a hash takes beside the C reference (phc-winner-argon2 of 2019-07-02, `opt.c`, as the
//! package `argon2-kdf` brings it along, at `-O3`).
//!
//!     ARGON2_KDF_C_COMPILER_FLAGS=-march=native \
//!         cargo run --release --manifest-path benches/reference/Cargo.toml [-- ROUNDS]
//!
//! One caller, m=19456 KiB, t=2, p=1. The engines take turns, and each ratio is the median of the
//! ratios within a turn.

use std::error::Error;
use std::time::Instant;

use argon2_kdf::{Algorithm, Hasher};
use diesel_accounts::{Argon2Engine, Argon2Input, Argon2Variant, Hashing, SimdEngine};

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each bench needs a part of it")]
mod common;

use common::{Spread, Table};

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(200), |word| word.parse())?;
    let (mut portable, mut simd) = (Hashing::default_engine(), SimdEngine::new()?);
    let fast = format!("the `simd` engine, memory kept ({})", simd.instructions());
    let flags = option_env!("ARGON2_KDF_C_COMPILER_FLAGS");
    println!("the C reference was built with -O3 and {}", flags.unwrap_or("no flags of its own"));
    let anew = simd.another();
    let mut subjects: [(&str, Box<dyn FnMut() -> Result<[u8; 32], Box<dyn Error>>>); 5] = [
        ("the C reference", Box::new(reference)),
        ("the default engine, fresh memory", Box::new(|| ours(&mut *Hashing::default_engine()))),
        ("the default engine, memory kept", Box::new(|| ours(&mut *portable))),
        ("the `simd` engine, fresh memory", Box::new(|| ours(&mut *anew.another()))),
        (&fast, Box::new(|| ours(&mut simd))),
    ];
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..=rounds {
        let mut tags = Vec::new();
        for ((_, hash), times) in subjects.iter_mut().zip(&mut times) {
            let started = Instant::now();
            tags.push(hash()?);
            // The first round warms up.
            if round > 0 {
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        if tags.iter().any(|tag| Some(tag) != tags.first()) {
            return Err("the engines disagree".into());
        }
    }
    let table = Table::new(&[("what", 44), ("milliseconds", 26), ("to the C reference", 20)]);
    for ((name, _), values) in subjects.iter().zip(&times) {
        let reference = times.first().map_or(&[] as &[f64], Vec::as_slice);
        table.row(&[
            (*name).to_owned(),
            Spread::of(values.iter().copied()).to_string(),
            Spread::of_ratios(values, reference).to_string(),
        ]);
    }
    Ok(())
}

fn reference() -> Result<[u8; 32], Box<dyn Error>> {
    let hash = Hasher::new()
        .algorithm(Algorithm::Argon2id)
        .memory_cost_kib(19_456)
        .iterations(2)
        .threads(1)
        .hash_length(32)
        .custom_salt(SALT)
        .hash(PASSWORD)?;
    Ok(hash.as_bytes().try_into()?)
}

fn ours(engine: &mut dyn Argon2Engine) -> Result<[u8; 32], Box<dyn Error>> {
    let mut tag = [0; 32];
    let input = Argon2Input {
        variant: Argon2Variant::Id,
        version: 0x13,
        memory_kib: 19_456,
        passes: 2,
        lanes: 1,
        password: PASSWORD,
        salt: SALT,
        secret: &[],
        associated_data: &[],
    };
    engine.compute(&input, &mut tag)?;
    Ok(tag)
}

const PASSWORD: &[u8] = b"correct horse battery";
const SALT: &[u8] = b"0123456789abcdef";
