//! Password hashes of other systems: which are accepted, and up to which cost.

use super::cost::Argon2Cost;

mod scheme;
mod syntax;

pub(crate) use self::scheme::{Function, Scheme};
pub(crate) use self::syntax::{Parsed, parse};

/// Which password hashes of other systems a policy accepts, each up to a cost.
///
/// A host that moves over from another system imports its hashes as they are
/// ([`UserManager::import_users`](crate::UserManager::import_users)). They verify, and each is
/// replaced by Argon2id when its owner signs in for the first time. What is not named here, or
/// costs more than is named, is refused at the import.
///
/// The dearest hash of each kind that is accepted is what *every* sign-in costs on top of Argon2id
/// from then on, or a stranger could tell by the time which accounts exist, and which have never
/// been used since: name what the old system really has, and take it out again when hardly anybody
/// is left.
///
/// Iterations of PBKDF2 count for each block of a hash: one of 64 bytes by SHA-256 has two.
///
/// bcrypt never sees more than 72 bytes: a longer password, or one with a `NUL` inside, is refused
/// rather than cut. Hashes of other systems are made of what was typed, not of its normal form.
///
/// Defaults to none.
///
/// ```
/// use diesel_accounts::{ForeignHashes, Hashing, Policy};
///
/// // Devise or Laravel at its default cost, and what came before it.
/// let foreign = ForeignHashes::none().bcrypt(12).pbkdf2_sha256(260_000);
/// let policy = Policy::builder().hashing(Hashing::new().accept(foreign)).build()?;
/// # let _ = policy;
/// # Ok::<(), diesel_accounts::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ForeignHashes {
    argon2: Option<Argon2Cost>,
    bcrypt: Option<u32>,
    layered: bool,
    pbkdf2_sha1: u32,
    pbkdf2_sha256: u32,
    pbkdf2_sha512: u32,
    scrypt: Option<(u8, u32, u32)>,
}

impl ForeignHashes {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What Django makes unless it is told otherwise: `pbkdf2_sha256` up to 1,200,000 iterations,
    /// which are those of 6.0. Name its other hashers where they were in use.
    ///
    /// A sign-in then costs what 1,200,000 iterations cost. A host that knows its Django names
    /// less: 5.2 has 1,000,000, 4.2 has 600,000, 3.2 has 260,000.
    #[must_use]
    pub fn django() -> Self {
        Self::none().pbkdf2_sha256(1_200_000)
    }

    /// Argon2d, Argon2i and Argon2id of other systems, with no more memory and no more work than
    /// that: `$argon2id$...`, Django's `argon2$...`.
    #[must_use]
    pub fn argon2(mut self, dearest: Argon2Cost) -> Self {
        self.argon2 = Some(dearest);
        self
    }

    /// bcrypt up to a cost, 31 at most: `$2a$`, `$2b$` and `$2y$`, Django's `bcrypt` and
    /// `bcrypt_sha256`.
    #[must_use]
    pub fn bcrypt(mut self, dearest_cost: u32) -> Self {
        self.bcrypt = Some(dearest_cost);
        self
    }

    /// Hashes that are wrapped into Argon2id at the import
    /// ([`ImportUser::layered_password_hash`](crate::ImportUser::layered_password_hash)), so that
    /// nothing weak is left at rest: those of the kinds that are named, and plain digests (MD5,
    /// SHA-1, SHA-256, with or without a salt), which are accepted in no other way.
    ///
    #[must_use]
    pub fn layered(mut self) -> Self {
        self.layered = true;
        self
    }

    /// PBKDF2 with HMAC-SHA-1 up to so many iterations, counted for each 20 bytes of the hash:
    /// Django's `pbkdf2_sha1`, passlib's and PHC's `$pbkdf2$`, Werkzeug's `pbkdf2:sha1`, ASP.NET
    /// Core Identity's version 2, and 3 where it says so.
    #[must_use]
    pub fn pbkdf2_sha1(mut self, most_iterations: u32) -> Self {
        self.pbkdf2_sha1 = most_iterations;
        self
    }

    /// PBKDF2 with HMAC-SHA-256 up to so many iterations: Django's `pbkdf2_sha256`,
    /// `$pbkdf2-sha256$`, Werkzeug's `pbkdf2:sha256`, ASP.NET Core Identity's version 3.
    #[must_use]
    pub fn pbkdf2_sha256(mut self, most_iterations: u32) -> Self {
        self.pbkdf2_sha256 = most_iterations;
        self
    }

    /// PBKDF2 with HMAC-SHA-512 up to so many iterations: `$pbkdf2-sha512$`, Werkzeug's
    /// `pbkdf2:sha512`, ASP.NET Core Identity's version 3 since .NET 7.
    #[must_use]
    pub fn pbkdf2_sha512(mut self, most_iterations: u32) -> Self {
        self.pbkdf2_sha512 = most_iterations;
        self
    }

    /// scrypt with no more memory and no more work than these parameters, N being a power of two:
    /// `$scrypt$`, Django's and Werkzeug's `scrypt`.
    #[must_use]
    pub fn scrypt(mut self, log2_n: u8, r: u32, p: u32) -> Self {
        self.scrypt = Some((log2_n, r, p));
        self
    }

    /// The dearest hash of each kind that is accepted.
    pub(crate) fn dearest(&self) -> Vec<Scheme> {
        let salt = vec![0; 16];
        let pbkdf2 = |function, iterations: u32| {
            (iterations > 0).then(|| Scheme::Pbkdf2 { function, iterations, salt: salt.clone() })
        };
        [
            self.argon2.map(|cost| Scheme::argon2id(cost, salt.clone())),
            self.bcrypt.map(|cost| Scheme::Bcrypt { cost, salt: [0; 16], of_digest: false }),
            pbkdf2(Function::Sha1, self.pbkdf2_sha1),
            pbkdf2(Function::Sha256, self.pbkdf2_sha256),
            pbkdf2(Function::Sha512, self.pbkdf2_sha512),
            self.scrypt.map(|(log_n, r, p)| Scheme::Scrypt { log_n, r, p, salt: salt.clone() }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What is wrong with these settings.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let is_possible = self.dearest().iter().all(Scheme::is_possible);
        (!is_possible).then_some("a foreign hash is accepted up to a cost that it cannot have")
    }

    /// Whether a hash with a tag of so many bytes may be verified.
    pub(crate) fn check(
        &self,
        scheme: &Scheme,
        tag_length: usize,
        layered: bool,
    ) -> Result<(), InvalidHash> {
        if layered && !self.layered {
            return Err(InvalidHash::NotAccepted);
        }
        if !scheme.is_possible() {
            return Err(InvalidHash::Malformed);
        }
        if matches!(scheme, Scheme::Digest { .. }) {
            return if layered { Ok(()) } else { Err(InvalidHash::OnlyLayered) };
        }
        let dearest = self.dearest();
        let of_kind = dearest.iter().find(|dearest| dearest.is_of_kind(scheme));
        let dearest = of_kind.ok_or(InvalidHash::NotAccepted)?;
        // Iterations are counted for each block of the tag, and the dearest has one.
        let is_affordable = scheme.units(tag_length) <= dearest.units(1)
            && scheme.memory_kib(0) <= dearest.memory_kib(0);
        if is_affordable { Ok(()) } else { Err(InvalidHash::TooCostly) }
    }
}

/// Why a password hash of another system cannot be taken over.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHash {
    /// It is of no format that is known.
    #[error("the format of the password hash is not known")]
    Unknown,
    /// It is not well formed.
    #[error("the password hash is malformed")]
    Malformed,
    /// The policy does not accept hashes of its kind ([`ForeignHashes`]).
    #[error("the policy does not accept password hashes of this kind")]
    NotAccepted,
    /// A plain digest, which is accepted only if it is wrapped into Argon2id.
    #[error("a plain digest must be wrapped into Argon2id")]
    OnlyLayered,
    /// It costs more than the policy accepts.
    #[error("the password hash costs more than the policy accepts")]
    TooCostly,
    /// It was made with a secret key (`keyid`), which another system keeps to itself.
    #[error("the password hash was made with a secret key")]
    PepperMissing,
    /// It cannot be wrapped into Argon2id: it is one already, or is of no password at all.
    #[error("the password hash cannot be wrapped")]
    NotLayerable,
}
