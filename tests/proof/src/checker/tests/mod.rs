//! Histories made by hand: good ones, and one bad one for each rule.

use super::{BUSY, MUST_ROLL_BACK, NO_CONNECTION, NOT_CREATED, Rule, check};
use crate::history::{
    AccountId, Answer, Call, End, Fault, History, Leak, Login, Moment, Name, Operation, Password,
    PoolState, Row, Sight, State, TakenReason, VICTIM, Way,
};
use crate::linear::second_opinion;

mod bad;
mod conduct;
mod good;
mod mutations;

const ALICE: AccountId = AccountId(0xa);
const BOB: AccountId = AccountId(0xb);
const EVE: AccountId = AccountId(0xe);

/// A history in the making. Calls last for 10, and follow one another, unless said otherwise.
#[derive(Clone, Default)]
struct Made {
    history: History,
    now: Moment,
}

impl Made {
    fn new() -> Self {
        Self::default()
    }

    /// A call after all others.
    fn then(mut self, operation: Operation, answer: Answer) -> Self {
        self.now += 20;
        let (invoked, answered) = (self.now, self.now + 10);
        self.during(invoked, answered, operation, answer)
    }

    /// A call at a given time.
    fn during(
        mut self,
        invoked: Moment,
        answered: Moment,
        operation: Operation,
        answer: Answer,
    ) -> Self {
        let number = self.history.calls.len() as u64;
        self.now = self.now.max(answered);
        self.history.calls.push(Call {
            number,
            thread: 0,
            manager: 0,
            longest_step: 1000,
            deadline: 0,
            patience: 0,
            invoked,
            answered,
            lent_since: None,
            operation,
            answer,
        });
        self
    }

    fn fault(mut self, from: Moment, to: Moment) -> Self {
        self.history.faults.push(Fault {
            kind: "cut".to_owned(),
            manager: None,
            from,
            to,
            count: 1,
            severs: true,
            stops: false,
            refuses: false,
            slows: 0,
        });
        self
    }

    /// The last call had so much time, and its pool waited for so long.
    fn with_time(mut self, deadline: Moment, patience: Moment) -> Self {
        let call = self.history.calls.last_mut().expect("there is one");
        (call.deadline, call.patience) = (deadline, patience);
        self
    }

    /// Statements could be stopped.
    fn stopped(self, from: Moment, to: Moment) -> Self {
        let mut made = self.locked(from, to);
        made.history.faults.last_mut().expect("it was just added").stops = true;
        made
    }

    /// Rows could be refused.
    fn full(self, from: Moment, to: Moment) -> Self {
        let mut made = self.locked(from, to);
        made.history.faults.last_mut().expect("it was just added").refuses = true;
        made
    }

    /// Others had locks.
    fn locked(self, from: Moment, to: Moment) -> Self {
        let mut made = self.fault(from, to);
        made.history.faults.last_mut().expect("it was just added").severs = false;
        made
    }

    /// The last call was one of a process that was killed.
    fn of_a_victim(mut self) -> Self {
        self.history.calls.last_mut().expect("there is one").manager = VICTIM;
        self
    }

    fn row(mut self, row: Row) -> Self {
        self.history.rows.push(row);
        self
    }

    fn host_row(mut self, call: u64) -> Self {
        self.history.host_rows.push(call);
        self
    }

    /// The rules that are broken, each once; the second opinion is asked too, and never dissents
    /// from a good record.
    fn broken(&self) -> Vec<Rule> {
        let violations = check(&self.history);
        let opinion = second_opinion(&self.history, &violations);
        let all = violations.iter().chain(&opinion.dissents);
        all.clone().for_each(|violation| println!("{violation}"));
        let mut rules: Vec<_> = all.map(|violation| violation.rule).collect();
        rules.sort();
        rules.dedup();
        rules
    }

    fn is_good(&self) {
        assert_eq!(self.broken(), []);
    }

    fn breaks(&self, rule: Rule) {
        self.breaks_all(&[rule]);
    }

    fn breaks_all(&self, rules: &[Rule]) {
        assert_eq!(self.broken(), rules);
    }
}

fn name(class: u32) -> Name {
    Name { class, spelling: 0 }
}

/// A creation from the pool, with a password of the id's number.
fn create(id: AccountId, username: u32, email: u32) -> Operation {
    create_by(Way::Pool, id, username, email)
}

fn create_by(way: Way, id: AccountId, username: u32, email: u32) -> Operation {
    Operation::Create {
        id,
        username: name(username),
        email: name(email),
        password: password_of(id),
        way,
        refuses_duplicates: false,
    }
}

fn in_transaction(id: AccountId, username: u32, email: u32) -> Operation {
    create_by(Way::Transaction { isolation: "SERIALIZABLE".to_owned() }, id, username, email)
}

fn transaction(inside: Answer, end: End) -> Answer {
    Answer::Transaction { inside: Box::new(inside), end }
}

fn password_of(id: AccountId) -> Password {
    Password(u32::try_from(id.0).unwrap())
}

fn existing(id: AccountId, by_username: bool, by_email: bool) -> Answer {
    Answer::Existing { id, by_username, by_email, same_creation: false }
}

fn same(id: AccountId) -> Answer {
    Answer::Existing { id, by_username: true, by_email: true, same_creation: true }
}

fn not_done() -> Answer {
    Answer::NotDone { error: "busy".to_owned() }
}

fn refused(reason: &str) -> Answer {
    Answer::Refused { reason: reason.to_owned() }
}

fn row(id: AccountId, username: u32, email: u32) -> Row {
    Row {
        id,
        username: Some(name(username)),
        email: Some(name(email)),
        state: State::Active,
        password: password_of(id),
    }
}

fn reserved(id: AccountId) -> Row {
    Row { id, username: None, email: None, state: State::Reserved, password: Password::NONE }
}

fn sight(id: AccountId, username: u32, email: u32) -> Answer {
    let (username, email) = (name(username), name(email));
    Answer::Found(Sight { id, username, email, state: State::Active })
}
