//! Argon2id.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::secret::{Password, PasswordHash};
use crate::error::HashingFailure;
use crate::identity::key::nfc;

/// What one password hash costs: the parameters of Argon2id (RFC 9106).
///
/// Defaults to the minimum of OWASP's Password Storage Cheat Sheet: 19 MiB of memory, two passes,
/// one lane. Anything cheaper is for tests.
///
/// ```
/// use diesel_accounts::{Argon2Cost, PasswordRules};
///
/// // The second choice of RFC 9106, section 4: 64 MiB, three passes, four lanes.
/// let rules = PasswordRules::new().cost(Argon2Cost::new(65_536, 3, 4)?);
/// # let _ = rules;
/// # Ok::<(), diesel_accounts::InvalidCost>(())
/// ```
#[derive(Clone)]
pub struct Argon2Cost {
    params: Params,
}

impl Argon2Cost {
    /// A cost of so many KiB of memory, passes over it, and lanes.
    ///
    /// The lanes of one hash are computed one after the other.
    ///
    /// # Errors
    ///
    /// [`InvalidCost`] if RFC 9106 does not allow the combination: at least 1 pass, 1 lane and 8 KiB
    /// of memory for each lane.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, InvalidCost> {
        match Params::new(memory_kib, passes, lanes, Some(Params::DEFAULT_OUTPUT_LEN)) {
            Ok(params) => Ok(Self { params }),
            Err(_) => Err(InvalidCost(())),
        }
    }

    /// The memory of one hash, in KiB. Defaults to 19,456.
    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.params.m_cost()
    }

    /// How often the memory is passed over. Defaults to 2.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.params.t_cost()
    }

    /// The lanes of the memory. Defaults to 1.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.params.p_cost()
    }

    /// Hashes a password with a salt of its own.
    pub(crate) fn hash(&self, password: &Password) -> Result<PasswordHash, HashingFailure> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| HashingFailure::Random)?;
        let normal = Zeroizing::new(nfc(password.as_str()).into_owned());
        let mut memory = zeroed_memory(self.params.block_count())?;
        let mut output = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
            .hash_password_into_with_memory(
                normal.as_bytes(),
                &salt,
                output.as_mut_slice(),
                memory.as_mut_slice(),
            )
            .map_err(|_| HashingFailure::Argon2)?;
        self.phc_string(&salt, output.as_slice()).ok_or(HashingFailure::Argon2)
    }

    fn phc_string(&self, salt: &[u8], output: &[u8]) -> Option<PasswordHash> {
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: (&self.params).try_into().ok()?,
            salt: Some(phc::Salt::new(salt).ok()?),
            hash: Some(phc::Output::new(output).ok()?),
        };
        Some(PasswordHash::new(hash.to_string()))
    }
}

impl Default for Argon2Cost {
    fn default() -> Self {
        Self { params: Params::DEFAULT }
    }
}

impl fmt::Debug for Argon2Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2Cost")
            .field("memory_kib", &self.memory_kib())
            .field("passes", &self.passes())
            .field("lanes", &self.lanes())
            .finish()
    }
}

/// RFC 9106 does not allow these parameters of Argon2 together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the parameters are outside the limits of Argon2")]
pub struct InvalidCost(());

/// The working memory of one hash. It holds what the password became, and is wiped when dropped.
fn zeroed_memory(blocks: usize) -> Result<Zeroizing<Vec<Block>>, HashingFailure> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| HashingFailure::OutOfMemory)?;
    memory.resize(blocks, Block::default());
    Ok(Zeroizing::new(memory))
}

/// RFC 9106, section 3.1: 16 bytes are recommended for passwords.
const SALT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordHash, PasswordVerifier};

    use super::{Argon2Cost, InvalidCost};
    use crate::password::Password;

    fn phc_string(cost: &Argon2Cost, password: &str) -> String {
        let hash = cost.hash(&Password::from(password)).unwrap();
        // The only way out of the type is into a database; its `Debug` gives nothing away.
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
        hash.as_str().to_owned()
    }

    #[test]
    fn a_hash_is_a_phc_string_of_argon2id_that_another_implementation_of_it_verifies() {
        let phc = phc_string(&Argon2Cost::default(), "correct horse");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let parsed = PasswordHash::new(&phc).unwrap();
        assert_eq!(parsed.salt.unwrap().len(), 16);
        assert_eq!(parsed.hash.unwrap().len(), 32);
        let verifier = Argon2::default();
        assert!(verifier.verify_password(b"correct horse", &parsed).is_ok());
        assert!(verifier.verify_password(b"correct hors", &parsed).is_err());
    }

    #[test]
    fn passwords_are_hashed_in_nfc_and_otherwise_as_they_are() {
        let cost = Argon2Cost::new(8, 1, 1).unwrap();
        let phc = phc_string(&cost, "caf e\u{301} \0 K ");
        let parsed = PasswordHash::new(&phc).unwrap();
        let verifies =
            |typed: &str| Argon2::default().verify_password(typed.as_bytes(), &parsed).is_ok();
        assert!(verifies("caf \u{e9} \0 K "));
        assert!(!verifies("caf \u{e9} \0 k "));
        assert!(!verifies("caf \u{e9} \0 K"));
        assert!(!verifies("caf \u{e9} "));
    }

    #[test]
    fn each_hash_has_its_own_salt() {
        let cost = Argon2Cost::new(8, 1, 1).unwrap();
        assert_ne!(phc_string(&cost, "same"), phc_string(&cost, "same"));
    }

    #[test]
    fn parameters_outside_rfc_9106_are_refused() {
        for (memory, passes, lanes) in [(7, 1, 1), (8, 0, 1), (8, 1, 0), (15, 1, 2)] {
            let refused = Argon2Cost::new(memory, passes, lanes);
            assert_eq!(refused.map(|_| ()), Err(InvalidCost(())), "{memory} {passes} {lanes}");
        }
    }
}
