//! What a history says in the library's words, and what the library answers in the model's.

use diesel_accounts::{
    ConfigurationFailure, Creation, Error, Field, ImportOutcome, ImportUser, InvalidUser, NewUser,
    PasswordChange, Refusal, SignIn, Taken, Timestamp, User, UserId, UserState,
};

use crate::answer::{Answer, Failure, Import, Person};
use crate::library::Library;
use crate::operation::{Applicant, FOREIGN, ForeignHash, Label, Newcomer, Visitor};
use crate::stage::EngineConnection;
use crate::tables::number_of;

impl<C: EngineConnection> Library<C> {
    /// The id that the host gives to a creation, if it does.
    pub(crate) fn given_id(&self, label: Label) -> Option<UserId> {
        matches!(label, Label::Given(_)).then(|| self.id(label))
    }

    pub(crate) fn creation(&mut self, creation: Creation) -> Answer {
        match creation {
            Creation::Created(user) => Answer::Created(self.person(&user)),
            Creation::Existing(existing) => {
                assert_eq!(existing.user_id(), existing.unauthenticated_user().id());
                Answer::Existing {
                    matched: existing.matched(),
                    same_creation: existing.is_same_creation(),
                    person: self.person(&existing.into_unauthenticated_user()),
                }
            }
        }
    }

    pub(crate) fn sign_in(&mut self, visitor: Visitor, sign_in: SignIn) -> Answer {
        match sign_in {
            SignIn::Accepted(accepted) => {
                let token = accepted.device_token().expect("the policy has a key").clone();
                self.devices.insert(visitor.keep, token);
                let demands = accepted.demands();
                Answer::Accepted { person: self.person(accepted.user()), demands }
            }
            SignIn::Refused(refusal) => refused(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn password_change(&mut self, change: PasswordChange) -> Answer {
        match change {
            PasswordChange::Changed(user) => Answer::Changed(self.person(&user)),
            PasswordChange::Refused(refusal) => refused(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn import_outcome(&mut self, outcome: &ImportOutcome) -> Import {
        match outcome {
            ImportOutcome::Created(id) => Import::Created(self.who(*id)),
            ImportOutcome::Existing(id) => Import::Existing(self.who(*id)),
            ImportOutcome::Taken(taken) => Import::Failed(self.taken(taken)),
            ImportOutcome::Invalid(invalid) => Import::Invalid {
                fields: invalid.fields().map(fields_of).unwrap_or_default(),
                hash: invalid.hash().is_some(),
            },
            ImportOutcome::Failed(Error::IdReused { .. }) => Import::Failed(Failure::IdReused),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn people(&mut self, users: &[User]) -> Answer {
        Answer::People(users.iter().map(|user| self.person(user)).collect())
    }

    pub(crate) fn person(&mut self, user: &User) -> Person {
        assert_eq!(user.is_active(), user.state() == UserState::Active);
        Person {
            who: self.who(user.id()),
            realm: number_of(user.realm()),
            username: user.username().map(str::to_owned),
            email: user.email().map(str::to_owned),
            email_verified_at: user.email_verified_at().map(Timestamp::as_micros),
            state: user.state(),
            session_generation: user.session_generation(),
            created_at: user.created_at().as_micros(),
            updated_at: user.updated_at().as_micros(),
            password_changed_at: user.password_changed_at().map(Timestamp::as_micros),
            last_sign_in_at: user.last_sign_in_at().map(Timestamp::as_micros),
            must_change_password: user.must_change_password(),
        }
    }

    /// An error that a history without trouble can meet; any other is a fault.
    pub(crate) fn failure(&mut self, error: Error) -> Failure {
        match error {
            Error::Invalid(invalid) => Failure::Invalid(fields_of(&invalid)),
            Error::Taken(taken) => self.taken(&taken),
            Error::IdReused { .. } => Failure::IdReused,
            Error::UserNotFound => Failure::NotFound,
            Error::TransactionOpen => Failure::TransactionOpen,
            Error::Configuration(ConfigurationFailure::PepperMissing { .. }) => {
                Failure::PepperMissing
            }
            Error::Database(failure) => panic!("{:?}", failure.diesel_error()),
            other => panic!("{other:?}"),
        }
    }

    fn taken(&mut self, taken: &Taken) -> Failure {
        Failure::Taken {
            username_holder: taken.username_holder().map(|id| self.who(id)),
            email_holder: taken.email_holder().map(|id| self.who(id)),
            reason: taken.reason(),
        }
    }
}

pub(crate) fn new_user(id: Option<UserId>, applicant: Applicant) -> NewUser {
    let Applicant { username, email, password } = applicant;
    let (username, email) = (username.unwrap_or_default(), email.unwrap_or_default());
    let new_user = match &password {
        Some(password) => NewUser::new(username, email, password),
        None => NewUser::new(username, email, "").without_password(),
    };
    match id {
        Some(id) => new_user.with_id(id),
        None => new_user,
    }
}

pub(crate) fn import_user(id: Option<UserId>, newcomer: &Newcomer) -> ImportUser {
    let mut import = match newcomer.hash {
        ForeignHash::Absent => ImportUser::new(),
        ForeignHash::Malformed => ImportUser::new().password_hash("nonsense"),
        ForeignHash::AsItIs(number) => ImportUser::new().password_hash(FOREIGN[number]),
        ForeignHash::Layered(number) => ImportUser::new().layered_password_hash(FOREIGN[number]),
    };
    if let Some(id) = id {
        import = import.id(id);
    }
    if let Some(username) = &newcomer.username {
        import = import.username(username);
    }
    if let Some(email) = &newcomer.email {
        import = import.email(email);
    }
    if newcomer.disabled {
        import = import.disabled();
    }
    if let Some(time) = newcomer.verified_at {
        import = import.email_verified_at(Timestamp::from_micros(time));
    }
    if let Some(time) = newcomer.created_at {
        import = import.created_at(Timestamp::from_micros(time));
    }
    if let Some(time) = newcomer.last_sign_in_at {
        import = import.last_sign_in_at(Timestamp::from_micros(time));
    }
    import
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused {
        reason: refusal.reason_for_audit(),
        retry_after: refusal.retry_after().map(|time| time.as_micros()),
    }
}

/// The fields at fault, each once, in their order.
fn fields_of(invalid: &InvalidUser) -> Vec<Field> {
    let mut fields: Vec<Field> = invalid.errors().iter().map(|error| error.field()).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}
