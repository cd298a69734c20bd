//! One thread of the load: one thing after another, by chance.

use std::sync::Mutex;

use diesel_accounts::{NewUser, PreparedUser, UserManager};
use fastrand::Rng;

use super::acts::{change_answer, creation_answer, found_answer, password_answer, sign_in_answer};
use super::host::{Intent, transact};
use super::manager::{Manager, is_whole};
use super::people::{Cell, People, Person, account_id, user_id};
use super::server::WorkloadConnection;
use crate::checker::NOT_ASKED;
use crate::history::{Answer, End, Login, Moment, Operation, Thread, Way};

pub(super) struct Worker<'a, 'm, C: WorkloadConnection> {
    managers: &'m [Manager<'a, C>],
    people: &'m Mutex<People>,
    thread: Thread<'a>,
    chance: Rng,
    /// The connections that this thread lends, for each manager one.
    lent: Vec<Option<(C, Moment)>>,
}

impl<'a, 'm, C: WorkloadConnection> Worker<'a, 'm, C> {
    pub(super) fn new(
        thread: u16,
        managers: &'m [Manager<'a, C>],
        people: &'m Mutex<People>,
        chance: Rng,
    ) -> Self {
        let thread = managers[0].recorder.thread(thread);
        let lent = managers.iter().map(|_| None).collect();
        Self { managers, people, thread, chance, lent }
    }

    /// Does one thing, and tells how many calls it was.
    pub(super) fn step(&mut self) -> u64 {
        let cell = {
            let mut people = self.people.lock().unwrap();
            if self.chance.bool() { people.hot() } else { people.cell() }
        };
        let kind = self.chance.u8(0..100);
        if kind < 52 {
            return self.create(cell);
        }
        let Some(person) = self.people.lock().unwrap().somebody(cell, &mut self.chance) else {
            return self.create(cell);
        };
        match kind {
            52..64 => self.change(Operation::Delete { id: account_id(person.id) }),
            64..66 => self.change(Operation::Reserve { id: account_id(person.id) }),
            66..69 => self.change(Operation::Disable { id: account_id(person.id) }),
            69..72 => self.change(Operation::Enable { id: account_id(person.id) }),
            72..75 => self.find(Operation::FindId { id: account_id(person.id) }),
            75..80 => {
                let username = cell.username(&mut self.chance);
                self.find(Operation::FindUsername { username });
            }
            80..85 => {
                let email = cell.email(&mut self.chance);
                self.find(Operation::FindEmail { email });
            }
            85..93 => self.authenticate(person),
            93..97 => self.change_password(person),
            _ => self.set_password(person),
        }
        1
    }

    /// Creates accounts that nobody else knows of.
    pub(super) fn make_anchors(&mut self) {
        for _ in 0..2 {
            let person = {
                let mut people = self.people.lock().unwrap();
                let cell = people.new_cell();
                people.new_person(cell, &mut self.chance)
            };
            if self.ask(person, Way::Pool, 0, false) == Answer::Created {
                self.people.lock().unwrap().remember_anchor(person);
            }
        }
    }

    /// Asks for each undetermined creation again, until an answer settles it.
    pub(super) fn settle(&mut self) {
        let undetermined = self.people.lock().unwrap().take_undetermined();
        for person in undetermined {
            for _ in 0..MOST_QUESTIONS {
                let person = person.spelled_anew(&mut self.chance);
                if is_settled(&self.ask(person, Way::Pool, 0, false)) {
                    break;
                }
            }
        }
    }

    fn create(&mut self, cell: Cell) -> u64 {
        let person = {
            let mut people = self.people.lock().unwrap();
            match self.chance.u8(0..100) {
                0..22 => people.somebody(cell, &mut self.chance),
                22..25 => people.impostor(cell, &mut self.chance),
                _ => None,
            }
            .unwrap_or_else(|| {
                let person = people.new_person(cell, &mut self.chance);
                people.remember(person);
                person
            })
        };
        let way = match self.chance.u8(0..100) {
            0..40 => Way::Pool,
            40..55 => Way::Prepared,
            55..72 => Way::Lent,
            _ => Way::Transaction { isolation: String::new() },
        };
        let manager = self.manager();
        let refuses = self.chance.u8(0..8) == 0;
        let spelled = person.spelled_anew(&mut self.chance);
        let answer = self.ask(spelled, way, manager, refuses);
        if !is_open(&answer) {
            return 1;
        }
        // Some hosts ask again at once, while the fault is still at work; some later.
        if self.chance.bool() {
            let spelled = person.spelled_anew(&mut self.chance);
            let again = self.ask(spelled, Way::Pool, manager, false);
            if is_settled(&again) {
                return 2;
            }
        }
        self.people.lock().unwrap().remember_undetermined(person);
        1
    }

    /// Asks for an account.
    fn ask(&mut self, person: Person, way: Way, manager: usize, refuses: bool) -> Answer {
        let at = &self.managers[manager];
        let users = if refuses { &at.refusing } else { &at.users };
        let new_user = || {
            let (before, after) = (padding(&mut Rng::new()), padding(&mut Rng::new()));
            let username = format!("{before}{}{after}", person.username.username());
            let email = format!("{after}{}{before}", person.email.email());
            NewUser::new(username, email, person.password.text()).with_id(person.id)
        };
        let prepare = || users.prepare(new_user()).expect("it is valid, and there is time to hash");
        match way {
            Way::Pool => self.record(person, Way::Pool, manager, refuses, |recorder, _| {
                creation_answer(recorder, person, users.create_user(new_user()))
            }),
            Way::Prepared => {
                let prepared = prepare();
                self.record(person, Way::Prepared, manager, refuses, |recorder, _| {
                    creation_answer(recorder, person, users.create_prepared_user(&prepared))
                })
            }
            Way::Lent | Way::Transaction { .. } => {
                let prepared = prepare();
                self.ask_on_lent(person, &way, manager, refuses, users, &prepared)
            }
        }
    }

    fn ask_on_lent(
        &mut self,
        person: Person,
        way: &Way,
        manager: usize,
        refuses: bool,
        users: &UserManager<C>,
        prepared: &PreparedUser,
    ) -> Answer {
        let lent = self.lent[manager].take().or_else(|| self.managers[manager].connect());
        let Some((mut conn, since)) = lent else {
            // Nothing was asked of the library.
            return Answer::NotDone { error: NOT_ASKED.to_owned() };
        };
        let mut is_usable = true;
        let answer = if *way == Way::Lent {
            self.record_lent(person, Way::Lent, manager, refuses, since, |recorder, _| {
                creation_answer(recorder, person, users.on(&mut conn).create_user(prepared))
            })
        } else {
            let intent = Intent::by_chance::<C>(&mut self.chance);
            let isolation = format!("{} {}", intent.isolation.0, intent.isolation.1);
            let way = Way::Transaction { isolation };
            self.record_lent(person, way, manager, refuses, since, |recorder, call| {
                let (answer, usable) =
                    transact(&mut conn, users, (person, prepared), intent, call, recorder);
                is_usable = usable;
                answer
            })
        };
        if is_usable && (is_settled(&answer) || is_whole(&mut conn)) {
            self.lent[manager] = Some((conn, since));
        }
        answer
    }

    fn record(
        &mut self,
        person: Person,
        way: Way,
        manager: usize,
        refuses: bool,
        act: impl FnOnce(&crate::history::Recorder, u64) -> Answer,
    ) -> Answer {
        let operation = creation(person, way, refuses);
        let (recorder, caller) = (self.thread.recorder(), self.managers[manager].settings.caller());
        self.thread.call(caller, operation, |call| (act(recorder, call), None))
    }

    fn record_lent(
        &mut self,
        person: Person,
        way: Way,
        manager: usize,
        refuses: bool,
        since: Moment,
        act: impl FnOnce(&crate::history::Recorder, u64) -> Answer,
    ) -> Answer {
        let operation = creation(person, way, refuses);
        let (recorder, caller) = (self.thread.recorder(), self.managers[manager].settings.caller());
        self.thread.call(caller, operation, |call| (act(recorder, call), Some(since)))
    }

    /// Does something through a pool.
    fn act(
        &mut self,
        operation: Operation,
        act: impl FnOnce(&crate::history::Recorder, &UserManager<C>) -> Answer,
    ) {
        let manager = &self.managers[self.manager()];
        let recorder = self.thread.recorder();
        self.thread
            .call(manager.settings.caller(), operation, |_| (act(recorder, &manager.users), None));
    }

    /// Which manager: the larger pools more often, for whoever meets a fault waits.
    fn manager(&mut self) -> usize {
        match self.chance.u8(0..10) {
            0..6 => 0,
            6..9 => 1,
            _ => 2,
        }
    }

    fn change(&mut self, operation: Operation) {
        let asked = operation.clone();
        self.act(operation, |recorder, users| {
            let answer = match asked {
                Operation::Delete { id } => users.delete_user(user_id(id)),
                Operation::Reserve { id } => users.reserve_user(user_id(id)),
                Operation::Disable { id } => users.disable_user(user_id(id)),
                Operation::Enable { id } => users.enable_user(user_id(id)),
                _ => unreachable!("it is no change of state"),
            };
            change_answer(recorder, answer)
        });
    }

    fn find(&mut self, operation: Operation) {
        let (asked, by_login) = (operation.clone(), self.chance.bool());
        self.act(operation, |recorder, users| {
            let answer = match asked {
                Operation::FindId { id } => users.user_by_id(user_id(id)),
                Operation::FindUsername { username } if by_login => {
                    users.user_by_login(&username.username())
                }
                Operation::FindUsername { username } => {
                    users.user_by_username(&username.username())
                }
                Operation::FindEmail { email } if by_login => users.user_by_login(&email.email()),
                Operation::FindEmail { email } => users.user_by_email(&email.email()),
                _ => unreachable!("it is no look-up"),
            };
            found_answer(recorder, answer)
        });
    }

    fn authenticate(&mut self, person: Person) {
        let password = self.people.lock().unwrap().password_of(person.id, &mut self.chance);
        let person = person.spelled_anew(&mut self.chance);
        let (login, text) = match self.chance.bool() {
            true => (Login::Username(person.username), person.username.username()),
            false => (Login::Email(person.email), person.email.email()),
        };
        self.act(Operation::Authenticate { login, password }, |recorder, users| {
            sign_in_answer(recorder, users.authenticate(&text, password.text()))
        });
    }

    fn change_password(&mut self, person: Person) {
        let (current, new) = {
            let mut people = self.people.lock().unwrap();
            let current = people.password_of(person.id, &mut self.chance);
            let new = people.new_password();
            people.give(person.id, new);
            (current, new)
        };
        let operation = Operation::ChangePassword { id: account_id(person.id), current, new };
        self.act(operation, |recorder, users| {
            let answer = users.change_password(person.id, current.text(), new.text());
            password_answer(recorder, answer)
        });
    }

    fn set_password(&mut self, person: Person) {
        let new = {
            let mut people = self.people.lock().unwrap();
            let new = people.new_password();
            people.give(person.id, new);
            new
        };
        let operation = Operation::SetPassword { id: account_id(person.id), new };
        self.act(operation, |recorder, users| {
            change_answer(recorder, users.set_password(person.id, new.text()))
        });
    }
}

fn creation(person: Person, way: Way, refuses_duplicates: bool) -> Operation {
    let Person { id, username, email, password } = person;
    Operation::Create { id: account_id(id), username, email, password, way, refuses_duplicates }
}

/// Whether nobody knows yet what became of a creation.
fn is_open(answer: &Answer) -> bool {
    matches!(answer, Answer::Undetermined | Answer::Transaction { end: End::Unknown, .. })
}

/// Whether an answer tells what became of all earlier creations of its id.
fn is_settled(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Created | Answer::Existing { .. } | Answer::Taken { .. } | Answer::IdReused
    )
}

/// White space that does not belong to what was typed.
fn padding(chance: &mut Rng) -> &'static str {
    chance.choice(["", "", "", " ", "\t", "\u{3000}"]).unwrap_or_default()
}

const MOST_QUESTIONS: u32 = 50;
