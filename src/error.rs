//! Why an operation did not succeed.

use std::fmt;
use std::time::Duration;

use diesel::r2d2::PoolError;
use diesel::result::DatabaseErrorKind;
use diesel::result::Error as DieselError;

use crate::creation::Taken;
use crate::identity::InvalidUser;
use crate::user::UserId;

/// The result of an account operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an account operation did not succeed.
///
/// The texts are fixed and hold no data of any user; what a driver said is kept apart, in
/// [`DatabaseFailure`] and [`PoolFailure`], and is never a part of `Display`, `Debug` or
/// `source()`.
///
/// # What it says about an account that was to be created
///
/// "Not created" is said of the call that hears it. After an earlier call with the same id was
/// [`Undetermined`](Self::Undetermined), only an answer settles what became of that one: see
/// [the outcomes](crate::guide::outcomes).
///
/// | variant | the account | what the host does |
/// |---|---|---|
/// | [`Invalid`](Self::Invalid) | not created | shows every field at fault |
/// | [`Taken`](Self::Taken) | not created | asks for another name |
/// | [`IdReused`](Self::IdReused) | not created | mends its own use of ids |
/// | [`NotCreated`](Self::NotCreated) | not created | reports the cause |
/// | [`Busy`](Self::Busy) | not created | tries again later |
/// | [`HiddenConflict`](Self::HiddenConflict) | not created | reports it: see the variant |
/// | [`Pool`](Self::Pool) | not created | tries again later |
/// | [`Hashing`](Self::Hashing) | not created | tries again later |
/// | [`HashingBusy`](Self::HashingBusy) | not created | tries again after the time that it names |
/// | [`BreachCheckUnavailable`](Self::BreachCheckUnavailable) | not created | tries again later |
/// | [`HostMustRollBack`](Self::HostMustRollBack) | not created, once rolled back | rolls back, runs its transaction again |
/// | [`Undetermined`](Self::Undetermined) | nobody knows yet | asks again with the same id |
///
/// ```
/// use diesel_accounts::{Error, NewUser};
///
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// match users.create_user(NewUser::new("alice", "not an address", "correct horse")) {
///     Ok(creation) => println!("created: {}", creation.is_created()),
///     Err(Error::Invalid(invalid)) => println!("{}", invalid.errors()[0]),
///     Err(Error::Taken(taken)) => println!("{taken}"),
///     Err(error) if error.is_retryable() => println!("please try again"),
///     Err(error) => println!("trouble: {error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input breaks the policy. Nothing was sent to the database.
    #[error("{0}")]
    Invalid(InvalidUser),

    /// The username or the email is held by somebody else. Nothing was written.
    #[error("{0}")]
    Taken(Taken),

    /// The id that the caller gave belongs to an account with another username or email, or of
    /// another realm.
    #[error("the user id belongs to another account")]
    #[non_exhaustive]
    IdReused {
        /// The id that was given.
        id: UserId,
    },

    /// The database refused the account for a reason of its own: a constraint or a trigger of the
    /// host's, a missing table, a read-only server, a full disk. It was not created. Inside a
    /// transaction some of these are [`HostMustRollBack`](Self::HostMustRollBack) instead, where
    /// Diesel does not tell them from the end of the transaction.
    #[error("the account was not created: {0}")]
    NotCreated(DatabaseFailure),

    /// Locks, deadlocks or a busy database until the deadline, or the server stopped the statement:
    /// it took too long (`statement_timeout`, `max_statement_time`), or somebody wished so. It was
    /// not created. (A PostgreSQL that speaks another language than English is not understood, and
    /// a statement that it stops is [`NotCreated`](Self::NotCreated).)
    #[error("the database was busy, or stopped what took too long")]
    Busy,

    /// The database refuses the account as a duplicate, and there is no duplicate to be found.
    ///
    /// Row-level security hides it, a unique index, an exclusion constraint or a trigger of the
    /// host's stops the insertion, or somebody made and deleted it again and again.
    /// [`UserManager::check`](crate::UserManager::check) tells of all of these but the last. It was
    /// not created.
    #[error("the database reports a conflict with an account that cannot be seen")]
    HiddenConflict,

    /// The connection was lost while the account was being created, and the database stayed out of
    /// reach, or somebody else was in the way when it was asked again: nobody can know yet whether it
    /// was created, or will be.
    ///
    /// The same call with the same id ([`NewUser::with_id`](crate::NewUser::with_id), or the same
    /// [`PreparedUser`](crate::PreparedUser)) settles it, and never creates a second account. A
    /// look-up does not: the statement may still be on its way.
    #[error("it is not known whether the account was created: {cause}")]
    #[non_exhaustive]
    Undetermined {
        /// The id to ask again with.
        id: UserId,
        /// What happened to the connection.
        cause: DatabaseFailure,
    },

    /// The host's transaction cannot go on, or no longer sees what it has to see. The host returns
    /// this error from its closure, so that Diesel rolls back, and runs the transaction again.
    #[error("the surrounding transaction must be rolled back and run again")]
    HostMustRollBack(Option<DatabaseFailure>),

    /// The operation cannot be done while a transaction is open on the connection.
    #[error("this cannot be done inside a transaction")]
    TransactionOpen,

    /// There is no such user in the realm.
    #[error("there is no such user")]
    UserNotFound,

    /// A table or a ledger in the database is not what this crate can work with.
    #[error("{0}")]
    Schema(SchemaFailure),

    /// The database failed, or refused a statement.
    #[error("{0}")]
    Database(DatabaseFailure),

    /// The pool had no connection to give in time: the server is down, or all are in use.
    #[error("no database connection was available in time")]
    Pool(PoolFailure),

    /// The password could not be hashed.
    #[error("{0}")]
    Hashing(HashingFailure),

    /// Too many passwords were being hashed: the queue was full, or the turn did not come in time
    /// ([`Hashing::longest_wait`](crate::Hashing::longest_wait)).
    #[error("too many passwords are being hashed")]
    #[non_exhaustive]
    HashingBusy {
        /// When it is worth to try again, about.
        retry_after: Duration,
    },

    /// It cannot be found out now whether the new password was stolen, and the policy insists.
    #[error("the check for breached passwords is not available")]
    BreachCheckUnavailable,

    /// The policy lacks something that the operation needs: the host's own mistake.
    #[error("{0}")]
    Configuration(ConfigurationFailure),
}

impl Error {
    /// Whether the same call may well succeed a little later, on a connection of its own. Bound the
    /// retries: inside a transaction some permanent causes cannot be told from passing ones.
    ///
    /// True for [`Busy`](Self::Busy), [`Pool`](Self::Pool), [`Undetermined`](Self::Undetermined)
    /// (with the same id) and [`HostMustRollBack`](Self::HostMustRollBack) (with the whole
    /// transaction), for hashing that found no memory or no room in the queue, for a breach check
    /// that is not available, and for a lost connection as far as Diesel names it: some drivers,
    /// that of MariaDB/MySQL among them, give it no kind of its own.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy
            | Self::BreachCheckUnavailable
            | Self::HashingBusy { .. }
            | Self::HostMustRollBack(_)
            | Self::Pool(_)
            | Self::Undetermined { .. } => true,
            Self::Hashing(failure) => *failure == HashingFailure::OutOfMemory,
            Self::Database(failure) | Self::NotCreated(failure) => failure.is_retryable(),
            _ => false,
        }
    }

    /// A stable name of the variant, in snake case, for logs and metrics: `hashing_busy` and so on.
    ///
    /// ```
    /// assert_eq!(diesel_accounts::Error::HiddenConflict.code(), "hidden_conflict");
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BreachCheckUnavailable => "breach_check_unavailable",
            Self::Busy => "busy",
            Self::Configuration(_) => "configuration",
            Self::Database(_) => "database",
            Self::Hashing(_) => "hashing",
            Self::HashingBusy { .. } => "hashing_busy",
            Self::HiddenConflict => "hidden_conflict",
            Self::HostMustRollBack(_) => "host_must_roll_back",
            Self::IdReused { .. } => "id_reused",
            Self::Invalid(_) => "invalid",
            Self::NotCreated(_) => "not_created",
            Self::Pool(_) => "pool",
            Self::Schema(_) => "schema",
            Self::Taken(_) => "taken",
            Self::TransactionOpen => "transaction_open",
            Self::Undetermined { .. } => "undetermined",
            Self::UserNotFound => "user_not_found",
        }
    }

    /// Whom it is about.
    #[cfg(feature = "tracing")]
    pub(crate) fn user_id(&self) -> Option<UserId> {
        match self {
            Self::IdReused { id } | Self::Undetermined { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Whether it is not known if the account was created: [`Undetermined`](Self::Undetermined).
    #[must_use]
    pub fn is_undetermined(&self) -> bool {
        matches!(self, Self::Undetermined { .. })
    }

    /// Whether the host has to roll its transaction back:
    /// [`HostMustRollBack`](Self::HostMustRollBack).
    #[must_use]
    pub fn is_host_must_roll_back(&self) -> bool {
        matches!(self, Self::HostMustRollBack(_))
    }
}

/// So that `?` works in the closure of a host's `conn.transaction(..)`.
impl From<DieselError> for Error {
    fn from(cause: DieselError) -> Self {
        Self::Database(DatabaseFailure::new(cause))
    }
}

/// What the database or its driver said.
///
/// `Display` and `Debug` print the kind only, for the texts of drivers hold usernames, addresses
/// and whole rows. Whoever wants them all the same asks for [`DatabaseFailure::diesel_error`].
///
/// ```
/// use diesel_accounts::{Error, diesel};
///
/// let error = Error::from(diesel::result::Error::NotFound);
/// assert_eq!(error.to_string(), "the database failed: not found");
/// let Error::Database(failure) = error else { panic!() };
/// assert_eq!(failure.diesel_error(), &diesel::result::Error::NotFound);
/// ```
pub struct DatabaseFailure {
    // An error of Diesel's is large, and every `Result` of ours carries its room.
    cause: Box<DieselError>,
}

impl DatabaseFailure {
    pub(crate) fn new(cause: DieselError) -> Self {
        Self { cause: Box::new(cause) }
    }

    /// The error of Diesel. Its texts may hold personal data: keep them out of logs.
    #[must_use]
    pub fn diesel_error(&self) -> &DieselError {
        &self.cause
    }

    /// The error of Diesel. Its texts may hold personal data: keep them out of logs.
    #[must_use]
    pub fn into_diesel_error(self) -> DieselError {
        *self.cause
    }

    fn is_retryable(&self) -> bool {
        matches!(
            *self.cause,
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                    | DatabaseErrorKind::SerializationFailure
                    | DatabaseErrorKind::UnableToSendCommand,
                _
            )
        )
    }

    fn kind(&self) -> &'static str {
        match &*self.cause {
            DieselError::DatabaseError(kind, _) => match kind {
                DatabaseErrorKind::UniqueViolation => "unique violation",
                DatabaseErrorKind::ForeignKeyViolation => "foreign key violation",
                DatabaseErrorKind::UnableToSendCommand => "unable to send the statement",
                DatabaseErrorKind::SerializationFailure => "serialization failure",
                DatabaseErrorKind::ReadOnlyTransaction => "read-only transaction",
                DatabaseErrorKind::RestrictViolation => "restrict violation",
                DatabaseErrorKind::NotNullViolation => "not-null violation",
                DatabaseErrorKind::CheckViolation => "check violation",
                DatabaseErrorKind::ExclusionViolation => "exclusion violation",
                DatabaseErrorKind::ClosedConnection => "connection closed",
                _ => "statement refused",
            },
            DieselError::NotFound => "not found",
            DieselError::QueryBuilderError(_) => "query not built",
            DieselError::DeserializationError(_) => "unreadable row",
            DieselError::SerializationError(_) => "unwritable value",
            DieselError::RollbackErrorOnCommit { .. } => "commit and rollback failed",
            DieselError::RollbackTransaction => "rolled back",
            DieselError::AlreadyInTransaction => "already in a transaction",
            DieselError::NotInTransaction => "not in a transaction",
            DieselError::BrokenTransactionManager => "broken transaction",
            _ => "failure",
        }
    }
}

impl fmt::Display for DatabaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the database failed: {}", self.kind())
    }
}

impl fmt::Debug for DatabaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseFailure({})", self.kind())
    }
}

/// Deliberately without a `source()`: a report of the whole chain would print what the driver said.
impl std::error::Error for DatabaseFailure {}

/// Why the pool had no connection to give.
///
/// Like [`DatabaseFailure`] it keeps the text of the driver to itself.
///
/// ```
/// use diesel_accounts::diesel::SqliteConnection;
/// use diesel_accounts::diesel::r2d2::{ConnectionManager, NopErrorHandler, Pool};
/// use diesel_accounts::{Error, UserManager};
///
/// let nowhere = ConnectionManager::<SqliteConnection>::new("/no/such/folder/accounts.db");
/// let pool = Pool::builder()
///     .connection_timeout(std::time::Duration::from_millis(10))
///     .error_handler(Box::new(NopErrorHandler))
///     .build_unchecked(nowhere);
/// let Err(Error::Pool(failure)) = UserManager::new(pool).migrate() else { panic!() };
/// assert_eq!(failure.to_string(), "no database connection was available in time");
/// ```
pub struct PoolFailure {
    cause: PoolError,
}

impl PoolFailure {
    pub(crate) fn new(cause: PoolError) -> Self {
        Self { cause }
    }

    /// The error of the pool. Its text may name the server, its address and its user.
    #[must_use]
    pub fn pool_error(&self) -> &PoolError {
        &self.cause
    }
}

impl fmt::Display for PoolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no database connection was available in time")
    }
}

impl fmt::Debug for PoolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolFailure(..)")
    }
}

impl std::error::Error for PoolFailure {}

/// Why a password could not be hashed, or an id made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HashingFailure {
    /// Argon2 refused its input.
    #[error("the password could not be hashed")]
    Argon2,
    /// An engine does not compute what the default one does.
    #[error("the engine does not compute Argon2")]
    Disagreement,
    /// There was no memory to hash in.
    #[error("there was no memory to hash the password in")]
    OutOfMemory,
    /// One hash needs more memory than all hashes together may have.
    #[error("the hash needs more memory than there may be in use")]
    OverBudget,
    /// The operating system gave no random numbers for the salt or the id.
    #[error("the operating system gave no random numbers")]
    Random,
}

/// What the policy lacks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationFailure {
    /// A password hash was made with a secret key that the policy does not have
    /// ([`Hashing::pepper`](crate::Hashing::pepper)). It is not known whether the password is
    /// right.
    #[error("the secret key {key_id:?} of a password hash is not known")]
    #[non_exhaustive]
    PepperMissing {
        /// The id of the key.
        key_id: String,
    },
    /// The policy has no key of the host's
    /// ([`PolicyBuilder::secret_key`](crate::PolicyBuilder::secret_key)).
    #[error("the policy has no secret key")]
    NoSecretKey,
}

/// Why the schema cannot be brought up to date.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaFailure {
    /// A table with one of our names is there, and is not ours. It was left untouched.
    #[error("the database has a table of another program under the name of one of ours")]
    ForeignTable,
    /// The connection has no database: MariaDB and MySQL allow that.
    #[error("the connection has no database")]
    NoDatabase,
}
