//! What all connections of a proxy share.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::link::Link;
use super::{Counted, Fault, Place};

/// The fault, the counts and the connections.
#[derive(Debug)]
pub(super) struct State {
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Debug)]
struct Shared {
    fault: Fault,
    chance: Rng,
    messages: u64,
    strikes: u64,
    links: HashMap<u64, Arc<Link>>,
    next_link: u64,
    is_listening: bool,
    is_finished: bool,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Cut(Place),
    HandOn(Passage),
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passage {
    Open,
    Slow(Duration),
    Swallowed,
}

impl State {
    pub(super) fn new() -> Self {
        let shared = Shared {
            fault: Fault::None,
            chance: Rng::with_seed(0),
            messages: 0,
            strikes: 0,
            links: HashMap::new(),
            next_link: 0,
            is_listening: true,
            is_finished: false,
        };
        Self { shared: Mutex::new(shared), changed: Condvar::new() }
    }

    pub(super) fn set_fault(&self, fault: Fault) -> Counted {
        let mut shared = self.lock();
        if let Fault::Random { seed, .. } = fault {
            shared.chance = Rng::with_seed(seed);
        }
        let counted = Counted { messages: shared.messages, strikes: shared.strikes };
        (shared.messages, shared.strikes) = (0, 0);
        let was_black_hole = matches!(shared.fault, Fault::BlackHole);
        if was_black_hole && !matches!(fault, Fault::BlackHole) {
            shared.links.values().for_each(|link| link.end());
        }
        shared.fault = fault;
        self.changed.notify_all();
        counted
    }

    /// Counts a message, and decides what becomes of it.
    pub(super) fn fate_of_next_message(&self) -> Fate {
        let mut shared = self.lock();
        let shared = &mut *shared;
        shared.messages += 1;
        if let Fault::From { at, fault } = &shared.fault
            && shared.messages >= *at
        {
            shared.fault = Fault::clone(fault);
        }
        let place = match &shared.fault {
            Fault::Cut { at, place } | Fault::CutForGood { at, place } => {
                (*at == shared.messages).then_some(*place)
            }
            Fault::Random { per_mille, places, .. } => {
                // Drawn for every message, so that the list of places does not change which.
                let is_struck = shared.chance.u32(0..1000) < *per_mille;
                let place = shared.chance.choice(places).copied();
                place.filter(|_| is_struck)
            }
            Fault::Reset => Some(Place::BeforeByReset),
            _ => None,
        };
        let is_struck = place.is_some() || matches!(shared.fault, Fault::BlackHole);
        shared.strikes += u64::from(is_struck);
        if place.is_some() && matches!(shared.fault, Fault::CutForGood { .. }) {
            shared.fault = Fault::HangUp;
        }
        self.changed.notify_all();
        place.map_or_else(|| Fate::HandOn(shared.passage()), Fate::Cut)
    }

    pub(super) fn passage(&self) -> Passage {
        self.lock().passage()
    }

    /// In a black hole nobody hears that the other side is gone.
    pub(super) fn wait_while_black_hole(&self, is_ended: impl Fn() -> bool) {
        let is_black_hole = |shared: &Shared| matches!(shared.fault, Fault::BlackHole);
        self.wait_while(|shared| is_black_hole(shared) && !shared.is_finished && !is_ended());
    }

    pub(super) fn messages(&self) -> u64 {
        self.lock().messages
    }

    pub(super) fn strikes(&self) -> u64 {
        self.lock().strikes
    }

    /// Does something to all connections that are there now.
    pub(super) fn for_each_link(&self, act: impl Fn(&Link)) {
        self.links().iter().for_each(|link| act(link));
        self.changed.notify_all();
    }

    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        self.lock().links.values().cloned().collect()
    }

    pub(super) fn add(&self, link: &Arc<Link>) -> u64 {
        let mut shared = self.lock();
        shared.next_link += 1;
        let number = shared.next_link;
        shared.links.insert(number, link.clone());
        self.changed.notify_all();
        number
    }

    pub(super) fn remove(&self, number: u64) {
        self.lock().links.remove(&number);
        self.changed.notify_all();
    }

    /// Whether new connections are carried.
    pub(super) fn admits(&self) -> bool {
        let shared = self.lock();
        !shared.is_finished && !matches!(shared.fault, Fault::Refuse | Fault::HangUp)
    }

    pub(super) fn refuses(&self) -> bool {
        matches!(self.lock().fault, Fault::Refuse)
    }

    pub(super) fn wait_while_refusing(&self) {
        self.wait_while(|shared| matches!(shared.fault, Fault::Refuse) && !shared.is_finished);
    }

    pub(super) fn set_listening(&self, is_listening: bool) {
        self.lock().is_listening = is_listening;
        self.changed.notify_all();
    }

    pub(super) fn wait_until_listening(&self, is_listening: bool) {
        self.wait_while(|shared| shared.is_listening != is_listening);
    }

    pub(super) fn finish(&self) {
        self.lock().is_finished = true;
        self.changed.notify_all();
    }

    pub(super) fn is_finished(&self) -> bool {
        self.lock().is_finished
    }

    pub(super) fn wait_for_change(&self, mut is_so: impl FnMut() -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < patience, "it is not so after a minute");
            // What changes between the question and the wait is seen a moment later.
            let shared = self.lock();
            drop(self.changed.wait_timeout(shared, Duration::from_millis(5)).unwrap());
        }
    }

    fn wait_while(&self, mut is_so: impl FnMut(&Shared) -> bool) {
        drop(self.changed.wait_while(self.lock(), |shared| is_so(shared)).unwrap());
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

impl Shared {
    fn passage(&self) -> Passage {
        match self.fault {
            Fault::BlackHole => Passage::Swallowed,
            Fault::Slow { pause } => Passage::Slow(pause),
            _ => Passage::Open,
        }
    }
}
