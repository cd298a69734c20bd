//! What the API answers when it does not do what was asked.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use diesel_accounts::{Error, InvalidUser};
use serde_json::json;

use crate::UnreadableBody;

/// Why something was not done. Each is one status of HTTP, and the page tells each in its own words.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The body cannot be read.
    Unreadable(UnreadableBody),
    /// It is not the JSON that is expected.
    Malformed,
    /// Something is wrong with the fields.
    Invalid(InvalidUser),
    /// A header or a part of the URL cannot be read.
    BadRequest(&'static str),
    /// Nobody is signed in.
    Unauthorized(&'static str),
    /// The form did not come from our page.
    Forbidden,
    /// There is no such page, or not for whoever asks.
    NotFound,
    /// The username and the email are those of two accounts, or of a deleted one.
    Taken,
    /// The same request is being answered.
    Running,
    /// Another request had the same key.
    OtherRequest,
    /// Too often.
    TooOften(Duration),
    /// Not now, or nobody knows: the same request again settles it.
    Unavailable(Duration),
    /// Nobody knows what came of it: whoever is at a page and tries again settles it.
    Unknown,
    /// The service is set up wrongly.
    Misconfigured,
}

impl Trouble {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(unreadable) => {
                StatusCode::from_u16(unreadable.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::Invalid(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Taken | Self::Running => StatusCode::CONFLICT,
            Self::Malformed | Self::OtherRequest => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Unknown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// In words, for whoever asked.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Unreadable(unreadable) => sentence(&unreadable.to_string()),
            Self::Malformed => "The body is not the JSON object that is expected.".to_owned(),
            Self::Invalid(_) => "Some fields are not valid.".to_owned(),
            Self::BadRequest(detail) | Self::Unauthorized(detail) => (*detail).to_owned(),
            Self::Forbidden => "The form is too old, or not ours.".to_owned(),
            Self::NotFound => "There is nothing here.".to_owned(),
            Self::Taken => "User with this username or email already exists.".to_owned(),
            Self::Running => "The same request is being answered.".to_owned(),
            Self::OtherRequest => "Another request had the same Idempotency-Key.".to_owned(),
            Self::TooOften(_) => "Too many requests. Please wait a little.".to_owned(),
            Self::Unavailable(_) => {
                "The service is busy. Please send the same request again.".to_owned()
            }
            Self::Unknown => UNKNOWN.to_owned(),
            Self::Misconfigured => "The service is not set up as it should be.".to_owned(),
        }
    }

    /// When it is worth to ask again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Running => Some(Duration::from_secs(1)),
            Self::TooOften(wait) | Self::Unavailable(wait) => Some(*wait),
            Self::Unknown => Some(A_MOMENT),
            _ => None,
        }
    }

    /// The header that says so, rounded up.
    pub(crate) fn retry_after_header(&self) -> Option<[(header::HeaderName, HeaderValue); 1]> {
        let wait = self.retry_after()?;
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        Some([(header::RETRY_AFTER, HeaderValue::from(seconds))])
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => Self::Invalid(invalid),
            Error::Taken(_) | Error::IdReused { .. } => Self::Taken,
            Error::HashingBusy { retry_after, .. } => Self::Unavailable(retry_after),
            Error::UserNotFound => Self::NotFound,
            Error::Configuration(_) | Error::Schema(_) | Error::TransactionOpen => {
                tracing::error!(error = error.code(), "{error}");
                Self::Misconfigured
            }
            error => {
                tracing::error!(error = error.code(), "{error}");
                Self::Unavailable(A_MOMENT)
            }
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status(), self.retry_after_header());
        let body = match &self {
            Self::Invalid(invalid) => json!(by_field(invalid)),
            other => json!({ "detail": other.detail() }),
        };
        (status, retry_after, Json(body)).into_response()
    }
}

/// Everything that is wrong, by the field that it is wrong with.
pub(crate) fn by_field(invalid: &InvalidUser) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for error in invalid.errors() {
        let texts = fields.entry(error.field().to_string()).or_default();
        texts.push(sentence(&format!("{} {}", error.field(), error.violation())));
    }
    fields
}

/// A text of the library's as a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

const UNKNOWN: &str = "It took too long, and it is not known yet whether that was done. Please go \
    back and try again: trying again does no harm.";

pub(crate) const A_MOMENT: Duration = Duration::from_secs(2);
