//! A second opinion: whether the calls about a few names that belong together can be put in one
//! order in which each answer is true, found by trying orders.
//!
//! The number of orders grows beyond all bounds with the number of calls at once, and with that of
//! calls that may or may not have happened; so only small groups are asked about. The verdict is
//! [`crate::checker`]'s, which has no such limit.

use std::collections::{BTreeMap, BTreeSet};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::checker::{Evidence, Rule, Violation, touched};
use crate::history::{
    AccountId, Answer, Call, End, History, Name, Operation, Row, Sight, State, TakenReason, Way,
};

/// What the second opinion is.
#[derive(Debug, Default)]
pub struct Opinion {
    /// How many groups of names were asked about.
    pub asked: u64,
    /// About how many of them it is that of the checker.
    pub agreed: u64,
    /// How many groups were too large to ask about.
    pub too_large: u64,
    /// Groups that cannot be put in order, although the checker found nothing.
    pub dissents: Vec<Violation>,
}

/// The most calls of a group.
pub const MOST_CALLS: usize = 12;
/// The most of them whose outcome is unknown.
pub const MOST_OPEN: usize = 4;

/// Asks about every group of names that is small enough.
#[must_use]
pub fn second_opinion(history: &History, violations: &[Violation]) -> Opinion {
    let suspects: BTreeSet<u64> = violations
        .iter()
        .flat_map(|violation| violation.evidence.calls.iter().map(|call| call.number))
        .collect();
    let mut opinion = Opinion::default();
    for group in groups(history) {
        let open = group.calls.iter().filter(|call| answer_of(call).is_none()).count();
        if group.calls.len() > MOST_CALLS || open > MOST_OPEN {
            opinion.too_large += 1;
            continue;
        }
        let is_linear = match group.is_linear(&[]) {
            true => Some(true),
            false => group.is_linear_with_lost_tries(history, MOST_OPEN - open),
        };
        let Some(is_linear) = is_linear else {
            opinion.too_large += 1;
            continue;
        };
        let is_suspect = group.calls.iter().any(|call| suspects.contains(&call.number));
        opinion.asked += 1;
        opinion.agreed += u64::from(is_linear != is_suspect);
        if !is_linear && !is_suspect {
            let calls = group.calls.iter().copied();
            opinion.dissents.push(Violation {
                rule: Rule::Linearizable,
                text: "no order of these calls makes every answer true".to_owned(),
                evidence: Evidence { rows: group.rows, ..Evidence::of(calls) },
            });
        }
    }
    opinion
}

/// The calls about names that belong together, and the rows they left.
struct Group<'a> {
    calls: Vec<&'a Call>,
    usernames: BTreeSet<u32>,
    emails: BTreeSet<u32>,
    rows: Vec<Row>,
}

/// Puts calls in groups: two names belong together if a creation had both.
fn groups(history: &History) -> Vec<Group<'_>> {
    let mut parents = BTreeMap::<Key, Key>::new();
    let mut names = BTreeMap::<AccountId, Key>::new();
    for call in &history.calls {
        if let Operation::Create { id, username, email, .. } = call.operation {
            let (username, email) = (Key::Username(username.class), Key::Email(email.class));
            for key in [email, *names.entry(id).or_insert(username)] {
                let (one, other) = (root(&parents, username), root(&parents, key));
                if one != other {
                    parents.insert(one, other);
                }
            }
        }
    }
    let mut groups = BTreeMap::<Key, Group<'_>>::new();
    for call in history.calls.iter().filter(|call| says_something(history, call)) {
        let key = match call.operation {
            Operation::Create { username, .. } | Operation::FindUsername { username } => {
                Key::Username(username.class)
            }
            Operation::FindEmail { email } => Key::Email(email.class),
            Operation::Delete { id } | Operation::Reserve { id } | Operation::FindId { id } => {
                match names.get(&id) {
                    Some(key) => *key,
                    None => continue,
                }
            }
            _ => continue,
        };
        let group = groups.entry(root(&parents, key)).or_insert_with(|| Group {
            calls: Vec::new(),
            usernames: BTreeSet::new(),
            emails: BTreeSet::new(),
            rows: Vec::new(),
        });
        if let Operation::Create { username, email, .. } = call.operation {
            group.usernames.insert(username.class);
            group.emails.insert(email.class);
        }
        group.calls.push(call);
    }
    for row in &history.rows {
        let group = names.get(&row.id).and_then(|key| groups.get_mut(&root(&parents, *key)));
        if let Some(group) = group {
            group.rows.push(*row);
        }
    }
    groups.into_values().collect()
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    Username(u32),
    Email(u32),
}

fn root(parents: &BTreeMap<Key, Key>, mut key: Key) -> Key {
    while let Some(parent) = parents.get(&key) {
        key = *parent;
    }
    key
}

/// Whether a call says something of which accounts there are.
fn says_something(history: &History, call: &Call) -> bool {
    match (&call.operation, &call.answer) {
        (Operation::Create { .. }, Answer::Transaction { inside, .. }) => match **inside {
            Answer::Created | Answer::Undetermined => was_committed(history, call),
            _ => !matches!(**inside, Answer::NotDone { .. } | Answer::Strange { .. }),
        },
        (_, Answer::NotDone { .. } | Answer::Strange { .. }) => false,
        (
            Operation::Create { .. }
            | Operation::Delete { .. }
            | Operation::Reserve { .. }
            | Operation::FindId { .. }
            | Operation::FindUsername { .. }
            | Operation::FindEmail { .. },
            answer,
        ) => {
            let is_change =
                matches!(call.operation, Operation::Delete { .. } | Operation::Reserve { .. });
            is_change || !matches!(answer, Answer::Unknown { .. })
        }
        _ => false,
    }
}

/// The answer as it stands in the end; `None` if nobody knows whether the call took effect.
fn answer_of(call: &Call) -> Option<Answer> {
    match &call.answer {
        Answer::Undetermined | Answer::Unknown { .. } => None,
        Answer::Transaction { inside, end } => match (&**inside, end) {
            // Its row tells that it was committed, but not when.
            (Answer::Created | Answer::Undetermined, End::Unknown) => None,
            (Answer::Undetermined, End::Committed) => Some(Answer::Created),
            (inside, _) => Some(inside.clone()),
        },
        answer => Some(answer.clone()),
    }
}

fn was_committed(history: &History, call: &Call) -> bool {
    match call.answer {
        Answer::Transaction { end: End::Committed, .. } => true,
        Answer::Transaction { end: End::Unknown, .. } => history.host_rows.contains(&call.number),
        _ => false,
    }
}

impl Group<'_> {
    /// Whether the calls can be put in order, with more creations that may have happened.
    fn is_linear(&self, lost_tries: &[&Call]) -> bool {
        let mut tester = LinearizabilityTester::new(Accounts::default());
        let mut instants = Vec::new();
        for (thread, call) in self.calls.iter().enumerate() {
            instants.push((call.invoked, false, thread, *call));
            if answer_of(call).is_some() {
                instants.push((call.answered, true, thread, *call));
            }
        }
        for (thread, call) in lost_tries.iter().enumerate() {
            instants.push((call.invoked, false, self.calls.len() + thread, *call));
        }
        // Of two calls of which one ends as the other begins, neither is first.
        instants.sort_by_key(|(moment, is_end, thread, _)| (*moment, *is_end, *thread));
        for (_, is_end, thread, call) in instants {
            match (is_end, answer_of(call)) {
                (true, Some(answer)) => tester.on_return(thread, answer).map(|_| ()),
                _ => tester.on_invoke(thread, call.operation.clone()).map(|_| ()),
            }
            .expect("each call is a thread of its own");
        }
        let first = self.calls.len() + lost_tries.len();
        for (number, (operation, answer)) in self.last_look_ups().into_iter().enumerate() {
            tester.on_invoke(first + number, operation).expect("it is a thread of its own");
            tester.on_return(first + number, answer).expect("it was invoked");
        }
        tester.is_consistent()
    }

    /// The same, if calls that a fault touched may have inserted an account by a try whose answer
    /// was lost, which was deleted before they did it again; `None` if there are too many of them.
    fn is_linear_with_lost_tries(&self, history: &History, most: usize) -> Option<bool> {
        let tries: Vec<&Call> = self
            .calls
            .iter()
            .copied()
            .filter(|call| {
                let by_pool = Way::Pool == way(call) || Way::Prepared == way(call);
                let is_own = matches!(
                    call.answer,
                    Answer::Created | Answer::Existing { same_creation: true, .. }
                );
                by_pool && is_own && touched(history, call)
            })
            .collect();
        match tries.len() {
            0 => Some(false),
            tries if tries > most => None,
            _ => Some(self.is_linear(&tries)),
        }
    }

    /// The rows at the end, as if they had been looked up.
    fn last_look_ups(&self) -> Vec<(Operation, Answer)> {
        let name = |class: &u32| Name { class: *class, spelling: 0 };
        let usernames = self.usernames.iter().map(|class| {
            let has = |row: &&Row| row.username.is_some_and(|name| name.class == *class);
            let answer = self.rows.iter().find(has).map_or(Answer::NotFound, found);
            (Operation::FindUsername { username: name(class) }, answer)
        });
        let emails = self.emails.iter().map(|class| {
            let has = |row: &&Row| row.email.is_some_and(|name| name.class == *class);
            let answer = self.rows.iter().find(has).map_or(Answer::NotFound, found);
            (Operation::FindEmail { email: name(class) }, answer)
        });
        usernames.chain(emails).collect()
    }
}

fn way(call: &Call) -> Way {
    match &call.operation {
        Operation::Create { way, .. } => way.clone(),
        _ => Way::Lent,
    }
}

fn found(row: &Row) -> Answer {
    let (username, email) =
        (row.username.unwrap_or(Name::STRANGE), row.email.unwrap_or(Name::STRANGE));
    Answer::Found(Sight { id: row.id, username, email, state: row.state })
}

/// Accounts as they would be if calls came one after the other.
#[derive(Clone, Debug, Default)]
struct Accounts(Vec<Account>);

#[derive(Clone, Copy, Debug)]
struct Account {
    id: AccountId,
    username: Name,
    email: Name,
    is_reserved: bool,
}

impl SequentialSpec for Accounts {
    type Op = Operation;
    type Ret = Answer;

    fn invoke(&mut self, operation: &Operation) -> Answer {
        let visible = |account: &&Account| !account.is_reserved;
        match *operation {
            Operation::Create { id, username, email, refuses_duplicates, .. } => {
                self.create(Account { id, username, email, is_reserved: false }, refuses_duplicates)
            }
            Operation::Delete { id } => {
                let before = self.0.len();
                self.0.retain(|account| account.id != id);
                if self.0.len() < before { Answer::Done } else { Answer::NotFound }
            }
            Operation::Reserve { id } => {
                let account = self.0.iter_mut().find(|account| account.id == id);
                match account.filter(|account| !account.is_reserved) {
                    Some(account) => {
                        account.is_reserved = true;
                        Answer::Done
                    }
                    None => Answer::NotFound,
                }
            }
            Operation::FindId { id } => {
                seen(self.0.iter().filter(visible).find(|account| account.id == id))
            }
            Operation::FindUsername { username } => {
                let has = |account: &&Account| account.username.class == username.class;
                seen(self.0.iter().filter(visible).find(has))
            }
            Operation::FindEmail { email } => {
                let has = |account: &&Account| account.email.class == email.class;
                seen(self.0.iter().filter(visible).find(has))
            }
            _ => unreachable!("other calls make and remove no account"),
        }
    }

    /// Of who is found, the id is compared.
    fn is_valid_step(&mut self, operation: &Operation, answer: &Answer) -> bool {
        match (self.invoke(operation), answer) {
            (Answer::Found(one), Answer::Found(other)) => one.id == other.id,
            (one, other) => one == *other,
        }
    }
}

impl Accounts {
    fn create(&mut self, new: Account, refuses_duplicates: bool) -> Answer {
        let has_username = |account: &Account| account.username.class == new.username.class;
        let has_email = |account: &Account| account.email.class == new.email.class;
        let taken = |by_username, by_email, reason| Answer::Taken { by_username, by_email, reason };
        if let Some(own) = self.0.iter().find(|account| account.id == new.id) {
            let id = new.id;
            return match (has_username(own) && has_email(own), own.is_reserved) {
                (false, _) => Answer::IdReused,
                (true, true) => taken(Some(id), Some(id), TakenReason::Reserved),
                (true, false) => {
                    let (by_username, by_email) = (true, true);
                    Answer::Existing { id, by_username, by_email, same_creation: true }
                }
            };
        }
        let by_username = self.0.iter().find(|account| has_username(account)).copied();
        let by_email = self.0.iter().find(|account| has_email(account)).copied();
        let ids = (by_username.map(|account| account.id), by_email.map(|account| account.id));
        let Some(holder) = by_username.or(by_email) else {
            self.0.push(new);
            return Answer::Created;
        };
        if ids.0.is_some() && ids.1.is_some() && ids.0 != ids.1 {
            return taken(ids.0, ids.1, TakenReason::TwoAccounts);
        }
        if holder.is_reserved {
            return taken(ids.0, ids.1, TakenReason::Reserved);
        }
        if refuses_duplicates {
            return taken(ids.0, ids.1, TakenReason::Policy);
        }
        let (by_username, by_email) = (ids.0.is_some(), ids.1.is_some());
        Answer::Existing { id: holder.id, by_username, by_email, same_creation: false }
    }
}

fn seen(account: Option<&Account>) -> Answer {
    match account {
        Some(Account { id, username, email, .. }) => {
            let (id, username, email) = (*id, *username, *email);
            Answer::Found(Sight { id, username, email, state: State::Active })
        }
        None => Answer::NotFound,
    }
}
