//! What was asked of the library and what it answered, call by call: enough for a checker that has
//! nothing else.
//!
//! Names are told by what they *mean*: two spellings of one name have the same class. Which
//! spellings are equal stands in a table that was written by hand ([`crate::names`]), so that
//! whoever judges a history needs no function of the library's for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod faults;
mod file;
mod names;
mod recorder;

pub use self::faults::{Fault, Leak, PoolState};
pub use self::names::{AccountId, Name, Password};
pub use self::recorder::{Caller, Recorder, Thread};

/// Nanoseconds since the beginning of the record, on a clock that only goes forward.
pub type Moment = u64;

/// The manager of the calls of processes that are killed: none of ours.
pub const VICTIM: u16 = 9;

/// A whole record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// How it came about.
    pub head: Head,
    /// Every call, in the order in which they began.
    pub calls: Vec<Call>,
    /// Every fault that was injected.
    pub faults: Vec<Fault>,
    /// The table at the end, after all calls.
    pub rows: Vec<Row>,
    /// The calls whose host transaction left a row of the host's own behind.
    pub host_rows: Vec<u64>,
    /// The state of each pool at the end.
    pub pools: Vec<PoolState>,
    /// Where a secret came to light.
    pub leaks: Vec<Leak>,
}

/// How a record came about.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Head {
    /// What the random choices were made from.
    pub seed: u64,
    /// Which database.
    pub engine: String,
    /// Programs and packages.
    pub versions: BTreeMap<String, String>,
    /// Threads, pools, time-outs.
    pub settings: BTreeMap<String, String>,
}

/// One call, and what came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Call {
    /// Tells it from all others.
    pub number: u64,
    /// Who called.
    pub thread: u16,
    /// Through which pool, or past which proxy.
    pub manager: u16,
    /// The longest that one step of it may take: the deadline of the policy, the statement under
    /// way when it passes, and what a busy machine adds.
    pub longest_step: Moment,
    /// The deadline of the policy: nobody is told before that others were in the way for too long.
    #[serde(default)]
    pub deadline: Moment,
    /// How long the pool waits for a connection.
    #[serde(default)]
    pub patience: Moment,
    /// When it was invoked.
    pub invoked: Moment,
    /// When it was answered; for a caller that was killed, when it was gone.
    pub answered: Moment,
    /// When the connection was opened that the caller lent; what happened to it since, while it was
    /// idle, is found out by this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent_since: Option<Moment>,
    /// What was asked.
    pub operation: Operation,
    /// What was answered.
    pub answer: Answer,
}

impl Call {
    /// What the library answered, in a transaction or without one.
    #[must_use]
    pub fn library_answer(&self) -> &Answer {
        match &self.answer {
            Answer::Transaction { inside, .. } => inside,
            answer => answer,
        }
    }
}

/// What was asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Operation {
    /// To create an account.
    Create {
        /// The id of the creation.
        id: AccountId,
        /// The username.
        username: Name,
        /// The email address.
        email: Name,
        /// The password.
        password: Password,
        /// On what connection.
        way: Way,
        /// Whether the policy is to refuse duplicates instead of returning them.
        #[serde(default, skip_serializing_if = "is_false")]
        refuses_duplicates: bool,
    },
    /// To delete an account.
    Delete {
        /// Which.
        id: AccountId,
    },
    /// To delete an account and keep its names.
    Reserve {
        /// Which.
        id: AccountId,
    },
    /// To disable an account.
    Disable {
        /// Which.
        id: AccountId,
    },
    /// To enable an account.
    Enable {
        /// Which.
        id: AccountId,
    },
    /// To find an account by its id.
    FindId {
        /// Which.
        id: AccountId,
    },
    /// To find an account by its username.
    FindUsername {
        /// Which.
        username: Name,
    },
    /// To find an account by its email address.
    FindEmail {
        /// Which.
        email: Name,
    },
    /// To sign in.
    Authenticate {
        /// The username or the email address.
        login: Login,
        /// The password.
        password: Password,
    },
    /// To change a password.
    ChangePassword {
        /// Whose.
        id: AccountId,
        /// The one there is, says the caller.
        current: Password,
        /// The one there is to be.
        new: Password,
    },
    /// To set a password.
    SetPassword {
        /// Whose.
        id: AccountId,
        /// The one there is to be.
        new: Password,
    },
}

/// The connection of a creation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the pool, hashing in between.
    Pool,
    /// From the pool, for a user who was prepared before.
    Prepared,
    /// A connection of the host's without a transaction.
    Lent,
    /// A transaction of the host's, which writes a row of its own first.
    Transaction {
        /// At which isolation level.
        isolation: String,
    },
}

/// What somebody signs in with.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// A username.
    Username(Name),
    /// An email address.
    Email(Name),
}

/// What was answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answer {
    /// The account was created by this call.
    Created,
    /// An account was there.
    Existing {
        /// Which.
        id: AccountId,
        /// Whether it has the same username.
        by_username: bool,
        /// Whether it has the same email address.
        by_email: bool,
        /// Whether it is said to be of the same creation.
        same_creation: bool,
    },
    /// The names are taken.
    Taken {
        /// Who is said to have the username.
        by_username: Option<AccountId>,
        /// Who is said to have the email address.
        by_email: Option<AccountId>,
        /// Why that account was not returned.
        reason: TakenReason,
    },
    /// The id belongs to an account with other names.
    IdReused,
    /// An error that says that nothing was done.
    NotDone {
        /// Which.
        error: String,
    },
    /// A creation of which nobody knows what came.
    Undetermined,
    /// Any other act of which nobody knows what came: the database failed in it.
    Unknown {
        /// The error.
        error: String,
    },
    /// The host's transaction, in which the library answered, ended.
    Transaction {
        /// What the library answered in it.
        inside: Box<Answer>,
        /// How it ended.
        end: End,
    },
    /// It is done.
    Done,
    /// There is no such account.
    NotFound,
    /// An account was found.
    Found(Sight),
    /// The sign-in was accepted.
    Accepted {
        /// Whose account it is.
        id: AccountId,
    },
    /// The sign-in, or the change of a password, was refused.
    Refused {
        /// Why, as the host's audit is told.
        reason: String,
    },
    /// An answer that should not be possible.
    Strange {
        /// What it was.
        error: String,
    },
}

/// Why an account that is in the way was not returned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenReason {
    /// Two accounts have one name each.
    TwoAccounts,
    /// The policy says so.
    Policy,
    /// The account is reserved.
    Reserved,
    /// Another reason.
    Other,
}

/// How a host's transaction ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was committed.
    Committed,
    /// It was rolled back, or its commit was refused.
    RolledBack,
    /// The commit was not answered, or the caller was killed: only the host's own row tells.
    Unknown,
}

/// What was seen of an account.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sight {
    /// Its id.
    pub id: AccountId,
    /// Its username.
    pub username: Name,
    /// Its email address.
    pub email: Name,
    /// Its state.
    pub state: State,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can.
    Active,
    /// It cannot.
    Disabled,
    /// It is deleted, and its names are kept.
    Reserved,
}

/// One row of the table, read without the library.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// The id.
    pub id: AccountId,
    /// The username as it was typed; none if it was erased.
    pub username: Option<Name>,
    /// The email address as it was typed; none if it was erased.
    pub email: Option<Name>,
    /// The state.
    pub state: State,
    /// The password that the hash is of: [`Password::NONE`] if there is no hash,
    /// [`Password::STRANGE`] if it is of none that was ever given for the account.
    pub password: Password,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}
