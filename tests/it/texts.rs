//! What people are told: a sentence and a stable code for each fault, and nothing that a driver
//! said.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::result::{DatabaseErrorKind as Kind, Error as DieselError};
use diesel_accounts::{
    Context, EmailRules, Error, Field, Hashing, HashingFailure, Identifiers, ImportUser, NewUser,
    PasswordRules, Policy, PolicyBuilder, SchemaProblem, Scripts, SecretKey, UserId, UsernameRules,
    Violation,
};

use crate::support::{PASSWORD, TestDb, assert_matches, cheap_policy, texts_of};

/// The policy, the fault, and what is said about it: code, limit, sentence.
type Told = (PolicyBuilder, Fault, &'static str, Option<usize>, &'static str);

enum Fault {
    Username(String),
    Email(String),
    Password(&'static str),
}

#[test]
fn each_fault_of_a_field_has_its_sentence_its_code_and_its_limit() {
    let mut sentences = BTreeSet::new();
    for (policy, fault, code, limit, sentence) in faults() {
        let (field, username, email, password) = match &fault {
            Fault::Username(username) => (Field::Username, username.as_str(), GOOD_EMAIL, PASSWORD),
            Fault::Email(email) => (Field::Email, GOOD_NAME, email.as_str(), PASSWORD),
            Fault::Password(password) => (Field::Password, GOOD_NAME, GOOD_EMAIL, *password),
        };
        let new_user = NewUser::new(username, email, password);
        let result = policy.build().unwrap().prepare(new_user);
        let Err(Error::Invalid(invalid)) = result else { panic!("{code}: {result:?}") };
        let told: Vec<_> = invalid.errors().iter().map(ToString::to_string).collect();
        let [error] = invalid.errors() else { panic!("{code}: {told:?}") };
        assert_eq!((error.field(), error.code()), (field, code));
        assert_eq!((error.limit(), error.violation().limit()), (limit, limit), "{code}");
        assert_eq!(error.to_string(), format!("the {field} {sentence}"));
        assert_eq!(error.violation().to_string(), sentence);
        assert!(sentences.insert((field, sentence)), "{sentence} is told twice");
    }
}

fn prepare(policy: PolicyBuilder, username: &str, email: &str, password: &str) -> Error {
    policy.build().unwrap().prepare(NewUser::new(username, email, password)).unwrap_err()
}

fn faults() -> Vec<Told> {
    let rules = UsernameRules::new;
    let usernames = |rules| cheap_policy().usernames(rules);
    let passwords = |rules| cheap_policy().passwords(rules);
    let name = |text: &str| Fault::Username(text.to_owned());
    let email = |text: &str| Fault::Email(text.to_owned());
    let long = |count| "n".repeat(count);
    vec![
        (cheap_policy(), name(" "), "required", None, "is required"),
        (
            usernames(rules().min_length(3)),
            name("ab"),
            "too_short",
            Some(3),
            "must have at least 3 characters",
        ),
        (
            usernames(rules().max_length(5)),
            name("abcdef"),
            "too_long",
            Some(5),
            "must have at most 5 characters",
        ),
        (
            cheap_policy(),
            name("grace hopper"),
            "character_not_allowed",
            None,
            "has a character that is not allowed",
        ),
        (
            cheap_policy(),
            name("grace\u{7}"),
            "control_character",
            None,
            "has a control character or a line break",
        ),
        (
            cheap_policy(),
            name("grace\u{200b}"),
            "invisible_character",
            None,
            "has a character that cannot be seen",
        ),
        (
            cheap_policy(),
            name("grace\u{378}"),
            "unassigned_character",
            None,
            "has a character that is not known",
        ),
        (
            cheap_policy(),
            name("\u{301}grace"),
            "starts_with_mark",
            None,
            "must not start with a combining mark",
        ),
        (cheap_policy(), name("_._"), "no_letter_or_digit", None, "must have a letter or a digit"),
        (
            usernames(rules().scripts(Scripts::Single)),
            // The first letter is Cyrillic.
            name("\u{430}lice"),
            "mixed_scripts",
            None,
            "mixes letters of different scripts",
        ),
        (cheap_policy(), name("admin"), "reserved", None, "is reserved"),
        (cheap_policy(), email("grace"), "malformed", None, "is not an email address"),
        (
            cheap_policy(),
            Fault::Email(format!("{}@example.org", long(65))),
            "local_part_too_long",
            Some(64),
            "must have at most 64 bytes before the @",
        ),
        (
            cheap_policy(),
            email("gr\u{e4}ce@example.org"),
            "local_part_not_ascii",
            None,
            "must be plain ASCII before the @",
        ),
        (
            cheap_policy().emails(EmailRules::new().utf8_local_part(true)),
            email("gr\u{378}ce@example.org"),
            "unassigned_character",
            None,
            "has a character that is not known",
        ),
        (
            cheap_policy(),
            email("grace@-example-.org"),
            "invalid_domain",
            None,
            "does not have a valid domain",
        ),
        (
            passwords(PasswordRules::new().min_length(10)),
            Fault::Password("too small"),
            "too_short",
            Some(10),
            "must have at least 10 characters",
        ),
        (
            passwords(PasswordRules::new().max_bytes(256)),
            Fault::Password(SENTENCE_OF_257_BYTES),
            "too_many_bytes",
            Some(256),
            "must have at most 256 bytes",
        ),
        (
            passwords(PasswordRules::new().common_passwords_allowed(false)),
            Fault::Password("trustno1"),
            "common_password",
            None,
            "is one that many people use: choose one that only you would think of",
        ),
        (
            cheap_policy(),
            Fault::Password("gracehopper!!!!!"),
            "personal_password",
            None,
            "is too close to your own name or address, or to the name of this service",
        ),
    ]
}

#[test]
fn a_context_shows_whom_the_host_can_name_and_nothing_of_the_client() {
    let actor = UserId::from_bytes([7; 16]);
    let context = Context::new().client("canary").known_device("canary").actor(actor);
    assert_eq!(
        format!("{:?}", context.request_id("request 1")),
        "Context { actor: Some(UserId(07070707-0707-0707-0707-070707070707)), \
         request_id: Some(\"request 1\"), .. }"
    );
}

/// They need a service, a feature or an account.
#[test]
fn what_other_checks_find_in_a_password_has_its_sentence_too() {
    for (violation, code, sentence) in [
        (
            Violation::BreachedPassword,
            "breached_password",
            "was found in a data breach elsewhere: choose one that you never used",
        ),
        (
            Violation::GuessablePassword,
            "guessable_password",
            "is too easy to guess: a few unrelated words are better",
        ),
        (Violation::UnchangedPassword, "unchanged_password", "must be another one than before"),
    ] {
        assert_eq!((violation.code(), violation.limit()), (code, None));
        assert_eq!(violation.to_string(), sentence);
    }
}

#[test]
fn an_import_is_told_all_that_is_wrong_with_it() {
    let policy = cheap_policy().build().unwrap();
    let told = |import: ImportUser| {
        let invalid = policy.prepare_import(&import).unwrap().unwrap_err();
        (invalid.fields().is_some(), invalid.hash().is_some(), invalid.to_string())
    };
    let good = || ImportUser::new().username(GOOD_NAME).email(GOOD_EMAIL);
    let bad = || ImportUser::new().username("grace\u{7}").email(GOOD_EMAIL);
    let fields = "invalid username";
    let hash = "the format of the password hash is not known";
    assert_eq!(told(bad()), (true, false, fields.to_owned()));
    assert_eq!(told(good().password_hash("?")), (false, true, hash.to_owned()));
    assert_eq!(told(bad().password_hash("?")), (true, true, format!("{fields}; {hash}")));
}

#[test]
fn a_policy_that_cannot_be_kept_says_why() {
    let too_long = Duration::from_secs(24 * 60 * 60 + 1);
    for (policy, problem) in [
        (
            cheap_policy().hashing(Hashing::new().concurrent_hashes(0)),
            "at least one hash must run at once",
        ),
        (
            cheap_policy().hashing(Hashing::new().longest_wait(too_long)),
            "the wait for a hash can be a day at most",
        ),
        (cheap_policy().deadline(too_long), "the deadline can be a day at most"),
    ] {
        assert_eq!(policy.build().unwrap_err().to_string(), problem);
    }
}

#[test]
fn keys_that_are_too_short_and_texts_that_are_no_ids_are_refused() {
    assert!(SecretKey::new([0; 32]).is_ok());
    assert!(SecretKey::new([0; 31]).is_err());
    let id = UserId::new();
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in ["", "alice", &id.to_string()[1..]] {
        assert!(text.parse::<UserId>().is_err(), "{text}");
    }
}

#[test]
fn hashing_that_found_no_memory_may_find_some_later() {
    for (failure, retryable) in
        [(HashingFailure::OutOfMemory, true), (HashingFailure::Argon2, false)]
    {
        assert_eq!(Error::Hashing(failure).is_retryable(), retryable);
    }
}

#[test]
fn the_rules_that_have_a_name_are_those_of_their_standard() {
    let short = "w7-Kq";
    for (rules, minimum) in [
        (PasswordRules::nist_single_factor(), 15),
        (PasswordRules::nist_with_mfa(), 8),
        (PasswordRules::asvs_level_1(), 8),
    ] {
        let error = prepare(cheap_policy().passwords(rules), GOOD_NAME, GOOD_EMAIL, short);
        let invalid = assert_matches!(error, Error::Invalid(invalid) => invalid);
        let [error] = invalid.errors() else { panic!("{invalid}") };
        assert_eq!((error.code(), error.limit()), ("too_short", Some(minimum)));
    }
    let common = "trustno1";
    let policy = cheap_policy().passwords(PasswordRules::asvs_level_1());
    let error = prepare(policy, GOOD_NAME, GOOD_EMAIL, common);
    let invalid = assert_matches!(error, Error::Invalid(invalid) => invalid);
    assert_eq!(invalid.errors()[0].code(), "common_password");
}

#[test]
fn each_failure_of_the_database_is_named_without_the_words_of_the_driver() {
    let mut names = BTreeSet::new();
    for (cause, name, retryable) in failures() {
        let text = cause.to_string();
        let error = Error::from(cause);
        assert_eq!(error.to_string(), format!("the database failed: {name}"), "{text}");
        assert_eq!(error.is_retryable(), retryable, "{name}");
        let failure = assert_matches!(error, Error::Database(failure) => failure);
        assert!(!texts_of(&failure).contains("canary"), "{name}");
        assert_eq!(failure.diesel_error().to_string(), text);
        assert_eq!(failure.into_diesel_error().to_string(), text);
        assert!(names.insert(name), "{name}");
    }
}

/// Each error of Diesel's, its name, and whether the same call may succeed later.
fn failures() -> Vec<(DieselError, &'static str, bool)> {
    let refused = |kind| DieselError::DatabaseError(kind, Box::new("canary".to_owned()));
    vec![
        (refused(Kind::UniqueViolation), "unique violation", false),
        (refused(Kind::ForeignKeyViolation), "foreign key violation", false),
        (refused(Kind::UnableToSendCommand), "unable to send the statement", true),
        (refused(Kind::SerializationFailure), "serialization failure", true),
        (refused(Kind::ReadOnlyTransaction), "read-only transaction", false),
        (refused(Kind::RestrictViolation), "restrict violation", false),
        (refused(Kind::NotNullViolation), "not-null violation", false),
        (refused(Kind::CheckViolation), "check violation", false),
        (refused(Kind::ExclusionViolation), "exclusion violation", false),
        (refused(Kind::ClosedConnection), "connection closed", true),
        (refused(Kind::Unknown), "statement refused", false),
        (DieselError::NotFound, "not found", false),
        (DieselError::QueryBuilderError("canary".into()), "query not built", false),
        (DieselError::DeserializationError("canary".into()), "unreadable row", false),
        (DieselError::SerializationError("canary".into()), "unwritable value", false),
        (
            DieselError::RollbackErrorOnCommit {
                rollback_error: Box::new(DieselError::NotFound),
                commit_error: Box::new(refused(Kind::Unknown)),
            },
            "commit and rollback failed",
            false,
        ),
        (DieselError::RollbackTransaction, "rolled back", false),
        (DieselError::AlreadyInTransaction, "already in a transaction", false),
        (DieselError::NotInTransaction, "not in a transaction", false),
        (DieselError::BrokenTransactionManager, "broken transaction", false),
        (
            DieselError::InvalidCString(std::ffi::CString::new("canary\0").unwrap_err()),
            "failure",
            false,
        ),
    ]
}

#[test]
fn a_failure_of_the_pool_keeps_the_name_of_the_server_to_itself() {
    let users = TestDb::<SqliteConnection>::unreachable();
    let error = users.user_by_username("anybody").unwrap_err();
    assert_eq!(error.to_string(), "no database connection was available in time");
    let failure = assert_matches!(error, Error::Pool(failure) => failure);
    assert_eq!(failure.to_string(), "no database connection was available in time");
    assert!(!failure.pool_error().to_string().is_empty());
}

#[test]
fn each_problem_of_a_schema_is_told_in_words_of_its_own() {
    use SchemaProblem::{
        AutocommitOff, ColumnRequired, ColumnTooShort, ExtraUniqueIndex, ForeignTable, HostTrigger,
        IndexDeferrable, IndexNotBtree, IndexNotUnique, IndexNullsEqual, IndexPartial,
        MissingColumn, MissingIndex, MissingTable, MixedKeyVersions, NotStrict, NotTransactional,
        NotUnicode, ReadUncommitted, RowSecurity, SchemaNewer, SchemaOlder, SchemaTooNew,
        WrongCollation, WrongType,
    };
    let told = [
        (AutocommitOff, "is off, so that writes are not committed"),
        (ColumnRequired, "must have a value, and not every account has one"),
        (ColumnTooShort, "is too short for all valid values"),
        (ExtraUniqueIndex, "another unique index or constraint refuses accounts"),
        (ForeignTable, "belongs to another program"),
        (HostTrigger, "is a trigger or rule, which can stop accounts from being written"),
        (IndexDeferrable, "the unique index is deferrable"),
        (IndexNotBtree, "the unique index is not a B-tree"),
        (IndexNotUnique, "the index is not unique"),
        (IndexNullsEqual, "the unique index takes absent names for equal"),
        (IndexPartial, "the unique index leaves something out, or is not valid"),
        (MissingColumn, "is missing"),
        (MissingIndex, "there is no index on these columns"),
        (MissingTable, "is missing"),
        (MixedKeyVersions, "has keys of another version"),
        (NotStrict, "is not strict, so that long values are cut"),
        (NotTransactional, "is in an engine without transactions"),
        (NotUnicode, "is not UTF-8"),
        (ReadUncommitted, "lets sessions read what may never be committed"),
        (RowSecurity, "has row-level security, which can hide accounts"),
        (SchemaNewer, "is newer than this version of the library"),
        (SchemaOlder, "is older than this version of the library"),
        (SchemaTooNew, "is too new for this version of the library"),
        (WrongCollation, "is compared by another collation than a bytewise one"),
        (WrongType, "has the wrong type"),
    ];
    for (problem, words) in told {
        assert_eq!(problem.to_string(), words, "{problem:?}");
    }
}

#[test]
fn an_account_may_have_one_name_or_the_other_where_the_policy_says_so() {
    for (identifiers, missing) in [
        (Identifiers::Both, vec![Field::Username, Field::Email]),
        (Identifiers::EmailRequired, vec![Field::Email]),
        (Identifiers::UsernameRequired, vec![Field::Username]),
    ] {
        let policy: Policy = cheap_policy().identifiers(identifiers).build().unwrap();
        let error = policy.prepare(NewUser::new("", "", PASSWORD)).unwrap_err();
        let invalid = assert_matches!(error, Error::Invalid(invalid) => invalid);
        let fields: Vec<Field> = invalid.errors().iter().map(|error| error.field()).collect();
        assert_eq!(fields, missing, "{identifiers:?}");
    }
}

const GOOD_NAME: &str = "gracehopper";
const GOOD_EMAIL: &str = "grace.hopper@example.org";
const SENTENCE_OF_257_BYTES: &str = concat!(
    "the quick brown fox jumps over the lazy dog, and seven wizards box with five",
    " jolly quacks of my vow; the quick brown fox jumps over the lazy dog, and se",
    "ven wizards box with five jolly quacks of my vow; the quick brown fox jumps ",
    "over the lazy dog, and seven!",
);
