//! What an operation is answered, in the words that library and model share.

use diesel_accounts::{Demand, Field, Matched, RefusalReason, TakenReason, UserState};

/// An account. The library makes ids that the model cannot know: they are numbered as they come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Who {
    Given(u8),
    Made(u32),
}

/// What a host sees of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Person {
    pub(crate) who: Who,
    pub(crate) realm: u8,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified_at: Option<i64>,
    pub(crate) state: UserState,
    pub(crate) session_generation: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) password_changed_at: Option<i64>,
    pub(crate) last_sign_in_at: Option<i64>,
    pub(crate) must_change_password: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Done,
    /// The history has nothing in that slot.
    EmptySlot,
    Created(Person),
    Existing {
        person: Person,
        matched: Matched,
        same_creation: bool,
    },
    Prepared(Who),
    Imported(Vec<Import>),
    Found(Option<Person>),
    /// In the order of the places in the list.
    People(Vec<Person>),
    /// All people of a realm in no order, and the part of the list that was asked for: the order
    /// of those who were created at once is that of their ids.
    Page {
        people: Vec<Person>,
        after: Option<(i64, Who)>,
        limit: usize,
    },
    Accepted {
        person: Person,
        demands: Vec<Demand>,
    },
    Changed(Person),
    Refused {
        reason: RefusalReason,
        retry_after: Option<u128>,
    },
    FailedAttempts {
        count: u64,
        password_is_disabled: bool,
        waits_until: Option<i64>,
    },
    Forgotten(usize),
    Holds(bool),
    Failed(Failure),
}

/// What the import of one account came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Import {
    Created(Who),
    Existing(Who),
    Invalid { fields: Vec<Field>, hash: bool },
    Failed(Failure),
}

/// The errors that a history without trouble can meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    Invalid(Vec<Field>),
    Taken { username_holder: Option<Who>, email_holder: Option<Who>, reason: TakenReason },
    IdReused,
    NotFound,
    TransactionOpen,
    PepperMissing,
}
