//! Where the actors are parked.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent};

use crate::schedule::swaps::is_private;

/// The gates of all actors of a schedule, one each.
#[derive(Clone, Debug)]
pub struct Gates {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

/// What every actor is doing.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) actors: Vec<Lane>,
    /// Counts what has happened, so that it is seen whether something has.
    pub(super) events: u64,
    /// Counts what is a beginning or an end of an actor.
    moments: u64,
}

/// What one actor is doing.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) stage: Stage,
    pub(super) may_go: bool,
    /// How many statements it was parked before.
    pub(super) stops: u32,
    /// The statement before which it is parked.
    pub(super) statement: String,
    /// The last statement that failed, until it succeeds.
    pub(super) failed: Option<String>,
    /// When it was let go for the first time, and when it ended.
    span: Span,
}

impl Lane {
    /// Whether it was never let go yet.
    pub(super) fn is_at_its_first(&self) -> bool {
        self.span.began == 0
    }
}

/// From the first statement of an actor, before which it can know nothing of the others, to its end.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    began: u64,
    ended: u64,
}

impl Span {
    /// One that meets every other.
    pub const ALL: Self = Self { began: 0, ended: u64::MAX };

    /// From one moment to another.
    #[must_use]
    pub fn new(began: u64, ended: u64) -> Self {
        Self { began, ended }
    }

    /// Whether it was over when another one began.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.ended < other.began
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Nobody schedules it: it passes every gate.
    Unscheduled,
    /// It is executing a statement, or was let go.
    Running,
    Parked,
    Ended,
}

impl Lane {
    fn at(stage: Stage) -> Self {
        let statement = String::new();
        Self { stage, may_go: false, stops: 0, statement, failed: None, span: Span::ALL }
    }
}

/// Before which statements an actor is parked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Stops {
    /// Before every one.
    Every,
    /// Not before those that neither read nor write nor lock what others see, and begin no
    /// snapshot: each can be swapped with every statement of another actor.
    Shared,
}

impl Gates {
    /// Gates for so many actors, all open.
    #[must_use]
    pub fn new(actors: usize) -> Self {
        let actors = (0..actors).map(|_| Lane::at(Stage::Unscheduled)).collect();
        let lanes = Mutex::new(Lanes { actors, events: 0, moments: 0 });
        Self { shared: Arc::new(Shared { lanes, changed: Condvar::new() }) }
    }

    /// What a connection of an actor is instrumented with.
    #[must_use]
    pub fn gate(&self, actor: usize, stops: Stops) -> Gate {
        Gate { gates: self.clone(), actor, stops }
    }

    /// Closes all gates.
    pub fn close(&self) {
        let mut lanes = self.lanes();
        for lane in &mut lanes.actors {
            *lane = Lane::at(Stage::Running);
        }
    }

    /// Opens all gates for good.
    pub(super) fn open(&self) {
        for lane in &mut self.lanes().actors {
            lane.stage = Stage::Unscheduled;
            lane.may_go = true;
        }
        self.shared.changed.notify_all();
    }

    /// Says that an actor has come to its end, and lets its connection go wherever it likes.
    pub fn end(&self, actor: usize) {
        let mut lanes = self.lanes();
        lanes.moments += 1;
        lanes.actors[actor].span.ended = lanes.moments;
        lanes.actors[actor].stage = Stage::Ended;
        lanes.events += 1;
        self.shared.changed.notify_all();
    }

    /// From when to when each actor was at it.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.lanes().actors.iter().map(|lane| lane.span).collect()
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.shared.lanes.lock().unwrap()
    }

    /// Lets an actor execute the statement before which it is parked.
    pub(super) fn let_go(&self, actor: usize) {
        let mut lanes = self.lanes();
        assert_eq!(lanes.actors[actor].stage, Stage::Parked);
        if lanes.actors[actor].is_at_its_first() {
            lanes.moments += 1;
            lanes.actors[actor].span.began = lanes.moments;
        }
        lanes.actors[actor].stage = Stage::Running;
        lanes.actors[actor].may_go = true;
        self.shared.changed.notify_all();
    }

    /// Waits as long as something holds, but not longer than a time.
    pub(super) fn wait_while(&self, time: Duration, condition: impl Fn(&Lanes) -> bool) {
        let lanes = self.lanes();
        drop(self.shared.changed.wait_timeout_while(lanes, time, |lanes| condition(lanes)));
    }

    fn park(&self, actor: usize, statement: String) {
        let mut lanes = self.lanes();
        let lane = &mut lanes.actors[actor];
        if lane.stage != Stage::Running {
            return;
        }
        lane.stage = Stage::Parked;
        lane.stops += 1;
        lane.statement = statement;
        lanes.events += 1;
        self.shared.changed.notify_all();
        let wait = |lanes: &mut Lanes| !lanes.actors[actor].may_go;
        let mut lanes = self.shared.changed.wait_while(lanes, wait).unwrap();
        lanes.actors[actor].may_go = false;
    }

    fn finished(&self, actor: usize, statement: String, failed: bool) {
        let lane = &mut self.lanes().actors[actor];
        if failed {
            lane.failed = Some(statement);
        } else if lane.failed.as_ref() == Some(&statement) {
            lane.failed = None;
        }
    }
}

/// The gate of one actor, which its connection comes to before each statement.
#[derive(Debug)]
pub struct Gate {
    gates: Gates,
    actor: usize,
    stops: Stops,
}

impl Instrumentation for Gate {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let statement = text_of(&query.to_string());
                if self.stops == Stops::Every || !is_private(&statement) {
                    self.gates.park(self.actor, statement);
                }
            }
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                let failed = error.is_some();
                if failed || self.gates.lanes().actors[self.actor].failed.is_some() {
                    self.gates.finished(self.actor, text_of(&query.to_string()), failed);
                }
            }
            _ => {}
        }
    }
}

/// A statement without the values and the numbers in it, which differ from run to run.
fn text_of(statement: &str) -> String {
    let text = statement.split(" -- binds:").next().unwrap_or_default();
    text.replace(|character: char| character.is_ascii_digit(), "")
}
