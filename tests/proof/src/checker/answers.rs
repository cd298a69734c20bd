//! Whether each answer could have been true at an instant of its call.

use super::lives::{Birth, Holders, Life};
use super::{Case, Rule, Violation};
use crate::history::{AccountId, Answer, Call, Name, Operation, Sight, State, TakenReason};

pub(super) fn judge(case: &Case<'_>, violations: &mut Vec<Violation>) {
    for call in &case.history.calls {
        let judge = Judge { case, call };
        if let Some((rule, text, about)) = judge.wrong() {
            let about = about.and_then(|id| case.lives.of.get(&id));
            let evidence = about.map(Life::evidence).unwrap_or_default();
            violations.push(Violation::new(rule, text, evidence.and_calls([call])));
        }
    }
}

/// What is wrong, and with which account.
type Wrong = Option<(Rule, String, Option<AccountId>)>;

struct Judge<'a> {
    case: &'a Case<'a>,
    call: &'a Call,
}

impl Judge<'_> {
    fn wrong(&self) -> Wrong {
        match (&self.call.operation, self.call.library_answer()) {
            (Operation::Create { .. }, answer) => self.creation(answer),
            (Operation::FindId { id }, Answer::Found(sight)) => {
                if sight.id != *id {
                    return wrong(Rule::FoundWasThere, "another account was found", *id);
                }
                self.found(sight)
            }
            (Operation::FindUsername { username }, Answer::Found(sight)) => {
                if sight.username.class != username.class {
                    return wrong(Rule::FoundWasThere, "it has another username", sight.id);
                }
                self.found(sight)
            }
            (Operation::FindEmail { email }, Answer::Found(sight)) => {
                if sight.email.class != email.class {
                    return wrong(Rule::FoundWasThere, "it has another email", sight.id);
                }
                self.found(sight)
            }
            (Operation::FindUsername { username }, Answer::NotFound) => {
                self.not_found(self.holder_of_username(*username))
            }
            (Operation::FindEmail { email }, Answer::NotFound) => {
                self.not_found(self.holder_of_email(*email))
            }
            (Operation::FindId { id }, Answer::NotFound) => self.not_found(Some(*id)),
            (
                Operation::Delete { id }
                | Operation::Reserve { id }
                | Operation::Disable { id }
                | Operation::Enable { id }
                | Operation::SetPassword { id, .. }
                | Operation::ChangePassword { id, .. },
                Answer::Done | Answer::NotFound,
            ) => self.change(*id),
            _ => None,
        }
    }

    fn creation(&self, answer: &Answer) -> Wrong {
        let Operation::Create { id: own, username, email, refuses_duplicates, .. } =
            self.call.operation
        else {
            return None;
        };
        match *answer {
            Answer::Existing { id, by_username, by_email, same_creation } => {
                let rule = Rule::ExistingExisted;
                if let Some(wrong) = self.was_never_there(rule, id) {
                    return Some(wrong);
                }
                let (from, to) = (self.call.invoked, self.call.answered);
                let life = &self.case.lives.of[&id];
                let by_another = |birth: &Birth<'_>| {
                    birth.call.number != self.call.number && life.may_live(birth, from, to)
                };
                if !life.births.iter().any(by_another) {
                    return wrong(rule, "no other call has made it", id);
                }
                if same_creation != (id == own) {
                    return wrong(rule, "it is not told truly whose creation it is", id);
                }
                if refuses_duplicates && !same_creation {
                    return wrong(rule, "the policy refuses duplicates", id);
                }
                let has_names = life.can_have_username(username.class, by_username)
                    && life.can_have_email(email.class, by_email);
                if !has_names || !by_username && !by_email {
                    return wrong(rule, "it does not have the names it is said to have", id);
                }
                if self.is_surely(life, State::Reserved) {
                    return wrong(rule, "it was reserved", id);
                }
                let another = self.another_holder(username, by_username, id).or_else(|| {
                    let holders = self.case.lives.emails.get(&email.class);
                    self.other_than(holders, by_email.then_some(id))
                });
                another.and_then(|_| wrong(rule, "another account had one of the names", id))
            }
            Answer::Taken { by_username, by_email, reason } => {
                self.taken((username, by_username), (email, by_email), reason, refuses_duplicates)
            }
            Answer::IdReused => {
                let life = &self.case.lives.of[&own];
                let is_another = life.births.iter().any(|birth| {
                    birth.names() != (username.class, email.class)
                        && life.may_live(birth, self.call.invoked, self.call.answered)
                });
                match is_another {
                    true => None,
                    false => wrong(Rule::ReusedIdWasUsed, "nobody else had the id", own),
                }
            }
            _ => None,
        }
    }

    fn taken(
        &self,
        (username, by_username): (Name, Option<AccountId>),
        (email, by_email): (Name, Option<AccountId>),
        reason: TakenReason,
        refuses_duplicates: bool,
    ) -> Wrong {
        let rule = Rule::TakenWasTaken;
        let named: Vec<AccountId> = by_username.into_iter().chain(by_email).collect();
        for id in &named {
            if let Some(wrong) = self.was_never_there(rule, *id) {
                return Some(wrong);
            }
        }
        let lives = &self.case.lives.of;
        let has_username =
            by_username.is_none_or(|id| lives[&id].can_have_username(username.class, true));
        let has_email = by_email.is_none_or(|id| lives[&id].can_have_email(email.class, true));
        let Some(&first) = named.first() else {
            return Some((rule, "nobody is named".to_owned(), None));
        };
        if !has_username || !has_email {
            return wrong(rule, "it does not have the names it is said to have", first);
        }
        let another = self.other_than(self.case.lives.usernames.get(&username.class), by_username);
        let another =
            another.or_else(|| self.other_than(self.case.lives.emails.get(&email.class), by_email));
        if let Some(another) = another {
            return wrong(rule, "another account had one of the names", another);
        }
        let is_true = match reason {
            TakenReason::TwoAccounts => {
                by_username.is_some() && by_email.is_some() && { by_username != by_email }
            }
            TakenReason::Policy => refuses_duplicates,
            TakenReason::Reserved => named.iter().any(|id| {
                let states = &self.case.lives.of[id].states;
                states.may_be(State::Reserved, self.call.invoked, self.call.answered)
            }),
            TakenReason::Other => false,
        };
        if !is_true {
            return wrong(rule, "the reason is not true", first);
        }
        None
    }

    /// An account that is said to have been there.
    fn was_never_there(&self, rule: Rule, id: AccountId) -> Wrong {
        let Some(life) = self.case.lives.of.get(&id).filter(|life| life.was_asked_for()) else {
            return wrong(Rule::EveryRowWasAskedFor, "nobody asked for this account", id);
        };
        if life.may_exist(self.call.invoked, self.call.answered) {
            return None;
        }
        let is_later = |birth: &Birth<'_>| birth.call.invoked > self.call.answered;
        match life.births.iter().all(is_later) && !life.refusals.is_empty() {
            true => wrong(Rule::NotCreatedHasNoRow, "it was not created, says its creation", id),
            false => wrong(rule, "it did not exist at any instant of the call", id),
        }
    }

    fn found(&self, sight: &Sight) -> Wrong {
        let rule = Rule::FoundWasThere;
        if let Some(wrong) = self.was_never_there(rule, sight.id) {
            return Some(wrong);
        }
        let life = &self.case.lives.of[&sight.id];
        let (from, to) = (self.call.invoked, self.call.answered);
        let has_values = |call: &Call| match call.operation {
            Operation::Create { username, email, .. } => {
                (username, email) == (sight.username, sight.email)
            }
            _ => false,
        };
        let mut births = life.births.iter().filter(|birth| life.may_live(birth, from, to));
        if !births.any(|birth| has_values(birth.call)) {
            return wrong(rule, "it was created with other values", sight.id);
        }
        if sight.state == State::Reserved || !life.states.may_be(sight.state, from, to) {
            return wrong(rule, "it was in another state", sight.id);
        }
        let (username, email) = (Some(sight.id), Some(sight.id));
        let by_username = self.case.lives.usernames.get(&sight.username.class);
        let by_email = self.case.lives.emails.get(&sight.email.class);
        let another =
            self.other_than(by_username, username).or_else(|| self.other_than(by_email, email));
        another.and_then(|_| wrong(rule, "another account had one of the names", sight.id))
    }

    /// Nobody was found, although this account may have been there.
    fn not_found(&self, id: Option<AccountId>) -> Wrong {
        let id = id?;
        let life = self.case.lives.of.get(&id)?;
        let (from, to) = (self.call.invoked, self.call.answered);
        let is_there = life.surely_exists(from, to);
        if is_there && !life.states.may_be(State::Reserved, from, to) {
            return wrong(Rule::ThereIsFound, "it was there all the time", id);
        }
        None
    }

    fn change(&self, id: AccountId) -> Wrong {
        let rule = Rule::ChangesMeetTheirAccount;
        let (from, to) = (self.call.invoked, self.call.answered);
        let Some(life) = self.case.lives.of.get(&id) else {
            return match self.call.answer {
                Answer::Done => wrong(rule, "there was no such account", id),
                _ => None,
            };
        };
        let sees_reserved = matches!(self.call.operation, Operation::Delete { .. });
        match self.call.answer {
            Answer::Done if !life.may_exist(from, to) => {
                wrong(rule, "it did not exist at any instant of the call", id)
            }
            Answer::Done if !sees_reserved && self.is_surely(life, State::Reserved) => {
                // Its own reservation is a write of this call, and certain only after it.
                wrong(rule, "it was reserved", id)
            }
            Answer::NotFound
                if life.surely_exists(from, to)
                    && (sees_reserved || !life.states.may_be(State::Reserved, from, to)) =>
            {
                wrong(rule, "it was there all the time", id)
            }
            _ => None,
        }
    }

    fn is_surely(&self, life: &Life<'_>, state: State) -> bool {
        life.states.surely_is(state, self.call.invoked, self.call.answered)
    }

    fn another_holder(&self, name: Name, is_shared: bool, id: AccountId) -> Option<AccountId> {
        self.other_than(self.case.lives.usernames.get(&name.class), is_shared.then_some(id))
    }

    /// Who certainly had a name all the time, although another is said to have it, or nobody.
    fn other_than(&self, holders: Option<&Holders>, said: Option<AccountId>) -> Option<AccountId> {
        holders?.throughout(self.call.invoked, self.call.answered, said)
    }

    fn holder_of_username(&self, name: Name) -> Option<AccountId> {
        self.other_than(self.case.lives.usernames.get(&name.class), None)
    }

    fn holder_of_email(&self, name: Name) -> Option<AccountId> {
        self.other_than(self.case.lives.emails.get(&name.class), None)
    }
}

fn wrong(rule: Rule, text: &str, id: AccountId) -> Wrong {
    Some((rule, format!("{id:?}: {text}"), Some(id)))
}

impl Life<'_> {
    fn was_asked_for(&self) -> bool {
        !self.births.is_empty() || !self.refusals.is_empty()
    }
}
