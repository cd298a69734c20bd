//! Cases: a story, told at chosen places under a policy, in every order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use diesel_accounts::{Duplicates, Policy};

use crate::database::{Database, policy};
use crate::schedule::actor::{Actor, Place, Told};
use crate::schedule::choices::Choices;
use crate::schedule::gates::{Gates, Span, Stops};
use crate::schedule::model::{Answer, Heard, Rows, digits, has_an_order};
use crate::schedule::run::{Manners, SECOND_LOOK, Scheduler};
use crate::schedule::story::{Call, Person, Story};
use crate::schedule::watch::{ScheduledConnection, Watch};

/// A story and where each of its calls is made.
#[derive(Clone, Debug)]
pub struct Case {
    /// The story.
    pub story: Story,
    /// The place of each actor.
    pub places: Vec<Place>,
    /// Before which statements the actors are parked.
    pub stops: Stops,
    /// What the policy of all of them answers who wants a name that somebody has.
    pub duplicates: Duplicates,
    /// Whether also such orders are taken as differ by swaps alone that nobody can notice.
    pub swapped_too: bool,
}

impl Case {
    /// Under the default policy.
    #[must_use]
    pub fn new(story: Story, places: Vec<Place>, stops: Stops) -> Self {
        let swapped_too = places.len() < 3;
        Self { story, places, stops, duplicates: Duplicates::ReturnExisting, swapped_too }
    }

    /// Under a policy that refuses.
    #[must_use]
    pub fn refusing(self) -> Self {
        Self { duplicates: Duplicates::Refuse, ..self }
    }

    /// In every order.
    #[must_use]
    pub fn swapped_too(self) -> Self {
        Self { swapped_too: true, ..self }
    }

    /// By what it is told what can be swapped. SQLite chooses by who was refused, and is quick.
    fn manners<C: ScheduledConnection>(&self) -> Option<Vec<Manners>> {
        let manners = |place: &Place| Manners {
            in_transaction: place.is_host(),
            reads_lock: place.is_serializable::<C>(),
        };
        (C::BLOCKS && !self.swapped_too).then(|| self.places.iter().map(manners).collect())
    }

    /// Whether an actor looks up who is there before it hashes.
    fn looks_up(&self, actor: usize) -> bool {
        self.places[actor] == Place::SignUp && self.duplicates == Duplicates::ReturnExisting
    }
}

/// What came of a group of cases.
#[derive(Debug)]
struct Report {
    lines: Vec<String>,
    explored: Explored,
}

/// What was seen in a group of cases.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Explored {
    /// How many orders were taken.
    pub schedules: u64,
    /// How many ways could not be taken as they were chosen, however often they were tried.
    pub not_taken: u64,
    /// In how many an actor made more statements than any does who comes to an end by itself.
    pub bound_met: u64,
    /// How many hosts ran their transactions again and again and gave up.
    pub gave_up: u64,
    /// Where which answers were heard.
    pub answers: BTreeSet<String>,
}

/// Explores cases, each to its end, and writes down what was answered how often.
///
/// # Panics
///
/// When an answer or a state comes of no order of the calls, or must never be.
#[must_use]
pub fn explore<C: ScheduledConnection>(group: &str, cases: &[Case]) -> Explored {
    let database = Database::<C>::new();
    let mut scene =
        Scene { observer: database.connect(), watch: C::watch(&database), database, serial: 0 };
    scene.observer.settle_at_once().unwrap();
    let table = "CREATE TABLE host_rows \
                 (number BIGINT NOT NULL, part VARCHAR(8) NOT NULL, PRIMARY KEY (number, part))";
    scene.observer.batch_execute(table).unwrap();
    let mut report = Report { lines: Vec::new(), explored: Explored::default() };
    for case in cases {
        let line = scene.explore(case, &mut report);
        #[expect(clippy::print_stdout, reason = "a test prints what it saw, when it saw it")]
        {
            println!("{line}");
        }
        report.lines.push(line);
    }
    report.write::<C>(group);
    // Each case has more orders than one.
    assert!(report.explored.schedules > cases.len() as u64);
    report.explored
}

impl Report {
    /// Into `target/proof/interleavings-<engine>-<group>.txt`.
    fn write<C: ScheduledConnection>(&self, group: &str) {
        let folder = crate::verdict::folder();
        std::fs::create_dir_all(&folder).unwrap();
        let engine = C::NAME.to_lowercase();
        let path = folder.join(format!("interleavings-{engine}-{group}.txt"));
        let mut text = self.lines.join("\n");
        let Explored { schedules, not_taken, .. } = self.explored;
        writeln!(text, "\n{}, {group}: {schedules} schedules, {not_taken} ways not taken", C::NAME)
            .unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A database in which one schedule is run after the other.
struct Scene<C: ScheduledConnection> {
    database: Database<C>,
    observer: C,
    watch: Box<dyn Watch>,
    serial: i64,
}

impl<C: ScheduledConnection> Scene<C> {
    fn explore(&mut self, case: &Case, report: &mut Report) -> String {
        let gates = Gates::new(case.places.len());
        let policy = policy().duplicates(case.duplicates).build().unwrap();
        let mut actors = self.actors(case, &policy, &gates);
        let mut choices = Choices::default();
        let mut outcomes = BTreeMap::<String, u64>::new();
        let (mut schedules, mut bound_met, mut waits, mut strayed) = (0_u64, 0, 0, 0_u64);
        let mut repeats = 0;
        loop {
            let mut scheduler = Scheduler {
                sessions: actors.iter().map(Actor::session).collect(),
                watch: &mut *self.watch,
                blocks: C::BLOCKS,
                // The machine may be busy.
                second_look: SECOND_LOOK * (1 + repeats),
                gates: gates.clone(),
                manners: case.manners::<C>(),
                bound_met: 0,
                waits: 0,
                trace: Vec::new(),
            };
            self.serial += 1;
            let people = case.story.people(&policy, self.serial);
            case.story.begin(&policy, &mut self.observer, &people);
            let calls = case.story.calls(&people);
            let (told, spans) =
                tell(&mut scheduler, &mut choices, &mut actors, &policy, self.serial, &calls);
            schedules += 1;
            bound_met += scheduler.bound_met;
            waits += scheduler.waits;
            let trace = std::mem::take(&mut scheduler.trace);
            let place = || format!("{} {case:?} schedule {schedules}: {trace:#?}", C::NAME);
            let looks = |actor: &usize| case.looks_up(*actor);
            for actor in (0..calls.len()).filter(looks) {
                let first = trace.iter().find(|step| step.starts_with(&format!("{actor}: ")));
                let select = format!("{actor}: SELECT");
                assert!(first.is_some_and(|step| step.starts_with(&select)), "{}", place());
            }
            let heard: Vec<Heard<'_>> = (calls.iter().zip(&told).zip(spans))
                .filter_map(|((call, told), span)| {
                    told.answer.map(|answer| Heard { call: *call, answer, span })
                })
                .collect();
            self.judge(case, &people, &told, &heard, place);
            let gave_up = told.iter().filter(|told| told.answer.is_none()).count();
            report.explored.gave_up += u64::try_from(gave_up).unwrap();
            *outcomes.entry(summary(&told)).or_default() += 1;
            if choices.has_strayed() {
                strayed += 1;
                repeats += 1;
                if repeats <= MOST_REPEATS {
                    choices.restart();
                    continue;
                }
                report.explored.not_taken += 1;
            }
            repeats = 0;
            if !choices.next_way() {
                break;
            }
        }
        report.explored.schedules += schedules;
        report.explored.bound_met += bound_met;
        let places: Vec<String> = case.places.iter().map(|place| place.name::<C>()).collect();
        let mut line = format!(
            "{} | {:?}{} | {} | {schedules} schedules, {waits} waits",
            C::NAME,
            case.story,
            if case.duplicates == Duplicates::Refuse { ", refusing" } else { "" },
            places.join(" / "),
        );
        for (count, what) in [(bound_met, "ran past the bound"), (strayed, "strayed")] {
            if count > 0 {
                write!(line, ", {count} {what}").unwrap();
            }
        }
        for (outcome, count) in outcomes {
            report.explored.answers.insert(format!("{}: {outcome}", places.join(" / ")));
            write!(line, " | {count} x {outcome}").unwrap();
        }
        line
    }

    fn actors(&self, case: &Case, policy: &Policy, gates: &Gates) -> Vec<Actor<C>> {
        let actor = |(number, place): (usize, &Place)| {
            Actor::new(&self.database, policy, *place, gates, number, case.stops)
        };
        assert_eq!(case.places.len(), case.story.actors());
        case.places.iter().enumerate().map(actor).collect()
    }

    fn judge(
        &mut self,
        case: &Case,
        people: &[Person],
        told: &[Told],
        heard: &[Heard<'_>],
        place: impl Fn() -> String,
    ) {
        for (told, at) in told.iter().zip(&case.places) {
            assert_eq!(told.wrong, None, "{}", place());
            assert!(told.answer.is_some() || at.is_host(), "{}", place());
            // Every engine shows who is in the way, or fails, unless somebody deletes them.
            assert!(told.saw_nobody == 0 || case.story.has_deleter(), "{told:?}: {}", place());
            // Two who each do one thing cannot wait for each other.
            let is_calm = at.is_at_a_level_without_retries::<C>() && case.places.len() == 2;
            let may_roll_back = !is_calm || case.story.has_deleter();
            assert!(told.rolled_back == 0 || may_roll_back, "{told:?}: {}", place());
        }
        let before: Rows = match case.story.has_holder() {
            true => Rows::from([(
                digits(people[0].prepared.id()),
                people[0].username.clone(),
                people[0].email.clone(),
            )]),
            false => Rows::new(),
        };
        let after = self.rows();
        assert!(
            has_an_order(case.duplicates, &before, heard, &after),
            "no order explains {heard:?} and {after:?}: {}",
            place()
        );
        for id in after.iter().map(|row| &row.0).filter(|id| before.iter().all(|row| row.0 != **id))
        {
            let created =
                |answer: &Answer| matches!(answer, Answer::Created(of) if digits(*of) == *id);
            let times = heard.iter().filter(|heard| created(&heard.answer)).count();
            assert_eq!(times, 1, "{}", place());
        }
        let committed = told.iter().filter_map(|told| told.committed);
        let expected: Vec<i64> =
            committed.flat_map(|number| [number * 10 + 1, number * 10 + 2]).collect();
        assert_eq!(self.host_rows(), expected, "rows of the hosts: {}", place());
    }

    fn rows(&mut self) -> Rows {
        let rows = self.observer.accounts(&format!("s{:08}", self.serial)).unwrap();
        let count = rows.len();
        let rows = Rows::from_iter(rows);
        assert_eq!(rows.len(), count);
        rows
    }

    fn host_rows(&mut self) -> Vec<i64> {
        let (first, last) = (self.serial * 1000, self.serial * 1000 + 999);
        let query = format!(
            "SELECT number * 10 + CASE part WHEN 'before' THEN 1 ELSE 2 END AS number \
             FROM host_rows WHERE number BETWEEN {first} AND {last} ORDER BY 1"
        );
        self.observer.numbers(&query).unwrap()
    }
}

/// Makes all calls, in the order that is chosen.
fn tell<C: ScheduledConnection>(
    scheduler: &mut Scheduler<'_>,
    choices: &mut Choices,
    actors: &mut [Actor<C>],
    policy: &Policy,
    serial: i64,
    calls: &[Call<'_>],
) -> (Vec<Told>, Vec<Span>) {
    let mut acts = Vec::<Box<dyn FnOnce() -> Told + Send + '_>>::new();
    let mut number = serial * 1000;
    for (actor, call) in actors.iter_mut().zip(calls) {
        number += 100;
        acts.push(Box::new(move || actor.act(policy, *call, number)));
    }
    scheduler.run(choices, acts).into_iter().unzip()
}

/// What everybody was told, in words.
fn summary(told: &[Told]) -> String {
    let word = |told: &Told| {
        let word = told.answer.map_or("gave up", Answer::word);
        match told.rolled_back {
            0 => word.to_owned(),
            times => format!("{word}, rolled back {times} x"),
        }
    };
    told.iter().map(word).collect::<Vec<_>>().join(" + ")
}

/// How often a way is tried again that the engine did not let us take: MariaDB removes deleted rows
/// for good when it likes, and what is locked depends on it.
const MOST_REPEATS: u32 = 10;
