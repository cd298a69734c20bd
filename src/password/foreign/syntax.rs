//! The many ways in which other systems write a password hash.

use base64ct::{Base64Bcrypt, Base64Unpadded, Encoding};

use super::InvalidHash;
use super::scheme::{Function, Scheme};
use crate::password::engine::Argon2Variant;

/// What a text of another system says.
pub(crate) enum Parsed {
    /// The account has no password.
    Unusable,
    Hash {
        scheme: Scheme,
        tag: Vec<u8>,
    },
}

/// Reads the hash of another system.
pub(crate) fn parse(encoded: &str) -> Result<Parsed, InvalidHash> {
    if encoded.len() > MOST_BYTES {
        return Err(InvalidHash::Malformed);
    }
    // Django's `UNUSABLE_PASSWORD_PREFIX`, and a blank column.
    if encoded.starts_with('!') || encoded.is_empty() {
        return Ok(Parsed::Unusable);
    }
    let parts: Vec<&str> = encoded.split('$').collect();
    let hash = match *parts.as_slice() {
        // PHC strings and modular crypt.
        ["", "argon2d" | "argon2i" | "argon2id", ..] => argon2(&parts),
        ["", "2a" | "2b" | "2y", cost, rest] => bcrypt(cost, rest, false),
        ["", "scrypt", parameters, salt, tag] => scrypt_phc(parameters, salt, tag),
        ["", name, rounds, salt, tag] if name.starts_with("pbkdf2") => {
            let name = name.trim_start_matches("pbkdf2").trim_start_matches('-');
            let function =
                if name.is_empty() { Some(Function::Sha1) } else { Function::named(name) };
            let rounds = match rounds.strip_prefix("i=") {
                Some(parameters) => parameters.split(',').next().unwrap_or_default(),
                None => rounds,
            };
            pbkdf2(function, rounds, base64(salt), base64(tag))
        }
        // Django.
        ["argon2", "argon2d" | "argon2i" | "argon2id", ..] => {
            argon2(&std::iter::once("").chain(parts.iter().copied().skip(1)).collect::<Vec<_>>())
        }
        ["bcrypt", "", "2a" | "2b" | "2y", cost, rest] => bcrypt(cost, rest, false),
        ["bcrypt_sha256", "", "2a" | "2b" | "2y", cost, rest] => bcrypt(cost, rest, true),
        ["scrypt", n, salt, r, p, tag] => {
            scrypt(number(n), number(r), number(p), salt, base64(tag))
        }
        ["pbkdf2_sha256", rounds, salt, tag] => {
            pbkdf2(Some(Function::Sha256), rounds, Some(salt.into()), base64(tag))
        }
        ["pbkdf2_sha1", rounds, salt, tag] => {
            pbkdf2(Some(Function::Sha1), rounds, Some(salt.into()), base64(tag))
        }
        [name @ ("md5" | "sha1"), salt, tag] => digest(Function::named(name), salt, tag),
        // Werkzeug.
        [method, salt, tag] => werkzeug(method, salt, tag),
        [plain] => match digest_of_length(plain) {
            Some(function) => digest(Some(function), "", plain),
            None => asp_net(plain),
        },
        _ => return Err(InvalidHash::Unknown),
    };
    let (scheme, tag) = hash?;
    let is_sound = scheme_salt(&scheme).len() <= MOST_SALT_BYTES
        && (LEAST_TAG_BYTES..=MOST_TAG_BYTES).contains(&tag.len());
    match is_sound {
        true => Ok(Parsed::Hash { scheme, tag }),
        false => Err(InvalidHash::Malformed),
    }
}

type Hash = Result<(Scheme, Vec<u8>), InvalidHash>;

/// `$argon2id$v=19$m=65536,t=3,p=4$salt$tag`; without a version it is 0x10.
fn argon2(parts: &[&str]) -> Hash {
    let (name, version, parameters, salt, tag) = match *parts {
        [_, name, version, parameters, salt, tag] => {
            (name, version.strip_prefix("v=").and_then(number), parameters, salt, tag)
        }
        [_, name, parameters, salt, tag] => (name, Some(0x10), parameters, salt, tag),
        _ => return Err(InvalidHash::Malformed),
    };
    let variant = match name {
        "argon2d" => Argon2Variant::D,
        "argon2i" => Argon2Variant::I,
        _ => Argon2Variant::Id,
    };
    let mut costs = [None; 3];
    for parameter in parameters.split(',') {
        match parameter.split_once('=') {
            Some(("m", value)) => costs[0] = number(value),
            Some(("t", value)) => costs[1] = number(value),
            Some(("p", value)) => costs[2] = number(value),
            Some(("keyid", _)) => return Err(InvalidHash::PepperMissing),
            _ => return Err(InvalidHash::Malformed),
        }
    }
    let ([Some(memory_kib), Some(passes), Some(lanes)], Some(version)) = (costs, version) else {
        return Err(InvalidHash::Malformed);
    };
    let (salt, tag) = both(base64(salt), base64(tag))?;
    Ok((Scheme::Argon2 { variant, version, memory_kib, passes, lanes, salt }, tag))
}

/// The cost, and 22 characters of salt with 31 of the tag, in an alphabet of bcrypt's own.
fn bcrypt(cost: &str, rest: &str, of_digest: bool) -> Hash {
    let (Some(salt), Some(tag), Some(cost)) = (rest.get(..22), rest.get(22..), number(cost)) else {
        return Err(InvalidHash::Malformed);
    };
    let salt = bcrypt_base64(salt).and_then(|bytes| bytes.try_into().ok());
    let (salt, tag) = both(salt, bcrypt_base64(tag))?;
    match tag.len() {
        23 => Ok((Scheme::Bcrypt { cost, salt, of_digest }, tag)),
        _ => Err(InvalidHash::Malformed),
    }
}

/// Some implementations leave rubbish in the bits that do not count; others refuse it.
fn bcrypt_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &str = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let last = text.chars().last()?;
    let keep = match text.len() % 4 {
        2 => 0b11_0000,
        3 => 0b11_1100,
        _ => 0b11_1111,
    };
    let clean = ALPHABET.chars().nth(ALPHABET.find(last)? & keep)?;
    let text = format!("{}{clean}", text.strip_suffix(last)?);
    Base64Bcrypt::decode_vec(&text).ok()
}

/// `ln=14,r=8,p=1`.
fn scrypt_phc(parameters: &str, salt: &str, tag: &str) -> Hash {
    let mut values = [None; 3];
    for parameter in parameters.split(',') {
        match parameter.split_once('=') {
            Some(("ln", value)) => values[0] = number(value),
            Some(("r", value)) => values[1] = number(value),
            Some(("p", value)) => values[2] = number(value),
            _ => return Err(InvalidHash::Malformed),
        }
    }
    let ([Some(log_n), Some(r), Some(p)], Some(salt), Some(tag)) =
        (values, base64(salt), base64(tag))
    else {
        return Err(InvalidHash::Malformed);
    };
    let log_n = u8::try_from(log_n).map_err(|_| InvalidHash::Malformed)?;
    Ok((Scheme::Scrypt { log_n, r, p, salt }, tag))
}

/// The salt is the text itself, as Django and Werkzeug have it.
fn scrypt(
    n: Option<u32>,
    r: Option<u32>,
    p: Option<u32>,
    salt: &str,
    tag: Option<Vec<u8>>,
) -> Hash {
    let (Some(n), Some(r), Some(p), Some(tag)) = (n, r, p, tag) else {
        return Err(InvalidHash::Malformed);
    };
    if !n.is_power_of_two() {
        return Err(InvalidHash::Malformed);
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| InvalidHash::Malformed)?;
    Ok((Scheme::Scrypt { log_n, r, p, salt: salt.into() }, tag))
}

fn pbkdf2(
    function: Option<Function>,
    iterations: &str,
    salt: Option<Vec<u8>>,
    tag: Option<Vec<u8>>,
) -> Hash {
    let function = function.ok_or(InvalidHash::Unknown)?;
    let iterations = number(iterations).ok_or(InvalidHash::Malformed)?;
    let (salt, tag) = both(salt, tag)?;
    match function {
        Function::Md5 => Err(InvalidHash::Unknown),
        _ => Ok((Scheme::Pbkdf2 { function, iterations, salt }, tag)),
    }
}

fn digest(function: Option<Function>, salt: &str, tag: &str) -> Hash {
    let function = function.ok_or(InvalidHash::Unknown)?;
    let tag = hex(tag).ok_or(InvalidHash::Malformed)?;
    let is_whole = tag.len() == function.digest_length();
    let scheme = Scheme::Digest { function, salt: salt.into() };
    if is_whole { Ok((scheme, tag)) } else { Err(InvalidHash::Malformed) }
}

/// `pbkdf2:sha256:600000` or `scrypt:32768:8:1`, with a plain salt and a hexadecimal tag.
fn werkzeug(method: &str, salt: &str, tag: &str) -> Hash {
    let parts: Vec<&str> = method.split(':').collect();
    match *parts.as_slice() {
        ["pbkdf2", function, iterations] => {
            pbkdf2(Function::named(function), iterations, Some(salt.into()), hex(tag))
        }
        ["scrypt", n, r, p] => scrypt(number(n), number(r), number(p), salt, hex(tag)),
        _ => Err(InvalidHash::Unknown),
    }
}

/// ASP.NET Core Identity: Base64 of a marker and what belongs to it, numbers in network order.
fn asp_net(encoded: &str) -> Hash {
    let bytes = base64(encoded).ok_or(InvalidHash::Unknown)?;
    match *bytes.as_slice() {
        [0, ref rest @ ..] if rest.len() == 48 => {
            let (salt, tag) = rest.split_at(16);
            let scheme =
                Scheme::Pbkdf2 { function: Function::Sha1, iterations: 1000, salt: salt.to_vec() };
            Ok((scheme, tag.to_vec()))
        }
        [1, p0, p1, p2, p3, i0, i1, i2, i3, s0, s1, s2, s3, ref rest @ ..] => {
            let function = match u32::from_be_bytes([p0, p1, p2, p3]) {
                0 => Function::Sha1,
                1 => Function::Sha256,
                2 => Function::Sha512,
                _ => return Err(InvalidHash::Malformed),
            };
            let salt_length = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3]));
            let Some((salt, tag)) =
                salt_length.ok().and_then(|length| rest.split_at_checked(length))
            else {
                return Err(InvalidHash::Malformed);
            };
            let iterations = u32::from_be_bytes([i0, i1, i2, i3]);
            Ok((Scheme::Pbkdf2 { function, iterations, salt: salt.to_vec() }, tag.to_vec()))
        }
        _ => Err(InvalidHash::Unknown),
    }
}

fn both<A, B>(left: Option<A>, right: Option<B>) -> Result<(A, B), InvalidHash> {
    left.zip(right).ok_or(InvalidHash::Malformed)
}

/// A decimal number without a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Base64 with or without padding; passlib writes `.` for `+`.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('.', "+");
    Base64Unpadded::decode_vec(&text).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(16 * digit(high)? + digit(low)?),
        _ => None,
    });
    pairs.collect()
}

fn digest_of_length(text: &str) -> Option<Function> {
    let functions = [Function::Md5, Function::Sha1, Function::Sha256];
    let bytes = hex(text)?.len();
    functions.into_iter().find(|function| function.digest_length() == bytes)
}

fn scheme_salt(scheme: &Scheme) -> &[u8] {
    match scheme {
        Scheme::Bcrypt { salt, .. } => salt,
        Scheme::Argon2 { salt, .. }
        | Scheme::Digest { salt, .. }
        | Scheme::Pbkdf2 { salt, .. }
        | Scheme::Scrypt { salt, .. } => salt,
    }
}

/// More than any of the formats has.
const MOST_BYTES: usize = 512;

/// So that what we write of it fits into the column.
const MOST_SALT_BYTES: usize = 64;
const MOST_TAG_BYTES: usize = 64;

/// Shorter tags could be guessed.
const LEAST_TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests;
