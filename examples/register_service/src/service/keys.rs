//! What is derived from the service's secret key.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The service's secret key, kept apart from that of the library by the names of its uses.
pub(crate) struct Keys(Zeroizing<Vec<u8>>);

impl Keys {
    pub(crate) fn new(secret: Zeroizing<Vec<u8>>) -> Self {
        Self(secret)
    }

    /// A digest that nobody can make, or try out, who has not the key: 43 characters.
    pub(crate) fn digest(&self, purpose: &str, parts: &[&[u8]]) -> String {
        let tag = self.mac(purpose, parts).map(|mac| mac.finalize().into_bytes());
        tag.map(|tag| Base64UrlUnpadded::encode_string(&tag)).unwrap_or_default()
    }

    /// Whether a text is such a digest; compared in constant time.
    pub(crate) fn is_digest(&self, purpose: &str, parts: &[&[u8]], presented: &str) -> bool {
        match (self.mac(purpose, parts), Base64UrlUnpadded::decode_vec(presented)) {
            (Some(mac), Ok(tag)) => mac.verify_slice(&tag).is_ok(),
            _ => false,
        }
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"register_service 1\0");
        for part in [purpose.as_bytes()].iter().chain(parts) {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

/// The digest under which the database knows a text that nobody can guess.
pub(crate) fn stored_digest(secret: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(secret.as_bytes()))
}

/// A text of 22 characters that nobody can guess.
pub(crate) fn random_text() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{Keys, random_text};

    #[test]
    fn a_digest_is_of_one_key_one_purpose_and_these_parts() {
        let keys = Keys::new(Zeroizing::new(vec![7; 32]));
        let digest = keys.digest("a", &[b"bc", b"d"]);
        assert_eq!(digest.len(), 43);
        assert!(keys.is_digest("a", &[b"bc", b"d"], &digest));
        assert!(!keys.is_digest("a", &[b"b", b"cd"], &digest));
        assert!(!keys.is_digest("b", &[b"bc", b"d"], &digest));
        assert!(!keys.is_digest("a", &[b"bc", b"d"], ""));
        let other = Keys::new(Zeroizing::new(vec![8; 32]));
        assert!(!other.is_digest("a", &[b"bc", b"d"], &digest));
        assert_ne!(random_text().unwrap(), random_text().unwrap());
    }
}
