//! Recording calls as they are made, without a lock that threads would meet at.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Answer, Call, Fault, History, Leak, Moment, Operation};

/// Where all that is recorded comes together.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    next_call: AtomicU64,
    collected: Mutex<History>,
}

/// What one thread records. It is added to the record when it is dropped.
#[derive(Debug)]
pub struct Thread<'a> {
    recorder: &'a Recorder,
    number: u16,
    calls: Vec<Call>,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Through which pool, or past which proxy.
    pub manager: u16,
    /// The longest that one step of a call may take.
    pub longest_step: Duration,
    /// The deadline of its policy.
    pub deadline: Duration,
    /// How long its pool waits for a connection.
    pub patience: Duration,
}

impl Recorder {
    /// The clock begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            next_call: AtomicU64::new(0),
            collected: Mutex::new(History::default()),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    /// A number that no other call has.
    #[must_use]
    pub fn next_call(&self) -> u64 {
        self.next_call.fetch_add(1, Ordering::Relaxed)
    }

    /// The record of one thread.
    #[must_use]
    pub fn thread(&self, number: u16) -> Thread<'_> {
        Thread { recorder: self, number, calls: Vec::new() }
    }

    /// Records a fault.
    pub fn fault(&self, fault: Fault) {
        self.collected.lock().unwrap().faults.push(fault);
    }

    /// Records that a secret came to light.
    pub fn leak(&self, output: &str, secret: &str) {
        let leak = Leak { output: output.to_owned(), secret: secret.to_owned() };
        let mut collected = self.collected.lock().unwrap();
        if !collected.leaks.contains(&leak) {
            collected.leaks.push(leak);
        }
    }

    /// The whole record, in the order of time.
    #[must_use]
    pub fn into_history(self) -> History {
        let mut history = self.collected.into_inner().unwrap();
        history.calls.sort_by_key(|call| (call.invoked, call.number));
        history.faults.sort_by_key(|fault| fault.from);
        history
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Thread<'a> {
    /// The recorder.
    #[must_use]
    pub fn recorder(&self) -> &'a Recorder {
        self.recorder
    }

    /// Makes a call and records it. The act is given the call's number, and may say since when it
    /// has had the connection that it lends.
    pub fn call(
        &mut self,
        caller: Caller,
        operation: Operation,
        act: impl FnOnce(u64) -> (Answer, Option<Moment>),
    ) -> Answer {
        let number = self.recorder.next_call();
        let invoked = self.recorder.now();
        let (answer, lent_since) = act(number);
        let answered = self.recorder.now();
        let (thread, recorded) = (self.number, answer.clone());
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        self.calls.push(Call {
            number,
            thread,
            manager: caller.manager,
            longest_step: nanos(caller.longest_step),
            deadline: nanos(caller.deadline),
            patience: nanos(caller.patience),
            invoked,
            answered,
            lent_since,
            operation,
            answer: recorded,
        });
        answer
    }
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        let mut collected = self.recorder.collected.lock().unwrap();
        collected.calls.append(&mut self.calls);
    }
}
