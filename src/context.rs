//! Who asks, and from where.

use std::fmt;
use std::sync::Arc;

use crate::user::UserId;

/// Who asks, and from where: given once for all the operations of a request, with
/// [`UserManager::with`](crate::UserManager::with) or [`Accounts::with`](crate::Accounts::with).
///
/// Everything in it is optional, and absent by default. `Debug` shows the acting user and the
/// request id only.
///
/// ```
/// use diesel_accounts::Context;
///
/// let context = Context::new().client("203.0.113.7").request_id("4711");
/// # let users = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/in_memory.rs"));
/// let users = users.with(context);
/// let sign_in = users.authenticate("alice", "correct horse")?;
/// assert!(!sign_in.is_accepted()); // there is no alice
/// # Ok::<(), diesel_accounts::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Context {
    client: Option<Arc<str>>,
    known_device: Option<Arc<str>>,
    actor: Option<UserId>,
    request_id: Option<Arc<str>>,
}

impl Context {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What tells one client from another: an address, or the network of one (of IPv6 the first 64
    /// bits), as the host sees it and not as the client claims.
    ///
    /// Each client has its own count of wrong passwords for an account. All that give no key are
    /// one client.
    #[must_use]
    pub fn client(mut self, key: impl Into<Arc<str>>) -> Self {
        self.client = Some(key.into());
        self
    }

    /// The text of a [`DeviceToken`](crate::DeviceToken) that the client presents. One that is not
    /// good for the account is as good as none.
    #[must_use]
    pub fn known_device(mut self, token: impl Into<Arc<str>>) -> Self {
        self.known_device = Some(token.into());
        self
    }

    /// Who acts, if it is not the person whom the account belongs to: an administrator.
    #[must_use]
    pub fn actor(mut self, actor: UserId) -> Self {
        self.actor = Some(actor);
        self
    }

    /// What the host calls the request in its own logs.
    #[must_use]
    pub fn request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    pub(crate) fn client_key(&self) -> &str {
        self.client.as_deref().unwrap_or_default()
    }

    pub(crate) fn client_text(&self) -> Option<&str> {
        self.client.as_deref()
    }

    pub(crate) fn request_text(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    pub(crate) fn acting_user(&self) -> Option<UserId> {
        self.actor
    }

    pub(crate) fn device_token(&self) -> Option<&str> {
        self.known_device.as_deref()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("actor", &self.actor)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
