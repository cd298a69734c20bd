//! What `tracing` and `metrics` are told by the threads of one test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, Once};

use metrics_util::CompositeKey;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber, dispatcher, subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Hears whatever is done in [`Told::hear`], in any number of threads.
pub(crate) struct Told {
    log: Log,
    dispatch: Dispatch,
    recorder: DebuggingRecorder,
    totals: Mutex<Totals>,
}

impl Told {
    pub(crate) fn new() -> Self {
        // With one subscriber alone, `tracing` asks the thread that comes first to a span whether
        // anybody cares for it, and keeps the answer for all: no thread may say no.
        static ALL_IS_OF_INTEREST: Once = Once::new();
        ALL_IS_OF_INTEREST
            .call_once(|| subscriber::set_global_default(Registry::default()).unwrap());
        let log = Log::default();
        Self {
            dispatch: Dispatch::new(Registry::default().with(log.clone())),
            log,
            recorder: DebuggingRecorder::new(),
            totals: Mutex::default(),
        }
    }

    pub(crate) fn hear<T>(&self, act: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.dispatch, || {
            metrics::with_local_recorder(&self.recorder, act)
        })
    }

    /// The spans and events since the last call.
    pub(crate) fn take(&self) -> Said {
        let mut book = self.log.0.lock().unwrap();
        let (spans, events) = book.taken;
        book.taken = (book.said.spans.len(), book.said.events.len());
        Said {
            spans: book.said.spans[spans..].to_vec(),
            events: book.said.events[events..].to_vec(),
        }
    }

    /// The names of all spans, also of those that were taken.
    pub(crate) fn names(&self) -> BTreeSet<&'static str> {
        self.log.0.lock().unwrap().said.spans.iter().map(|span| span.name).collect()
    }

    /// All counters that have counted anything, as `name{label=value}`.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.with_totals(|totals| {
            let counts = totals.counters.iter().filter(|(_, count)| **count > 0);
            counts.map(|(label, count)| (label.clone(), *count)).collect()
        })
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.counters().get(name).copied().unwrap_or(0)
    }

    /// Where a gauge is, by how much it was moved since the beginning.
    pub(crate) fn gauge(&self, name: &str) -> Option<f64> {
        self.with_totals(|totals| totals.gauges.get(name).copied())
    }

    pub(crate) fn samples(&self, name: &str) -> Vec<f64> {
        self.with_totals(|totals| totals.samples.get(name).cloned().unwrap_or_default())
    }

    /// Everything that a host's logs and metrics can show.
    pub(crate) fn text(&self) -> String {
        let book = self.log.0.lock().unwrap();
        self.with_totals(|totals| format!("{:?} {totals:?}", book.said))
    }

    pub(crate) fn assert_without(&self, canaries: &[&str]) {
        let text = self.text().to_lowercase();
        for canary in canaries {
            assert!(!text.contains(&canary.to_lowercase()), "{canary:?} was told: {text}");
        }
    }

    /// A snapshot empties what it reads.
    fn with_totals<T>(&self, read: impl FnOnce(&Totals) -> T) -> T {
        let mut totals = self.totals.lock().unwrap();
        for (key, _, _, value) in self.recorder.snapshotter().snapshot().into_vec() {
            totals.add(label_of(&key), value);
        }
        read(&totals)
    }
}

/// Some spans, in the order in which they began, and some events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) spans: Vec<HeardSpan>,
    pub(crate) events: Vec<HeardEvent>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HeardSpan {
    pub(crate) name: &'static str,
    pub(crate) target: String,
    pub(crate) level: String,
    pub(crate) fields: Fields,
    pub(crate) parent: Option<&'static str>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HeardEvent {
    pub(crate) target: String,
    pub(crate) level: String,
    /// The message is one of them.
    pub(crate) fields: Fields,
    pub(crate) within: Option<&'static str>,
}

/// The fields that have a value, as texts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fields(pub(crate) BTreeMap<String, String>);

impl<const N: usize> From<[(&str, &str); N]> for Fields {
    fn from(fields: [(&str, &str); N]) -> Self {
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// The layer that writes down what it hears.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    said: Said,
    taken: (usize, usize),
}

/// Where a span is written down.
struct Place(usize);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut book = self.0.lock().unwrap();
        span.extensions_mut().insert(Place(book.said.spans.len()));
        book.said.spans.push(HeardSpan {
            name: span.name(),
            target: span.metadata().target().to_owned(),
            level: span.metadata().level().to_string(),
            fields,
            parent: span.parent().map(|parent| parent.name()),
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let Place(place) = *span.extensions().get().unwrap();
        values.record(&mut self.0.lock().unwrap().said.spans[place].fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().said.events.push(HeardEvent {
            target: event.metadata().target().to_owned(),
            level: event.metadata().level().to_string(),
            fields,
            within: context.event_span(event).map(|span| span.name()),
        });
    }
}

#[derive(Debug, Default)]
struct Totals {
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    samples: BTreeMap<String, Vec<f64>>,
}

impl Totals {
    fn add(&mut self, label: String, value: DebugValue) {
        match value {
            DebugValue::Counter(count) => *self.counters.entry(label).or_default() += count,
            DebugValue::Gauge(moved) => *self.gauges.entry(label).or_default() += moved.0,
            DebugValue::Histogram(samples) => {
                self.samples
                    .entry(label)
                    .or_default()
                    .extend(samples.iter().map(|sample| sample.0));
            }
        }
    }
}

/// `name{label=value}`.
fn label_of(key: &CompositeKey) -> String {
    let mut text = key.key().name().to_owned();
    for label in key.key().labels() {
        write!(text, "{{{}={}}}", label.key(), label.value()).unwrap();
    }
    text
}
