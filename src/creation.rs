//! What a creation comes to, and how that is decided from the rows that stand in its way.

use std::fmt;

use crate::error::Error;
use crate::policy::Duplicates;
use crate::store::rows::{Claim, UserRow};
use crate::timestamp::Timestamp;
use crate::user::{User, UserId, UserState};

/// The answer to a creation that succeeded: there is exactly one account, and it was just made or
/// was there before.
///
/// ```
/// use diesel_accounts::{Creation, NewUser};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let alice = || NewUser::new("alice", "alice@example.org", "correct horse");
/// let Creation::Created(user) = users.create_user(alice())? else { panic!() };
/// let Creation::Existing(existing) = users.create_user(alice())? else { panic!() };
/// assert_eq!(existing.user_id(), user.id());
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "an existing account must not be taken for the one just asked for"]
#[expect(clippy::exhaustive_enums, reason = "a host must handle both, and there is no third")]
pub enum Creation {
    /// The account was created by this call. Inside a host's transaction that is a promise only
    /// until the host commits.
    Created(User),
    /// The account was there before, and nothing was written.
    Existing(Existing),
}

impl Creation {
    /// The account if this call created it.
    #[must_use]
    pub fn created(self) -> Option<User> {
        match self {
            Self::Created(user) => Some(user),
            Self::Existing(_) => None,
        }
    }

    /// Whether this call created the account.
    #[must_use]
    pub fn is_created(&self) -> bool {
        matches!(self, Self::Created(_))
    }
}

/// An account that was there before, and that need not be the caller's.
///
/// Whoever asks for an account knows a username or an email address of it and nothing more: no
/// password was verified. Its user is therefore handed out only by a method that says so.
///
/// ```
/// use diesel_accounts::{Creation, Matched, NewUser};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
/// let alice = users.create_user(alice)?.created().expect("nobody had that name");
/// let stranger = NewUser::new("ALICE", "mallory@example.org", "something else");
/// let Creation::Existing(existing) = users.create_user(stranger)? else { panic!() };
/// assert_eq!(existing.user_id(), alice.id());
/// assert_eq!(existing.matched(), Matched::Username);
/// assert!(!existing.is_same_creation());
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Existing {
    // A user is large, and hosts keep this in their errors.
    user: Box<User>,
    matched: Matched,
    same_creation: bool,
}

impl Existing {
    /// The id of the account.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.user.id
    }

    /// What the account shares with the one that was asked for.
    #[must_use]
    pub fn matched(&self) -> Matched {
        self.matched
    }

    /// Whether an earlier call with the same id created the account: the caller repeats itself, and
    /// has been welcomed before.
    #[must_use]
    pub fn is_same_creation(&self) -> bool {
        self.same_creation
    }

    /// The account, although nobody proved to be its owner. Never sign anybody in with it.
    #[must_use]
    pub fn unauthenticated_user(&self) -> &User {
        &self.user
    }

    /// The account, although nobody proved to be its owner. Never sign anybody in with it.
    #[must_use]
    pub fn into_unauthenticated_user(self) -> User {
        *self.user
    }
}

/// What an existing account shares with the one that was asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are two fields and their sum")]
pub enum Matched {
    /// The username only.
    Username,
    /// The email only.
    Email,
    /// The username and the email.
    Both,
}

impl fmt::Display for Matched {
    /// `username`, `email` or `username, email`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username => "username",
            Self::Email => "email",
            Self::Both => "username, email",
        })
    }
}

/// Why a username or an email cannot be had: who holds which.
///
/// ```
/// use diesel_accounts::{Error, NewUser, TakenReason};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let alice = NewUser::new("alice", "alice@example.org", "correct horse");
/// let alice = users.create_user(alice)?.created().expect("nobody had that name");
/// let bob = NewUser::new("bob", "bob@example.org", "correct horse");
/// let bob = users.create_user(bob)?.created().expect("nobody had that name");
/// let both = NewUser::new("alice", "bob@example.org", "correct horse");
/// let Err(Error::Taken(taken)) = users.create_user(both) else { panic!() };
/// assert_eq!(taken.reason(), TakenReason::ByTwoAccounts);
/// assert_eq!(taken.username_holder(), Some(alice.id()));
/// assert_eq!(taken.email_holder(), Some(bob.id()));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken {
    username_holder: Option<UserId>,
    email_holder: Option<UserId>,
    reason: TakenReason,
}

impl Taken {
    /// Somebody who has one of two names, but not both.
    pub(crate) fn by_one(existing: &Existing) -> Self {
        let id = existing.user_id();
        Self {
            username_holder: (existing.matched != Matched::Email).then_some(id),
            email_holder: (existing.matched != Matched::Username).then_some(id),
            reason: TakenReason::ByAnother,
        }
    }

    /// The account that holds whatever is taken; `None` if there are two.
    pub(crate) fn only_holder(&self) -> Option<UserId> {
        match (self.username_holder, self.email_holder) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => one.or(other),
        }
    }

    /// The account that holds the username; `None` if nobody does.
    #[must_use]
    pub fn username_holder(&self) -> Option<UserId> {
        self.username_holder
    }

    /// The account that holds the email; `None` if nobody does.
    #[must_use]
    pub fn email_holder(&self) -> Option<UserId> {
        self.email_holder
    }

    /// Why the holder was not simply returned.
    #[must_use]
    pub fn reason(&self) -> TakenReason {
        self.reason
    }
}

impl fmt::Display for Taken {
    /// Names the fields: `the username and the email are taken by two different accounts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.reason, self.username_holder, self.email_holder) {
            (TakenReason::ByTwoAccounts, ..) => {
                "the username and the email are taken by two different accounts"
            }
            (_, Some(_), Some(_)) => "the username and the email are taken",
            (_, Some(_), None) => "the username is taken",
            (_, None, _) => "the email is taken",
        })
    }
}

/// Why the holder of a username or an email was not returned as the existing account.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TakenReason {
    /// An account that was to be imported shares only one of its names with one that is there.
    ByAnother,
    /// One account holds the username, another the email: neither is *the* existing one.
    ByTwoAccounts,
    /// The policy is [`Duplicates::Refuse`].
    Policy,
    /// The holder is deleted, and its name and address are kept from others
    /// ([`UserState::Reserved`]).
    Reserved,
}

/// What the rows that were found mean for a creation.
#[derive(Debug)]
pub(crate) enum Verdict {
    Answer(Creation),
    Refused(Error),
    /// Nobody is in the way (any more).
    NotVisible,
}

/// Decides what a creation comes to, from the rows that have its id or one of its keys.
///
/// `unanswered` is the time of creation that this very call sent before, and never heard the
/// answer.
pub(crate) fn decide(
    claim: &Claim<'_>,
    rows: Vec<UserRow>,
    duplicates: Duplicates,
    unanswered: Option<Timestamp>,
) -> Verdict {
    let mut own = None;
    let mut username_holder = None;
    let mut email_holder = None;
    for row in rows {
        // The keys are compared again here: a column of another collation than ours would find
        // rows that are only similar.
        let in_realm = row.user.realm == claim.realm;
        let has_username = in_realm && same_key(&row.username_key, claim.username_key);
        let has_email = in_realm && same_key(&row.email_key, claim.email_key);
        if row.user.id == claim.id {
            own = Some((row, has_username, has_email));
            continue;
        }
        if has_username {
            username_holder = Some(row.user.clone());
        }
        if has_email {
            email_holder = Some(row.user);
        }
    }
    if let Some((row, has_username, has_email)) = own {
        let same_person = (has_username
            || claim.username_key.is_none() && row.username_key.is_none())
            && (has_email || claim.email_key.is_none() && row.email_key.is_none())
            && row.user.realm == claim.realm;
        return decide_own(claim, row.user, same_person, unanswered);
    }
    let taken = |reason| {
        Verdict::Refused(Error::Taken(Taken {
            username_holder: username_holder.as_ref().map(User::id),
            email_holder: email_holder.as_ref().map(User::id),
            reason,
        }))
    };
    let (holder, matched) = match (&username_holder, &email_holder) {
        (Some(by_username), Some(by_email)) if by_username.id != by_email.id => {
            return taken(TakenReason::ByTwoAccounts);
        }
        (Some(holder), Some(_)) => (holder, Matched::Both),
        (Some(holder), None) => (holder, Matched::Username),
        (None, Some(holder)) => (holder, Matched::Email),
        (None, None) => return Verdict::NotVisible,
    };
    if holder.state == UserState::Reserved {
        return taken(TakenReason::Reserved);
    }
    match duplicates {
        Duplicates::Refuse => taken(TakenReason::Policy),
        Duplicates::ReturnExisting => Verdict::Answer(Creation::Existing(Existing {
            user: Box::new(holder.clone()),
            matched,
            same_creation: false,
        })),
    }
}

/// Decides about a row with the very id of the creation.
fn decide_own(
    claim: &Claim<'_>,
    user: User,
    same_person: bool,
    unanswered: Option<Timestamp>,
) -> Verdict {
    if !same_person {
        return Verdict::Refused(Error::IdReused { id: claim.id });
    }
    // The row has the time of this call, so an earlier try of this call made it. An earlier *call*
    // with the same id would have another time, and has heard `Created` or will ask again itself.
    // What has become of the row since is no matter: nobody else can hear that it was made.
    if unanswered == Some(user.created_at) {
        return Verdict::Answer(Creation::Created(user));
    }
    if user.state == UserState::Reserved {
        return Verdict::Refused(Error::Taken(Taken {
            username_holder: claim.username_key.map(|_| user.id),
            email_holder: claim.email_key.map(|_| user.id),
            reason: TakenReason::Reserved,
        }));
    }
    let matched = match (claim.username_key, claim.email_key) {
        (Some(_), None) => Matched::Username,
        (None, Some(_)) => Matched::Email,
        _ => Matched::Both,
    };
    Verdict::Answer(Creation::Existing(Existing {
        user: Box::new(user),
        matched,
        same_creation: true,
    }))
}

fn same_key(stored: &Option<String>, wanted: Option<&str>) -> bool {
    wanted.is_some() && stored.as_deref() == wanted
}
