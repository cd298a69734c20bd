//! Who is let in, in which order, and what becomes of the memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Gate, Limits, Permit, Purpose};
use crate::error::{Error, HashingFailure};
use crate::password::engine::PortableEngine;

fn gate(budget_kib: u64, queue_length: usize, longest_wait: Duration) -> Gate {
    let kept_for = LONG;
    let (usual_kib, kept_kib) = (10, 10);
    let limits = Limits { budget_kib, usual_kib, kept_kib, queue_length, longest_wait, kept_for };
    Gate::new(limits, Arc::new(PortableEngine::new()))
}

const LONG: Duration = Duration::from_secs(60);

fn used(mut permit: Permit<'_>) {
    permit.engine();
}

/// Waits until so many wait at the gate.
fn until_queued(gate: &Gate, count: usize) {
    let patience = Instant::now() + LONG;
    while gate.shared.lock().queues.iter().map(|queue| queue.len()).sum::<usize>() != count {
        assert!(Instant::now() < patience);
        thread::yield_now();
    }
}

#[test]
fn no_more_memory_is_in_use_at_once_than_the_budget() {
    let gate = gate(30, 1000, LONG);
    let (in_use, most) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 0..200 {
            let (gate, in_use, most) = (&gate, &in_use, &most);
            scope.spawn(move || {
                let wanted = [10, 5, 30][number % 3];
                let purpose = [Purpose::Set, Purpose::Verify][number % 2];
                let permit = gate.enter(purpose, wanted).unwrap();
                let wanted = wanted.max(10);
                let now = in_use.fetch_add(wanted, Ordering::SeqCst) + wanted;
                most.fetch_max(now, Ordering::SeqCst);
                thread::yield_now();
                in_use.fetch_sub(wanted, Ordering::SeqCst);
                drop(permit);
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 30);
    let state = gate.shared.lock();
    assert_eq!(state.free_kib, 30);
    assert!(state.idle.len() <= 3, "no more engines are kept than ran at once");
}

#[test]
fn those_who_wait_are_served_in_their_order_and_the_purposes_in_turn() {
    let gate = gate(10, 1000, LONG);
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let held = gate.enter(Purpose::Set, 10).unwrap();
        // A flood of creations, then two sign-ins.
        let callers = [Purpose::Set; 6].into_iter().chain([Purpose::Verify; 2]);
        for (number, purpose) in callers.enumerate() {
            let (gate, served) = (&gate, &served);
            scope.spawn(move || {
                let _permit = gate.enter(purpose, 10).unwrap();
                served.lock().unwrap().push((purpose, number));
            });
            until_queued(gate, number + 1);
        }
        drop(held);
    });
    let numbers: Vec<_> = served.lock().unwrap().iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [6, 0, 7, 1, 2, 3, 4, 5]);
}

#[test]
fn a_dear_hash_is_not_overtaken_for_ever_and_one_above_the_budget_is_refused() {
    let gate = gate(20, 1000, LONG);
    let over = gate.enter(Purpose::Verify, 21);
    assert!(matches!(over, Err(Error::Hashing(HashingFailure::OverBudget))));
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let held = gate.enter(Purpose::Set, 10).unwrap();
        for (number, wanted) in [20, 10, 10].into_iter().enumerate() {
            let (gate, served) = (&gate, &served);
            scope.spawn(move || {
                let _permit = gate.enter(Purpose::Set, wanted).unwrap();
                served.lock().unwrap().push(wanted);
            });
            // The small ones would fit beside the one that is held.
            until_queued(gate, number + 1);
        }
        drop(held);
    });
    assert_eq!(served.lock().unwrap()[0], 20);
}

#[test]
fn whoever_waits_too_long_or_finds_the_queue_full_is_told_when_to_come_back() {
    let gate = gate(10, 1, Duration::from_millis(20));
    let held = gate.enter(Purpose::Set, 10).unwrap();
    let timed_out = gate.enter(Purpose::Set, 10);
    assert!(matches!(timed_out, Err(Error::HashingBusy { retry_after }) if !retry_after.is_zero()));
    assert_eq!(gate.shared.lock().queues[0].len(), 0, "nobody is left in the queue");
    drop(held);
    drop(gate.enter(Purpose::Set, 10).unwrap());

    let gate = self::gate(10, 1, LONG);
    thread::scope(|scope| {
        let held = gate.enter(Purpose::Set, 10).unwrap();
        scope.spawn(|| gate.enter(Purpose::Set, 10).map(drop).unwrap());
        until_queued(&gate, 1);
        assert!(matches!(gate.enter(Purpose::Set, 10), Err(Error::HashingBusy { .. })));
        // The other queue has room.
        scope.spawn(|| gate.enter(Purpose::Verify, 10).map(drop).unwrap());
        until_queued(&gate, 2);
        drop(held);
    });
}

#[test]
fn a_hash_that_panics_gives_its_permit_back_and_loses_its_engine() {
    let gate = gate(10, 1, LONG);
    let panicked = thread::scope(|scope| {
        let hash = || {
            let mut permit = gate.enter(Purpose::Set, 10).unwrap();
            permit.engine();
            panic!("while hashing");
        };
        scope.spawn(hash).join().is_err()
    });
    assert!(panicked);
    assert!(gate.shared.lock().idle.is_empty());
    used(gate.enter(Purpose::Set, 10).unwrap());
    assert_eq!(gate.shared.lock().idle.len(), 1);
}

#[test]
fn memory_that_is_not_used_is_given_back_after_a_while_and_by_a_gate_that_is_gone() {
    let limits = Limits {
        budget_kib: 2048,
        usual_kib: 2048,
        kept_kib: 2048,
        queue_length: 1,
        longest_wait: LONG,
        kept_for: Duration::from_millis(1),
    };
    let gate = Gate::new(limits, Arc::new(PortableEngine::new()));
    for _ in 0..2 {
        used(gate.enter(Purpose::Set, 2048).unwrap());
        let patience = Instant::now() + LONG;
        while gate.shared.lock().keeper_runs {
            assert!(Instant::now() < patience);
            thread::yield_now();
        }
        assert!(gate.shared.lock().idle.is_empty());
    }
    // Whoever sees to it does not outlive the gate for long.
    let gate = Gate::new(Limits { kept_for: LONG, ..limits }, Arc::new(PortableEngine::new()));
    used(gate.enter(Purpose::Set, 2048).unwrap());
    let shared = Arc::downgrade(&gate.shared);
    drop(gate);
    let patience = Instant::now() + LONG / 2;
    while shared.strong_count() > 0 {
        assert!(Instant::now() < patience);
        thread::yield_now();
    }
}

#[test]
fn an_engine_with_the_memory_of_a_dear_hash_is_not_kept() {
    let gate = gate(40, 1, LONG);
    let [mut first, mut second] =
        [gate.enter(Purpose::Set, 10).unwrap(), gate.enter(Purpose::Set, 10).unwrap()];
    first.engine();
    second.engine();
    drop((first, second));
    assert_eq!(gate.shared.lock().idle.len(), 2);
    let dear = gate.enter(Purpose::Set, 40).unwrap();
    assert!(gate.shared.lock().idle.is_empty(), "there is no room for it beside a dear hash");
    used(dear);
    assert!(gate.shared.lock().idle.is_empty());
}

#[test]
fn as_many_engines_are_kept_as_there_is_room_for_beside_the_hashes_that_run() {
    let gate = gate(40, 1, LONG);
    let all = [(); 4].map(|()| {
        let mut permit = gate.enter(Purpose::Set, 10).unwrap();
        permit.engine();
        permit
    });
    drop(all);
    assert_eq!(gate.shared.lock().idle.len(), 4);
    let usual = gate.enter(Purpose::Set, 10).unwrap();
    assert_eq!(gate.shared.lock().idle.len(), 3, "one is used, and there is room for the others");
    drop(usual);
    let dear = gate.enter(Purpose::Set, 25).unwrap();
    assert_eq!(gate.shared.lock().idle.len(), 1, "one is used, and there is room for one");
    drop(dear);
}

#[test]
fn the_engine_of_a_hash_that_is_dear_for_another_reason_is_kept() {
    let gate = gate(40, 1, LONG);
    let mut permit = gate.enter(Purpose::Verify, 40).unwrap();
    permit.engine_takes(10);
    permit.engine();
    drop(permit);
    assert_eq!(gate.shared.lock().idle.len(), 1);
}

#[test]
fn the_hint_is_how_long_those_take_who_wait() {
    let gate = gate(30, 1000, LONG);
    let hint = |queued| {
        let mut state = gate.shared.lock();
        state.mean = Duration::from_secs(1);
        match gate.busy(&state, queued) {
            Error::HashingBusy { retry_after } => retry_after.as_secs(),
            other => panic!("{other}"),
        }
    };
    // Three run at once.
    assert_eq!([0, 2, 3, 7, 9].map(hint), [1, 1, 2, 3, 4]);
    assert_eq!(hint(1_000_000), 30);
}

#[test]
fn each_permit_counts_for_an_eighth_of_the_mean() {
    let gate = gate(10, 1, LONG);
    used(gate.enter(Purpose::Set, 10).unwrap());
    assert!((Duration::from_nanos(1)..LONG).contains(&gate.shared.lock().mean));
    gate.shared.lock().mean = Duration::from_secs(800);
    used(gate.enter(Purpose::Set, 10).unwrap());
    let mean = gate.shared.lock().mean;
    assert!((Duration::from_secs(700)..Duration::from_secs(710)).contains(&mean), "{mean:?}");
}

#[test]
fn memory_is_kept_until_nobody_has_used_it_for_so_long() {
    let gate = gate(10, 1, LONG);
    used(gate.enter(Purpose::Set, 10).unwrap());
    assert!(!gate.shared.lock().keeper_runs, "so little is not worth a thread");
    // One look of the thread, which ends when the gate is gone.
    gate.shared.lock().closed = true;
    gate.shared.give_back_what_is_idle(LONG);
    assert_eq!(gate.shared.lock().idle.len(), 1);
    gate.shared.give_back_what_is_idle(Duration::ZERO);
    assert_eq!(gate.shared.lock().idle.len(), 0);

    let limits = Limits { usual_kib: 1024, kept_kib: 1024, budget_kib: 1024, ..gate.limits };
    let gate = Gate::new(limits, Arc::new(PortableEngine::new()));
    used(gate.enter(Purpose::Set, 1024).unwrap());
    let state = gate.shared.lock();
    assert!(state.keeper_runs && state.idle.len() == 1);
}
