//! What is tried again, and what that comes to.

use std::time::{Duration, Instant};

use super::{DieselError, Failed, MOST_TRIES, Trouble, repeat};
use crate::error::Error;

/// Of something that always fails in the same way: the error, and how often it was tried.
fn always(trouble: Trouble, patience: Duration) -> (Error, u32) {
    let mut tries = 0;
    let result = repeat(&mut (), Instant::now() + patience, |()| {
        tries += 1;
        assert!(tries < 1000, "it is tried for ever");
        Err::<(), _>(Failed { trouble, error: DieselError::NotFound, committing: false })
    });
    (result.unwrap_err(), tries)
}

#[test]
fn what_cannot_be_told_apart_is_tried_a_few_times() {
    let (error, tries) = always(Trouble::Unnamed, AN_HOUR);
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    assert_eq!(tries, MOST_TRIES);
}

#[test]
fn what_cannot_be_told_apart_is_not_tried_after_the_deadline() {
    let (error, tries) = always(Trouble::Unnamed, Duration::ZERO);
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    assert_eq!(tries, 1);
}

#[test]
fn what_was_stopped_is_busy_and_not_tried_again() {
    let (error, tries) = always(Trouble::Stopped, AN_HOUR);
    assert!(matches!(error, Error::Busy), "{error:?}");
    assert_eq!(tries, 1);
}

#[test]
fn what_others_are_in_the_way_of_is_busy_at_the_deadline() {
    let (error, tries) = always(Trouble::Contention, Duration::from_millis(50));
    assert!(matches!(error, Error::Busy), "{error:?}");
    assert!(tries > 1);
}

#[test]
fn a_refusal_and_a_lost_connection_are_told_at_once() {
    for trouble in [Trouble::Conflict, Trouble::Lost, Trouble::Refused] {
        let (error, tries) = always(trouble, AN_HOUR);
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        assert_eq!(tries, 1, "{trouble:?}");
    }
}

const AN_HOUR: Duration = Duration::from_secs(3600);
