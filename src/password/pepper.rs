//! Secret keys that are kept apart from the database.

use std::fmt;

use zeroize::Zeroizing;

/// A secret key (pepper) that goes into every hash beside the password: Argon2's `secret`
/// (RFC 9106, section 3.1). Whoever steals the database alone cannot even begin to guess.
///
/// Keep it where the database is not (OWASP Password Storage Cheat Sheet, "Peppering"; NIST SP
/// 800-63B-4, section 3.1.1.2), and never lose it: no password can be verified without its key. The
/// id is stored in each hash, so that keys can be changed one after the other: see
/// [`Hashing::pepper`](crate::Hashing::pepper).
///
/// `Debug` shows the id only, and the key is wiped when it is dropped.
///
/// ```
/// use diesel_accounts::{Hashing, Pepper, Policy};
///
/// # let key_of_last_year = [1; 32];
/// # let key_of_this_year = [2; 32];
/// let hashing = Hashing::new()
///     .pepper(Pepper::new("2025", key_of_last_year)?)
///     .pepper(Pepper::new("2026", key_of_this_year)?); // the newest: new hashes use it
/// let policy = Policy::builder().hashing(hashing).build()?;
/// # let _ = policy;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pepper {
    id: String,
    key: Zeroizing<Vec<u8>>,
}

impl Pepper {
    /// A key with an id: 1 to 8 ASCII letters and digits. The key has at least 16 bytes, better 32,
    /// from the random numbers of the operating system.
    ///
    /// # Errors
    ///
    /// [`InvalidPepper`] if the id or the key is not so.
    pub fn new(id: impl Into<String>, key: impl Into<Vec<u8>>) -> Result<Self, InvalidPepper> {
        let (id, key) = (id.into(), Zeroizing::new(key.into()));
        let id_is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !id_is_plain || id.is_empty() || id.len() > MOST_ID_BYTES {
            return Err(InvalidPepper(
                "the id of a pepper must be 1 to 8 ASCII letters and digits",
            ));
        }
        if key.len() < LEAST_KEY_BYTES {
            return Err(InvalidPepper("a pepper must have at least 16 bytes"));
        }
        Ok(Self { id, key })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A pepper cannot be used. `Display` says why.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPepper(&'static str);

/// What the PHC string format of Argon2 has room for.
const MOST_ID_BYTES: usize = 8;

/// 128 bits.
const LEAST_KEY_BYTES: usize = 16;
