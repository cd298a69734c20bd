//! What a record says about each account: when it may have existed, and when it certainly did.

use std::collections::BTreeMap;

use super::register::{Register, Write};
use super::{Evidence, touched};
use crate::history::{
    AccountId, Answer, Call, End, History, Moment, Operation, Password, State, Way,
};

/// The accounts of a record, and who held which name.
pub(super) struct Lives<'a> {
    pub(super) of: BTreeMap<AccountId, Life<'a>>,
    pub(super) usernames: BTreeMap<u32, Holders>,
    pub(super) emails: BTreeMap<u32, Holders>,
    /// A moment after all others.
    pub(super) end: Moment,
}

/// All that is known of the accounts of one id; one that was deleted can be created again.
#[derive(Default)]
pub(super) struct Life<'a> {
    /// The calls that made it, or may have.
    pub(super) births: Vec<Birth<'a>>,
    /// The creations that say that they made nothing.
    pub(super) refusals: Vec<&'a Call>,
    pub(super) deaths: Vec<Death<'a>>,
    /// Calls during which it existed at some instant.
    pub(super) sightings: Vec<&'a Call>,
    /// When it certainly existed all the time, in order.
    pub(super) certain: Vec<Span>,
    pub(super) states: Register<State>,
    pub(super) passwords: Register<Password>,
}

/// A call that made an account, or may have, some time from its invocation to `until`.
pub(super) struct Birth<'a> {
    pub(super) call: &'a Call,
    pub(super) until: Moment,
    pub(super) certainty: Certainty,
}

/// A call that deleted an account, or may have.
pub(super) struct Death<'a> {
    pub(super) call: &'a Call,
    pub(super) until: Moment,
    pub(super) is_certain: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Certainty {
    Certain,
    Possible,
}

/// From one moment on and before another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Span {
    pub(super) from: Moment,
    pub(super) before: Moment,
}

/// Who certainly held a name, and when, in order.
#[derive(Default)]
pub(super) struct Holders(pub(super) Vec<(Span, AccountId)>);

impl<'a> Lives<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let end = 1 + history.calls.iter().map(|call| call.answered).max().unwrap_or_default();
        let mut of = BTreeMap::<AccountId, Life<'_>>::new();
        for call in &history.calls {
            enter(&mut of, history, call);
        }
        let (mut usernames, mut emails) = (BTreeMap::new(), BTreeMap::new());
        for (id, life) in &mut of {
            life.settle();
            let Some((username, email)) = life.names() else { continue };
            for (names, class) in [(&mut usernames, username), (&mut emails, email)] {
                let holders: &mut Holders = names.entry(class).or_default();
                holders.0.extend(life.certain.iter().map(|span| (*span, *id)));
            }
        }
        usernames.values_mut().chain(emails.values_mut()).for_each(|holders| holders.0.sort());
        Self { of, usernames, emails, end }
    }
}

impl Life<'_> {
    /// Whether it may have existed at an instant of these.
    pub(super) fn may_exist(&self, from: Moment, to: Moment) -> bool {
        self.births.iter().any(|birth| self.may_live(birth, from, to))
    }

    /// Whether what one birth made may have existed at an instant of these.
    pub(super) fn may_live(&self, birth: &Birth<'_>, from: Moment, to: Moment) -> bool {
        let is_over = |death: &Death<'_>| {
            death.is_certain && death.call.invoked >= birth.until && death.until < from
        };
        birth.call.invoked <= to && !self.deaths.iter().any(is_over)
    }

    /// Whether it certainly existed at every instant of these.
    pub(super) fn surely_exists(&self, from: Moment, to: Moment) -> bool {
        let after = self.certain.partition_point(|span| span.from <= from);
        self.certain[..after].last().is_some_and(|span| to < span.before)
    }

    /// The classes of its username and email, if all that may have made it agree.
    pub(super) fn names(&self) -> Option<(u32, u32)> {
        let mut names = self.births.iter().map(|birth| birth.names());
        let first = names.next()?;
        names.all(|names| names == first).then_some(first)
    }

    /// Whether it is possible that it has a username of a class, or that it has not.
    pub(super) fn can_have_username(&self, class: u32, has: bool) -> bool {
        self.births.iter().any(|birth| (birth.names().0 == class) == has)
    }

    /// Whether it is possible that it has an email of a class, or that it has not.
    pub(super) fn can_have_email(&self, class: u32, has: bool) -> bool {
        self.births.iter().any(|birth| (birth.names().1 == class) == has)
    }

    /// The calls about it, as evidence.
    pub(super) fn evidence(&self) -> Evidence {
        let births = self.births.iter().map(|birth| birth.call);
        let deaths = self.deaths.iter().map(|death| death.call);
        Evidence::of(births.chain(deaths).chain(self.refusals.iter().copied()))
    }

    /// Sets limits to what was left open, and finds out when it certainly existed.
    fn settle(&mut self) {
        let settled: Vec<(Moment, Moment)> = self
            .sightings
            .iter()
            .copied()
            .chain(self.births.iter().map(|birth| birth.call))
            .filter(|call| settles(call))
            .map(|call| (call.invoked, call.answered))
            .collect();
        for birth in &mut self.births {
            if birth.until > birth.call.answered {
                let later = settled.iter().filter(|(from, _)| *from >= birth.call.answered);
                birth.until = later.map(|(_, to)| *to).fold(birth.until, Moment::min);
            }
            let (from, until) = (birth.call.invoked, birth.until);
            let is_certain = birth.certainty == Certainty::Certain;
            if let Operation::Create { password, .. } = birth.call.operation {
                self.passwords.write(Write { from, until, is_certain, value: password });
                self.states.write(Write { from, until, is_certain, value: State::Active });
            }
        }
        let births = self
            .births
            .iter()
            .filter(|birth| birth.certainty == Certainty::Certain)
            .map(|birth| (birth.call.invoked, birth.until));
        // Whoever saw what could not be there is no witness.
        let sightings = self.sightings.iter().copied();
        let true_ones = sightings
            .filter(|call| self.may_exist(call.invoked, call.answered))
            .map(|call| (call.invoked, call.answered));
        let mut spans: Vec<Span> = births
            .chain(true_ones)
            .filter_map(|(invoked, from)| {
                let later = self.deaths.iter().filter(|death| death.until >= invoked);
                let before = later.map(|death| death.call.invoked).min().unwrap_or(NEVER);
                (from < before).then_some(Span { from, before })
            })
            .collect();
        spans.sort();
        for span in spans {
            match self.certain.last_mut() {
                Some(last) if span.from <= last.before => {
                    last.before = last.before.max(span.before);
                }
                _ => self.certain.push(span),
            }
        }
    }
}

impl Birth<'_> {
    pub(super) fn names(&self) -> (u32, u32) {
        match self.call.operation {
            Operation::Create { username, email, .. } => (username.class, email.class),
            _ => unreachable!("only creations create"),
        }
    }
}

impl Holders {
    /// Who certainly held the name at every instant of these, but for one account.
    pub(super) fn throughout(
        &self,
        from: Moment,
        to: Moment,
        but: Option<AccountId>,
    ) -> Option<AccountId> {
        let after = self.0.partition_point(|(span, _)| span.from <= from);
        // If they overlap, that is found by itself; two will do.
        let mut last = self.0[..after].iter().rev().take(2);
        last.find(|(span, id)| to < span.before && Some(*id) != but).map(|(_, id)| *id)
    }
}

/// Enters what a call says of accounts.
fn enter<'a>(of: &mut BTreeMap<AccountId, Life<'a>>, history: &'a History, call: &'a Call) {
    let mut see = |id: AccountId| of.entry(id).or_default().sightings.push(call);
    match call.library_answer() {
        Answer::Existing { id, .. } | Answer::Accepted { id } => see(*id),
        Answer::Found(sight) => see(sight.id),
        Answer::Taken { by_username, by_email, .. } => {
            by_username.iter().for_each(|id| see(*id));
            by_email.iter().filter(|id| Some(**id) != *by_username).for_each(|id| see(*id));
        }
        _ => {}
    }
    let is_done = match call.answer {
        Answer::Done => Some(true),
        Answer::Unknown { .. } => Some(false),
        _ => None,
    };
    let until = if is_done == Some(true) { call.answered } else { NEVER };
    let from = call.invoked;
    let is_certain = is_done == Some(true);
    match call.operation {
        Operation::Create { id, .. } => {
            let life = of.entry(id).or_default();
            match made(history, call) {
                Some(certainty) => {
                    let until = match (certainty, &call.answer) {
                        // What was not heard may be done after it was given up: for as long as the
                        // server goes on with a statement.
                        (Certainty::Possible, Answer::Undetermined)
                        | (_, Answer::Transaction { end: End::Unknown, .. }) => {
                            call.answered.saturating_add(call.longest_step)
                        }
                        _ => call.answered,
                    };
                    life.births.push(Birth { call, until, certainty });
                }
                None => life.refusals.push(call),
            }
        }
        Operation::Delete { id } if is_done.is_some() => {
            let life = of.entry(id).or_default();
            life.deaths.push(Death { call, until, is_certain });
        }
        Operation::Reserve { id } | Operation::Disable { id } | Operation::Enable { id }
            if is_done.is_some() =>
        {
            let life = of.entry(id).or_default();
            let value = match call.operation {
                Operation::Reserve { .. } => State::Reserved,
                Operation::Disable { .. } => State::Disabled,
                _ => State::Active,
            };
            life.states.write(Write { from, until, is_certain, value });
            if value == State::Reserved {
                let value = Password::NONE;
                life.passwords.write(Write { from, until, is_certain, value });
            }
            if is_certain {
                life.sightings.push(call);
            }
        }
        Operation::ChangePassword { id, new, .. } | Operation::SetPassword { id, new }
            if is_done.is_some() =>
        {
            let life = of.entry(id).or_default();
            life.passwords.write(Write { from, until, is_certain, value: new });
            if is_certain {
                life.sightings.push(call);
            }
        }
        _ => {}
    }
}

/// Whether a creation made an account; `None` if it says that it did not.
fn made(history: &History, call: &Call) -> Option<Certainty> {
    match &call.answer {
        Answer::Created => Some(Certainty::Certain),
        Answer::Undetermined => Some(Certainty::Possible),
        // A caller that was killed commits only what it created.
        Answer::Transaction { inside, end }
            if matches!(**inside, Answer::Created | Answer::Undetermined) =>
        {
            let is_committed = match end {
                End::Committed => true,
                End::RolledBack => false,
                // The host's row and the account are written together.
                End::Unknown => history.host_rows.contains(&call.number),
            };
            is_committed.then_some(Certainty::Certain)
        }
        // It may have made one by a try whose answer was lost, which was deleted, and made again by
        // another call. (Of somebody else such a call is not told.)
        Answer::Existing { same_creation: true, .. } if touched(history, call) => {
            let by_pool = |way: &Way| matches!(way, Way::Pool | Way::Prepared);
            matches!(&call.operation, Operation::Create { way, .. } if by_pool(way))
                .then_some(Certainty::Possible)
        }
        _ => None,
    }
}

/// Whether a creation knows what became of all earlier ones of its id: the row is there.
fn settles(call: &Call) -> bool {
    match (&call.operation, &call.answer) {
        (Operation::Create { .. }, Answer::Created) => true,
        (Operation::Create { id, .. }, Answer::Existing { id: found, .. }) => id == found,
        _ => false,
    }
}

pub(super) const NEVER: Moment = Moment::MAX;
