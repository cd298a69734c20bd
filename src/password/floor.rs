//! What every comparison comes to, whatever is stored and whatever was typed.

use super::cost::Argon2Cost;
use super::engine::Argon2Engine;
use super::foreign::Scheme;
use super::gate::Permit;
use super::hasher::{TAG_BYTES, dummy_hash};
use super::hashing::Hashing;
use super::pace::{Paces, Shape};
use crate::error::HashingFailure;

/// The work that every verification comes to, or more where a hash of ours was dearer once: of
/// Argon2, and of each kind of foreign hash that is accepted. It is made up in kind, for how kinds
/// compare differs from machine to machine; so does how shapes of one kind do, but less, and that is
/// learnt.
///
/// The base, with which others are compared, is what is made up for a login that nobody has: that is
/// what a stranger compares with, and learns anew by that.
pub(crate) struct Floor {
    own: Argon2Cost,
    /// The dearest hashes, in KiB passed over.
    pub(super) argon2: Vec<(Shape, u64)>,
    base: Shape,
    /// The dearest hash of each other kind.
    pub(crate) others: Vec<Scheme>,
    /// The memory that it takes, in KiB.
    pub(crate) memory_kib: u64,
    pub(crate) paces: Paces,
}

/// The work of one comparison.
pub(crate) struct Work<'a> {
    /// In KiB passed over, as for nobody.
    pub(crate) argon2: u64,
    pub(crate) foreign: Option<(&'a Scheme, u64)>,
}

impl Work<'_> {
    pub(crate) const NONE: Self = Self { argon2: 0, foreign: None };
}

impl Floor {
    pub(crate) fn of(settings: &Hashing) -> Self {
        let own = settings.cost;
        let (foreign, others): (Vec<_>, Vec<_>) =
            settings.foreign.dearest().into_iter().partition(|scheme| !scheme.is_layerable());
        let costs = [Some(own), settings.former].into_iter().flatten();
        let costs = costs.map(|cost| (cost.shape(), cost.work()));
        let foreign = foreign.iter().map(|scheme| (scheme.shape(), scheme.units(TAG_BYTES)));
        let argon2: Vec<_> = costs.chain(foreign).collect();
        let is_own = own.lanes() == 1 && argon2.len() == 1;
        let base = if is_own { own.shape() } else { FOR_NOBODY };
        let usual = u64::from(own.memory_kib());
        let memory = others.iter().map(|scheme| scheme.memory_kib(usual)).max();
        let memory_kib = usual.max(memory.unwrap_or(0));
        Self { own, argon2, base, others, memory_kib, paces: Paces::new() }
    }

    /// The work of an Argon2, ours or not.
    pub(crate) fn work_of(&self, shape: Shape, units: u64) -> Work<'static> {
        Work { argon2: self.paces.convert(shape, units, self.base), foreign: None }
    }

    /// Computes one of our own.
    pub(crate) fn timed<T>(
        &self,
        cost: Argon2Cost,
        compute: impl FnOnce() -> Result<T, HashingFailure>,
    ) -> Result<T, HashingFailure> {
        self.paces.timed((cost.shape(), cost.work()), self.base, compute)
    }

    /// Computes one of another system, with so many units.
    pub(crate) fn timed_foreign<T>(
        &self,
        scheme: &Scheme,
        units: u64,
        compute: impl FnOnce() -> Result<T, HashingFailure>,
    ) -> Result<T, HashingFailure> {
        let of_kind = self.others.iter().find(|dearest| dearest.is_of_kind(scheme));
        let base = of_kind.map_or(self.base, Scheme::shape);
        self.paces.timed((scheme.shape(), units), base, compute)
    }

    /// Does what is missing of Argon2.
    pub(crate) fn make_up_argon2(
        &self,
        done: u64,
        permit: &mut Permit<'_>,
    ) -> Result<(), HashingFailure> {
        let convert = |(shape, units): &(Shape, u64)| self.paces.convert(*shape, *units, self.base);
        let all = self.argon2.iter().map(convert).max().unwrap_or(0);
        if done == 0 {
            return self.spend_argon2(self.own.of_work(all), self.base, permit.engine());
        }
        let missing = self.dummy_of(all.saturating_sub(done));
        let shape = missing.map_or(self.base, |cost| self.shape_of_dummy(cost));
        self.spend_argon2(missing, shape, permit.engine())
    }

    /// Does what is missing of each other kind.
    pub(crate) fn make_up_others(
        &self,
        done: Option<(&Scheme, u64)>,
        permit: &mut Permit<'_>,
    ) -> Result<(), HashingFailure> {
        for dearest in &self.others {
            let done = done.filter(|(scheme, _)| scheme.is_of_kind(dearest));
            let done = done.map_or(0, |(scheme, units)| {
                self.paces.convert(scheme.shape(), units, dearest.shape())
            });
            for hash in self.dummies_of(dearest, dearest.units(1).saturating_sub(done)) {
                self.timed_foreign(&hash, hash.units(1), || {
                    hash.spend(permit.engine());
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn spend_argon2(
        &self,
        cost: Option<Argon2Cost>,
        shape: Shape,
        engine: &mut dyn Argon2Engine,
    ) -> Result<(), HashingFailure> {
        let Some(cost) = cost else { return Ok(()) };
        self.paces.timed((shape, cost.work()), self.base, || dummy_hash(cost, engine))
    }

    /// A hash in vain that takes as long as so much of what is made up for nobody.
    fn dummy_of(&self, work: u64) -> Option<Argon2Cost> {
        refined(work, |units| {
            let cost = self.own.of_work(units)?;
            let shape = self.shape_of_dummy(cost);
            Some((cost, self.paces.convert(shape, cost.work(), self.base)))
        })
    }

    /// Hashes in vain that take as long together as so much work of the dearest of their kind.
    fn dummies_of(&self, dearest: &Scheme, missing: u64) -> Vec<Scheme> {
        let convert =
            |hash: &Scheme| self.paces.convert(hash.shape(), hash.units(1), dearest.shape());
        let hashes = refined(missing, |units| {
            let hashes = dearest.coming_to(units);
            let as_dearest = hashes.iter().map(convert).sum();
            Some((hashes, as_dearest))
        });
        hashes.unwrap_or_default()
    }

    /// What is made up for somebody has few shapes: how much is missing differs a little each time.
    fn shape_of_dummy(&self, cost: Argon2Cost) -> Shape {
        let quarters = cost.memory_kib().saturating_mul(4) / self.own.memory_kib().max(1);
        Shape { kind: "made up", parameters: [quarters, cost.passes().min(3), 0] }
    }
}

/// What comes nearest to so much work of the base: what so many units come to, and how much of the
/// base that is, depends on how many they are.
fn refined<T>(work: u64, mut come_to: impl FnMut(u64) -> Option<(T, u64)>) -> Option<T> {
    let (mut units, mut nearest) = (work, None);
    for _ in 0..TRIES {
        let Some((hashes, as_base)) = come_to(units) else { break };
        let off = as_base.abs_diff(work);
        if nearest.as_ref().is_none_or(|(least, _)| off < *least) {
            nearest = Some((off, hashes));
        }
        if off == 0 || as_base == 0 {
            break;
        }
        let next = u128::from(units) * u128::from(work) / u128::from(as_base);
        units = u64::try_from(next).unwrap_or(u64::MAX);
    }
    nearest.map(|(_, hashes)| hashes)
}

/// What is made up for nobody, where it is not the same as a new hash.
const FOR_NOBODY: Shape = Shape { kind: "for nobody", parameters: [0; 3] };

/// Paces differ by little, and the second is near enough most of the time.
const TRIES: usize = 4;
