//! The model as a whole: what each step is answered, and what is there afterwards.

use std::collections::BTreeMap;

use diesel_accounts::{Field, UserState};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

use crate::accounts::{Account, Accounts, Since};
use crate::answer::{Answer, Failure, Who};
use crate::attempts::{Attempts, MOST_FAILURES, OF_ACCOUNT, Origin, SECOND, Subject};
use crate::chance::{attempts, steps};
use crate::creation::Prepared;
use crate::operation::{Change, Label, NO_PASSWORD, Name, Operation, Scope, Step, Wanted};
use crate::sign_in::{Attempt, Device};

/// Everything that the model knows.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) now: i64,
    pub(crate) tables: Tables,
    focus: Focus,
    /// Whom the labels of fresh ids name.
    pub(crate) fresh: BTreeMap<u8, Who>,
    pub(crate) made: u32,
    pub(crate) prepared: BTreeMap<u8, Prepared>,
    pub(crate) devices: BTreeMap<u8, Device>,
    pub(crate) devices_made: u32,
    sign_ins: BTreeMap<u8, Attempt>,
    changes: BTreeMap<u8, (Attempt, String)>,
    sessions: BTreeMap<u8, (u8, Who, Since)>,
    in_transaction: bool,
    /// What the last step was answered, operation by operation.
    pub(crate) answers: Vec<Answer>,
}

/// What a transaction of the host's can take back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) accounts: Accounts,
    pub(crate) attempts: Attempts,
}

impl Tables {
    /// Forgets what is old, and tells how many rows that were.
    pub(crate) fn forget_old_attempts(&mut self, now: i64) -> usize {
        let Self { accounts, attempts } = self;
        attempts.forget_old(now, |who| accounts.rows.contains_key(&who))
    }
}

/// What a history is about.
#[derive(Clone, Copy, Debug)]
enum Focus {
    Everything,
    /// One account, and all that is done with its password.
    Attempts,
}

/// When every history begins.
pub(crate) const BEGINNING: i64 = 1_800_000_000 * SECOND;

#[derive(Debug)]
pub(crate) struct Reference;

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        select(vec![Focus::Everything, Focus::Attempts]).prop_map(State::new).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        match state.focus {
            Focus::Everything => steps(),
            Focus::Attempts => attempts(),
        }
    }

    fn apply(mut state: State, step: &Step) -> State {
        state.answers = match step {
            Step::Pooled(operation) | Step::Lent(operation) => vec![state.perform(operation)],
            Step::InTransaction { commit, operations } => {
                let before = state.tables.clone();
                state.in_transaction = true;
                let answers = operations.iter().map(|operation| state.perform(operation)).collect();
                state.in_transaction = false;
                if !commit {
                    state.tables = before;
                }
                answers
            }
            Step::TimePasses { micros, .. } => {
                state.now += micros;
                vec![Answer::Forgotten(state.tables.forget_old_attempts(state.now))]
            }
        };
        state
    }
}

impl State {
    fn new(focus: Focus) -> Self {
        Self {
            now: BEGINNING,
            tables: Tables::default(),
            focus,
            fresh: BTreeMap::new(),
            made: 0,
            prepared: BTreeMap::new(),
            devices: BTreeMap::new(),
            devices_made: 0,
            sign_ins: BTreeMap::new(),
            changes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            in_transaction: false,
            answers: Vec::new(),
        }
    }

    fn perform(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Create { scope, label, applicant } => self.create(*scope, *label, applicant),
            Operation::Prepare { scope, label, applicant, slot } => {
                self.prepare(*scope, *label, applicant, *slot)
            }
            Operation::CreatePrepared { scope, slot } => match self.prepared.get(slot).cloned() {
                Some(prepared) => self.create_prepared(*scope, &prepared),
                None => Answer::EmptySlot,
            },
            Operation::Import { scope, newcomers } => self.import(*scope, newcomers),
            Operation::Find { scope, wanted } => self.find(scope.realm, wanted),
            Operation::List { scope, after, limit } => self.list(scope.realm, *after, *limit),
            Operation::Search { scope, name, prefix, after, limit } => {
                let accounts = &self.tables.accounts;
                let (after, limit) = (after.as_deref(), page_size(*limit));
                Answer::People(accounts.search(scope.realm, *name, prefix, after, limit))
            }
            Operation::Change { scope, label, change } => self.change(*scope, *label, *change),
            Operation::SetPassword { scope, label, password } => {
                self.set_password(*scope, *label, password)
            }
            Operation::FailedAttempts { scope, label } => self.failed_attempts(*scope, *label),
            Operation::SignIn { scope, visitor, login, password } => {
                match self.begin_sign_in(*scope, *visitor, login) {
                    Ok(attempt) => self.finish_sign_in(*scope, *visitor, attempt, password),
                    Err(failure) => Answer::Failed(failure),
                }
            }
            Operation::BeginSignIn { scope, visitor, login, slot } => {
                let begun = self.begin_sign_in(*scope, *visitor, login);
                done(begun.map(|attempt| _ = self.sign_ins.insert(*slot, attempt)))
            }
            Operation::FinishSignIn { scope, visitor, password, slot } => {
                match self.sign_ins.remove(slot) {
                    Some(attempt) => self.finish_sign_in(*scope, *visitor, attempt, password),
                    None => Answer::EmptySlot,
                }
            }
            Operation::ChangePassword { scope, visitor, label, current, new } => {
                let who = self.who(*label);
                match self.begin_change(*scope, *visitor, who, new) {
                    Ok(attempt) => self.finish_change(*scope, attempt, current, new),
                    Err(failure) => Answer::Failed(failure),
                }
            }
            Operation::BeginChange { scope, visitor, label, new, slot } => {
                let who = self.who(*label);
                let begun = self.begin_change(*scope, *visitor, who, new);
                done(begun.map(|attempt| _ = self.changes.insert(*slot, (attempt, new.clone()))))
            }
            Operation::FinishChange { scope, current, slot } => match self.changes.remove(slot) {
                Some((attempt, new)) => self.finish_change(*scope, attempt, current, &new),
                None => Answer::EmptySlot,
            },
            Operation::RememberSession { scope, label, slot } => {
                let session = self.session(*scope, *label);
                done(session.map(|session| _ = self.sessions.insert(*slot, session)))
            }
            Operation::CheckSession { scope, label, slot } => {
                match (self.sessions.get(slot), self.session(*scope, *label)) {
                    (None, _) => Answer::EmptySlot,
                    (Some(session), Ok(wanted)) => Answer::Holds(*session == wanted),
                    (_, Err(failure)) => Answer::Failed(failure),
                }
            }
            Operation::Check { .. } => Answer::Done,
            Operation::Migrate { .. } => done(self.refuse_transaction()),
        }
    }

    fn find(&self, realm: u8, wanted: &Wanted) -> Answer {
        let accounts = &self.tables.accounts;
        let key = |text: &str| crate::accounts::key_of(text);
        let who = match wanted {
            Wanted::Id(label) => self.who(*label),
            Wanted::Username(text) => accounts.holder(realm, Name::Username, &key(text)),
            Wanted::Email(text) => accounts.holder(realm, Name::Email, &key(text)),
            Wanted::Login(text) => {
                let name = if text.contains('@') { Name::Email } else { Name::Username };
                accounts.holder(realm, name, &key(text))
            }
        };
        let found = who.and_then(|who| Some((who, accounts.get(realm, who)?)));
        Answer::Found(found.map(|(who, account)| account.person(who)))
    }

    fn list(&self, realm: u8, after: Option<Label>, limit: u32) -> Answer {
        let accounts = &self.tables.accounts;
        // A place is known as long as its account is.
        let place = |who| Some((accounts.get(realm, who)?.created_at, who));
        Answer::Page {
            people: accounts.people(realm).map(|(who, account)| account.person(who)).collect(),
            after: after.and_then(|label| self.who(label)).and_then(place),
            limit: page_size(limit),
        }
    }

    fn change(&mut self, scope: Scope, label: Label, change: Change) -> Answer {
        if let (Change::Unlock, Err(failure)) = (change, self.refuse_transaction()) {
            return Answer::Failed(failure);
        }
        let (who, now) = (self.who(label), self.now);
        let Tables { accounts, attempts } = &mut self.tables;
        if let (Change::Delete, Some(who)) = (change, who) {
            // A reserved account can be deleted too.
            if accounts.rows.get(&who).is_some_and(|account| account.realm == scope.realm) {
                accounts.rows.remove(&who);
                attempts.forget(who);
                return Answer::Done;
            }
        }
        let found = who.and_then(|who| Some((who, accounts.get_mut(scope.realm, who)?)));
        let Some((who, account)) = found else {
            return Answer::Failed(Failure::NotFound);
        };
        match change {
            Change::Disable => account.set_state(UserState::Disabled, now),
            Change::Enable => account.set_state(UserState::Active, now),
            Change::Reserve => {
                account.reserve(now);
                attempts.forget(who);
            }
            Change::Delete => unreachable!("whoever is found was deleted above"),
            Change::RemovePassword => {
                account.set_password(None, now);
                attempts.forget(who);
            }
            Change::DemandAnother => {
                account.must_change_password = true;
                account.updated_at = now;
                account.session_generation += 1;
            }
            Change::Unlock => attempts.unlock(who),
        }
        Answer::Done
    }

    fn set_password(&mut self, scope: Scope, label: Label, password: &str) -> Answer {
        let (who, now) = (self.who(label), self.now);
        let found =
            who.and_then(|who| Some((who, self.tables.accounts.get_mut(scope.realm, who)?)));
        let Some((who, account)) = found else {
            return Answer::Failed(Failure::NotFound);
        };
        if password == NO_PASSWORD {
            return Answer::Failed(Failure::Invalid(vec![Field::Password]));
        }
        account.set_password(Some(crate::creation::secret(password, scope)), now);
        self.tables.attempts.forget(who);
        Answer::Done
    }

    fn failed_attempts(&self, scope: Scope, label: Label) -> Answer {
        let found = self.who(label).filter(|who| self.account(scope, *who).is_some());
        let Some(who) = found else {
            return Answer::Failed(Failure::NotFound);
        };
        let (subject, attempts) = (Subject::Account(who), &self.tables.attempts);
        let count = attempts.row(&subject, &Origin::All).in_a_row;
        Answer::FailedAttempts {
            count: u64::try_from(count).expect("a count is not negative"),
            password_is_disabled: count >= i64::from(MOST_FAILURES),
            waits_until: attempts.wait(&subject, &Origin::All, OF_ACCOUNT, self.now),
        }
    }

    /// What the hash in a session stands for.
    fn session(&self, scope: Scope, label: Label) -> Result<(u8, Who, Since), Failure> {
        let who = self.who(label).ok_or(Failure::NotFound)?;
        let account = self.account(scope, who).ok_or(Failure::NotFound)?;
        Ok((account.realm, who, account.since()))
    }

    fn account(&self, scope: Scope, who: Who) -> Option<&Account> {
        self.tables.accounts.get(scope.realm, who)
    }

    pub(crate) fn who(&self, label: Label) -> Option<Who> {
        match label {
            Label::Given(number) => Some(Who::Given(number)),
            Label::Fresh(number) => self.fresh.get(&number).copied(),
        }
    }

    pub(crate) fn refuse_transaction(&self) -> Result<(), Failure> {
        if self.in_transaction { Err(Failure::TransactionOpen) } else { Ok(()) }
    }
}

fn done(result: Result<(), Failure>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(failure) => Answer::Failed(failure),
    }
}

fn page_size(limit: u32) -> usize {
    usize::try_from(limit.min(1_000)).expect("a thousand fits")
}
