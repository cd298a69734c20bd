//! Sessions, in the database of the accounts: the store, and who is signed in.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::header;
use diesel_accounts::User;
use serde::{Deserialize, Serialize};
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::{Duration as CookieAge, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error as StoreError, Result as StoreResult};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

use super::answer::{A_MOMENT, Trouble};
use super::app::{App, Database, now};
use super::keys::stored_digest;
use super::tables::SessionRow;

/// The sessions of a service: a cookie that scripts cannot read, and that other sites cannot send
/// along.
pub(crate) fn layer<C: Database>(app: &Arc<App<C>>) -> SessionManagerLayer<Store<C>> {
    let is_secure = app.config.https;
    SessionManagerLayer::new(Store(Arc::clone(app)))
        .with_name(if is_secure { "__Host-session" } else { "session" })
        .with_secure(is_secure)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(CookieAge::days(14)))
}

/// A cookie for the answer that ends a session. (That of the layer is not `Secure`, without which
/// browsers do not let it replace one that is.)
pub(crate) fn removed_cookie(is_secure: bool) -> [(header::HeaderName, &'static str); 1] {
    [(
        header::SET_COOKIE,
        match is_secure {
            true => "__Host-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure",
            false => "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
        },
    )]
}

/// Who signed in, as the session keeps it.
#[derive(Deserialize, Serialize)]
struct SignedIn {
    user_id: String,
    /// It holds until the sessions of the account are ended: by another password, above all.
    auth_hash: String,
}

impl<C: Database> App<C> {
    /// Begins a session for somebody: with a new text in the cookie, whatever was in it before.
    pub(crate) async fn begin_session(
        &self,
        session: &Session,
        user: &User,
    ) -> Result<(), Trouble> {
        let auth_hash = self.policy.session_auth_hash(user)?.as_str().to_owned();
        let signed_in = SignedIn { user_id: user.id().to_string(), auth_hash };
        let busy = |_| Trouble::Unavailable(A_MOMENT);
        session.clear().await;
        session.insert(SIGNED_IN, signed_in).await.map_err(busy)?;
        // Whoever knew the text before, or chose it, has nothing of the session.
        session.cycle_id().await.map_err(busy)?;
        session.save().await.map_err(busy)
    }

    /// Who is signed in, if the account may still be used and its sessions were not ended.
    pub(crate) async fn signed_in(&self, session: &Session) -> Result<Option<User>, Trouble> {
        let signed_in = session.get::<SignedIn>(SIGNED_IN).await;
        let Some(signed_in) = signed_in.map_err(|_| Trouble::Unavailable(A_MOMENT))? else {
            return Ok(None);
        };
        let Ok(id) = signed_in.user_id.parse() else {
            return Ok(None);
        };
        let user = self.users.user_by_id(id).await?.filter(User::is_active);
        match user {
            Some(user) if self.policy.is_session_auth_hash(&user, &signed_in.auth_hash)? => {
                Ok(Some(user))
            }
            _ => Ok(None),
        }
    }
}

/// The sessions in the table `service_sessions`.
pub(crate) struct Store<C: Database>(Arc<App<C>>);

#[async_trait]
impl<C: Database> SessionStore for Store<C> {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        loop {
            let row = row_of(record)?;
            if self.query(move |conn| conn.insert_session(&row)).await? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let row = row_of(record)?;
        self.query(move |conn| conn.save_session(&row)).await
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let (key, now) = (key_of(id), now());
        let Some(row) = self.query(move |conn| conn.session(&key, now)).await? else {
            return Ok(None);
        };
        let data = serde_json::from_str(&row.data)
            .map_err(|error| StoreError::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(row.expires_at / MICROS)
            .map_err(|error| StoreError::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        let key = key_of(id);
        self.query(move |conn| conn.delete_session(&key)).await?;
        Ok(())
    }
}

impl<C: Database> Store<C> {
    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut C) -> diesel::QueryResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let busy = |_| StoreError::Backend("the database is not available".to_owned());
        self.0.query(query).await.map_err(busy)
    }
}

impl<C: Database> Clone for Store<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Database> fmt::Debug for Store<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store(..)")
    }
}

fn row_of(record: &Record) -> StoreResult<SessionRow> {
    let data = serde_json::to_string(&record.data)
        .map_err(|error| StoreError::Encode(error.to_string()))?;
    let expires_at = record.expiry_date.unix_timestamp().saturating_mul(MICROS);
    Ok(SessionRow { id: key_of(&record.id), data, expires_at })
}

/// Whoever reads the table cannot take over a session.
fn key_of(id: &Id) -> String {
    stored_digest(&id.to_string())
}

const SIGNED_IN: &str = "signed_in";
const MICROS: i64 = 1_000_000;
