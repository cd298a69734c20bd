//! Who asks for what.

use diesel_accounts::{Accounts, NewUser, Policy, PreparedUser, UserId};

use crate::schedule::watch::ScheduledConnection;

/// What the actors of a schedule ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each is scheduled by name")]
pub enum Story {
    /// Two creators want the same username and email.
    SamePerson,
    /// Two creators want the same username with two emails.
    SameUsername,
    /// Two creators want the same email with two usernames.
    SameEmail,
    /// One wants the first username with the second email, the other the reverse.
    Crossing,
    /// A call races its own repetition.
    SameCreation,
    /// The username is held already; one wants it with an email that the other wants as well.
    Between,
    /// Two have no name in common, and the third wants the username of one with the email of the
    /// other.
    Triangle,
    /// Somebody creates an account that is there, and somebody deletes it.
    CreatorAndDeleter,
    /// Two create an account that is there, and somebody deletes it.
    TwoCreatorsAndDeleter,
    /// Two want the same username and email, and somebody deletes the account of the second, if it
    /// is there by then.
    RivalAndDeleter,
    /// A call and its repetition create an account that is there, and somebody deletes it.
    SameCreationAndDeleter,
    /// One creator wants the username, the other the email of an account that somebody deletes.
    SplitAndDeleter,
}

/// What one actor asks for.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "these are all")]
pub enum Call<'a> {
    /// An account.
    Create(&'a Person),
    /// That an account be gone.
    Delete(UserId),
}

/// Somebody who is ready to be created, and what the proof knows of them.
#[derive(Debug)]
pub struct Person {
    /// For the library.
    pub prepared: PreparedUser,
    /// The username, which is its own key.
    pub username: String,
    /// The email, which is its own key.
    pub email: String,
}

impl Person {
    fn new(policy: &Policy, serial: i64, username: char, email: char) -> Self {
        // Names that grow: the neighbours in the indexes are the same for every schedule.
        let username = format!("s{serial:08}{username}");
        let email = format!("s{serial:08}{email}@example.org");
        let user = NewUser::new(username.as_str(), email.as_str(), PASSWORD);
        Self { prepared: policy.prepare(user).unwrap(), username, email }
    }

    /// The same creation, with nothing prepared for it.
    #[must_use]
    pub fn new_user(&self) -> NewUser {
        let user = NewUser::new(self.username.as_str(), self.email.as_str(), PASSWORD);
        user.with_id(self.prepared.id())
    }
}

impl Story {
    /// The people of a story, the one who is there before it first if there is one.
    #[must_use]
    pub fn people(self, policy: &Policy, serial: i64) -> Vec<Person> {
        let names: &[(char, char)] = match self {
            Self::SamePerson | Self::RivalAndDeleter => &[('a', 'a'), ('a', 'a')],
            Self::SameUsername => &[('a', 'a'), ('a', 'b')],
            Self::SameEmail => &[('a', 'a'), ('b', 'a')],
            Self::Crossing => &[('a', 'b'), ('b', 'a')],
            Self::SameCreation => &[('a', 'a')],
            Self::Between => &[('a', 'a'), ('a', 'b'), ('b', 'b')],
            Self::Triangle => &[('a', 'a'), ('b', 'b'), ('a', 'b')],
            Self::CreatorAndDeleter | Self::SameCreationAndDeleter => &[('a', 'a'), ('a', 'a')],
            Self::TwoCreatorsAndDeleter => &[('a', 'a'), ('a', 'a'), ('a', 'a')],
            Self::SplitAndDeleter => &[('a', 'a'), ('a', 'b'), ('b', 'a')],
        };
        names.iter().map(|(name, email)| Person::new(policy, serial, *name, *email)).collect()
    }

    /// What each actor asks for.
    #[must_use]
    pub fn calls(self, people: &[Person]) -> Vec<Call<'_>> {
        let gone = Call::Delete(people[0].prepared.id());
        let create = |person: usize| Call::Create(&people[person]);
        match self {
            Self::SamePerson | Self::SameUsername | Self::SameEmail | Self::Crossing => {
                vec![create(0), create(1)]
            }
            Self::SameCreation => vec![create(0), create(0)],
            Self::Between => vec![create(1), create(2)],
            Self::Triangle => vec![create(0), create(1), create(2)],
            Self::CreatorAndDeleter => vec![create(1), gone],
            Self::TwoCreatorsAndDeleter | Self::SplitAndDeleter => vec![create(1), create(2), gone],
            Self::SameCreationAndDeleter => vec![create(1), create(1), gone],
            Self::RivalAndDeleter => {
                vec![create(0), create(1), Call::Delete(people[1].prepared.id())]
            }
        }
    }

    /// How many actors it has.
    #[must_use]
    pub fn actors(self) -> usize {
        match self {
            Self::SamePerson
            | Self::SameUsername
            | Self::SameEmail
            | Self::Crossing
            | Self::SameCreation
            | Self::Between
            | Self::CreatorAndDeleter => 2,
            Self::Triangle
            | Self::TwoCreatorsAndDeleter
            | Self::RivalAndDeleter
            | Self::SameCreationAndDeleter
            | Self::SplitAndDeleter => 3,
        }
    }

    /// Whether somebody is there before.
    #[must_use]
    pub fn has_holder(self) -> bool {
        matches!(
            self,
            Self::Between
                | Self::CreatorAndDeleter
                | Self::TwoCreatorsAndDeleter
                | Self::SameCreationAndDeleter
                | Self::SplitAndDeleter
        )
    }

    /// Whether somebody is deleted.
    #[must_use]
    pub fn has_deleter(self) -> bool {
        self.has_holder() && self != Self::Between || self == Self::RivalAndDeleter
    }

    /// Creates whoever is there before.
    pub fn begin<C: ScheduledConnection>(self, policy: &Policy, conn: &mut C, people: &[Person]) {
        if self.has_holder() {
            let created = Accounts::new(policy, conn).create_user(&people[0].prepared).unwrap();
            assert!(created.is_created());
        }
    }
}

const PASSWORD: &str = "correct horse";
