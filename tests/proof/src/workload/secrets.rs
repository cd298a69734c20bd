//! Searching outputs for what must not be in them.

use std::error::Error as StdError;
use std::fmt::Debug;

use diesel::connection::{Instrumentation, InstrumentationEvent};

use crate::history::Recorder;
use crate::names::{EMAIL_CANARY, PASSWORD_CANARY};

/// Searches everything that an error can be printed as, its causes included.
pub(super) fn search_error(recorder: &Recorder, error: &(dyn StdError + 'static)) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let texts = format!("{error} {error:?} {error:#?}");
        search_text(recorder, "an error", &texts);
        cause = error.source();
    }
}

/// Searches the `Debug` of a value.
pub(super) fn search_debug(recorder: &Recorder, value: &dyn Debug) {
    search_text(recorder, "the Debug of an answer", &format!("{value:?}"));
}

fn search_text(recorder: &Recorder, output: &str, text: &str) {
    search_for_secrets(text, |secret| recorder.leak(output, secret));
}

/// Searches what must name nobody: an answer, or an error.
pub fn search_for_secrets(text: &str, found: impl Fn(&str)) {
    search_for_passwords(text, &found);
    if text.to_ascii_lowercase().contains(EMAIL_CANARY) {
        found("an email address");
    }
}

/// Searches what may name people, as a query log does.
pub fn search_for_passwords(text: &str, found: impl Fn(&str)) {
    if text.contains(PASSWORD_CANARY) {
        found("a password");
    }
    if text.contains("$argon2") {
        found("the hash of a password");
    }
}

/// A query log that is searched as it is written. Names are in it: a statement has to name whom it
/// is about.
pub(super) fn searched_query_log(found: impl Fn(&str) + Send + 'static) -> impl Instrumentation {
    move |event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::StartQuery { query, .. } => {
            search_for_passwords(&query.to_string(), &found);
        }
        InstrumentationEvent::FinishQuery { error: Some(error), .. } => {
            search_for_passwords(&format!("{error} {error:?}"), &found);
        }
        _ => {}
    }
}
