//! What the calls would answer one after the other, written down anew.

use std::collections::BTreeSet;

use diesel_accounts::{Creation, Error, Matched, TakenReason, UserId};

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
            Err(Error::Taken(taken)) if taken.reason() == TakenReason::ByTwoAccounts => {
                match (taken.username_holder(), taken.email_holder()) {
                    (Some(by_username), Some(by_email)) => {
                        Ok(Self::TakenByTwo(by_username, by_email))
                    }
                    _ => Err(Error::Taken(taken)),
                }
            }
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

    /// The answer in a word, for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Existing(_, _, true) => "existing (same creation)",
            Self::Existing(..) => "existing",
            Self::TakenByTwo(..) => "taken",
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

/// Whether the answers and what is stored in the end come of the calls in some order.
#[must_use]
pub fn has_an_order(before: &Rows, calls: &[(Call<'_>, Answer)], after: &Rows) -> bool {
    if calls.is_empty() {
        return before == after;
    }
    (0..calls.len()).any(|first| {
        let mut rows = before.clone();
        let (call, answer) = calls[first];
        let mut rest = calls.to_vec();
        rest.remove(first);
        answers(&mut rows, call, answer) && has_an_order(&rows, &rest, after)
    })
}

/// Makes a call, and says whether it gives an answer.
fn answers(rows: &mut Rows, call: Call<'_>, answer: Answer) -> bool {
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
    let by_username = rows.iter().find(|row| row.1 == person.username).map(|row| &row.0);
    let by_email = rows.iter().find(|row| row.2 == person.email).map(|row| &row.0);
    if rows.iter().any(|row| row.0 == own) {
        return answer == Answer::Existing(person.prepared.id(), Shared::Both, true);
    }
    let existing = |id: &String, wanted: Shared| match answer {
        Answer::Existing(heard, shared, false) => digits(heard) == *id && shared == wanted,
        _ => false,
    };
    match (by_username, by_email) {
        (None, None) => {
            rows.insert((own, person.username.clone(), person.email.clone()));
            answer == Answer::Created(person.prepared.id())
        }
        (Some(id), None) => existing(id, Shared::Username),
        (None, Some(id)) => existing(id, Shared::Email),
        (Some(one), Some(other)) if one == other => existing(one, Shared::Both),
        (Some(one), Some(other)) => match answer {
            Answer::TakenByTwo(by_username, by_email) => {
                digits(by_username) == *one && digits(by_email) == *other
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use diesel_accounts::Policy;

    use super::*;
    use crate::database::policy;
    use crate::schedule::story::Story;

    #[test]
    fn two_creators_of_one_person_are_not_both_the_first() {
        let policy: Policy = policy().build().unwrap();
        let people = Story::SamePerson.people(&policy, 1);
        let calls = Story::SamePerson.calls(&people);
        let [one, other] = [0, 1].map(|person: usize| people[person].prepared.id());
        let row = |id| (digits(id), people[0].username.clone(), people[0].email.clone());
        let created = (calls[0], Answer::Created(one));
        let existing = (calls[1], Answer::Existing(one, Shared::Both, false));
        let none = Rows::new();
        let first = Rows::from([row(one)]);
        let both = Rows::from([row(one), row(other)]);
        assert!(has_an_order(&none, &[created, existing], &first));
        assert!(has_an_order(&none, &[existing, created], &first));
        assert!(!has_an_order(&none, &[existing], &none));
        assert!(!has_an_order(&none, &[created], &none));
        assert!(!has_an_order(&none, &[created, (calls[1], Answer::Created(other))], &both));
        assert!(!has_an_order(&none, &[created, existing], &Rows::from([row(other)])));
    }
}
