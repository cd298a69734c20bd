//! What can be done to the accounts, in terms that stay meaningful when steps before are left out.

/// One step of a history.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// By the manager, on its pool.
    Pooled(Operation),
    /// On a connection that the host lends.
    Lent(Operation),
    /// On a connection that the host lends, in the host's transaction.
    InTransaction { commit: bool, operations: Vec<Operation> },
    /// The clock moves, and what nobody needs any more is forgotten, so much at a time. The library
    /// does that by the way as well, at random: here nothing is left for it.
    TimePasses { micros: i64, portion: u32 },
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create { scope: Scope, label: Label, applicant: Applicant },
    Prepare { scope: Scope, label: Label, applicant: Applicant, slot: u8 },
    CreatePrepared { scope: Scope, slot: u8 },
    Import { scope: Scope, newcomers: Vec<Newcomer> },
    Find { scope: Scope, wanted: Wanted },
    List { scope: Scope, after: Option<Label>, limit: u32 },
    Search { scope: Scope, name: Name, prefix: String, after: Option<String>, limit: u32 },
    Change { scope: Scope, label: Label, change: Change },
    SetPassword { scope: Scope, label: Label, password: String },
    FailedAttempts { scope: Scope, label: Label },
    SignIn { scope: Scope, visitor: Visitor, login: String, password: String },
    BeginSignIn { scope: Scope, visitor: Visitor, login: String, slot: u8 },
    FinishSignIn { scope: Scope, visitor: Visitor, password: String, slot: u8 },
    ChangePassword { scope: Scope, visitor: Visitor, label: Label, current: String, new: String },
    BeginChange { scope: Scope, visitor: Visitor, label: Label, new: String, slot: u8 },
    FinishChange { scope: Scope, current: String, slot: u8 },
    RememberSession { scope: Scope, label: Label, slot: u8 },
    CheckSession { scope: Scope, label: Label, slot: u8 },
    Check { scope: Scope },
    Migrate { scope: Scope },
}

/// Where something is done, and by which policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) realm: u8,
    pub(crate) rules: Rules,
}

/// In what the policies differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rules {
    pub(crate) refuses_duplicates: bool,
    pub(crate) insists_on_verified_email: bool,
    pub(crate) hashing: HashingRule,
}

/// How new hashes are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HashingRule {
    Cheap,
    Dearer,
    /// With a secret key, which the other two do not know.
    Peppered,
}

/// An account, by what the history calls it. The id is given by the host, or made by the library
/// for the latest creation of this label.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Label {
    Given(u8),
    Fresh(u8),
}

/// Somebody who wants an account.
#[derive(Clone, Debug)]
pub(crate) struct Applicant {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: Option<String>,
}

/// Somebody who had an account elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    /// The id is given where there is a label.
    pub(crate) id: Option<u8>,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) hash: ForeignHash,
    pub(crate) disabled: bool,
    pub(crate) verified_at: Option<i64>,
    pub(crate) created_at: Option<i64>,
    pub(crate) last_sign_in_at: Option<i64>,
}

/// What is known of the password of a newcomer: the number is that of a password.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ForeignHash {
    Absent,
    Malformed,
    AsItIs(usize),
    Layered(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Id(Label),
    Username(String),
    Email(String),
    Login(String),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Username,
    Email,
}

/// What needs nothing but the account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Disable,
    Enable,
    Reserve,
    Delete,
    RemovePassword,
    DemandAnother,
    Unlock,
}

/// Where an attempt comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    pub(crate) client: Option<u8>,
    /// The slot of the device token that is presented.
    pub(crate) device: Option<u8>,
    /// The slot in which the device token that comes back is kept.
    pub(crate) keep: u8,
}

/// The passwords that people have.
pub(crate) const PASSWORDS: [&str; 3] = ["correct horse", "battery staple", "troubadour 3"];

/// Those of [`PASSWORDS`] as Django keeps them: PBKDF2 with HMAC-SHA-256, in one iteration.
pub(crate) const FOREIGN: [&str; 3] = [
    "pbkdf2_sha256$1$c2FsdHNhbHQ$ELOWfZhjzhem/iNLjdSwQlTNFR84kezg/jCQYf0lRmc=",
    "pbkdf2_sha256$1$c2FsdHNhbHQ$wsD/ucc4qQMFUAaFwalpBD9T5lxtC+I0+q581YcSY4s=",
    "pbkdf2_sha256$1$c2FsdHNhbHQ$LFU35EnjlWoYMiUXHjqB8VTYskWCHj0i6QyQUh662RE=",
];

/// What cannot be had, and the only such texts that the history knows.
pub(crate) const NO_USERNAME: &str = "two words";
pub(crate) const NO_EMAIL: &str = "nobody";
pub(crate) const NO_PASSWORD: &str = "short";
