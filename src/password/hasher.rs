//! The hashing of one policy: new hashes, comparisons, and hashes of other systems.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cost::Argon2Cost;
use super::engine::{Argon2Engine, Argon2Input, Argon2Variant};
use super::floor::{Floor, Work};
use super::foreign::{InvalidHash, Parsed, Scheme, parse};
use super::gate::{Gate, Limits, Permit, Purpose};
use super::hashing::Hashing;
use super::pepper::Pepper;
use super::secret::{Password, PasswordHash};
use super::stored::{Native, Stored};
use crate::error::{ConfigurationFailure, Error, HashingFailure, Result};
use crate::identity::key::nfc;

/// The hashing of one policy.
pub(crate) struct Hasher {
    settings: Hashing,
    gate: Gate,
    floor: Floor,
}

/// What a comparison came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    Wrong,
    /// What is stored is no hash that the policy accepts.
    Unusable,
    /// With a new hash if the stored one is obsolete.
    Right(Option<PasswordHash>),
}

impl Hasher {
    pub(crate) fn new(settings: Hashing) -> Self {
        let floor = Floor::of(&settings);
        let at_once = u64::try_from(settings.concurrent).unwrap_or(u64::MAX).max(1);
        let dearest = settings.foreign.dearest();
        // Wrapped, or made up beside the dearest of our own.
        let most_own = most_memory(&settings);
        let dearest = dearest.iter().map(|scheme| scheme.memory_kib(most_own)).max();
        let dearest = most_own.max(dearest.unwrap_or(0));
        // So that the dearest fits in and never more run at once than there may.
        let each_kib = floor.memory_kib.max(dearest.div_ceil(at_once));
        let limits = Limits {
            budget_kib: each_kib.saturating_mul(at_once),
            usual_kib: each_kib,
            queue_length: settings.queue_length,
            longest_wait: settings.longest_wait,
            kept_kib: u64::from(settings.cost.memory_kib()),
            kept_for: KEPT_FOR,
        };
        let gate = Gate::new(limits, Arc::clone(&settings.engine));
        Self { settings, gate, floor }
    }

    /// What somebody hears who is not let in behind so many.
    #[cfg(feature = "tokio")]
    pub(crate) fn busy(&self, queued: usize) -> Error {
        self.gate.busy_behind(queued)
    }

    /// Hashes a new password, with a salt of its own.
    pub(crate) fn hash(&self, password: &Password) -> Result<PasswordHash> {
        let memory = u64::from(self.settings.cost.memory_kib());
        let mut permit = self.gate.enter(Purpose::Set, memory)?;
        permit.engine_takes(memory);
        let normal = Zeroizing::new(nfc(password.as_str()).into_owned());
        self.hash_with(&mut permit, normal.as_bytes()).map_err(Error::Hashing)
    }

    /// Compares a password with a stored hash: exactly one verification, made up to the work of a
    /// new hash, or of the dearest that is accepted, whatever is stored and whatever was typed.
    ///
    /// `None` stands for everything that no password can be right for. A hash that is obsolete is
    /// replaced only if that is asked for: whoever is refused all the same must not learn from the
    /// time that the password is right.
    pub(crate) fn verify(
        &self,
        password: Option<&Password>,
        stored: Option<&PasswordHash>,
        replace: bool,
    ) -> Result<Verdict> {
        let is_stored = stored.is_some();
        let stored = stored.and_then(Stored::parse).filter(|stored| self.accepts(stored));
        let is_usable = stored.is_some();
        let stored = password.zip(stored);
        let usual = u64::from(self.settings.cost.memory_kib());
        let (of_stored, engine) = stored.as_ref().map_or((0, usual), |(_, stored)| {
            (stored.memory_kib(usual), stored.engine_kib().max(usual))
        });
        // What is made up is done beside the memory that the engine then has.
        let made_up = self.floor.others.iter().map(|scheme| scheme.memory_kib(engine)).max();
        let memory = of_stored.max(engine).max(made_up.unwrap_or(0));
        let mut permit = self.gate.enter(Purpose::Verify, memory)?;
        permit.engine_takes(engine);
        self.compare_in_full(&mut permit, stored.as_ref(), replace)
            .map_err(Error::Hashing)?
            .unwrap_or(match is_stored && !is_usable {
                true => Ok(Verdict::Unusable),
                false => Ok(Verdict::Wrong),
            })
    }

    /// Compares if there is anything to compare with, and makes up what is missing. Argon2 comes
    /// last, for it is slower, or faster, behind other work; that of a wrapped hash comes in between.
    fn compare_in_full(
        &self,
        permit: &mut Permit<'_>,
        stored: Option<&(&Password, Stored)>,
        replace: bool,
    ) -> Result<Option<Result<Verdict>>, HashingFailure> {
        let begins = stored.is_some_and(|(_, stored)| stored.begins_with_another_kind());
        if !begins {
            self.floor.make_up_others(None, permit)?;
        }
        let (verdict, done) = match stored {
            Some((password, stored)) => {
                let (verdict, done) = self.compare(permit, password, stored, replace)?;
                (Some(verdict), done)
            }
            None => (None, Work::NONE),
        };
        if begins {
            self.floor.make_up_others(done.foreign, permit)?;
        }
        self.floor.make_up_argon2(done.argon2, permit)?;
        Ok(verdict)
    }

    /// What is written into the table for a hash of another system.
    pub(crate) fn import(
        &self,
        encoded: &str,
        layered: bool,
    ) -> Result<Option<PasswordHash>, ImportFailure> {
        let (scheme, tag) = match parse(encoded).map_err(ImportFailure::Invalid)? {
            Parsed::Hash { scheme, tag } => (scheme, tag),
            Parsed::Unusable => return Ok(None),
        };
        let checked = self.settings.foreign.check(&scheme, tag.len(), layered);
        checked.map_err(ImportFailure::Invalid)?;
        if !layered {
            return Ok(Some(Stored::Foreign { scheme, tag }.encode()));
        }
        if !scheme.is_layerable() {
            return Err(ImportFailure::Invalid(InvalidHash::NotLayerable));
        }
        let memory = u64::from(self.settings.cost.memory_kib());
        let mut permit = self.gate.enter(Purpose::Set, memory).map_err(ImportFailure::Hashing)?;
        permit.engine_takes(memory);
        let outer = self
            .native(&mut permit, &tag)
            .map_err(|failure| ImportFailure::Hashing(Error::Hashing(failure)))?;
        Ok(Some(Stored::Layered { scheme, length: tag.len(), outer }.encode()))
    }

    /// Whether a stored hash may be verified at all. What is over the caps was written by somebody
    /// else, and is nobody's password.
    fn accepts(&self, stored: &Stored) -> bool {
        let foreign = &self.settings.foreign;
        match stored {
            Stored::Native(native) => self.accepts_cost(native.cost),
            Stored::Foreign { scheme, tag } => foreign.check(scheme, tag.len(), false).is_ok(),
            Stored::Layered { scheme, length, outer } => {
                scheme.is_layerable()
                    && foreign.check(scheme, *length, true).is_ok()
                    && self.accepts_cost(outer.cost)
            }
        }
    }

    /// Whether a hash of ours may cost so much: as much as today's, as before, or as OWASP names.
    fn accepts_cost(&self, cost: Argon2Cost) -> bool {
        let most_work = own_costs(&self.settings).map(|cost| cost.work()).max();
        u64::from(cost.memory_kib()) <= most_memory(&self.settings)
            && Some(cost.work()) <= most_work
    }

    /// Compares, and says how much work that was. A key that is missing is told only after it.
    fn compare<'s>(
        &self,
        permit: &mut Permit<'_>,
        password: &Password,
        stored: &'s Stored,
        replace: bool,
    ) -> Result<(Result<Verdict>, Work<'s>), HashingFailure> {
        let typed = password.as_str().as_bytes();
        let normal = Zeroizing::new(nfc(password.as_str()).into_owned());
        let (right, work) = match stored {
            Stored::Native(native) => {
                let Some(secret) = self.secret(native) else {
                    return Ok((Err(missing_pepper(native)), Work::NONE));
                };
                let tag = self.native_tag(native, normal.as_bytes(), secret, permit)?;
                let work = self.floor.work_of(native.cost.shape(), native.cost.work());
                (bool::from(tag.ct_eq(&native.tag)), work)
            }
            Stored::Foreign { scheme, tag } => {
                match self.foreign_tag(scheme, typed, tag.len(), permit)? {
                    Some(computed) => {
                        let units = scheme.units(tag.len());
                        let work = match scheme.is_layerable() {
                            true => Work { argon2: 0, foreign: Some((scheme, units)) },
                            false => self.floor.work_of(scheme.shape(), units),
                        };
                        (bool::from(computed.ct_eq(tag)), work)
                    }
                    None => (false, Work::NONE),
                }
            }
            Stored::Layered { scheme, length, outer } => {
                let Some(secret) = self.secret(outer) else {
                    return Ok((Err(missing_pepper(outer)), Work::NONE));
                };
                match self.foreign_tag(scheme, typed, *length, permit)? {
                    Some(inner) => {
                        let tag = self.native_tag(outer, &inner, secret, permit)?;
                        let own = self.floor.work_of(outer.cost.shape(), outer.cost.work());
                        let foreign = Some((scheme, scheme.units(*length)));
                        let work = Work { foreign, ..own };
                        (bool::from(tag.ct_eq(&outer.tag)), work)
                    }
                    None => (false, Work::NONE),
                }
            }
        };
        let verdict = match right {
            false => Verdict::Wrong,
            true if !replace || self.is_current(stored) => Verdict::Right(None),
            true => Verdict::Right(Some(self.hash_with(permit, normal.as_bytes())?)),
        };
        Ok((Ok(verdict), work))
    }

    /// Whether a stored hash is as a new one would be.
    fn is_current(&self, stored: &Stored) -> bool {
        match stored {
            Stored::Native(native) => {
                native.cost == self.settings.cost
                    && native.key_id.as_deref() == self.settings.peppers.last().map(Pepper::id)
                    && native.tag.len() == TAG_BYTES
                    && native.salt.len() >= SALT_BYTES
            }
            Stored::Foreign { .. } | Stored::Layered { .. } => false,
        }
    }

    fn hash_with(
        &self,
        permit: &mut Permit<'_>,
        password: &[u8],
    ) -> Result<PasswordHash, HashingFailure> {
        Ok(Stored::Native(self.native(permit, password)?).encode())
    }

    fn native(&self, permit: &mut Permit<'_>, input: &[u8]) -> Result<Native, HashingFailure> {
        let mut salt = vec![0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| HashingFailure::Random)?;
        let pepper = self.settings.peppers.last();
        let mut native = Native {
            cost: self.settings.cost,
            key_id: pepper.map(|pepper| pepper.id().to_owned()),
            salt,
            tag: vec![0; TAG_BYTES],
        };
        let secret = pepper.map_or(&[] as &[u8], Pepper::key);
        native.tag = self.native_tag(&native, input, secret, permit)?.to_vec();
        Ok(native)
    }

    fn native_tag(
        &self,
        native: &Native,
        input: &[u8],
        secret: &[u8],
        permit: &mut Permit<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, HashingFailure> {
        let mut tag = Zeroizing::new(vec![0; native.tag.len()]);
        let input = argon2id(native.cost, input, &native.salt, secret);
        self.floor.timed(native.cost, || permit.engine().compute(&input, &mut tag))?;
        Ok(tag)
    }

    fn foreign_tag(
        &self,
        scheme: &Scheme,
        typed: &[u8],
        length: usize,
        permit: &mut Permit<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HashingFailure> {
        self.floor.timed_foreign(scheme, scheme.units(length), || {
            scheme.compute(typed, length, permit.engine())
        })
    }

    /// The key of a hash; empty if it has none, `None` if it is not known.
    fn secret(&self, native: &Native) -> Option<&[u8]> {
        match &native.key_id {
            None => Some(&[]),
            Some(id) => {
                self.settings.peppers.iter().find(|pepper| pepper.id() == id).map(Pepper::key)
            }
        }
    }
}

/// Why a hash of another system cannot be imported.
pub(crate) enum ImportFailure {
    Invalid(InvalidHash),
    /// There was no room to wrap it.
    Hashing(Error),
}

/// The costs at which hashes of ours may have been made.
fn own_costs(settings: &Hashing) -> impl Iterator<Item = Argon2Cost> {
    let own = [Some(settings.cost), settings.former].into_iter().flatten();
    own.chain([Argon2Cost::OWASP_46_MIB])
}

/// In KiB.
fn most_memory(settings: &Hashing) -> u64 {
    own_costs(settings).map(|cost| u64::from(cost.memory_kib())).max().unwrap_or(0)
}

fn missing_pepper(native: &Native) -> Error {
    let key_id = native.key_id.clone().unwrap_or_default();
    Error::Configuration(ConfigurationFailure::PepperMissing { key_id })
}

/// Takes as long as a hash, and comes to nothing.
pub(super) fn dummy_hash(
    cost: Argon2Cost,
    engine: &mut dyn Argon2Engine,
) -> Result<(), HashingFailure> {
    engine.compute(&argon2id(cost, b"", &[0; SALT_BYTES], &[]), &mut [0; TAG_BYTES])
}

fn argon2id<'a>(
    cost: Argon2Cost,
    password: &'a [u8],
    salt: &'a [u8],
    secret: &'a [u8],
) -> Argon2Input<'a> {
    Argon2Input {
        variant: Argon2Variant::Id,
        version: 0x13,
        memory_kib: cost.memory_kib(),
        passes: cost.passes(),
        lanes: cost.lanes(),
        password,
        salt,
        secret,
        associated_data: &[],
    }
}

/// RFC 9106, section 3.1: 16 bytes are recommended for passwords.
const SALT_BYTES: usize = 16;
pub(super) const TAG_BYTES: usize = 32;

/// How long memory is kept for the next hash.
const KEPT_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
