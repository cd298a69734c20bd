//! Requests that can be sent again: the header `Idempotency-Key`, after the IETF's draft of that
//! name (draft-ietf-httpapi-idempotency-key-header).
//!
//! A table maps the key, with the client, to the id of the account that the request creates, and to
//! a keyed digest of its body. A repeated request is done again, with the same id: whatever became
//! of the first one, there is one account, and the answer is the true one. Nothing has to be kept of
//! an answer.

use std::time::Duration;

use axum::http::HeaderMap;
use diesel_accounts::UserId;

use super::answer::Trouble;
use super::app::{App, Database, later, now};
use super::client::Client;
use super::tables::RequestRow;

/// A key as a client presents it.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of the headers, if there is one: a string of RFC 8941, or a plain token.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Trouble> {
        let mut given = headers.get_all("idempotency-key").iter();
        let (Some(first), None) = (given.next(), given.next()) else {
            return match headers.contains_key("idempotency-key") {
                true => Err(Trouble::BadRequest(ONE_KEY)),
                false => Ok(None),
            };
        };
        let text = first.to_str().map_err(|_| Trouble::BadRequest(ONE_KEY))?.trim();
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        match (1..=MOST_BYTES).contains(&inner.len()) && inner.bytes().all(is_plain) {
            true => Ok(Some(Self(inner.to_owned()))),
            false => Err(Trouble::BadRequest(ONE_KEY)),
        }
    }

    /// That of a form: whoever sends it again from the same browser, however that came by it again,
    /// repeats the request, and whoever changes a field makes another.
    pub(crate) fn of_form(token: &str, filled: &str) -> Self {
        Self(format!("form {token} {filled}"))
    }
}

/// The right to answer a request.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The account that it creates.
    pub(crate) id: UserId,
    /// Whether it was never answered before.
    pub(crate) is_new: bool,
    row: Option<String>,
}

impl<C: Database> App<C> {
    /// Begins to answer a request, unless somebody else does.
    pub(crate) async fn admit(
        &self,
        client: &Client,
        key: Option<&IdempotencyKey>,
        body: &[u8],
    ) -> Result<Admission, Trouble> {
        let id = UserId::new();
        let Some(key) = key else {
            return Ok(Admission { id, is_new: true, row: None });
        };
        let now = now();
        let wanted = RequestRow {
            id: self.keys.digest("request", &[client.key.as_bytes(), key.0.as_bytes()]),
            user_id: id.to_string(),
            body: self.keys.digest("body", &[body]),
            running_until: later(now, LEASE),
            expires_at: later(now, KEPT_FOR),
        };
        self.query(move |conn| {
            conn.forget_request(&wanted.id, now)?;
            if conn.insert_request(&wanted)? {
                return Ok(Ok(Admission { id, is_new: true, row: Some(wanted.id) }));
            }
            let Some(row) = conn.request(&wanted.id)? else {
                return Ok(Err(Trouble::Running));
            };
            if row.body != wanted.body {
                return Ok(Err(Trouble::OtherRequest));
            }
            let (Ok(id), true) =
                (row.user_id.parse(), conn.take_request(&row.id, now, wanted.running_until)?)
            else {
                return Ok(Err(Trouble::Running));
            };
            Ok(Ok(Admission { id, is_new: false, row: Some(row.id) }))
        })
        .await?
    }

    /// A request that was not looked at is forgotten.
    pub(crate) async fn turn_away(&self, admission: Admission) {
        if let Some(row) = admission.row {
            let _ = self.query(move |conn| conn.forget_request(&row, i64::MAX)).await;
        }
    }

    /// A request is answered, and may be repeated. If that cannot be written down, the lease ends by
    /// itself.
    pub(crate) async fn release(&self, admission: Admission) {
        if let Some(row) = admission.row {
            let _ = self.query(move |conn| conn.release_request(&row)).await;
        }
    }
}

const ONE_KEY: &str = "Idempotency-Key must be one string of 1 to 255 visible ASCII characters.";
const MOST_BYTES: usize = 255;

/// Whoever answers a request and dies keeps it from being repeated for so long. Whoever takes longer
/// is not alone with it any more, which harms nothing: both do the same creation.
const LEASE: Duration = Duration::from_secs(10);
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::IdempotencyKey;

    fn read(lines: &[&str]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("idempotency-key", HeaderValue::from_str(line).unwrap());
        }
        IdempotencyKey::of(&headers).map(|key| key.map(|key| key.0)).map_err(|_| ())
    }

    #[test]
    fn a_key_is_a_string_or_a_token() {
        assert_eq!(read(&[]), Ok(None));
        for line in ["\"8e03978e\"", "8e03978e", " 8e03978e "] {
            assert_eq!(read(&[line]), Ok(Some("8e03978e".to_owned())), "{line}");
        }
        for line in ["", "\"\"", "a b", "\"", "a\"b", "\u{e9}", &"a".repeat(256)] {
            assert_eq!(read(&[line]), Err(()), "{line}");
        }
        assert_eq!(read(&["a", "a"]), Err(()));
    }
}
