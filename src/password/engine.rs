//! What computes Argon2: the `argon2` package, unless the host brings something faster.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, ParamsBuilder, Version};
use zeroize::Zeroize;

use super::pages::ask_for_huge_pages;
use crate::error::HashingFailure;

/// What computes Argon2.
///
/// Each engine owns the memory that it works in, keeps it from one hash to the next, and wipes it
/// after each. A host can bring its own, one that uses more of its machine or that counts; what it
/// computes must be Argon2 (RFC 9106), or nobody can sign in with any other.
///
/// Defaults to the `argon2` package.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use diesel_accounts::{Argon2Engine, Argon2Input, Hashing, HashingFailure, Policy};
///
/// /// Counts the hashes of another engine.
/// #[derive(Debug)]
/// struct Counted(Box<dyn Argon2Engine>, Arc<AtomicU64>);
///
/// impl Argon2Engine for Counted {
///     fn another(&self) -> Box<dyn Argon2Engine> {
///         Box::new(Self(self.0.another(), Arc::clone(&self.1)))
///     }
///
///     fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.compute(input, tag)
///     }
/// }
///
/// let hashes = Arc::new(AtomicU64::new(0));
/// let engine = Counted(Hashing::default_engine(), Arc::clone(&hashes));
/// let policy = Policy::builder().hashing(Hashing::new().engine(engine)).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
pub trait Argon2Engine: fmt::Debug + Send + Sync {
    /// Another engine of the same kind, which has no memory yet.
    fn another(&self) -> Box<dyn Argon2Engine>;

    /// Computes the tag of a password, as many bytes as there is room for.
    ///
    /// # Errors
    ///
    /// [`HashingFailure::OutOfMemory`] if there is no memory to work in, [`HashingFailure::Argon2`]
    /// if the input is outside the limits of Argon2.
    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure>;
}

/// What a tag is computed from. `Debug` shows the cost only.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "RFC 9106 has no other inputs that are used here")]
pub struct Argon2Input<'a> {
    /// Which of the three functions.
    pub variant: Argon2Variant,
    /// 0x13, or 0x10 for old hashes.
    pub version: u32,
    /// The memory, in KiB.
    pub memory_kib: u32,
    /// How often the memory is passed over.
    pub passes: u32,
    /// The lanes of the memory.
    pub lanes: u32,
    /// The password, as bytes.
    pub password: &'a [u8],
    /// The salt.
    pub salt: &'a [u8],
    /// The secret key (pepper); empty if there is none.
    pub secret: &'a [u8],
    /// Associated data; empty in every hash of this crate.
    pub associated_data: &'a [u8],
}

impl fmt::Debug for Argon2Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2Input")
            .field("variant", &self.variant)
            .field("memory_kib", &self.memory_kib)
            .field("passes", &self.passes)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

/// The functions of Argon2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9106 has three")]
pub enum Argon2Variant {
    /// Argon2d.
    D,
    /// Argon2i.
    I,
    /// Argon2id, which all new hashes are.
    Id,
}

/// The `argon2` package, with memory that is kept.
pub(crate) struct PortableEngine {
    memory: Vec<Block>,
}

impl PortableEngine {
    pub(crate) fn new() -> Self {
        Self { memory: Vec::new() }
    }

    fn reserve(&mut self, blocks: usize) -> Result<(), HashingFailure> {
        if self.memory.len() < blocks {
            // What is kept is given back first: the two need not fit into memory together.
            self.memory = Vec::new();
            let mapped = blocks.max(ALWAYS_MAPPED);
            if blocks < WORTH_A_MAPPING || self.memory.try_reserve_exact(mapped).is_err() {
                self.memory.try_reserve_exact(blocks).map_err(|_| HashingFailure::OutOfMemory)?;
            }
            let spare = self.memory.spare_capacity_mut();
            ask_for_huge_pages(spare.get_mut(..blocks).unwrap_or_default());
            self.memory.resize(blocks, Block::default());
        }
        Ok(())
    }
}

impl Argon2Engine for PortableEngine {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self::new())
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        let refused = |_| HashingFailure::Argon2;
        let params = ParamsBuilder::new()
            .m_cost(input.memory_kib)
            .t_cost(input.passes)
            .p_cost(input.lanes)
            .data(input.associated_data.try_into().map_err(refused)?)
            .output_len(tag.len())
            .build()
            .map_err(refused)?;
        let variant = match input.variant {
            Argon2Variant::D => Algorithm::Argon2d,
            Argon2Variant::I => Algorithm::Argon2i,
            Argon2Variant::Id => Algorithm::Argon2id,
        };
        let version = Version::try_from(input.version).map_err(refused)?;
        self.reserve(params.block_count())?;
        let argon2 = match input.secret {
            [] => Argon2::new(variant, version, params),
            secret => Argon2::new_with_secret(secret, variant, version, params).map_err(refused)?,
        };
        let memory = self.memory.get_mut(..argon2.params().block_count()).unwrap_or_default();
        let computed =
            argon2.hash_password_into_with_memory(input.password, input.salt, tag, &mut *memory);
        // It holds what the password became.
        memory.iter_mut().for_each(Zeroize::zeroize);
        computed.map_err(refused)
    }
}

/// So many blocks (33 MiB) glibc maps by themselves, and gives them back as a whole. Of less, as soon
/// as some was given back once, it takes aligned memory from heaps, whose holes are a little too small
/// for the next, so that they grow and grow. What is never written to takes no memory.
const ALWAYS_MAPPED: usize = 33 * 1024;

/// Less goes into the heap and back, 1 MiB.
const WORTH_A_MAPPING: usize = 1024;

impl fmt::Debug for PortableEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortableEngine")
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::RFC_9106;
    use super::{Argon2Engine, Argon2Input, Argon2Variant, PortableEngine};

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        for (variant, expected) in RFC_9106 {
            let mut engine = PortableEngine::new();
            // Twice, for the memory is kept.
            for _ in 0..2 {
                let mut tag = [0; 32];
                engine.compute(&variant.rfc_9106_input(), &mut tag).unwrap();
                assert_eq!(tag, *expected, "{variant:?}");
                let zero = argon2::Block::default();
                let wiped = |block: &argon2::Block| block.as_ref() == zero.as_ref();
                assert!(engine.memory.iter().all(wiped), "the memory was not wiped");
            }
        }
    }

    #[test]
    fn an_input_shows_its_cost_and_no_secret() {
        let input = Argon2Input {
            variant: Argon2Variant::Id,
            version: 0x13,
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
            password: b"canary",
            salt: b"salt of canary",
            secret: b"pepper of canary",
            associated_data: b"data",
        };
        assert_eq!(
            format!("{input:?}"),
            "Argon2Input { variant: Id, memory_kib: 19456, passes: 2, lanes: 1, .. }"
        );
    }

    #[test]
    fn memory_grows_with_a_dearer_hash_and_is_wiped_in_a_cheaper_one() {
        let mut engine = PortableEngine::new();
        let mut tags = Vec::new();
        for memory_kib in [8, 64, 8] {
            let mut tag = [0; 32];
            let input = Argon2Input {
                variant: Argon2Variant::Id,
                version: 0x13,
                memory_kib,
                passes: 1,
                lanes: 1,
                password: b"x",
                salt: b"01234567",
                secret: b"key",
                associated_data: &[],
            };
            engine.compute(&input, &mut tag).unwrap();
            tags.push(tag);
        }
        assert_eq!(engine.memory.len(), 64);
        assert_eq!(tags[0], tags[2]);
        assert_ne!(tags[0], tags[1]);
    }

    #[test]
    fn memory_that_is_large_enough_is_kept_as_it_is() {
        let mut engine = PortableEngine::new();
        engine.reserve(64).unwrap();
        let kept = engine.memory.as_ptr();
        for blocks in [64, 8, 64] {
            engine.reserve(blocks).unwrap();
            assert_eq!(engine.memory.as_ptr(), kept, "{blocks}");
        }
    }

    #[test]
    fn an_engine_shows_none_of_its_memory() {
        assert_eq!(format!("{:?}", PortableEngine::new()), "PortableEngine");
    }
}
