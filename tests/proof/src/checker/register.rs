//! A value that is written now and then: what it may have been, and what it certainly was.

use crate::history::Moment;

/// The writes to one value.
#[derive(Clone, Debug)]
pub(super) struct Register<V>(Vec<Write<V>>);

/// A write that took effect at some instant, or may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<V> {
    pub(super) from: Moment,
    pub(super) until: Moment,
    pub(super) is_certain: bool,
    pub(super) value: V,
}

impl<V> Default for Register<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Copy + PartialEq> Register<V> {
    pub(super) fn write(&mut self, write: Write<V>) {
        self.0.push(write);
    }

    /// Whether it may have had a value at an instant of these.
    pub(super) fn may_be(&self, value: V, from: Moment, to: Moment) -> bool {
        self.0.iter().filter(|write| write.value == value && write.from <= to).any(|write| {
            !self.0.iter().any(|other| {
                other.is_certain
                    && other.value != value
                    && other.from >= write.until
                    && other.until < from
            })
        })
    }

    /// Whether it certainly had a value at every instant of these.
    pub(super) fn surely_is(&self, value: V, from: Moment, to: Moment) -> bool {
        let written =
            |write: &&Write<V>| write.is_certain && write.value == value && write.until <= from;
        self.0.iter().filter(written).any(|write| {
            !self
                .0
                .iter()
                .any(|other| other.value != value && other.until >= write.from && other.from <= to)
        })
    }
}
