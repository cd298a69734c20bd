//! The model of the accounts: who is in whose way, and what changes do.

use std::collections::BTreeMap;

use diesel_accounts::{Matched, TakenReason, UserState};

use crate::answer::{Answer, Failure, Person, Who};
use crate::operation::{HashingRule, Name};

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) realm: u8,
    /// As it was typed; gone when the account is reserved.
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) keys: Keys,
    pub(crate) email_verified_at: Option<i64>,
    pub(crate) password: Option<Secret>,
    pub(crate) state: UserState,
    pub(crate) session_generation: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) password_changed_at: Option<i64>,
    pub(crate) last_sign_in_at: Option<i64>,
    pub(crate) must_change_password: bool,
}

/// What a session or a device of an account holds for: when the account was made, and its session
/// generation.
pub(crate) type Since = (i64, i64);

/// A password, and in which form the hash of it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    pub(crate) text: String,
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Own(HashingRule),
    Foreign,
    Layered(HashingRule),
}

/// Who is equal to whom: here ASCII in lower case, and nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keys {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
}

/// What a creation lays claim to.
pub(crate) struct Claim {
    /// Where it may be known already.
    pub(crate) who: Option<Who>,
    pub(crate) realm: u8,
    pub(crate) keys: Keys,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) rows: BTreeMap<Who, Account>,
}

impl Accounts {
    /// What is answered to a claim that somebody is in the way of; `None` if nobody is.
    pub(crate) fn in_the_way(&self, claim: &Claim, refuses_duplicates: bool) -> Option<Answer> {
        let own = claim.who.and_then(|who| Some((who, self.rows.get(&who)?)));
        if let Some((who, own)) = own {
            return Some(match own.realm == claim.realm && own.keys == claim.keys {
                false => Answer::Failed(Failure::IdReused),
                true if own.state == UserState::Reserved => Answer::Failed(Failure::Taken {
                    username_holder: claim.keys.username.as_ref().map(|_| who),
                    email_holder: claim.keys.email.as_ref().map(|_| who),
                    reason: TakenReason::Reserved,
                }),
                true => Answer::Existing {
                    person: own.person(who),
                    matched: claim.keys.matched(),
                    same_creation: true,
                },
            });
        }
        let holder = |name| self.holder(claim.realm, name, claim.keys.of(name)?);
        let (username_holder, email_holder) = (holder(Name::Username), holder(Name::Email));
        let taken =
            |reason| Answer::Failed(Failure::Taken { username_holder, email_holder, reason });
        let (who, matched) = match (username_holder, email_holder) {
            (None, None) => return None,
            (Some(one), Some(other)) if one != other => {
                return Some(taken(TakenReason::ByTwoAccounts));
            }
            (Some(who), Some(_)) => (who, Matched::Both),
            (Some(who), None) => (who, Matched::Username),
            (None, Some(who)) => (who, Matched::Email),
        };
        let account = &self.rows[&who];
        Some(match account.state {
            UserState::Reserved => taken(TakenReason::Reserved),
            _ if refuses_duplicates => taken(TakenReason::Policy),
            _ => Answer::Existing { person: account.person(who), matched, same_creation: false },
        })
    }

    /// Whoever has the key, reserved or not.
    pub(crate) fn holder(&self, realm: u8, name: Name, key: &str) -> Option<Who> {
        let has_key = |account: &Account| {
            account.realm == realm && account.keys.of(name).is_some_and(|own| own == key)
        };
        self.rows.iter().find(|(_, account)| has_key(account)).map(|(who, _)| *who)
    }

    /// An account that is there for the host.
    pub(crate) fn get(&self, realm: u8, who: Who) -> Option<&Account> {
        self.rows.get(&who).filter(|account| account.is_there(realm))
    }

    pub(crate) fn get_mut(&mut self, realm: u8, who: Who) -> Option<&mut Account> {
        self.rows.get_mut(&who).filter(|account| account.is_there(realm))
    }

    /// All who are there for the host.
    pub(crate) fn people(&self, realm: u8) -> impl Iterator<Item = (Who, &Account)> {
        self.rows
            .iter()
            .map(|(who, account)| (*who, account))
            .filter(move |(_, account)| account.is_there(realm))
    }

    pub(crate) fn search(
        &self,
        realm: u8,
        name: Name,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Person> {
        let (prefix, after) = (prefix.to_ascii_lowercase(), after.map(key_of));
        let mut found: Vec<(&str, Person)> = self
            .people(realm)
            .filter_map(|(who, account)| Some((account.keys.of(name)?, account.person(who))))
            .filter(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, _)| after.as_deref().is_none_or(|after| *key > after))
            .collect();
        found.sort_by_key(|(key, _)| *key);
        found.into_iter().map(|(_, person)| person).take(limit).collect()
    }
}

impl Account {
    pub(crate) fn person(&self, who: Who) -> Person {
        Person {
            who,
            realm: self.realm,
            username: self.username.clone(),
            email: self.email.clone(),
            email_verified_at: self.email_verified_at,
            state: self.state,
            session_generation: self.session_generation,
            created_at: self.created_at,
            updated_at: self.updated_at,
            password_changed_at: self.password_changed_at,
            last_sign_in_at: self.last_sign_in_at,
            must_change_password: self.must_change_password,
        }
    }

    pub(crate) fn since(&self) -> Since {
        (self.created_at, self.session_generation)
    }

    pub(crate) fn set_password(&mut self, password: Option<Secret>, now: i64) {
        self.password_changed_at = password.as_ref().map(|_| now);
        self.password = password;
        self.must_change_password = false;
        self.updated_at = now;
        self.session_generation += 1;
    }

    pub(crate) fn set_state(&mut self, state: UserState, now: i64) {
        self.state = state;
        self.updated_at = now;
        if state != UserState::Active {
            self.session_generation += 1;
        }
    }

    /// Nothing is left but the keys and the times of the row itself.
    pub(crate) fn reserve(&mut self, now: i64) {
        self.set_state(UserState::Reserved, now);
        (self.username, self.email) = (None, None);
        (self.password, self.must_change_password) = (None, false);
        (self.email_verified_at, self.password_changed_at) = (None, None);
        self.last_sign_in_at = None;
    }

    fn is_there(&self, realm: u8) -> bool {
        self.realm == realm && self.state != UserState::Reserved
    }
}

impl Keys {
    pub(crate) fn new(username: Option<&str>, email: Option<&str>) -> Self {
        Self { username: username.map(key_of), email: email.map(key_of) }
    }

    pub(crate) fn of(&self, name: Name) -> Option<&str> {
        match name {
            Name::Username => self.username.as_deref(),
            Name::Email => self.email.as_deref(),
        }
    }

    /// The names that there are.
    fn matched(&self) -> Matched {
        match (&self.username, &self.email) {
            (Some(_), None) => Matched::Username,
            (None, Some(_)) => Matched::Email,
            _ => Matched::Both,
        }
    }
}

pub(crate) fn key_of(typed: &str) -> String {
    typed.trim().to_ascii_lowercase()
}
