//! Signing in and out, and changing one's password: the core, and the views of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use diesel_accounts::{LimitedBy, Password, PasswordChange, Refusal, SignIn, User};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower_sessions::Session;

use super::answer::Trouble;
use super::app::{App, Database};
use super::client::Client;
use super::forms::cookie;
use super::register::read_body;
use crate::UnreadableBody;

/// `POST /api/v1/accounts/login`.
pub(crate) async fn login<C: Database>(
    State(app): State<Arc<App<C>>>,
    client: Client,
    session: Session,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Trouble> {
    let Credentials { login, password } = read_json(&headers, body).await?;
    let (user, device) = app.sign_in(client, &session, &headers, login, password.into()).await?;
    Ok((device, Json(shown(&user))).into_response())
}

/// `GET /api/v1/accounts/me`.
pub(crate) async fn me<C: Database>(
    State(app): State<Arc<App<C>>>,
    session: Session,
) -> Result<Json<Value>, Trouble> {
    match app.signed_in(&session).await? {
        Some(user) => Ok(Json(shown(&user))),
        None => Err(Trouble::Unauthorized(NOBODY)),
    }
}

/// `POST /api/v1/accounts/password`.
pub(crate) async fn change_password<C: Database>(
    State(app): State<Arc<App<C>>>,
    client: Client,
    session: Session,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Trouble> {
    let Passwords { current_password, new_password } = read_json(&headers, body).await?;
    let Some(user) = app.signed_in(&session).await? else {
        return Err(Trouble::Unauthorized(NOBODY));
    };
    app.limit("login", LimitedBy::Client(&client.key), SIGN_INS_OF_A_CLIENT).await?;
    let users = app.users_for(&client);
    match users.change_password(user.id(), current_password, new_password).await? {
        PasswordChange::Changed(user) => {
            // All sessions have ended, this one too.
            app.begin_session(&session, &user).await?;
            Ok(StatusCode::NO_CONTENT)
        }
        PasswordChange::Refused(refusal) => Err(refused(refusal)),
        _ => Err(Trouble::Misconfigured),
    }
}

/// A cookie for the answer, by which the device is recognised.
pub(crate) type DeviceCookie = [(header::HeaderName, HeaderValue); 1];

impl<C: Database> App<C> {
    /// Signs somebody in, and begins a session.
    pub(crate) async fn sign_in(
        &self,
        client: Client,
        session: &Session,
        headers: &HeaderMap,
        login: String,
        password: Password,
    ) -> Result<(User, Option<DeviceCookie>), Trouble> {
        self.limit("login", LimitedBy::Client(&client.key), SIGN_INS_OF_A_CLIENT).await?;
        let mut context = client.context();
        if let Some(device) = cookie(headers, self.device_cookie()) {
            context = context.known_device(device);
        }
        match self.users.with(context).authenticate(login, password).await? {
            SignIn::Accepted(accepted) => {
                let device = accepted.device_token().and_then(|token| {
                    let secure = if self.config.https { "; Secure" } else { "" };
                    let cookie = format!(
                        "{}={}; Path=/; Max-Age={A_YEAR}; HttpOnly; SameSite=Lax{secure}",
                        self.device_cookie(),
                        token.as_str()
                    );
                    Some([(header::SET_COOKIE, HeaderValue::from_str(&cookie).ok()?)])
                });
                let user = accepted.into_user();
                self.begin_session(session, &user).await?;
                Ok((user, device))
            }
            SignIn::Refused(refusal) => Err(refused(refusal)),
            _ => Err(Trouble::Misconfigured),
        }
    }

    fn device_cookie(&self) -> &'static str {
        if self.config.https { "__Host-device" } else { "device" }
    }
}

/// What the owner of an account is told of it.
fn shown(user: &User) -> Value {
    json!({ "user_id": user.id(), "username": user.username(), "email": user.email() })
}

/// The same for every reason.
fn refused(refusal: Refusal) -> Trouble {
    match refusal.retry_after() {
        Some(wait) => Trouble::TooOften(wait),
        None => Trouble::Unauthorized("The login or the password is not right."),
    }
}

#[derive(Deserialize)]
struct Credentials {
    login: String,
    password: String,
}

#[derive(Deserialize)]
struct Passwords {
    current_password: String,
    new_password: String,
}

/// What another site can have a browser send without asking it is never JSON.
async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Trouble> {
    let body = read_body(body).await?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(crate::is_json) {
        return Err(Trouble::Unreadable(UnreadableBody::WrongType));
    }
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    match serde_json::from_slice(&body) {
        Ok(value) if is_object => Ok(value),
        // Its own error may quote what was typed.
        _ => Err(Trouble::Malformed),
    }
}

const NOBODY: &str = "Nobody is signed in.";
/// So many by one client, and as many in each such time.
const SIGN_INS_OF_A_CLIENT: (u32, Duration) = (120, Duration::from_secs(600));
const A_YEAR: u32 = 365 * 24 * 3600;
