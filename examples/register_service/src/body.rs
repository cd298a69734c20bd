//! The JSON body of a registration.

use diesel_accounts::{NewUser, Password};
use serde::{Deserialize, Deserializer};

/// Somebody's wish to be registered: `{"username": "...", "email": "...", "password": "..."}`.
///
/// Nothing is judged here but the form. A field that is missing or `null` is empty, so that
/// [`Policy::prepare`](diesel_accounts::Policy::prepare) names it together with all others that are
/// at fault; fields that nobody knows are passed over. `Debug` shows nothing of the password.
///
/// ```
/// use diesel_accounts::Policy;
/// use register_service::Registration;
///
/// let body = br#"{"username": "alice", "email": "alice@example.org", "password": "correct horse"}"#;
/// let alice = Registration::read(Some("application/json"), body)?;
/// assert!(Policy::default().prepare(alice.into_new_user()).is_ok());
/// # Ok::<(), register_service::UnreadableBody>(())
/// ```
#[derive(Debug, Deserialize)]
pub struct Registration {
    #[serde(default, deserialize_with = "or_empty")]
    username: String,
    #[serde(default, deserialize_with = "or_empty")]
    email: String,
    #[serde(default = "no_password", deserialize_with = "password")]
    password: Password,
}

/// Why a body is not read. None of its text is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableBody {
    /// It is not said to be JSON: 415.
    #[error("the body must be application/json")]
    WrongType,
    /// It has more than [`MOST_BYTES`]: 413.
    #[error("the body is too long")]
    TooLong,
    /// It is no JSON object, a field is no string, or it is there twice: 422.
    #[error("the body must be a JSON object whose username, email and password are strings")]
    Malformed,
}

/// The most bytes that are read: room for the longest username, address and password that the
/// library looks at by default (512, 512 and 1024 bytes), with each byte escaped.
pub const MOST_BYTES: usize = 16 * 1024;

impl Registration {
    /// Reads a body, given the header `Content-Type`.
    ///
    /// # Errors
    ///
    /// [`UnreadableBody`], before anything else is looked at.
    pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, UnreadableBody> {
        if !content_type.is_some_and(is_json) {
            return Err(UnreadableBody::WrongType);
        }
        if body.len() > MOST_BYTES {
            return Err(UnreadableBody::TooLong);
        }
        // A struct could be read from an array too.
        let is_object = body.trim_ascii_start().first() == Some(&b'{');
        match serde_json::from_slice(body) {
            Ok(registration) if is_object => Ok(registration),
            // Its own error may quote what was typed.
            _ => Err(UnreadableBody::Malformed),
        }
    }

    /// What was typed into a form.
    #[must_use]
    pub fn new(username: String, email: String, password: Password) -> Self {
        Self { username, email, password }
    }

    /// What was typed as username.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// What was typed as address.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// What the library makes an account of.
    #[must_use]
    pub fn into_new_user(self) -> NewUser {
        NewUser::new(self.username, self.email, self.password)
    }
}

impl UnreadableBody {
    /// The status of HTTP that tells it (RFC 9110, section 15.5).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::WrongType => 415,
            Self::TooLong => 413,
            Self::Malformed => 422,
        }
    }
}

/// Media types are compared without regard to case, and JSON has no parameters that mean anything
/// (RFC 8259, section 11).
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn or_empty<'de, D: Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    Option::deserialize(text).map(Option::unwrap_or_default)
}

fn password<'de, D: Deserializer<'de>>(text: D) -> Result<Password, D::Error> {
    or_empty(text).map(Password::from)
}

fn no_password() -> Password {
    Password::from(String::new())
}

#[cfg(test)]
mod tests {
    use diesel_accounts::{Error, Policy};

    use super::{MOST_BYTES, Registration, UnreadableBody};

    fn read(body: &str) -> Result<Registration, UnreadableBody> {
        Registration::read(Some("application/json"), body.as_bytes())
    }

    /// The fields at fault, and why.
    fn faults(body: &str) -> Vec<String> {
        match Policy::default().prepare(read(body).unwrap().into_new_user()) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(invalid)) => {
                let faults = invalid.errors().iter();
                faults
                    .map(|fault| format!("{} {}", fault.field(), fault.violation().code()))
                    .collect()
            }
            Err(other) => vec![other.to_string()],
        }
    }

    #[test]
    fn a_body_is_read_in_any_order_escaped_and_with_what_nobody_knows() {
        for body in [
            r#"{"username":"alice","email":"alice@example.org","password":"correct horse"}"#,
            r#" {"password":"correct horse","next":{"a":[1]},"email":"alice@example.org","username":"alice"}"#,
            r#"{"username":"\u0061lice","email":"alice\u0040example.org","password":"correct\u0020horse"}"#,
        ] {
            let alice = read(body).unwrap();
            assert_eq!((&*alice.username, &*alice.email), ("alice", "alice@example.org"));
            assert!(!format!("{alice:?}").contains("horse"));
            assert_eq!(faults(body), [""; 0]);
        }
    }

    #[test]
    fn what_is_missing_or_null_is_empty_and_told_with_all_other_faults() {
        for body in ["{}", r#"{"username":null,"email":null,"password":null}"#] {
            let faults = faults(body);
            assert_eq!(faults.len(), 3, "{faults:?}");
        }
        assert_eq!(faults(r#"{"username":"alice","email":"alice","password":"short"}"#).len(), 2);
    }

    #[test]
    fn what_is_no_object_of_strings_is_malformed() {
        for body in [
            "",
            "null",
            "[]",
            r#"["alice","alice@example.org","correct horse"]"#,
            r#"{"username":1}"#,
            r#"{"username":["alice"]}"#,
            r#"{"password":{"$ne":""}}"#,
            r#"{"username":"alice","username":"bob"}"#,
            r#"{"username":"\ud800"}"#,
            r#"{"username":"alice"} {}"#,
            "{'username':'alice'}",
            "username=alice",
            &format!(r#"{{"a":{}"#, "[".repeat(10_000)),
        ] {
            assert_eq!(read(body).err(), Some(UnreadableBody::Malformed), "{body}");
        }
        let not_utf8 = Registration::read(Some("application/json"), b"{\"username\":\"\xff\"}");
        assert_eq!(not_utf8.err(), Some(UnreadableBody::Malformed));
    }

    #[test]
    fn the_type_and_the_length_are_looked_at_first() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/json;"] {
            assert!(Registration::read(Some(json), b"{}").is_ok(), "{json}");
        }
        for other in
            [None, Some(""), Some("text/json"), Some("application/jsonp"), Some("text/plain")]
        {
            let refused = Registration::read(other, b"{}").err();
            assert_eq!(refused, Some(UnreadableBody::WrongType), "{other:?}");
        }
        let of_length = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
        assert!(read(&of_length(MOST_BYTES)).is_ok());
        assert_eq!(read(&of_length(MOST_BYTES + 1)).err(), Some(UnreadableBody::TooLong));
        let statuses =
            [UnreadableBody::WrongType, UnreadableBody::TooLong, UnreadableBody::Malformed];
        assert_eq!(statuses.map(UnreadableBody::status), [415, 413, 422]);
    }

    /// The longest that the library looks at fit in, however they are written.
    #[test]
    fn there_is_room_for_the_longest_of_everything_escaped() {
        let escaped = |length: usize| "\\u0061".repeat(length);
        let body = format!(
            r#"{{"username":"{}","email":"{}","password":"{}"}}"#,
            escaped(512),
            escaped(512),
            escaped(1024)
        );
        assert!(read(&body).is_ok());
    }
}
