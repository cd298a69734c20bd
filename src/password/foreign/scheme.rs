//! How a hash of another system is computed, and how it is written in our table.

use std::fmt::Write;

use base64ct::{Base64Unpadded, Encoding};
use md5::Md5;
use pbkdf2::pbkdf2_hmac;
use scrypt::Params as ScryptParams;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::error::HashingFailure;
use crate::password::cost::Argon2Cost;
use crate::password::engine::{Argon2Engine, Argon2Input, Argon2Variant};
use crate::password::pace::Shape;

/// A way to compute a tag from a password, with its parameters and salt.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Scheme {
    Argon2 {
        variant: Argon2Variant,
        version: u32,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
        salt: Vec<u8>,
    },
    Bcrypt {
        cost: u32,
        salt: [u8; 16],
        /// Of the SHA-256 of the password, in hexadecimal.
        of_digest: bool,
    },
    /// The digest of the salt and the password.
    Digest {
        function: Function,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        function: Function,
        iterations: u32,
        salt: Vec<u8>,
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Function {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Scheme {
    pub(crate) fn argon2id(cost: Argon2Cost, salt: Vec<u8>) -> Self {
        Self::Argon2 {
            variant: Argon2Variant::Id,
            version: 0x13,
            memory_kib: cost.memory_kib(),
            passes: cost.passes(),
            lanes: cost.lanes(),
            salt,
        }
    }

    /// The tag of a password, of so many bytes; `None` if it cannot have one.
    pub(crate) fn compute(
        &self,
        password: &[u8],
        length: usize,
        engine: &mut dyn Argon2Engine,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HashingFailure> {
        let mut tag = Zeroizing::new(vec![0; length]);
        match self {
            Self::Argon2 { variant, version, memory_kib, passes, lanes, salt } => {
                let input = Argon2Input {
                    variant: *variant,
                    version: *version,
                    memory_kib: *memory_kib,
                    passes: *passes,
                    lanes: *lanes,
                    password,
                    salt,
                    secret: &[],
                    associated_data: &[],
                };
                engine.compute(&input, &mut tag)?;
            }
            Self::Bcrypt { cost, salt, of_digest } => {
                let digest = of_digest.then(|| hex(&Sha256::digest(password)));
                let Some(key) = bcrypt_key(digest.as_ref().map_or(password, |hex| hex.as_bytes()))
                else {
                    return Ok(None);
                };
                let computed = Zeroizing::new(bcrypt::bcrypt(*cost, *salt, &key));
                tag = Zeroizing::new(computed.iter().copied().take(length).collect());
            }
            Self::Digest { function, salt } => {
                tag = digest(*function, salt, password);
                tag.truncate(length);
            }
            Self::Pbkdf2 { function, iterations, salt } => {
                function.pbkdf2(password, salt, *iterations, &mut tag);
            }
            Self::Scrypt { log_n, r, p, salt } => {
                let failed = |_| HashingFailure::Argon2;
                let params = ScryptParams::new(*log_n, *r, *p).map_err(failed)?;
                scrypt::scrypt(password, salt, &params, &mut tag)
                    .map_err(|_| HashingFailure::Argon2)?;
            }
        }
        Ok(Some(tag))
    }

    /// The memory that it takes, in KiB, beside or in the memory of an engine that has so much.
    pub(crate) fn memory_kib(&self, of_engine: u64) -> u64 {
        match self {
            Self::Argon2 { memory_kib, .. } => u64::from(*memory_kib).max(of_engine),
            Self::Scrypt { log_n, r, p, .. } => {
                let n = 1_u64.checked_shl(u32::from(*log_n)).unwrap_or(u64::MAX);
                let blocks = n.saturating_add(u64::from(*p)).saturating_add(2);
                blocks.saturating_mul(u64::from(*r)).div_ceil(8).saturating_add(of_engine)
            }
            _ => of_engine,
        }
    }

    /// What the time of a hash with a tag of so many bytes is proportional to, among hashes of one
    /// kind.
    pub(crate) fn units(&self, tag_length: usize) -> u64 {
        match self {
            Self::Argon2 { memory_kib, passes, .. } => u64::from(*memory_kib) * u64::from(*passes),
            Self::Bcrypt { cost, .. } => 1_u64.checked_shl(*cost).unwrap_or(u64::MAX),
            Self::Digest { .. } => 0,
            // Each block of the tag takes all iterations: RFC 8018, section 5.2.
            Self::Pbkdf2 { function, iterations, .. } => {
                let blocks = tag_length.div_ceil(function.digest_length());
                u64::from(*iterations).saturating_mul(u64::try_from(blocks).unwrap_or(u64::MAX))
            }
            Self::Scrypt { log_n, r, p, .. } => {
                let n = 1_u64.checked_shl(u32::from(*log_n)).unwrap_or(u64::MAX);
                n.saturating_mul(u64::from(*r)).saturating_mul(u64::from(*p))
            }
        }
    }

    /// What the pace of its work depends on.
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Argon2 { variant, memory_kib, passes, lanes, .. } => {
                Shape { kind: name_of(*variant), parameters: [*memory_kib, *passes, *lanes] }
            }
            Self::Scrypt { log_n, r, .. } => {
                Shape { kind: "scrypt", parameters: [u32::from(*log_n), *r, 0] }
            }
            Self::Bcrypt { .. } => Shape { kind: "bcrypt", parameters: [0; 3] },
            Self::Digest { function, .. } | Self::Pbkdf2 { function, .. } => {
                Shape { kind: function.name(), parameters: [0; 3] }
            }
        }
    }

    /// Computes it in vain.
    pub(crate) fn spend(&self, engine: &mut dyn Argon2Engine) {
        let _ = std::hint::black_box(self.compute(&[], LEAST_TAG, engine));
    }

    /// Hashes of this kind that come to so much work together, or to a little less where so little
    /// cannot be done. None takes more memory than this one.
    pub(crate) fn coming_to(&self, units: u64) -> Vec<Self> {
        match self {
            // That is an engine's work.
            Self::Argon2 { .. } | Self::Digest { .. } => Vec::new(),
            Self::Bcrypt { .. } => (4..=31)
                .filter(|cost| units >> cost & 1 == 1)
                .map(|cost| Self::Bcrypt { cost, salt: [0; 16], of_digest: false })
                .collect(),
            Self::Pbkdf2 { function, .. } => {
                let iterations = u32::try_from(units).unwrap_or(u32::MAX);
                let hash = Self::Pbkdf2 { function: *function, iterations, salt: Vec::new() };
                Vec::from_iter((iterations > 0).then_some(hash))
            }
            Self::Scrypt { log_n, r, .. } => {
                let steps = units / u64::from(*r).max(1);
                let whole = u32::try_from(steps >> log_n).unwrap_or(u32::MAX);
                let parts = (1..*log_n).map(|log_n| (log_n, u32::from(steps >> log_n & 1 == 1)));
                std::iter::once((*log_n, whole))
                    .chain(parts)
                    .filter(|(_, p)| *p > 0)
                    .map(|(log_n, p)| Self::Scrypt { log_n, r: *r, p, salt: Vec::new() })
                    .collect()
            }
        }
    }

    /// Whether there is anything to be gained by wrapping it into Argon2id.
    pub(crate) fn is_layerable(&self) -> bool {
        !matches!(self, Self::Argon2 { .. })
    }

    /// Whether the time of another can be told from the time of this one.
    pub(crate) fn is_of_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pbkdf2 { function: left, .. }, Self::Pbkdf2 { function: right, .. }) => {
                left == right
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Whether the parameters are within the limits of the scheme itself.
    pub(crate) fn is_possible(&self) -> bool {
        match self {
            Self::Argon2 { version, memory_kib, passes, lanes, salt, .. } => {
                let cost = Argon2Cost::new(*memory_kib, *passes, *lanes);
                cost.is_ok() && matches!(version, 0x10 | 0x13) && salt.len() >= 8
            }
            Self::Bcrypt { cost, .. } => (4..=31).contains(cost),
            Self::Digest { .. } => true,
            Self::Pbkdf2 { function, iterations, .. } => {
                *iterations > 0 && *function != Function::Md5
            }
            Self::Scrypt { log_n, r, p, .. } => {
                *log_n > 0 && ScryptParams::new(*log_n, *r, *p).is_ok()
            }
        }
    }

    /// Adds the scheme to a text: its name, its parameters and its salt, separated by commas.
    pub(crate) fn write_to(&self, text: &mut String) {
        let salt = match self {
            Self::Argon2 { variant, version, memory_kib, passes, lanes, salt } => {
                let name = name_of(*variant);
                let _ = write!(text, "{name},{version},{memory_kib},{passes},{lanes}");
                salt
            }
            Self::Bcrypt { cost, salt, of_digest } => {
                let name = if *of_digest { "bcrypt-sha256" } else { "bcrypt" };
                let _ = write!(text, "{name},{cost}");
                salt.as_slice()
            }
            Self::Digest { function, salt } => {
                let _ = write!(text, "{}", function.name());
                salt
            }
            Self::Pbkdf2 { function, iterations, salt } => {
                let _ = write!(text, "pbkdf2-{},{iterations}", function.name());
                salt
            }
            Self::Scrypt { log_n, r, p, salt } => {
                let _ = write!(text, "scrypt,{log_n},{r},{p}");
                salt
            }
        };
        let _ = write!(text, ",{}", Base64Unpadded::encode_string(salt));
    }

    /// Reads what `write_to` wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (head, salt) = text.rsplit_once(',')?;
        let salt = Base64Unpadded::decode_vec(salt).ok()?;
        let mut parts = head.split(',');
        let name = parts.next()?;
        let numbers = parts.map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
        let argon2 = |variant| match *numbers.as_slice() {
            [version, memory_kib, passes, lanes] => Some(Self::Argon2 {
                variant,
                version,
                memory_kib,
                passes,
                lanes,
                salt: salt.clone(),
            }),
            _ => None,
        };
        match (name, numbers.as_slice()) {
            ("argon2d", _) => argon2(Argon2Variant::D),
            ("argon2i", _) => argon2(Argon2Variant::I),
            ("argon2id", _) => argon2(Argon2Variant::Id),
            ("bcrypt" | "bcrypt-sha256", &[cost]) => Some(Self::Bcrypt {
                cost,
                salt: salt.try_into().ok()?,
                of_digest: name == "bcrypt-sha256",
            }),
            ("scrypt", &[log_n, r, p]) => {
                Some(Self::Scrypt { log_n: log_n.try_into().ok()?, r, p, salt })
            }
            (_, &[]) => Some(Self::Digest { function: Function::named(name)?, salt }),
            (_, &[iterations]) => {
                let function = Function::named(name.strip_prefix("pbkdf2-")?)?;
                Some(Self::Pbkdf2 { function, iterations, salt })
            }
            _ => None,
        }
    }
}

fn name_of(variant: Argon2Variant) -> &'static str {
    match variant {
        Argon2Variant::D => "argon2d",
        Argon2Variant::I => "argon2i",
        Argon2Variant::Id => "argon2id",
    }
}

impl Function {
    const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// In bytes.
    pub(crate) fn digest_length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// With MD5, which nobody has, it gives nothing.
    fn pbkdf2(self, password: &[u8], salt: &[u8], iterations: u32, tag: &mut [u8]) {
        match self {
            Self::Md5 => {}
            Self::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, iterations, tag),
            Self::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, iterations, tag),
            Self::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, iterations, tag),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}

/// What bcrypt makes its key of: the bytes and a `NUL`, 72 bytes at most. `None` if bytes would be
/// left out, or if other implementations would stop at a `NUL` inside.
fn bcrypt_key(password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if password.len() > 72 || password.contains(&0) {
        return None;
    }
    let key = password.iter().copied().chain([0]).take(72);
    Some(Zeroizing::new(key.collect()))
}

fn digest(function: Function, salt: &[u8], password: &[u8]) -> Zeroizing<Vec<u8>> {
    fn of<D: Digest>(salt: &[u8], password: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(D::new().chain_update(salt).chain_update(password).finalize().to_vec())
    }
    match function {
        Function::Md5 => of::<Md5>(salt, password),
        Function::Sha1 => of::<Sha1>(salt, password),
        Function::Sha256 => of::<Sha256>(salt, password),
        Function::Sha512 => of::<Sha512>(salt, password),
    }
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// In bytes. No function has a shorter digest, so that PBKDF2 makes one block of it.
const LEAST_TAG: usize = 16;

#[cfg(test)]
mod tests;
