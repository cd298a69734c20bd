//! Whose turn it is to write, where a database has one writer at a time.
//!
//! SQLite lets whoever asks at the right moment go first, and tells the others that it is busy when
//! they have had bad luck for long enough. Here they stand in line instead, and none of them holds a
//! connection meanwhile. Other processes, and what the host writes itself, still meet in the
//! database. So do those whom an audit sink makes write to another file, while it is told: two queues
//! that wait for each other would be worse.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{FairMutex, FairMutexGuard};

use crate::error::{Error, Result};

/// Those who write through one manager and its clones. First in, first out.
#[derive(Clone, Default)]
pub(super) struct Writers {
    turn: Arc<FairMutex<()>>,
}

impl Writers {
    /// Waits for a turn, until then. Whoever has one already, as an audit sink that writes has,
    /// does not wait for itself.
    pub(super) fn enter(&self, until: Instant) -> Result<Turn<'_>> {
        if HAS_TURN.get() {
            return Ok(Turn { ends: None, not_send: PhantomData });
        }
        let guard = self.turn.try_lock_until(until).ok_or(Error::Busy)?;
        HAS_TURN.set(true);
        Ok(Turn { ends: Some(guard), not_send: PhantomData })
    }
}

/// The right to write, on this thread.
pub(super) struct Turn<'a> {
    ends: Option<FairMutexGuard<'a, ()>>,
    not_send: PhantomData<*const ()>,
}

impl Turn<'_> {
    /// Lets those who wait go first.
    pub(super) fn lend(&mut self) {
        if let Some(turn) = &mut self.ends {
            FairMutexGuard::bump(turn);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.ends.is_some() {
            HAS_TURN.set(false);
        }
    }
}

thread_local! {
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::Writers;
    use crate::error::Error;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn one_writes_at_a_time_in_the_order_of_their_coming() {
        let writers = Writers::default();
        let (at_once, order) = (AtomicUsize::new(0), mpsc::channel());
        let held = writers.enter(soon()).unwrap();
        thread::scope(|scope| {
            for number in 0..8 {
                let (writers, at_once, order) = (writers.clone(), &at_once, order.0.clone());
                let entering = mpsc::channel();
                scope.spawn(move || {
                    entering.0.send(()).unwrap();
                    let turn = writers.enter(soon()).unwrap();
                    assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
                    order.send(number).unwrap();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                });
                entering.1.recv().unwrap();
                // Nothing tells when somebody stands in line.
                thread::sleep(Duration::from_millis(50));
            }
            drop(held);
        });
        drop(order.0);
        assert_eq!(order.1.iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_waits_too_long_hears_busy_and_the_next_one_has_the_turn() {
        let writers = Writers::default();
        let held = writers.enter(soon()).unwrap();
        thread::scope(|scope| {
            let late = scope.spawn(|| writers.enter(Instant::now()).map(drop));
            assert!(matches!(late.join().unwrap(), Err(Error::Busy)));
            let patient = scope.spawn(|| writers.enter(soon()).map(drop));
            drop(held);
            assert!(patient.join().unwrap().is_ok());
        });
    }

    #[test]
    fn whoever_has_a_turn_does_not_wait_for_itself_and_gives_it_back_once() {
        let writers = Writers::default();
        let outer = writers.enter(soon()).unwrap();
        drop(writers.enter(Instant::now()).unwrap());
        thread::scope(|scope| {
            let late = scope.spawn(|| writers.enter(Instant::now()).map(drop));
            assert!(matches!(late.join().unwrap(), Err(Error::Busy)), "given back too early");
        });
        drop(outer);
        drop(writers.enter(Instant::now()).unwrap());
        thread::scope(|scope| {
            let next = scope.spawn(|| writers.enter(Instant::now()).map(drop));
            assert!(next.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_turn_that_is_lent_comes_back() {
        let writers = Writers::default();
        let mut turn = writers.enter(soon()).unwrap();
        // Nobody waits.
        turn.lend();
        let (told, heard) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _turn = writers.enter(soon()).unwrap();
                told.send(()).unwrap();
            });
            // Until the other one has stood in line, and had its turn.
            while heard.try_recv().is_err() {
                turn.lend();
            }
        });
        let late = thread::scope(|scope| {
            scope.spawn(|| writers.enter(Instant::now()).map(drop)).join().unwrap()
        });
        assert!(matches!(late, Err(Error::Busy)), "it did not come back");
        drop(turn);
    }

    #[test]
    fn a_thread_that_panics_gives_its_turn_back() {
        let writers = Writers::default();
        thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _turn = writers.enter(soon()).unwrap();
                std::panic::resume_unwind(Box::new("as if"));
            });
            assert!(panicked.join().is_err());
        });
        assert!(writers.enter(Instant::now()).is_ok());
    }
}
