//! The host's own key, and what is derived from it.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::user::{RealmId, User};

/// A key of the host's, for what it hands out and later recognises: [`SessionAuthHash`] and
/// [`DeviceToken`].
///
/// At least 32 bytes from the random numbers of the operating system, kept where the database is
/// not. Where there is one, the table of attempts holds nothing from which a login that nobody has,
/// or the address of a client, could be found out. A new key ends all sessions, and forgets all
/// devices and waits but those of accounts. `Debug` shows nothing, and the key is wiped when it is
/// dropped.
///
/// ```
/// use diesel_accounts::{Policy, SecretKey};
///
/// # let bytes_from_the_vault = [7; 32];
/// let key = SecretKey::new(bytes_from_the_vault)?;
/// let policy = Policy::builder().secret_key(key).build()?;
/// # let _ = policy;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SecretKey(Zeroizing<Vec<u8>>);

impl SecretKey {
    /// A key of these bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if there are fewer than 32.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidKey> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < LEAST_BYTES {
            return Err(InvalidKey(()));
        }
        Ok(Self(bytes))
    }

    /// HMAC-SHA-256, with a name that keeps its uses apart.
    fn mac(&self, purpose: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(purpose);
        // All parts but the last have a fixed length, so that no two inputs are written alike.
        parts.iter().for_each(|part| mac.update(part));
        Some(mac)
    }

    pub(crate) fn session_auth_hash(&self, user: &User) -> Option<SessionAuthHash> {
        let tag = self.session_mac(user)?.finalize().into_bytes();
        Some(SessionAuthHash(Base64UrlUnpadded::encode_string(&tag)))
    }

    /// Compared in constant time.
    pub(crate) fn is_session_auth_hash(&self, user: &User, presented: &str) -> bool {
        match (self.session_mac(user), Base64UrlUnpadded::decode_vec(presented)) {
            (Some(mac), Ok(tag)) => mac.verify_slice(&tag).is_ok(),
            _ => false,
        }
    }

    fn session_mac(&self, user: &User) -> Option<Hmac<Sha256>> {
        self.user_mac(b"diesel-accounts session 1\0", user, &[])
    }

    /// A new device of a user's.
    pub(crate) fn device_token(
        &self,
        user: &User,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<DeviceToken> {
        let mac = self.device_mac(user, &nonce)?;
        let tag = mac.finalize().into_bytes();
        let token: Vec<u8> = nonce.iter().chain(tag.as_slice()).copied().collect();
        Some(DeviceToken(Base64UrlUnpadded::encode_string(&token)))
    }

    /// What tells the devices of a user apart, if the token is one of the user's.
    pub(crate) fn device_of(&self, user: &User, token: &str) -> Option<[u8; NONCE_BYTES]> {
        let token = Base64UrlUnpadded::decode_vec(token).ok()?;
        let (nonce, tag) = token.split_first_chunk::<NONCE_BYTES>()?;
        let mac = self.device_mac(user, nonce)?;
        mac.verify_slice(tag).is_ok().then_some(*nonce)
    }

    fn device_mac(&self, user: &User, nonce: &[u8; NONCE_BYTES]) -> Option<Hmac<Sha256>> {
        self.user_mac(b"diesel-accounts device 1\0", user, nonce)
    }

    /// For what holds as long as the user and the session generation are the same. Whoever is made
    /// anew with the id of somebody who was deleted is not the same.
    fn user_mac(&self, purpose: &[u8], user: &User, last: &[u8]) -> Option<Hmac<Sha256>> {
        let created_at = user.created_at.as_micros().to_be_bytes();
        let generation = user.session_generation.to_be_bytes();
        let user = [user.realm.as_bytes(), user.id.as_bytes(), &created_at[..], &generation, last];
        self.mac(purpose, &user)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A key is too short.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a secret key must have at least 32 bytes")]
pub struct InvalidKey(());

/// What a host keeps in a session, to see at each request whether the session still holds.
///
/// An HMAC-SHA-256 under the host's key of the user's realm, id, time of creation and session
/// generation, and of nothing else: a password hash that is renewed at sign-in ends no session. See
/// [`Policy::session_auth_hash`](crate::Policy::session_auth_hash).
///
/// 43 characters of Base64 that need no escapes. `Debug` shows nothing.
#[derive(Clone, Eq, PartialEq)]
pub struct SessionAuthHash(String);

impl SessionAuthHash {
    /// The text, for the host's session.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionAuthHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionAuthHash(..)")
    }
}

/// What a browser keeps to be recognised: whoever has it signed in to the account before.
///
/// It passes the waits that strangers bring upon an account
/// ([`Context::known_device`](crate::Context::known_device)), and signs nobody in. The host keeps
/// it in a cookie of its own, `HttpOnly`, beyond the end of the session. It is good for one account
/// until its password changes or its sessions are ended; each device has its own count of wrong
/// passwords. After OWASP's "device cookies".
///
/// 64 characters of Base64 that need no escapes. `Debug` shows nothing.
#[derive(Clone, Eq, PartialEq)]
pub struct DeviceToken(String);

impl DeviceToken {
    /// The text, for the host's cookie.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(..)")
    }
}

/// 16 bytes that tell texts apart, for people type passwords where a username belongs: under the
/// host's key, nobody who has the table only can find out what they were. Without a key they are a
/// digest.
pub(crate) fn digest_of(
    key: Option<&SecretKey>,
    purpose: &str,
    realm: RealmId,
    text: &[u8],
) -> [u8; 16] {
    let parts: [&[u8]; 4] = [purpose.as_bytes(), &[0], realm.as_bytes(), text];
    let name = b"diesel-accounts attempt 1\0";
    let mac = key.and_then(|key| key.mac(name, &parts)).map(|mac| mac.finalize().into_bytes());
    let digest = mac.unwrap_or_else(|| {
        let digest = Sha256::new().chain_update(name);
        parts.iter().fold(digest, |digest, part| digest.chain_update(part)).finalize()
    });
    let mut start = [0; 16];
    start.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    start
}

pub(crate) const NONCE_BYTES: usize = 16;

/// As many as the tag has: RFC 2104, section 3.
const LEAST_BYTES: usize = 32;
