//! Registering: the core, and the view of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use diesel_accounts::{Creation, LimitedBy, Matched, UserId};
use http_body_util::BodyExt;
use serde_json::json;
use tracing::Instrument;

use super::answer::{A_MOMENT, Trouble};
use super::app::{App, Database};
use super::client::Client;
use super::idempotency::IdempotencyKey;
use crate::{MOST_BYTES, Registration, UnreadableBody};

/// `POST /api/v1/accounts/register`.
pub(crate) async fn register<C: Database>(
    State(app): State<Arc<App<C>>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Trouble> {
    let body = read_body(body).await?;
    let key = IdempotencyKey::of(&headers)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let registration = Registration::read(content_type, &body).map_err(Trouble::Unreadable)?;
    app.limit_requests(&client).await?;
    let registered = app.register(client, registration, key, body).await?;
    Ok(registered.into_response())
}

/// The whole of a body that is not too long. What is a little too long is read to its end, so that
/// whoever sends it is there for the answer.
pub(crate) async fn read_body(mut body: Body) -> Result<Bytes, Trouble> {
    let (mut read, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let unreadable = |_| Trouble::BadRequest("The body could not be read to its end.");
        let Ok(data) = frame.map_err(unreadable)?.into_data() else {
            continue;
        };
        length += data.len();
        match length {
            0..=MOST_BYTES => read.extend_from_slice(&data),
            MOST_DRAINED.. => break,
            _ => {}
        }
    }
    match length {
        0..=MOST_BYTES => Ok(read.into()),
        _ => Err(Trouble::Unreadable(UnreadableBody::TooLong)),
    }
}

/// Somebody is registered: now, or before.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) id: UserId,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    /// What an account that was there has in common with the request; `None` if the request, or one
    /// that it repeats, created it.
    pub(crate) matched: Option<Matched>,
}

impl<C: Database> App<C> {
    /// Repeating oneself is paid for, and still costs the database something: there is a limit to
    /// it, too, beyond what anybody needs. It counts each request once, however often it then looks
    /// whether another one is answered.
    pub(crate) async fn limit_requests(&self, client: &Client) -> Result<(), Trouble> {
        let by_client = LimitedBy::Client(&client.key);
        self.limit("register_request", by_client, REQUESTS_OF_A_CLIENT).await
    }

    /// Registers somebody, once: whoever asks again with the same key hears the same. It goes on if
    /// the client goes away, so that whoever comes back does not find a request half answered.
    pub(crate) async fn register(
        self: &Arc<Self>,
        client: Client,
        registration: Registration,
        key: Option<IdempotencyKey>,
        body: Bytes,
    ) -> Result<Registered, Trouble> {
        let app = Arc::clone(self);
        let answered = async move {
            let admission = app.admit(&client, key.as_ref(), &body).await?;
            // What is repeated is paid for.
            if admission.is_new {
                if let Err(trouble) = app.limit_registration(&client, registration.email()).await {
                    app.turn_away(admission).await;
                    return Err(trouble);
                }
            }
            let new_user = registration.into_new_user().with_id(admission.id);
            let creation = app.users_for(&client).create_user(new_user).await;
            app.release(admission).await;
            Ok(Registered::of(creation?))
        };
        // The process does not end before it.
        match self.tasks.spawn(answered.in_current_span()).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Unavailable(A_MOMENT)),
        }
    }

    async fn limit_registration(&self, client: &Client, email: &str) -> Result<(), Trouble> {
        let by_client = LimitedBy::Client(&client.key);
        self.limit("register", by_client, REGISTRATIONS_OF_A_CLIENT).await?;
        match email.trim() {
            // That is nobody's, and everybody's.
            "" => Ok(()),
            email => {
                self.limit("register", LimitedBy::Email(email), REGISTRATIONS_OF_AN_ADDRESS).await
            }
        }
    }
}

impl Registered {
    fn of(creation: Creation) -> Self {
        match creation {
            Creation::Created(user) => Self {
                id: user.id(),
                username: user.username().map(str::to_owned),
                email: user.email().map(str::to_owned),
                matched: None,
            },
            Creation::Existing(existing) => {
                let is_ours = existing.is_same_creation();
                let user = existing.unauthenticated_user();
                Self {
                    id: user.id(),
                    username: user.username().map(str::to_owned),
                    // Whoever asks has not proved to be the owner.
                    email: user.email().filter(|_| is_ours).map(str::to_owned),
                    matched: (!is_ours).then(|| existing.matched()),
                }
            }
        }
    }
}

impl IntoResponse for Registered {
    fn into_response(self) -> Response {
        let Self { id, username, email, matched } = self;
        let (status, body) = match matched {
            None => (
                StatusCode::CREATED,
                json!({ "user_id": id, "username": username, "email": email }),
            ),
            Some(_) => {
                (StatusCode::OK, json!({ "detail": EXISTS, "user_id": id, "username": username }))
            }
        };
        (status, Json(body)).into_response()
    }
}

const EXISTS: &str = "User already exists. Please log in instead.";

const MOST_DRAINED: usize = 16 * MOST_BYTES;

/// So many by one client, new or not, and as many in each such time.
const REQUESTS_OF_A_CLIENT: (u32, Duration) = (600, Duration::from_secs(600));
/// So many new ones by one client: a school behind one address is one.
const REGISTRATIONS_OF_A_CLIENT: (u32, Duration) = (60, Duration::from_secs(600));
/// Whoever corrects a form sends it some times.
const REGISTRATIONS_OF_AN_ADDRESS: (u32, Duration) = (30, Duration::from_secs(600));
