//! Forms: what keeps other sites from sending ours, and what is read from them.
//!
//! A form is taken only if the browser says that it comes from our own page, or says nothing, and if
//! it holds a token that goes with a cookie of the same browser (OWASP's signed double submit).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;

use super::answer::{A_MOMENT, Trouble};
use super::app::{App, Database};
use super::keys::random_text;
use super::register::read_body;
use crate::UnreadableBody;

/// What a page with a form needs.
pub(crate) struct FormToken {
    /// For the hidden field.
    pub(crate) token: String,
    /// The cookie to be set, if the browser has none.
    pub(crate) cookie: Option<[(header::HeaderName, HeaderValue); 1]>,
}

impl<C: Database> App<C> {
    /// A token for the forms of a page.
    pub(crate) fn form_token(&self, headers: &HeaderMap) -> Result<FormToken, Trouble> {
        if let Some(nonce) = cookie(headers, self.form_cookie()) {
            let token = self.keys.digest(FORM, &[nonce.as_bytes()]);
            return Ok(FormToken { token, cookie: None });
        }
        let nonce = random_text().map_err(|_| Trouble::Unavailable(A_MOMENT))?;
        let secure = if self.config.https { "; Secure" } else { "" };
        let name = self.form_cookie();
        let cookie = format!("{name}={nonce}; Path=/; HttpOnly; SameSite=Lax{secure}");
        let cookie = HeaderValue::from_str(&cookie).ok().map(|value| [(header::SET_COOKIE, value)]);
        Ok(FormToken { token: self.keys.digest(FORM, &[nonce.as_bytes()]), cookie })
    }

    /// Reads a form of ours, and its whole body.
    pub(crate) async fn read_form<T: DeserializeOwned + HasToken>(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(T, Bytes), Trouble> {
        let body = read_body(body).await?;
        let is_from_elsewhere = headers
            .get("sec-fetch-site")
            .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if is_from_elsewhere {
            return Err(Trouble::Forbidden);
        }
        if !content_type
            .is_some_and(|value| value.starts_with(b"application/x-www-form-urlencoded"))
        {
            return Err(Trouble::Unreadable(UnreadableBody::WrongType));
        }
        let form: T = serde_urlencoded::from_bytes(&body).map_err(|_| Trouble::Malformed)?;
        let nonce = cookie(headers, self.form_cookie()).ok_or(Trouble::Forbidden)?;
        match self.keys.is_digest(FORM, &[nonce.as_bytes()], form.token()) {
            true => Ok((form, body)),
            false => Err(Trouble::Forbidden),
        }
    }

    fn form_cookie(&self) -> &'static str {
        if self.config.https { "__Host-form" } else { "form" }
    }
}

/// A form with our hidden field.
pub(crate) trait HasToken {
    fn token(&self) -> &str;
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}

const FORM: &str = "form";
