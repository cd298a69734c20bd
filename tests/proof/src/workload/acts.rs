//! The library's answers, as they are recorded.

use diesel_accounts::{
    Creation, Error, Matched, PasswordChange, RefusalReason, Result, SignIn, TakenReason as Reason,
    User, UserState,
};

use super::people::{Person, account_id};
use super::secrets::{search_debug, search_error};
use crate::checker::{BUSY, MUST_ROLL_BACK, NO_CONNECTION, NOT_CREATED};
use crate::history::{Answer, Name, Recorder, Sight, State, TakenReason};

/// What a creation of somebody answered.
pub(super) fn creation_answer(
    recorder: &Recorder,
    person: Person,
    answer: Result<Creation>,
) -> Answer {
    match answer {
        Ok(creation) => {
            search_debug(recorder, &creation);
            match creation {
                Creation::Created(user) if is_as_asked(&user, person) => Answer::Created,
                Creation::Created(_) => strange("`Created` of somebody else"),
                Creation::Existing(existing) => Answer::Existing {
                    id: account_id(existing.user_id()),
                    by_username: existing.matched() != Matched::Email,
                    by_email: existing.matched() != Matched::Username,
                    same_creation: existing.is_same_creation(),
                },
            }
        }
        Err(error) => {
            search_error(recorder, &error);
            match error {
                Error::Taken(taken) => Answer::Taken {
                    by_username: taken.username_holder().map(account_id),
                    by_email: taken.email_holder().map(account_id),
                    reason: match taken.reason() {
                        Reason::ByTwoAccounts => TakenReason::TwoAccounts,
                        Reason::Policy => TakenReason::Policy,
                        Reason::Reserved => TakenReason::Reserved,
                        _ => TakenReason::Other,
                    },
                },
                Error::IdReused { id, .. } | Error::Undetermined { id, .. } if id != person.id => {
                    strange("another id than that of the creation")
                }
                Error::IdReused { .. } => Answer::IdReused,
                Error::Undetermined { .. } => Answer::Undetermined,
                error => failure(error),
            }
        }
    }
}

/// Whether a new account is the one that was asked for, as it was typed.
fn is_as_asked(user: &User, person: Person) -> bool {
    user.id() == person.id
        && user.username().map(Name::of_username) == Some(person.username)
        && user.email().map(Name::of_email) == Some(person.email)
        && user.state() == UserState::Active
}

/// What a change answered.
pub(super) fn change_answer(recorder: &Recorder, answer: Result<()>) -> Answer {
    answer.map_or_else(|error| act_failure(recorder, error), |()| Answer::Done)
}

/// What a look-up answered.
pub(super) fn found_answer(recorder: &Recorder, answer: Result<Option<User>>) -> Answer {
    match answer {
        Ok(None) => Answer::NotFound,
        Ok(Some(user)) => {
            search_debug(recorder, &user);
            Answer::Found(Sight {
                id: account_id(user.id()),
                username: user.username().map_or(Name::STRANGE, Name::of_username),
                email: user.email().map_or(Name::STRANGE, Name::of_email),
                state: match user.state() {
                    UserState::Active => State::Active,
                    UserState::Reserved => State::Reserved,
                    _ => State::Disabled,
                },
            })
        }
        Err(error) => act_failure(recorder, error),
    }
}

/// What a sign-in answered.
pub(super) fn sign_in_answer(recorder: &Recorder, answer: Result<SignIn>) -> Answer {
    match answer {
        Ok(sign_in) => {
            search_debug(recorder, &sign_in);
            match sign_in {
                SignIn::Accepted(accepted) => {
                    Answer::Accepted { id: account_id(accepted.user().id()) }
                }
                SignIn::Refused(refusal) => refused(refusal.reason_for_audit()),
                _ => strange("another answer to a sign-in"),
            }
        }
        Err(error) => act_failure(recorder, error),
    }
}

/// What a change of a password answered.
pub(super) fn password_answer(recorder: &Recorder, answer: Result<PasswordChange>) -> Answer {
    match answer {
        Ok(change) => {
            search_debug(recorder, &change);
            match change {
                PasswordChange::Changed(_) => Answer::Done,
                PasswordChange::Refused(refusal) => refused(refusal.reason_for_audit()),
                _ => strange("another answer to a change of a password"),
            }
        }
        Err(error) => act_failure(recorder, error),
    }
}

fn refused(reason: RefusalReason) -> Answer {
    let reason = match reason {
        RefusalReason::Disabled => "disabled",
        RefusalReason::NoPassword => "no_password",
        RefusalReason::PasswordDisabled => "password_disabled",
        RefusalReason::Superseded => "superseded",
        RefusalReason::Throttled => "throttled",
        RefusalReason::UnknownLogin => "unknown_login",
        RefusalReason::WrongPassword => "wrong_password",
        _ => return strange("another reason for a refusal"),
    };
    Answer::Refused { reason: reason.to_owned() }
}

/// Why an act other than a creation was not done, or may not have been.
fn act_failure(recorder: &Recorder, error: Error) -> Answer {
    search_error(recorder, &error);
    match error {
        Error::UserNotFound => Answer::NotFound,
        Error::Database(_) => Answer::Unknown { error: "database".to_owned() },
        error => failure(error),
    }
}

/// An error that says that nothing was done.
fn failure(error: Error) -> Answer {
    let error = match error {
        Error::NotCreated(_) => NOT_CREATED,
        Error::Busy => BUSY,
        Error::HiddenConflict => "hidden conflict",
        Error::Pool(_) => NO_CONNECTION,
        Error::HashingBusy { .. } => "hashing busy",
        Error::HostMustRollBack(_) => MUST_ROLL_BACK,
        error => return strange(&error.to_string()),
    };
    Answer::NotDone { error: error.to_owned() }
}

fn strange(error: &str) -> Answer {
    Answer::Strange { error: error.to_owned() }
}
