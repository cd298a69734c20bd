//! Argon2 by the widest instructions that the processor has.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use argon2_rust::params::{Memory, TagLen};
use argon2_rust::{Algorithm, Argon2, Hasher, Params, Version};
use zeroize::Zeroizing;

use super::engine::{Argon2Engine, Argon2Input, Argon2Variant, PortableEngine};
use super::vectors::RFC_9106;
use crate::error::HashingFailure;

/// The `argon2-rust` package: AVX-512, AVX2, SSE2 or NEON, whichever the processor has, in memory
/// that is kept and of huge pages where Linux gives them.
///
/// Where the processor has AVX2 or better, a hash takes little more than half as long as with the
/// default engine. The package is young and large, and full of `unsafe` code; therefore it is not
/// the default, and is compared with the default engine before it is used.
///
/// It needs Rust 1.89.
///
/// ```
/// use diesel_accounts::{Hashing, Policy, SimdEngine};
///
/// let hashing = Hashing::new().engine(SimdEngine::new()?);
/// let policy = Policy::builder().hashing(hashing).build()?;
/// # let _ = policy;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SimdEngine {
    /// Never locked: the engine is used by one thread at a time, and a `Hasher` cannot be shared.
    hasher: Mutex<Option<Hasher>>,
}

impl SimdEngine {
    /// An engine that has just been compared with the default one: on the vectors of RFC 9106, and
    /// on random inputs of every variant, version and shape. That takes some hundredths of a
    /// second.
    ///
    /// # Errors
    ///
    /// [`HashingFailure::Disagreement`] if the two ever differ, and
    /// [`HashingFailure::OutOfMemory`]. Use the default engine then.
    pub fn new() -> Result<Self, HashingFailure> {
        let engine = Self { hasher: Mutex::new(None) };
        // The memory is that of another one, and given back.
        agrees(&mut *engine.another())?;
        Ok(engine)
    }

    /// What it uses of the processor, for logs: `avx512` and so on.
    #[must_use]
    pub fn instructions(&self) -> &'static str {
        argon2_rust::detected_backend().name()
    }
}

impl Argon2Engine for SimdEngine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self { hasher: Mutex::new(None) })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        let variant = match input.variant {
            Argon2Variant::D => Algorithm::Argon2d,
            Argon2Variant::I => Algorithm::Argon2i,
            Argon2Variant::Id => Algorithm::Argon2id,
        };
        let version = match input.version {
            0x10 => Version::V0x10,
            0x13 => Version::V0x13,
            _ => return Err(HashingFailure::Argon2),
        };
        let params = Params::builder()
            .memory(Memory::kib(u64::from(input.memory_kib)))
            .passes(input.passes)
            .lanes(input.lanes)
            // The gate counts hashes, and each is to take one core.
            .threads(1)
            .tag_len(TagLen::bytes(tag.len().try_into().map_err(|_| HashingFailure::Argon2)?))
            .build()
            .map_err(failure)?;
        let argon2 = Argon2::new(variant, version, params);
        let kept = self.hasher.get_mut().unwrap_or_else(PoisonError::into_inner);
        let hasher = kept.get_or_insert_with(|| argon2.hasher());
        hasher.set_argon2(argon2);
        let Argon2Input { password, salt, secret, associated_data, .. } = *input;
        hasher.hash_into_with_ad(password, salt, secret, associated_data, tag).map_err(failure)
    }
}

impl fmt::Debug for SimdEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimdEngine")
    }
}

fn failure(error: argon2_rust::Error) -> HashingFailure {
    match error {
        argon2_rust::Error::MemoryAllocationError => HashingFailure::OutOfMemory,
        _ => HashingFailure::Argon2,
    }
}

/// Whether an engine computes Argon2.
fn agrees(engine: &mut dyn Argon2Engine) -> Result<(), HashingFailure> {
    for (variant, expected) in RFC_9106 {
        let mut tag = [0; 32];
        engine.compute(&variant.rfc_9106_input(), &mut tag)?;
        if tag != *expected {
            return Err(HashingFailure::Disagreement);
        }
    }
    let mut portable = PortableEngine::new();
    for shape in SHAPES {
        for variant in [Argon2Variant::D, Argon2Variant::I, Argon2Variant::Id] {
            for version in [0x10, 0x13] {
                compare(engine, &mut portable, shape, variant, version)?;
            }
        }
    }
    Ok(())
}

/// Compares two engines on one random input.
fn compare(
    engine: &mut dyn Argon2Engine,
    portable: &mut dyn Argon2Engine,
    &Shape { memory_kib, passes, lanes, tag, texts }: &Shape,
    variant: Argon2Variant,
    version: u32,
) -> Result<(), HashingFailure> {
    let random = |length: usize| Zeroizing::new((0..length).map(|_| fastrand::u8(..)).collect());
    let [password, salt, secret, data]: [Zeroizing<Vec<u8>>; 4] = texts.map(random);
    let input = Argon2Input {
        variant,
        version,
        memory_kib,
        passes,
        lanes,
        password: &password,
        salt: &salt,
        secret: &secret,
        associated_data: &data,
    };
    let (mut ours, mut theirs) = (vec![0; tag], vec![0; tag]);
    portable.compute(&input, &mut ours)?;
    engine.compute(&input, &mut theirs)?;
    match ours == theirs {
        true => Ok(()),
        false => Err(HashingFailure::Disagreement),
    }
}

/// A kind of input.
struct Shape {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// In bytes.
    tag: usize,
    /// The lengths of password, salt, secret and associated data, in bytes.
    texts: [usize; 4],
}

/// The least memory, memory that is no multiple of anything, several passes and lanes, tags and
/// texts around the 64 and 128 bytes of BLAKE2b, and what passwords really cost.
const SHAPES: &[Shape] = &[
    Shape { memory_kib: 8, passes: 1, lanes: 1, tag: 4, texts: [0, 8, 0, 0] },
    Shape { memory_kib: 8, passes: 1, lanes: 1, tag: 64, texts: [63, 16, 16, 0] },
    Shape { memory_kib: 37, passes: 2, lanes: 1, tag: 65, texts: [64, 17, 32, 12] },
    Shape { memory_kib: 133, passes: 3, lanes: 4, tag: 128, texts: [127, 32, 0, 12] },
    Shape { memory_kib: 1024, passes: 2, lanes: 2, tag: 32, texts: [128, 64, 8, 0] },
    Shape { memory_kib: 1031, passes: 4, lanes: 1, tag: 129, texts: [129, 8, 0, 32] },
    Shape { memory_kib: 4096, passes: 1, lanes: 1, tag: 32, texts: [12, 16, 0, 0] },
];

#[cfg(test)]
mod tests {
    use super::{
        Argon2Engine, Argon2Input, Argon2Variant, HashingFailure, PortableEngine, Shape,
        SimdEngine, agrees, compare,
    };

    #[test]
    fn an_engine_that_agrees_is_there_and_another_of_it_too() {
        let mut engine = SimdEngine::new().unwrap();
        agrees(&mut engine).unwrap();
        agrees(&mut *engine.another()).unwrap();
        assert!(!engine.instructions().is_empty());
    }

    /// An engine that is wrong for one kind of input.
    #[derive(Debug)]
    struct Wrong(fn(&Argon2Input<'_>, &[u8]) -> bool);

    impl Argon2Engine for Wrong {
        fn another(&self) -> Box<dyn Argon2Engine> {
            Box::new(Self(self.0))
        }

        fn compute(
            &mut self,
            input: &Argon2Input<'_>,
            tag: &mut [u8],
        ) -> Result<(), HashingFailure> {
            PortableEngine::new().compute(input, tag)?;
            if (self.0)(input, tag) {
                tag[0] ^= 1;
            }
            Ok(())
        }
    }

    #[test]
    fn an_engine_that_is_wrong_for_any_kind_of_input_does_not_start() {
        for wrong in [
            (|input, _| input.variant == Argon2Variant::D) as fn(&Argon2Input<'_>, &[u8]) -> bool,
            |input, _| input.variant == Argon2Variant::I,
            |input, _| input.variant == Argon2Variant::Id && input.version == 0x13,
            |input, _| input.version == 0x10,
            |input, _| input.lanes == 4 && input.version == 0x13 && input.memory_kib == 32,
            |input, _| input.lanes == 2,
            |input, _| input.passes == 4,
            |input, _| input.password.is_empty(),
            |input, _| input.password.len() > 128,
            |input, _| !input.secret.is_empty() && input.memory_kib == 8,
            |input, _| input.associated_data.len() > 12,
            |input, _| input.memory_kib % 4 != 0,
            |input, _| input.memory_kib > 2048,
            |_, tag| tag.len() == 4,
            |_, tag| tag.len() > 64,
        ] {
            assert_eq!(agrees(&mut Wrong(wrong)), Err(HashingFailure::Disagreement));
        }
    }

    /// The memory is kept, and must hold nothing of the hash before.
    #[test]
    fn both_engines_agree_on_random_inputs_in_memory_that_is_kept() {
        let mut simd = SimdEngine::new().unwrap();
        let mut portable = PortableEngine::new();
        for _ in 0..200 {
            let lanes = fastrand::u32(1..=4);
            let shape = Shape {
                memory_kib: fastrand::u32(8 * lanes..512),
                passes: fastrand::u32(1..=3),
                lanes,
                tag: fastrand::usize(4..=200),
                texts: [
                    fastrand::usize(..300),
                    fastrand::usize(8..=80),
                    fastrand::usize(..=64),
                    fastrand::usize(..=32),
                ],
            };
            let variant =
                [Argon2Variant::D, Argon2Variant::I, Argon2Variant::Id][fastrand::usize(..3)];
            let version = [0x10, 0x13][fastrand::usize(..2)];
            compare(&mut simd, &mut portable, &shape, variant, version).unwrap();
        }
    }

    #[test]
    fn what_argon2_does_not_allow_is_refused_as_by_the_default_engine() {
        let usual = Argon2Variant::Id.rfc_9106_input();
        for input in [
            Argon2Input { version: 0x14, ..usual },
            Argon2Input { memory_kib: 7, ..usual },
            Argon2Input { passes: 0, ..usual },
            Argon2Input { lanes: 0, ..usual },
            Argon2Input { salt: b"1234567", ..usual },
        ] {
            let mut tag = [0; 32];
            let simd = SimdEngine::new().unwrap().compute(&input, &mut tag);
            assert_eq!(simd, Err(HashingFailure::Argon2), "{input:?}");
            assert_eq!(PortableEngine::new().compute(&input, &mut tag), simd, "{input:?}");
        }
        let too_short = SimdEngine::new().unwrap().compute(&usual, &mut [0; 3]);
        assert_eq!(too_short, Err(HashingFailure::Argon2));
    }

    #[test]
    fn an_engine_shows_none_of_its_memory() {
        assert_eq!(format!("{:?}", SimdEngine::new().unwrap()), "SimdEngine");
    }
}
