//! What the calls would answer one after the other, written down anew.

use std::collections::BTreeSet;

use diesel_accounts::{Creation, Duplicates, Error, Matched, Taken, TakenReason, UserId};

use crate::schedule::gates::Span;
use crate::schedule::story::Call;

/// What an actor was told in the end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "these are all that may be heard")]
pub enum Answer {
    /// The account was created.
    Created(UserId),
    /// It was there, and shares these.
    Existing(UserId, Shared, SameCreation),
    /// The username has one holder, the email another.
    TakenByTwo(UserId, UserId),
    /// The policy refuses whose username or whose email has a holder: that of each.
    Refused(Option<UserId>, Option<UserId>),
    /// It is gone.
    Deleted,
    /// It was not there.
    NotFound,
}

/// Which names an account shares with the one that was asked for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "there are two names")]
pub enum Shared {
    /// The username only.
    Username,
    /// The email only.
    Email,
    /// Both.
    Both,
}

/// Whether the account was made by the same creation.
pub type SameCreation = bool;

impl Answer {
    /// What a creation was answered, if that may be.
    ///
    /// # Errors
    ///
    /// The error that was answered, if it is no answer.
    pub fn to_creation(result: Result<Creation, Error>) -> Result<Self, Error> {
        match result {
            Ok(Creation::Created(user)) => Ok(Self::Created(user.id())),
            Ok(Creation::Existing(existing)) => {
                let shared = match existing.matched() {
                    Matched::Username => Shared::Username,
                    Matched::Email => Shared::Email,
                    Matched::Both => Shared::Both,
                };
                Ok(Self::Existing(existing.user_id(), shared, existing.is_same_creation()))
            }
            Err(Error::Taken(taken)) => match Self::to_refusal(&taken) {
                Some(answer) => Ok(answer),
                None => Err(Error::Taken(taken)),
            },
            Err(error) => Err(error),
        }
    }

    /// What a deletion was answered, if that may be.
    ///
    /// # Errors
    ///
    /// The error that was answered, if it is no answer.
    pub fn to_deletion(result: Result<(), Error>) -> Result<Self, Error> {
        match result {
            Ok(()) => Ok(Self::Deleted),
            Err(Error::UserNotFound) => Ok(Self::NotFound),
            Err(error) => Err(error),
        }
    }

    fn to_refusal(taken: &Taken) -> Option<Self> {
        let holders = (taken.username_holder(), taken.email_holder());
        let text = taken.to_string();
        let says_so = text.contains("username") == holders.0.is_some()
            && text.contains("email") == holders.1.is_some();
        match (taken.reason(), holders) {
            _ if !says_so => None,
            (TakenReason::ByTwoAccounts, (Some(by_username), Some(by_email))) => {
                Some(Self::TakenByTwo(by_username, by_email))
            }
            (TakenReason::Policy, (by_username, by_email)) => {
                Some(Self::Refused(by_username, by_email))
            }
            _ => None,
        }
    }

    /// The answer in a word, for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Existing(_, _, true) => "existing (same creation)",
            Self::Existing(..) => "existing",
            Self::TakenByTwo(..) => "taken",
            Self::Refused(..) => "refused",
            Self::Deleted => "deleted",
            Self::NotFound => "not found",
        }
    }
}

/// An account as it is stored: the digits of its id, its username and its email.
pub type Row = (String, String, String);

/// All accounts with the names of one schedule.
pub type Rows = BTreeSet<Row>;

/// The digits of an id.
#[must_use]
pub fn digits(id: UserId) -> String {
    id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A call, and what was heard of it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "this is all of it")]
pub struct Heard<'a> {
    /// What was asked for.
    pub call: Call<'a>,
    /// What was answered.
    pub answer: Answer,
    /// From when to when.
    pub span: Span,
}

/// Whether the answers and what is stored in the end come of the calls in some order, in which
/// nobody is before one who was answered before they began.
#[must_use]
pub fn has_an_order(
    duplicates: Duplicates,
    before: &Rows,
    heard: &[Heard<'_>],
    after: &Rows,
) -> bool {
    if heard.is_empty() {
        return before == after;
    }
    (0..heard.len()).any(|number| {
        let mut rows = before.clone();
        let mut rest = heard.to_vec();
        let first = rest.remove(number);
        rest.iter().all(|other| !other.span.is_before(first.span))
            && answers(duplicates, &mut rows, first.call, first.answer)
            && has_an_order(duplicates, &rows, &rest, after)
    })
}

/// Makes a call, and says whether it gives an answer.
fn answers(duplicates: Duplicates, rows: &mut Rows, call: Call<'_>, answer: Answer) -> bool {
    let person = match call {
        Call::Create(person) => person,
        Call::Delete(id) => {
            let count = rows.len();
            rows.retain(|row| row.0 != digits(id));
            let gone = rows.len() < count;
            return answer == if gone { Answer::Deleted } else { Answer::NotFound };
        }
    };
    let own = digits(person.prepared.id());
    let by_username = rows.iter().find(|row| row.1 == person.username).map(|row| row.0.clone());
    let by_email = rows.iter().find(|row| row.2 == person.email).map(|row| row.0.clone());
    if rows.iter().any(|row| row.0 == own) {
        // Whoever repeats themselves is refused nothing.
        return answer == Answer::Existing(person.prepared.id(), Shared::Both, true);
    }
    if by_username.is_none() && by_email.is_none() {
        rows.insert((own, person.username.clone(), person.email.clone()));
        return answer == Answer::Created(person.prepared.id());
    }
    match answer {
        Answer::TakenByTwo(username_holder, email_holder) => {
            let holders = (Some(digits(username_holder)), Some(digits(email_holder)));
            are_two(&by_username, &by_email) && holders == (by_username, by_email)
        }
        Answer::Refused(username_holder, email_holder) => {
            let holders = (username_holder.map(digits), email_holder.map(digits));
            duplicates == Duplicates::Refuse
                && !are_two(&by_username, &by_email)
                && holders == (by_username, by_email)
        }
        Answer::Existing(heard, shared, false) => {
            let holder = Some(digits(heard));
            duplicates == Duplicates::ReturnExisting
                && match shared {
                    Shared::Username => by_username == holder && by_email.is_none(),
                    Shared::Email => by_username.is_none() && by_email == holder,
                    Shared::Both => by_username == holder && by_email == holder,
                }
        }
        _ => false,
    }
}

fn are_two(one: &Option<String>, other: &Option<String>) -> bool {
    one.is_some() && other.is_some() && one != other
}

#[cfg(test)]
mod tests {
    use diesel_accounts::Policy;

    use super::*;
    use crate::database::policy;
    use crate::schedule::story::{Person, Story};

    const RETURN: Duplicates = Duplicates::ReturnExisting;

    fn people(story: Story) -> Vec<Person> {
        let policy: Policy = policy().build().unwrap();
        story.people(&policy, 1)
    }

    fn row(person: &Person) -> Row {
        (digits(person.prepared.id()), person.username.clone(), person.email.clone())
    }

    fn heard(call: Call<'_>, answer: Answer) -> Heard<'_> {
        Heard { call, answer, span: Span::ALL }
    }

    #[test]
    fn two_creators_of_one_person_are_not_both_the_first() {
        let people = people(Story::SamePerson);
        let calls = Story::SamePerson.calls(&people);
        let [one, other] = [0, 1].map(|person: usize| people[person].prepared.id());
        let created = heard(calls[0], Answer::Created(one));
        let existing = heard(calls[1], Answer::Existing(one, Shared::Both, false));
        let also_created = heard(calls[1], Answer::Created(other));
        let none = Rows::new();
        let first = Rows::from([row(&people[0])]);
        let both = Rows::from([row(&people[0]), row(&people[1])]);
        assert!(has_an_order(RETURN, &none, &[created, existing], &first));
        assert!(has_an_order(RETURN, &none, &[existing, created], &first));
        assert!(!has_an_order(RETURN, &none, &[existing], &none));
        assert!(!has_an_order(RETURN, &none, &[created], &none));
        assert!(!has_an_order(RETURN, &none, &[created, also_created], &both));
        assert!(!has_an_order(RETURN, &none, &[created, existing], &Rows::from([row(&people[1])])));
    }

    #[test]
    fn a_refusal_names_who_holds_what_under_a_policy_that_refuses() {
        let people = people(Story::SameUsername);
        let calls = Story::SameUsername.calls(&people);
        let one = people[0].prepared.id();
        let created = heard(calls[0], Answer::Created(one));
        let rows = Rows::from([row(&people[0])]);
        let explained = |duplicates, answer| {
            has_an_order(duplicates, &Rows::new(), &[created, heard(calls[1], answer)], &rows)
        };
        let by_username = Answer::Refused(Some(one), None);
        assert!(explained(Duplicates::Refuse, by_username));
        assert!(!explained(RETURN, by_username));
        assert!(!explained(Duplicates::Refuse, Answer::Refused(Some(one), Some(one))));
        assert!(!explained(Duplicates::Refuse, Answer::Refused(None, Some(one))));
        assert!(!explained(Duplicates::Refuse, Answer::Refused(None, None)));
        let other = people[1].prepared.id();
        assert!(!explained(Duplicates::Refuse, Answer::Refused(Some(other), None)));
        let existing = Answer::Existing(one, Shared::Username, false);
        assert!(explained(RETURN, existing) && !explained(Duplicates::Refuse, existing));
    }

    #[test]
    fn nobody_is_in_the_way_who_was_gone_when_the_call_began() {
        let people = people(Story::CreatorAndDeleter);
        let calls = Story::CreatorAndDeleter.calls(&people);
        let holder = people[0].prepared.id();
        let refused = Answer::Refused(Some(holder), Some(holder));
        let explained = |creation, deletion| {
            let heard = [
                Heard { call: calls[0], answer: refused, span: creation },
                Heard { call: calls[1], answer: Answer::Deleted, span: deletion },
            ];
            has_an_order(Duplicates::Refuse, &Rows::from([row(&people[0])]), &heard, &Rows::new())
        };
        assert!(explained(Span::new(1, 3), Span::new(2, 4)));
        assert!(explained(Span::new(1, 2), Span::new(3, 4)));
        assert!(!explained(Span::new(3, 4), Span::new(1, 2)));
    }
}
