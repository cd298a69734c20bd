//! What is wrong with the input: every field at fault, at once.

use std::fmt;

/// Why the input for a new user is refused: every field at fault, at once, and every reason that
/// can be told. A text that is far too long, or has a character that can stand nowhere, is judged
/// no further.
///
/// Its texts are fixed: they never repeat what was typed.
///
/// ```
/// use diesel_accounts::{Error, Field, NewUser, Policy};
///
/// let refused = Policy::default().prepare(NewUser::new("a b", "nobody", "short"));
/// let Err(Error::Invalid(invalid)) = refused else { panic!("it is invalid") };
/// let codes: Vec<_> = invalid.errors().iter().map(|error| (error.field(), error.code())).collect();
/// assert_eq!(
///     codes,
///     [
///         (Field::Username, "character_not_allowed"),
///         (Field::Email, "malformed"),
///         (Field::Password, "too_short"),
///     ],
/// );
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct InvalidUser {
    errors: Vec<FieldError>,
}

impl InvalidUser {
    pub(crate) fn new(errors: Vec<FieldError>) -> Self {
        Self { errors }
    }

    /// Every fault, in the order username, email, password.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The faults of one field.
    pub fn of(&self, field: Field) -> impl Iterator<Item = &FieldError> {
        self.errors.iter().filter(move |error| error.field == field)
    }
}

impl fmt::Display for InvalidUser {
    /// Names the fields at fault: `invalid username, password`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "invalid ";
        for field in [Field::Username, Field::Email, Field::Password] {
            if self.of(field).next().is_some() {
                write!(f, "{separator}{field}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for InvalidUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.errors).finish()
    }
}

impl std::error::Error for InvalidUser {}

/// One fault of one field.
///
/// With the feature `serde` it is written as `{"field", "code", "message", "limit"}`, `limit` being
/// absent where no number was exceeded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    field: Field,
    violation: Violation,
}

impl FieldError {
    pub(crate) fn new(field: Field, violation: Violation) -> Self {
        Self { field, violation }
    }

    /// Which field is at fault.
    #[must_use]
    pub fn field(&self) -> Field {
        self.field
    }

    /// What is wrong with it.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        &self.violation
    }

    /// [`Violation::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.violation.code()
    }

    /// [`Violation::limit`].
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        self.violation.limit()
    }
}

impl fmt::Display for FieldError {
    /// A sentence for people, without a full stop: `the username is required`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.field, self.violation)
    }
}

/// A field of a new user.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Field {
    /// The username.
    Username,
    /// The email address.
    Email,
    /// The password.
    Password,
}

impl Field {
    /// The stable name of the field: `username`, `email` or `password`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
            Self::Password => "password",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that a field broke.
///
/// Its `Display` is the second half of a sentence for people: `is required`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Violation {
    /// The policy asks for the field and it is absent or blank.
    Required,
    /// Fewer characters (code points) than the minimum.
    #[non_exhaustive]
    TooShort {
        /// The fewest characters.
        minimum: usize,
    },
    /// More characters (code points) than the maximum.
    #[non_exhaustive]
    TooLong {
        /// The most characters.
        maximum: usize,
    },
    /// More bytes of UTF-8 than the maximum.
    #[non_exhaustive]
    TooManyBytes {
        /// The most bytes.
        maximum: usize,
    },
    /// A character that the policy does not allow.
    CharacterNotAllowed,
    /// A control character, a line break among them.
    ControlCharacter,
    /// A character that cannot be seen, or that changes the direction of writing.
    InvisibleCharacter,
    /// A character that Unicode 17.0 does not assign, or that has no stable canonical form.
    UnassignedCharacter,
    /// A combining mark that has nothing to combine with.
    StartsWithMark,
    /// No letter and no digit at all.
    NoLetterOrDigit,
    /// Letters of scripts that the policy does not allow together (UTS #39).
    MixedScripts,
    /// A name that the host keeps for itself.
    Reserved,
    /// Not an email address.
    Malformed,
    /// A local part (before the `@`) of more bytes than the maximum.
    #[non_exhaustive]
    LocalPartTooLong {
        /// The most bytes: 64, RFC 5321, section 4.5.3.1.1.
        maximum: usize,
    },
    /// A local part outside ASCII, which the policy does not allow.
    LocalPartNotAscii,
    /// A domain that cannot be one on the internet.
    InvalidDomain,
    /// A password that everybody tries first, or that the host has blocked.
    CommonPassword,
    /// A password that is the person's own name or address, or the service's, with nothing but
    /// digits, symbols or repetition around it.
    PersonalPassword,
    /// A password that was stolen elsewhere.
    BreachedPassword,
    /// A password that an estimate finds too easy to guess.
    GuessablePassword,
    /// The password that was to be changed.
    UnchangedPassword,
}

impl Violation {
    /// A stable code for programs, in snake case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::TooManyBytes { .. } => "too_many_bytes",
            Self::CharacterNotAllowed => "character_not_allowed",
            Self::ControlCharacter => "control_character",
            Self::InvisibleCharacter => "invisible_character",
            Self::UnassignedCharacter => "unassigned_character",
            Self::StartsWithMark => "starts_with_mark",
            Self::NoLetterOrDigit => "no_letter_or_digit",
            Self::MixedScripts => "mixed_scripts",
            Self::Reserved => "reserved",
            Self::Malformed => "malformed",
            Self::LocalPartTooLong { .. } => "local_part_too_long",
            Self::LocalPartNotAscii => "local_part_not_ascii",
            Self::InvalidDomain => "invalid_domain",
            Self::CommonPassword => "common_password",
            Self::PersonalPassword => "personal_password",
            Self::BreachedPassword => "breached_password",
            Self::GuessablePassword => "guessable_password",
            Self::UnchangedPassword => "unchanged_password",
        }
    }

    /// The limit that was broken, where there is one: characters or bytes, as the variant says.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        match self {
            Self::TooShort { minimum } => Some(*minimum),
            Self::TooLong { maximum }
            | Self::TooManyBytes { maximum }
            | Self::LocalPartTooLong { maximum } => Some(*maximum),
            _ => None,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("is required"),
            Self::TooShort { minimum } => write!(f, "must have at least {minimum} characters"),
            Self::TooLong { maximum } => write!(f, "must have at most {maximum} characters"),
            Self::TooManyBytes { maximum } => write!(f, "must have at most {maximum} bytes"),
            Self::CharacterNotAllowed => f.write_str("has a character that is not allowed"),
            Self::ControlCharacter => f.write_str("has a control character or a line break"),
            Self::InvisibleCharacter => f.write_str("has a character that cannot be seen"),
            Self::UnassignedCharacter => f.write_str("has a character that is not known"),
            Self::StartsWithMark => f.write_str("must not start with a combining mark"),
            Self::NoLetterOrDigit => f.write_str("must have a letter or a digit"),
            Self::MixedScripts => f.write_str("mixes letters of different scripts"),
            Self::Reserved => f.write_str("is reserved"),
            Self::Malformed => f.write_str("is not an email address"),
            Self::LocalPartTooLong { maximum } => {
                write!(f, "must have at most {maximum} bytes before the @")
            }
            Self::LocalPartNotAscii => f.write_str("must be plain ASCII before the @"),
            Self::InvalidDomain => f.write_str("does not have a valid domain"),
            Self::CommonPassword => {
                f.write_str("is one that many people use: choose one that only you would think of")
            }
            Self::PersonalPassword => f.write_str(
                "is too close to your own name or address, or to the name of this service",
            ),
            Self::BreachedPassword => {
                f.write_str("was found in a data breach elsewhere: choose one that you never used")
            }
            Self::GuessablePassword => {
                f.write_str("is too easy to guess: a few unrelated words are better")
            }
            Self::UnchangedPassword => f.write_str("must be another one than before"),
        }
    }
}

#[cfg(feature = "serde")]
mod serialized {
    use serde::ser::{Serialize, SerializeStruct, Serializer};

    use super::{Field, FieldError, InvalidUser};

    impl Serialize for InvalidUser {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.errors.serialize(serializer)
        }
    }

    impl Serialize for FieldError {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let limit = self.limit();
            let fields = 3 + usize::from(limit.is_some());
            let mut error = serializer.serialize_struct("FieldError", fields)?;
            error.serialize_field("field", &self.field())?;
            error.serialize_field("code", self.code())?;
            error.serialize_field("message", &self.to_string())?;
            match limit {
                Some(limit) => error.serialize_field("limit", &limit)?,
                None => error.skip_field("limit")?,
            }
            error.end()
        }
    }

    impl Serialize for Field {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.name())
        }
    }
}
