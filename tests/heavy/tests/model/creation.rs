//! The model of creations and imports.

use std::collections::BTreeSet;

use diesel_accounts::{Field, TakenReason, UserState};

use crate::accounts::{Account, Claim, Form, Keys, Secret};
use crate::answer::{Answer, Failure, Import, Who};
use crate::operation::{
    Applicant, ForeignHash, Label, NO_EMAIL, NO_PASSWORD, NO_USERNAME, Newcomer, PASSWORDS, Scope,
};
use crate::reference::State;

/// Somebody who is valid, and whose password is hashed.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    who: Who,
    names: Names,
    password: Option<Secret>,
}

/// What was typed, if it can be had.
#[derive(Clone, Debug)]
struct Names {
    username: Option<String>,
    email: Option<String>,
}

impl State {
    pub(crate) fn create(&mut self, scope: Scope, label: Label, applicant: &Applicant) -> Answer {
        let names = match valid(applicant) {
            Ok(names) => names,
            Err(fields) => return Answer::Failed(Failure::Invalid(fields)),
        };
        let password = applicant.password.as_deref().map(|text| secret(text, scope));
        let who = match label {
            Label::Given(number) => Some(Who::Given(number)),
            Label::Fresh(_) => None,
        };
        let claim = names.claim(who, scope);
        if let Some(answer) =
            self.tables.accounts.in_the_way(&claim, scope.rules.refuses_duplicates)
        {
            return answer;
        }
        let who = self.named(who, Some(label));
        let account = names.account(claim, password, self.now);
        let person = account.person(who);
        self.tables.accounts.rows.insert(who, account);
        Answer::Created(person)
    }

    pub(crate) fn prepare(
        &mut self,
        scope: Scope,
        label: Label,
        applicant: &Applicant,
        slot: u8,
    ) -> Answer {
        let names = match valid(applicant) {
            Ok(names) => names,
            Err(fields) => return Answer::Failed(Failure::Invalid(fields)),
        };
        let who = match label {
            Label::Given(number) => Some(Who::Given(number)),
            Label::Fresh(_) => None,
        };
        let who = self.named(who, Some(label));
        let password = applicant.password.as_deref().map(|text| secret(text, scope));
        self.prepared.insert(slot, Prepared { who, names, password });
        Answer::Prepared(who)
    }

    pub(crate) fn create_prepared(&mut self, scope: Scope, prepared: &Prepared) -> Answer {
        let who = prepared.who;
        let claim = prepared.names.claim(Some(who), scope);
        if let Some(answer) =
            self.tables.accounts.in_the_way(&claim, scope.rules.refuses_duplicates)
        {
            return answer;
        }
        let account = prepared.names.account(claim, prepared.password.clone(), self.now);
        let person = account.person(who);
        self.tables.accounts.rows.insert(who, account);
        Answer::Created(person)
    }

    /// As if they were imported one after the other.
    pub(crate) fn import(&mut self, scope: Scope, newcomers: &[Newcomer]) -> Answer {
        let mut outcomes = Vec::new();
        for newcomer in newcomers {
            let applicant = newcomer.applicant();
            let is_malformed = matches!(newcomer.hash, ForeignHash::Malformed);
            let names = match valid(&applicant) {
                Ok(names) if !is_malformed => names,
                invalid => {
                    let fields = invalid.err().unwrap_or_default();
                    outcomes.push(Import::Invalid { fields, hash: is_malformed });
                    continue;
                }
            };
            let claim = names.claim(newcomer.id.map(Who::Given), scope);
            outcomes.push(match self.tables.accounts.in_the_way(&claim, false) {
                Some(answer) => self.import_of(&claim.keys, answer),
                None => {
                    let who = self.named(claim.who, None);
                    let created_at = newcomer.created_at.unwrap_or(self.now);
                    let account = Account {
                        updated_at: self.now,
                        email_verified_at: newcomer.verified_at,
                        last_sign_in_at: newcomer.last_sign_in_at,
                        state: match newcomer.disabled {
                            true => UserState::Disabled,
                            false => UserState::Active,
                        },
                        ..names.account(claim, newcomer.secret(scope), created_at)
                    };
                    self.tables.accounts.rows.insert(who, account);
                    Import::Created(who)
                }
            });
        }
        Answer::Imported(outcomes)
    }

    /// An account is there already if it has the very same names.
    fn import_of(&self, keys: &Keys, in_the_way: Answer) -> Import {
        match in_the_way {
            Answer::Existing { person, same_creation, .. } => {
                let account = &self.tables.accounts.rows[&person.who];
                if same_creation || account.keys == *keys {
                    return Import::Existing(person.who);
                }
                let shared = |own: &Option<String>, wanted: &Option<String>| {
                    (own.is_some() && own == wanted).then_some(person.who)
                };
                Import::Failed(Failure::Taken {
                    username_holder: shared(&account.keys.username, &keys.username),
                    email_holder: shared(&account.keys.email, &keys.email),
                    reason: TakenReason::ByAnother,
                })
            }
            Answer::Failed(failure) => Import::Failed(failure),
            answer => unreachable!("{answer:?} is in nobody's way"),
        }
    }

    /// The id that was given, or the next that the library makes.
    fn named(&mut self, given: Option<Who>, label: Option<Label>) -> Who {
        let who = given.unwrap_or_else(|| {
            self.made += 1;
            Who::Made(self.made)
        });
        if let Some(Label::Fresh(number)) = label {
            self.fresh.insert(number, who);
        }
        who
    }
}

impl Names {
    fn claim(&self, who: Option<Who>, scope: Scope) -> Claim {
        let keys = Keys::new(self.username.as_deref(), self.email.as_deref());
        Claim { who, realm: scope.realm, keys }
    }

    fn account(&self, claim: Claim, password: Option<Secret>, now: i64) -> Account {
        Account {
            realm: claim.realm,
            username: self.username.clone(),
            email: self.email.clone(),
            keys: claim.keys,
            email_verified_at: None,
            password_changed_at: password.as_ref().map(|_| now),
            password,
            state: UserState::Active,
            session_generation: 0,
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
            must_change_password: false,
        }
    }
}

impl Newcomer {
    fn applicant(&self) -> Applicant {
        let (username, email) = (self.username.clone(), self.email.clone());
        Applicant { username, email, password: None }
    }

    fn secret(&self, scope: Scope) -> Option<Secret> {
        let (number, form) = match self.hash {
            ForeignHash::Absent | ForeignHash::Malformed => return None,
            ForeignHash::AsItIs(number) => (number, Form::Foreign),
            ForeignHash::Layered(number) => (number, Form::Layered(scope.rules.hashing)),
        };
        Some(Secret { text: PASSWORDS[number].to_owned(), form })
    }
}

pub(crate) fn secret(text: &str, scope: Scope) -> Secret {
    Secret { text: text.to_owned(), form: Form::Own(scope.rules.hashing) }
}

/// The names without outer white space, of which a blank one is none; or the fields at fault.
fn valid(applicant: &Applicant) -> Result<Names, Vec<Field>> {
    let typed = |name: &Option<String>| {
        name.as_deref().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let (username, email) = (typed(&applicant.username), typed(&applicant.email));
    let mut faults = BTreeSet::new();
    if username.is_none() && email.is_none() {
        faults.extend([Field::Username, Field::Email]);
    }
    if username.as_deref() == Some(NO_USERNAME) {
        faults.insert(Field::Username);
    }
    if email.as_deref() == Some(NO_EMAIL) {
        faults.insert(Field::Email);
    }
    if applicant.password.as_deref() == Some(NO_PASSWORD) {
        faults.insert(Field::Password);
    }
    match faults.is_empty() {
        true => Ok(Names { username, email }),
        false => Err(faults.into_iter().collect()),
    }
}
