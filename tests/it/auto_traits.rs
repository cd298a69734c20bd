//! What hosts count on when they keep our types in their state, or send them to threads.

use std::error::Error as StdError;

use diesel_accounts::diesel::SqliteConnection;
use diesel_accounts::{
    Accepted, Accounts, Argon2Cost, Argon2Engine, BreachCheck, BreachCheckUnavailable, Calibration,
    Clock, ConfigurationFailure, Context, Creation, DatabaseFailure, DeviceToken, Duplicates,
    EmailRules, Engine, Error, Existing, Field, FieldError, Finding, ForeignHashes, Hashing,
    HashingFailure, Identifiers, ImportOutcome, ImportSummary, ImportUser, InvalidCost,
    InvalidCursor, InvalidHash, InvalidId, InvalidImport, InvalidKey, InvalidPepper, InvalidPolicy,
    InvalidUser, Matched, Migration, NewUser, Password, PasswordChange, PasswordRules, Pepper,
    Policy, PolicyBuilder, PoolFailure, PreparedImport, PreparedPassword, PreparedUser, RealmId,
    Refusal, SchemaFailure, SchemaProblem, SchemaReport, Scripts, SecretKey, SessionAuthHash,
    SignIn, SignInAttempt, Taken, TakenReason, ThrottleRules, Timestamp, User, UserCursor, UserId,
    UserManager, UserState, UsernameRules, VerifiedAttempt, VerifiedPasswordChange, Violation,
};

/// The compiler is the test: a type that is not what it is listed as does not build.
macro_rules! each_is {
    ($check:ident: $($type:ty),+ $(,)?) => {
        $($check::<$type>();)+
    };
}

#[test]
fn every_type_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    each_is!(
        shared: Accepted, Argon2Cost, Box<dyn Argon2Engine>, Box<dyn BreachCheck>, Calibration,
        ConfigurationFailure, Context, DeviceToken, ForeignHashes, Hashing, ImportOutcome,
        ImportSummary, ImportUser, InvalidHash, InvalidImport, PasswordChange, Pepper,
        PreparedImport, PreparedPassword, Refusal, SecretKey, SessionAuthHash, SignIn,
        SignInAttempt, ThrottleRules, VerifiedAttempt, VerifiedPasswordChange,
        Creation, DatabaseFailure, Duplicates, EmailRules, Engine, Error,
        Existing, Field, FieldError, Finding, HashingFailure, Identifiers, InvalidCost,
        InvalidCursor, InvalidId, InvalidPolicy, InvalidUser, Matched, Migration, NewUser, Password,
        PasswordRules, Policy, PolicyBuilder, PoolFailure, PreparedUser, RealmId, SchemaFailure,
        SchemaProblem, SchemaReport, Scripts, Taken, TakenReason, Timestamp, User, UserCursor,
        UserId, UserManager<SqliteConnection>, UserState, UsernameRules, Violation, Box<dyn Clock>,
    );
}

/// A connection can be sent to another thread and not shared; what borrows it can do the same.
#[test]
fn operations_on_a_lent_connection_can_be_sent_to_a_thread() {
    fn sent<T: Send>() {}
    each_is!(sent: Accounts<'static, SqliteConnection>);
}

#[test]
fn what_hosts_share_can_be_cloned() {
    fn cloned<T: Clone + Send + Sync>() {}
    each_is!(cloned: UserManager<SqliteConnection>, Policy, PolicyBuilder, User);
}

#[test]
fn every_error_can_travel_as_a_boxed_error() {
    fn error<T: StdError + Send + Sync + 'static>() {}
    each_is!(
        error: BreachCheckUnavailable, ConfigurationFailure, InvalidHash, InvalidImport, InvalidKey,
        InvalidPepper, DatabaseFailure, Error, HashingFailure, InvalidCost, InvalidCursor, InvalidId,
        InvalidPolicy, InvalidUser, PoolFailure, SchemaFailure,
    );
}

#[test]
fn ids_can_be_keys_of_maps() {
    fn key<T: Copy + Ord + std::hash::Hash + std::str::FromStr + ToString>() {}
    each_is!(key: RealmId, UserId);
}
