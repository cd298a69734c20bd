//! How many operations are done at once, by their spans.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::span::Id;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::turnstile::PATIENCE;

/// Counts the threads that are inside each operation, by its name.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<(Mutex<Counts>, Condvar)>);

#[derive(Default)]
struct Counts {
    inside: BTreeMap<&'static str, usize>,
    most: BTreeMap<&'static str, usize>,
}

impl Counts {
    fn inside(&self, name: &str) -> usize {
        self.inside.get(name).copied().unwrap_or(0)
    }
}

impl Crowd {
    /// Returns when so many of one name are done at once.
    pub(crate) fn wait_until_inside(&self, name: &str, count: usize) {
        let counts = self.0.0.lock().unwrap();
        let is_other = |counts: &mut Counts| counts.inside(name) != count;
        let (counts, waited) = self.0.1.wait_timeout_while(counts, PATIENCE, is_other).unwrap();
        let inside = counts.inside(name);
        assert!(!waited.timed_out(), "there are {inside} of {name} and not {count}");
    }

    /// How many of one name are done now.
    pub(crate) fn inside(&self, name: &str) -> usize {
        self.0.0.lock().unwrap().inside(name)
    }

    /// How many of one name were done at once, at most.
    pub(crate) fn most(&self, name: &str) -> usize {
        self.0.0.lock().unwrap().most.get(name).copied().unwrap_or(0)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Crowd {
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let name = context.metadata(id).unwrap().name();
        let mut counts = self.0.0.lock().unwrap();
        let inside = counts.inside.entry(name).or_default();
        *inside += 1;
        let inside = *inside;
        let most = counts.most.entry(name).or_default();
        *most = inside.max(*most);
        self.0.1.notify_all();
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let name = context.metadata(id).unwrap().name();
        // In a thread that panics too, where another panic would end all tests.
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inside) = counts.inside.get_mut(name) {
            *inside -= 1;
        }
        self.0.1.notify_all();
    }
}
