//! The model of signing in, and of changing a password.

use diesel_accounts::{Demand, Field, RefusalReason, UserState};

use crate::accounts::{Account, Form, Secret, Since, key_of};
use crate::answer::{Answer, Failure, Who};
use crate::attempts::{Admission, Origin, SECOND, Subject};
use crate::operation::{HashingRule, NO_PASSWORD, Name, Rules, Scope, Visitor};
use crate::reference::State;

/// An attempt that is counted and not finished.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The account as it was found.
    found: Option<(Who, Account)>,
    subject: Subject,
    origin: Origin,
    admission: Admission,
}

/// What a device token is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Device {
    number: u32,
    realm: u8,
    who: Who,
    of: Since,
}

/// A sign-in is written down if the last one that was is as old as this.
pub(crate) const RECORDED_EVERY: i64 = 15 * SECOND;

impl State {
    pub(crate) fn begin_sign_in(
        &mut self,
        scope: Scope,
        visitor: Visitor,
        login: &str,
    ) -> Result<Attempt, Failure> {
        self.refuse_transaction()?;
        let key = if login.len() > 2_048 { String::new() } else { key_of(login) };
        let name = if key.contains('@') { Name::Email } else { Name::Username };
        let found = self.tables.accounts.holder(scope.realm, name, &key);
        let found =
            found.and_then(|who| Some((who, self.tables.accounts.get(scope.realm, who)?.clone())));
        let subject = match &found {
            Some((who, _)) => Subject::Account(*who),
            None => Subject::Login(scope.realm, key),
        };
        Ok(self.count(scope, visitor, found, subject))
    }

    pub(crate) fn finish_sign_in(
        &mut self,
        scope: Scope,
        visitor: Visitor,
        attempt: Attempt,
        password: &str,
    ) -> Answer {
        if let Err(failure) = self.refuse_transaction() {
            return Answer::Failed(failure);
        }
        let obsolete = match self.compare(&attempt, scope.rules, password) {
            Outcome::Right { obsolete } => obsolete,
            Outcome::Refused(reason) => return self.refused(&attempt, reason),
            Outcome::PepperMissing => return self.take_back(&attempt, Failure::PepperMissing),
        };
        let Attempt { found: Some((who, found)), subject, origin, .. } = &attempt else {
            unreachable!("nobody has no right password");
        };
        if !may_sign_in(found, scope.rules) {
            self.tables.attempts.clear(subject, origin);
            return self.refused(&attempt, RefusalReason::EmailNotVerified);
        }
        let (who, now) = (*who, self.now);
        let account = self.tables.accounts.get_mut(found.realm, who);
        let account =
            account.filter(|account| account.session_generation == found.session_generation);
        let Some(account) = account else {
            return self.refused(&attempt, RefusalReason::Superseded);
        };
        let is_due = found.last_sign_in_at.is_none_or(|last| now - last >= RECORDED_EVERY);
        if obsolete || is_due {
            account.last_sign_in_at = Some(now);
        }
        if obsolete {
            let form = Form::Own(scope.rules.hashing);
            account.password = Some(Secret { text: password.to_owned(), form });
        }
        self.tables.attempts.clear(subject, origin);
        let number = match origin {
            Origin::Device(number) => *number,
            _ => {
                self.devices_made += 1;
                self.devices_made
            }
        };
        let device = Device { number, realm: found.realm, who, of: found.since() };
        self.devices.insert(visitor.keep, device);
        Answer::Accepted { person: found.person(who), demands: demands(found) }
    }

    pub(crate) fn begin_change(
        &mut self,
        scope: Scope,
        visitor: Visitor,
        who: Option<Who>,
        new: &str,
    ) -> Result<Attempt, Failure> {
        self.refuse_transaction()?;
        let who = who.ok_or(Failure::NotFound)?;
        let found = self.tables.accounts.get(scope.realm, who).ok_or(Failure::NotFound)?.clone();
        if new == NO_PASSWORD {
            return Err(Failure::Invalid(vec![Field::Password]));
        }
        Ok(self.count(scope, visitor, Some((who, found)), Subject::Account(who)))
    }

    pub(crate) fn finish_change(
        &mut self,
        scope: Scope,
        attempt: Attempt,
        current: &str,
        new: &str,
    ) -> Answer {
        if let Err(failure) = self.refuse_transaction() {
            return Answer::Failed(failure);
        }
        match self.compare(&attempt, scope.rules, current) {
            Outcome::Right { .. } => {}
            Outcome::Refused(reason) => return self.refused(&attempt, reason),
            Outcome::PepperMissing => return self.take_back(&attempt, Failure::PepperMissing),
        }
        let Attempt { found: Some((who, found)), subject, origin, .. } = &attempt else {
            unreachable!("nobody has no right password");
        };
        if found.must_change_password && current == new {
            return self.take_back(&attempt, Failure::Invalid(vec![Field::Password]));
        }
        let account = self.tables.accounts.get_mut(found.realm, *who);
        let account =
            account.filter(|account| account.session_generation == found.session_generation);
        let Some(account) = account else {
            return self.refused(&attempt, RefusalReason::Superseded);
        };
        let secret = Secret { text: new.to_owned(), form: Form::Own(scope.rules.hashing) };
        account.set_password(Some(secret.clone()), self.now);
        self.tables.attempts.clear(subject, origin);
        let mut changed = found.clone();
        changed.set_password(Some(secret), self.now);
        Answer::Changed(changed.person(*who))
    }

    fn count(
        &mut self,
        scope: Scope,
        visitor: Visitor,
        found: Option<(Who, Account)>,
        subject: Subject,
    ) -> Attempt {
        let presented = visitor.device.and_then(|slot| self.devices.get(&slot));
        let known = presented.zip(found.as_ref()).filter(|(device, (who, account))| {
            device.who == *who && device.realm == account.realm && device.of == account.since()
        });
        let origin = match known {
            Some((device, _)) => Origin::Device(device.number),
            None => Origin::Client(scope.realm, visitor.client),
        };
        let admission = self.tables.attempts.admit(&subject, &origin, self.now);
        Attempt { found, subject, origin, admission }
    }

    fn compare(&self, attempt: &Attempt, rules: Rules, password: &str) -> Outcome {
        let is_disabled = match attempt.admission {
            Admission::Waiting(_) => return Outcome::Refused(RefusalReason::Throttled),
            Admission::PasswordDisabled(_) => true,
            Admission::Admitted(_) => false,
        };
        let Some((_, account)) = &attempt.found else {
            return Outcome::Refused(RefusalReason::UnknownLogin);
        };
        let stored = account.password.as_ref();
        let is_peppered = stored.is_some_and(|stored| {
            let peppered = HashingRule::Peppered;
            [Form::Own(peppered), Form::Layered(peppered)].contains(&stored.form)
        });
        if is_peppered && !is_disabled && rules.hashing != HashingRule::Peppered {
            return Outcome::PepperMissing;
        }
        if account.state != UserState::Active {
            return Outcome::Refused(RefusalReason::Disabled);
        }
        if is_disabled {
            return Outcome::Refused(RefusalReason::PasswordDisabled);
        }
        match stored {
            None => Outcome::Refused(RefusalReason::NoPassword),
            Some(stored) if stored.text == password => {
                Outcome::Right { obsolete: stored.form != Form::Own(rules.hashing) }
            }
            Some(_) => Outcome::Refused(RefusalReason::WrongPassword),
        }
    }

    fn refused(&self, attempt: &Attempt, reason: RefusalReason) -> Answer {
        let retry_after = match attempt.admission {
            Admission::Waiting(until) => {
                Some(u128::try_from((until - self.now).max(0)).expect("it is not negative"))
            }
            _ => None,
        };
        Answer::Refused { reason, retry_after }
    }

    fn take_back(&mut self, attempt: &Attempt, failure: Failure) -> Answer {
        self.tables.attempts.take_back(&attempt.subject, &attempt.origin, attempt.admission);
        Answer::Failed(failure)
    }
}

enum Outcome {
    Right { obsolete: bool },
    Refused(RefusalReason),
    PepperMissing,
}

fn may_sign_in(account: &Account, rules: Rules) -> bool {
    let is_unverified = account.email.is_some() && account.email_verified_at.is_none();
    !rules.insists_on_verified_email || !is_unverified
}

fn demands(account: &Account) -> Vec<Demand> {
    let is_unverified = account.email.is_some() && account.email_verified_at.is_none();
    let password = account.must_change_password.then_some(Demand::ChangePassword);
    password.into_iter().chain(is_unverified.then_some(Demand::VerifyEmail)).collect()
}
