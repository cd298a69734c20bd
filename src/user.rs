//! A user as a host reads it, and the ids.

use std::fmt;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow, Queryable};
use diesel::expression::{AsExpression, Selectable};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::SmallInt;
use uuid::{Builder, Uuid};

use crate::error::HashingFailure;
use crate::identity::key::domain_to_a_labels;
use crate::store::schema::account_users;
use crate::store::schema::sql_types::AccountId;
use crate::timestamp::Timestamp;

/// One account. It never carries the password or its hash.
///
/// `Debug` shows the id, the state and the times, and nothing personal.
///
/// ```
/// use diesel_accounts::{Creation, NewUser};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let Creation::Created(user) =
///     users.create_user(NewUser::new("Alice", "Alice@example.org", "correct horse"))?
/// else { panic!("nobody had that name") };
/// assert_eq!(user.username(), Some("Alice"));
/// assert_eq!(user.email(), Some("Alice@example.org"));
/// assert!(user.is_active() && user.email_verified_at().is_none());
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq, Queryable, Selectable)]
#[diesel(table_name = account_users)]
pub struct User {
    pub(crate) id: UserId,
    pub(crate) realm: RealmId,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) state: UserState,
    pub(crate) session_generation: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) password_changed_at: Option<Timestamp>,
    pub(crate) last_sign_in_at: Option<Timestamp>,
    pub(crate) password_change_required: i16,
}

impl User {
    /// Identifies the account for as long as it lives, whatever else changes.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.id
    }

    /// The realm in which the username and the email are unique.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// The username as the person typed it, to be shown.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The email address as the person typed it, to be shown. Mail goes to [`User::mailbox`].
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The address to send mail to: the local part as typed, the domain as its A-labels.
    ///
    /// Mail programs disagree about other spellings: some of them deliver `ann@straße.example` to
    /// `strasse.example`, which belongs to somebody else. Never send mail to an address that came
    /// with a request.
    ///
    /// ```
    /// use diesel_accounts::NewUser;
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let ann = NewUser::new("ann", "Ann@straße.example", "correct horse");
    /// let ann = users.create_user(ann)?.created().expect("nobody had that name");
    /// assert_eq!(ann.mailbox().as_deref(), Some("Ann@xn--strae-oqa.example"));
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    #[must_use]
    pub fn mailbox(&self) -> Option<String> {
        let (local, domain) = self.email()?.rsplit_once('@')?;
        Some(format!("{local}@{}", domain_to_a_labels(domain)?))
    }

    /// When the person proved that mail to the address arrives; `None` if not yet.
    #[must_use]
    pub fn email_verified_at(&self) -> Option<Timestamp> {
        self.email_verified_at
    }

    /// Whether the account is active, disabled or only reserved.
    #[must_use]
    pub fn state(&self) -> UserState {
        self.state
    }

    /// Whether the state is [`UserState::Active`].
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == UserState::Active
    }

    /// Rises whenever the account's open sessions have to end. A host keeps the number in each
    /// session, and refuses a session whose number is not the account's.
    #[must_use]
    pub fn session_generation(&self) -> i64 {
        self.session_generation
    }

    /// When the account was created.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When the account last changed.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// When the password was last set; `None` if the account has none.
    #[must_use]
    pub fn password_changed_at(&self) -> Option<Timestamp> {
        self.password_changed_at
    }

    /// When the person last signed in, as exactly as the policy wants it
    /// ([`PolicyBuilder::sign_in_recorded_every`](crate::PolicyBuilder::sign_in_recorded_every));
    /// `None` if never.
    #[must_use]
    pub fn last_sign_in_at(&self) -> Option<Timestamp> {
        self.last_sign_in_at
    }

    /// Whether the person must change the password
    /// ([`Accounts::require_password_change`](crate::Accounts::require_password_change)).
    #[must_use]
    pub fn must_change_password(&self) -> bool {
        self.password_change_required != 0
    }
}

impl User {
    /// The user after a change of password then.
    pub(crate) fn with_new_password(&self, then: Timestamp) -> Self {
        Self {
            session_generation: self.session_generation + 1,
            updated_at: then,
            password_changed_at: Some(then),
            password_change_required: 0,
            ..self.clone()
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("realm", &self.realm)
            .field("state", &self.state)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .finish_non_exhaustive()
    }
}

/// Whether an account can be used.
///
/// See [`Accounts::disable_user`](crate::Accounts::disable_user) and
/// [`Accounts::reserve_user`](crate::Accounts::reserve_user) for examples.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = SmallInt)]
#[non_exhaustive]
pub enum UserState {
    /// In use.
    Active,
    /// Kept, but nobody can sign in until it is enabled again.
    Disabled,
    /// Deleted: only its username and email are still held, so that nobody else gets them.
    Reserved,
}

impl UserState {
    fn code(self) -> &'static i16 {
        match self {
            Self::Active => &0,
            Self::Disabled => &1,
            Self::Reserved => &2,
        }
    }
}

impl<DB: Backend> ToSql<SmallInt, DB> for UserState
where
    i16: ToSql<SmallInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.code().to_sql(out)
    }
}

impl<DB: Backend> FromSql<SmallInt, DB> for UserState
where
    i16: FromSql<SmallInt, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let code = i16::from_sql(bytes)?;
        // A state of a later version is not one in which the account can be used.
        Ok([Self::Active, Self::Disabled, Self::Reserved]
            .into_iter()
            .find(|state| *state.code() == code)
            .unwrap_or(Self::Disabled))
    }
}

/// Makes an id: 16 bytes, written as a UUID.
macro_rules! id {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, AsExpression, FromSqlRow)]
        #[diesel(sql_type = AccountId)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl fmt::Display for $name {
            /// Lower case, with hyphens: RFC 9562, section 4.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Uuid::from_bytes(self.0), f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(uuid) => Ok(Self(uuid.into_bytes())),
                    Err(_) => Err(InvalidId(())),
                }
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id! {
    /// Identifies one user, and the creation that made it.
    ///
    /// A new id is a UUIDv7 (RFC 9562, section 5.7): it sorts by the millisecond in which it was
    /// made and is otherwise random. It is unique and no secret: never a token. Ids are made by the
    /// host's own server and never taken from a stranger.
    ///
    /// ```
    /// use diesel_accounts::UserId;
    ///
    /// let id = UserId::new();
    /// assert_eq!(id.to_string().parse(), Ok(id));
    /// ```
    UserId
}

impl UserId {
    /// An id that nobody has.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers to give.
    #[expect(clippy::expect_used, reason = "a service without random numbers cannot go on")]
    #[expect(clippy::new_without_default, reason = "two calls never give the same value")]
    #[must_use]
    pub fn new() -> Self {
        Self::generate().expect("the operating system has random numbers")
    }

    pub(crate) fn generate() -> Result<Self, HashingFailure> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|_| HashingFailure::Random)?;
        let millis = u64::try_from(Timestamp::now().as_micros() / 1000).unwrap_or(0);
        let uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        Ok(Self(uuid.into_bytes()))
    }
}

id! {
    /// A space in which usernames and email addresses are unique: a tenant.
    ///
    /// A host without tenants never names one: everything is in the realm [`RealmId::NIL`].
    ///
    /// ```
    /// use diesel_accounts::{Creation, NewUser, RealmId};
    ///
    /// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
    /// let acme = users.in_realm(RealmId::from_bytes([1; 16]));
    /// let alice = || NewUser::new("alice", "alice@example.org", "correct horse");
    /// assert!(matches!(users.create_user(alice())?, Creation::Created(_)));
    /// assert!(matches!(acme.create_user(alice())?, Creation::Created(_)));
    /// # Ok::<(), diesel_accounts::Error>(())
    /// ```
    RealmId
}

impl RealmId {
    /// The realm of a host that asks for no other.
    pub const NIL: Self = Self([0; 16]);
}

/// A text is not an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the text is not a UUID")]
pub struct InvalidId(());
