//! What stands in the column `password_hash`.
//!
//! Three forms: the PHC string of Argon2id, which all new hashes have; a hash of another system, as
//! `foreign$SCHEME$TAG`; and one that was wrapped, as `layered$SCHEME$LENGTH` before the PHC string
//! of the Argon2id of its tag. The many syntaxes of other systems are read at the import only.

use base64ct::{Base64Unpadded, Encoding};

use super::cost::Argon2Cost;
use super::foreign::Scheme;
use super::secret::PasswordHash;

/// A hash as it is stored.
pub(crate) enum Stored {
    Native(Native),
    Foreign {
        scheme: Scheme,
        tag: Vec<u8>,
    },
    /// The Argon2id of the tag of another scheme, of so many bytes.
    Layered {
        scheme: Scheme,
        length: usize,
        outer: Native,
    },
}

/// An Argon2id of ours: version 0x13, of the password in NFC.
pub(crate) struct Native {
    pub(crate) cost: Argon2Cost,
    /// The id of the pepper.
    pub(crate) key_id: Option<String>,
    pub(crate) salt: Vec<u8>,
    pub(crate) tag: Vec<u8>,
}

impl Stored {
    /// `None` if it is malformed.
    pub(crate) fn parse(hash: &PasswordHash) -> Option<Self> {
        let text = hash.as_str();
        if text.len() > MOST_BYTES {
            return None;
        }
        if text.starts_with('$') {
            return Native::parse(text).map(Self::Native);
        }
        match text.split_once('$')? {
            ("foreign", rest) => {
                let (scheme, tag) = rest.split_once('$')?;
                let tag = Base64Unpadded::decode_vec(tag).ok()?;
                let is_sound = LENGTHS.contains(&tag.len());
                Scheme::read(scheme)
                    .filter(|_| is_sound)
                    .map(|scheme| Self::Foreign { scheme, tag })
            }
            ("layered", rest) => {
                let (scheme, rest) = rest.split_once('$')?;
                let (length, _) = rest.split_once('$')?;
                let outer = Native::parse(rest.strip_prefix(length)?)?;
                let length = length.parse().ok().filter(|length| LENGTHS.contains(length))?;
                Some(Self::Layered { scheme: Scheme::read(scheme)?, length, outer })
            }
            _ => None,
        }
    }

    pub(crate) fn encode(&self) -> PasswordHash {
        let mut text = String::new();
        match self {
            Self::Native(native) => native.write_to(&mut text),
            Self::Foreign { scheme, tag } => {
                text.push_str("foreign$");
                scheme.write_to(&mut text);
                text.push('$');
                text.push_str(&Base64Unpadded::encode_string(tag));
            }
            Self::Layered { scheme, length, outer } => {
                text.push_str("layered$");
                scheme.write_to(&mut text);
                text.push('$');
                text.push_str(&length.to_string());
                outer.write_to(&mut text);
            }
        }
        PasswordHash::new(text)
    }

    /// Whether something else than Argon2 is computed first.
    pub(crate) fn begins_with_another_kind(&self) -> bool {
        match self {
            Self::Native(_) => false,
            Self::Foreign { scheme, .. } | Self::Layered { scheme, .. } => scheme.is_layerable(),
        }
    }

    /// The memory that an engine takes for it, in KiB.
    pub(crate) fn engine_kib(&self) -> u64 {
        match self {
            Self::Native(native) => u64::from(native.cost.memory_kib()),
            Self::Foreign { scheme, .. } if scheme.is_layerable() => 0,
            Self::Foreign { scheme, .. } => scheme.memory_kib(0),
            Self::Layered { outer, .. } => u64::from(outer.cost.memory_kib()),
        }
    }

    /// The memory that a verification takes, in KiB, if an engine has so much.
    pub(crate) fn memory_kib(&self, of_engine: u64) -> u64 {
        match self {
            Self::Native(native) => u64::from(native.cost.memory_kib()).max(of_engine),
            Self::Foreign { scheme, .. } => scheme.memory_kib(of_engine),
            Self::Layered { scheme, outer, .. } => {
                scheme.memory_kib(u64::from(outer.cost.memory_kib()).max(of_engine))
            }
        }
    }
}

impl Native {
    /// `$argon2id$v=19$m=19456,t=2,p=1,keyid=ID$SALT$TAG`: the PHC string format.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", parameters, salt, tag] = *parts.as_slice() else {
            return None;
        };
        let mut parameters = parameters.split(',');
        let mut number = |name: &str| -> Option<u32> {
            let value = parameters.next()?.strip_prefix(name)?;
            value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
        };
        let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
        let key_id = match parameters.next() {
            None => None,
            Some(parameter) => {
                let id = Base64Unpadded::decode_vec(parameter.strip_prefix("keyid=")?).ok()?;
                Some(String::from_utf8(id).ok()?)
            }
        };
        let salt = Base64Unpadded::decode_vec(salt).ok()?;
        let tag = Base64Unpadded::decode_vec(tag).ok()?;
        let is_sound =
            salt.len() >= 8 && LENGTHS.contains(&tag.len()) && parameters.next().is_none();
        let cost = Argon2Cost::new(memory, passes, lanes).ok()?;
        is_sound.then_some(Self { cost, key_id, salt, tag })
    }

    fn write_to(&self, text: &mut String) {
        let (memory, passes, lanes) =
            (self.cost.memory_kib(), self.cost.passes(), self.cost.lanes());
        text.push_str(&format!("$argon2id$v=19$m={memory},t={passes},p={lanes}"));
        if let Some(id) = &self.key_id {
            text.push_str(",keyid=");
            text.push_str(&Base64Unpadded::encode_string(id.as_bytes()));
        }
        for bytes in [&self.salt, &self.tag] {
            text.push('$');
            text.push_str(&Base64Unpadded::encode_string(bytes));
        }
    }
}

/// The column has room for 1024; nothing that we write comes near.
const MOST_BYTES: usize = 512;

/// How many bytes a tag may have.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

#[cfg(test)]
mod tests;
