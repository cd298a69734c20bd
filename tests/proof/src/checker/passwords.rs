//! Whoever gives the password of the time signs in, and nobody else.

use super::lives::Life;
use super::{Case, Rule, Violation};
use crate::history::{AccountId, Answer, Call, Login, Operation, Password, State};

pub(super) fn judge(case: &Case<'_>, violations: &mut Vec<Violation>) {
    for call in &case.history.calls {
        let wrong = match (&call.operation, &call.answer) {
            (Operation::Authenticate { login, password }, Answer::Accepted { id }) => {
                accepted(case, call, *login, *id, *password).map(|text| (*id, text))
            }
            (Operation::Authenticate { login, password }, Answer::Refused { reason }) => {
                let id = holder(case, call, *login);
                id.and_then(|id| Some((id, refused(case, call, id, *password, reason)?)))
            }
            (Operation::ChangePassword { id, current, .. }, Answer::Done) => {
                given(case, call, *id, *current).map(|text| (*id, text))
            }
            (Operation::ChangePassword { id, current, .. }, Answer::Refused { reason }) => {
                refused(case, call, *id, *current, reason).map(|text| (*id, text))
            }
            _ => None,
        };
        if let Some((id, text)) = wrong {
            let about = case.history.calls.iter().filter(|other| is_about(other, id));
            let life = case.lives.of.get(&id).map(Life::evidence);
            violations.push(Violation::new(
                Rule::PasswordsDecideSignIns,
                format!("{id:?}: {text}"),
                life.unwrap_or_default().and_calls(about).and_calls([call]),
            ));
        }
    }
}

fn accepted(
    case: &Case<'_>,
    call: &Call,
    login: Login,
    id: AccountId,
    password: Password,
) -> Option<&'static str> {
    let Some(life) = case.lives.of.get(&id) else { return Some("nobody asked for this account") };
    let has_login = match login {
        Login::Username(name) => life.can_have_username(name.class, true),
        Login::Email(name) => life.can_have_email(name.class, true),
    };
    if !has_login || holder(case, call, login).is_some_and(|holder| holder != id) {
        return Some("it does not have the name that signed in");
    }
    given(case, call, id, password)
}

/// A password was taken for the right one.
fn given(case: &Case<'_>, call: &Call, id: AccountId, password: Password) -> Option<&'static str> {
    let Some(life) = case.lives.of.get(&id) else { return Some("nobody asked for this account") };
    let (from, to) = (call.invoked, call.answered);
    if !life.may_exist(from, to) {
        return Some("it did not exist at any instant of the call");
    }
    if !life.states.may_be(State::Active, from, to) {
        return Some("it was not active");
    }
    if !life.passwords.may_be(password, from, to) {
        return Some("its password was another");
    }
    None
}

/// A password was not taken for the right one.
fn refused(
    case: &Case<'_>,
    call: &Call,
    id: AccountId,
    password: Password,
    reason: &str,
) -> Option<&'static str> {
    let life = case.lives.of.get(&id)?;
    let (from, to) = (call.invoked, call.answered);
    if !life.surely_exists(from, to) {
        return None;
    }
    let is_active = life.states.surely_is(State::Active, from, to);
    match reason {
        // Too many failures before: the password does not matter.
        "throttled" | "password_disabled" => {
            let failed =
                case.history.calls.iter().any(|other| may_have_failed(other, call, id, life));
            (!failed).then_some("nobody had failed to sign in")
        }
        "unknown_login" if !life.states.may_be(State::Reserved, from, to) => {
            Some("it was there all the time")
        }
        "disabled" if is_active => Some("it was active all the time"),
        _ if is_active && life.passwords.surely_is(password, from, to) => {
            Some("this was its password all the time")
        }
        _ => None,
    }
}

/// Whether somebody may have failed to sign in to an account before a call was answered. An attempt
/// that is under way counts as one that failed.
fn may_have_failed(other: &Call, call: &Call, id: AccountId, life: &Life<'_>) -> bool {
    let is_about = match other.operation {
        Operation::Authenticate { login: Login::Username(name), .. } => {
            life.can_have_username(name.class, true)
        }
        Operation::Authenticate { login: Login::Email(name), .. } => {
            life.can_have_email(name.class, true)
        }
        Operation::ChangePassword { id: other, .. } => other == id,
        _ => false,
    };
    let succeeded = matches!(other.answer, Answer::Accepted { .. } | Answer::Done);
    is_about
        && other.number != call.number
        && other.invoked <= call.answered
        && (!succeeded || other.answered >= call.invoked)
}

/// Who certainly had a name all the time.
fn holder(case: &Case<'_>, call: &Call, login: Login) -> Option<AccountId> {
    let holders = match login {
        Login::Username(name) => case.lives.usernames.get(&name.class),
        Login::Email(name) => case.lives.emails.get(&name.class),
    };
    holders?.throughout(call.invoked, call.answered, None)
}

/// Whether a call changes the password or the state of an account.
fn is_about(call: &Call, id: AccountId) -> bool {
    match call.operation {
        Operation::SetPassword { id: other, .. }
        | Operation::ChangePassword { id: other, .. }
        | Operation::Disable { id: other }
        | Operation::Enable { id: other }
        | Operation::Reserve { id: other } => other == id,
        _ => false,
    }
}
