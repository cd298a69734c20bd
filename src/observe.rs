//! What a host hears while it runs: spans and events of `tracing`, counters of `metrics`. Without
//! the two features nothing here does anything.
//!
//! Only the outermost operation of a thread is told: a sign-in is one, and not the look-ups that it
//! is made of. Ids of users are told, and nothing else about a person.

use std::cell::Cell;

use crate::accounts::FailedAttempts;
use crate::creation::Creation;
use crate::error::{Error, Result};
use crate::import::{ImportOutcome, ImportSummary};
use crate::sign_in::{PasswordChange, PasswordChangeAttempt, RefusalReason, SignIn, SignInAttempt};
use crate::store::check::SchemaReport;
use crate::store::dialect::Engine;
use crate::user::{User, UserId};

#[cfg(feature = "metrics")]
pub(crate) mod metric;

/// Does something and tells what came of it.
pub(crate) fn observed<T: Answer>(
    engine: Engine,
    operation: Operation,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(running) = Running::begin() else {
        return act();
    };
    #[cfg(feature = "tracing")]
    let span = (operation.span)(engine.code());
    #[cfg(feature = "tracing")]
    let entered = span.enter();
    let answer = act();
    let outcome = answer.as_ref().map_or_else(Error::code, T::outcome);
    #[cfg(feature = "metrics")]
    if let Some(counter) = T::COUNTER {
        metric::count_outcome(counter, outcome);
    }
    #[cfg(feature = "tracing")]
    {
        let of_answer = answer.as_ref().map_or_else(Error::user_id, T::user_id);
        if let Some(id) = of_answer.or(operation.about) {
            span.record("user_id", tracing::field::display(id));
        }
        span.record("outcome", outcome);
        span.record("tries", running.tries());
        if let Err(Error::Undetermined { id, .. }) = &answer {
            tracing::warn!(target: TARGET, user_id = %id, "the outcome of a creation is not known");
        }
        drop(entered);
    }
    answer
}

/// An operation of the library's, by the name of its method.
macro_rules! operation {
    ($name:literal) => {
        $crate::observe::Operation {
            about: None,
            #[cfg(feature = "tracing")]
            span: |engine| {
                tracing::info_span!(
                    target: $crate::observe::TARGET,
                    $name,
                    engine,
                    outcome = tracing::field::Empty,
                    tries = tracing::field::Empty,
                    user_id = tracing::field::Empty,
                )
            },
        }
    };
}
pub(crate) use operation;

/// See [`operation!`].
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) about: Option<UserId>,
    #[cfg(feature = "tracing")]
    pub(crate) span: fn(&'static str) -> tracing::Span,
}

impl Operation {
    /// Whom it is about, where that is known beforehand.
    pub(crate) fn about(mut self, id: UserId) -> Self {
        self.about = Some(id);
        self
    }
}

/// Something is tried once more.
pub(crate) fn retry(reason: Retry) {
    TRIES.set(TRIES.get().map(|tries| tries.saturating_add(1)));
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, reason = reason.code(), "tried again");
    #[cfg(feature = "metrics")]
    metric::count_retry(reason.code());
}

/// Why something is tried once more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Retry {
    /// A row was changed by somebody else since it was read.
    Changed,
    /// Locks, a deadlock, a conflict of serialization, or no connection.
    Contention,
    /// The connection was lost.
    Lost,
    /// The database refused for a reason that cannot be told apart.
    Unexplained,
    /// The database named a conflict, and nobody was found.
    Unseen,
}

impl Retry {
    fn code(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Contention => "contention",
            Self::Lost => "connection_lost",
            Self::Unexplained => "unexplained",
            Self::Unseen => "unseen",
        }
    }
}

/// A creation had found nobody, and somebody was there when it inserted: the account is returned,
/// where others tell an error.
pub(crate) fn race_recovered(id: UserId) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, user_id = %id, "another creation of the same person came first");
    #[cfg(feature = "metrics")]
    metric::count_race_recovered();
}

/// A password was not accepted.
pub(crate) fn password_refused(reason: RefusalReason, id: Option<UserId>) {
    #[cfg(feature = "tracing")]
    {
        let id = id.map(tracing::field::display);
        tracing::info!(target: TARGET, reason = reason.code(), user_id = id, "a password was refused");
    }
}

/// Something was refused, and the record of it could not be written.
pub(crate) fn record_lost(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, error = error.code(), "the record of a refusal was lost");
    #[cfg(feature = "metrics")]
    metric::count_lost_record();
}

/// Somebody waits to hash, until it is dropped. Neither is told under a lock: a recorder of the
/// host's is called, which may do anything.
#[derive(Debug)]
pub(crate) struct Queued(());

impl Queued {
    pub(crate) fn new() -> Self {
        #[cfg(feature = "metrics")]
        metric::queue_grows();
        Self(())
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        #[cfg(feature = "metrics")]
        metric::queue_shrinks();
    }
}

/// Somebody could not wait to hash.
pub(crate) fn hash_rejected() {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, "too many passwords are being hashed");
    #[cfg(feature = "metrics")]
    metric::count_rejected_hash();
}

/// Something was hashed; how long it took, without the wait for it.
pub(crate) fn hashed(time: std::time::Duration) {
    #[cfg(feature = "metrics")]
    metric::hashed(time);
}

/// The span and the subscriber of this thread, to be taken to another one.
pub(crate) struct Here {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    #[cfg(feature = "tracing")]
    dispatch: tracing::Dispatch,
}

impl Here {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
            #[cfg(feature = "tracing")]
            dispatch: tracing::dispatcher::get_default(Clone::clone),
        }
    }

    pub(crate) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        return tracing::dispatcher::with_default(&self.dispatch, || self.span.in_scope(act));
        #[cfg(not(feature = "tracing"))]
        act()
    }
}

/// The answer to an operation.
pub(crate) trait Answer {
    /// What it is counted in.
    const COUNTER: Option<&'static str> = None;

    fn outcome(&self) -> &'static str {
        "ok"
    }

    fn user_id(&self) -> Option<UserId> {
        None
    }
}

#[cfg(feature = "audit")]
impl Answer for Vec<crate::audit::AuditEvent> {}
impl Answer for () {}
impl Answer for usize {}
impl Answer for FailedAttempts {}
impl Answer for ImportSummary {}
impl Answer for SchemaReport {}
impl Answer for Vec<ImportOutcome> {}
impl Answer for Vec<User> {}

impl Answer for Option<User> {
    fn outcome(&self) -> &'static str {
        if self.is_some() { "found" } else { "absent" }
    }

    fn user_id(&self) -> Option<UserId> {
        self.as_ref().map(User::id)
    }
}

impl Answer for Creation {
    const COUNTER: Option<&'static str> = Some("account_create_total");

    fn outcome(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Existing(_) => "existing",
        }
    }

    fn user_id(&self) -> Option<UserId> {
        Some(match self {
            Self::Created(user) => user.id(),
            Self::Existing(existing) => existing.user_id(),
        })
    }
}

#[cfg(feature = "rate-limit")]
impl Answer for crate::rate_limit::LimitAnswer {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused { .. } => "refused",
        }
    }
}

impl Answer for SignInAttempt {
    fn user_id(&self) -> Option<UserId> {
        self.owner()
    }
}

impl Answer for SignIn {
    const COUNTER: Option<&'static str> = Some("account_sign_in_total");

    fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
        }
    }

    fn user_id(&self) -> Option<UserId> {
        match self {
            Self::Accepted(accepted) => Some(accepted.user().id()),
            Self::Refused(_) => None,
        }
    }
}

impl Answer for PasswordChangeAttempt {
    fn user_id(&self) -> Option<UserId> {
        self.attempt.owner()
    }
}

impl Answer for PasswordChange {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Refused(_) => "refused",
        }
    }
}

/// The outermost operation of this thread.
struct Running(());

impl Running {
    /// `None` in the midst of another one.
    fn begin() -> Option<Self> {
        if TRIES.get().is_some() {
            return None;
        }
        TRIES.set(Some(1));
        Some(Self(()))
    }

    fn tries(&self) -> u32 {
        TRIES.get().unwrap_or(1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        TRIES.set(None);
    }
}

thread_local! {
    /// How often the operation under way has been tried; `None` if none is.
    static TRIES: Cell<Option<u32>> = const { Cell::new(None) };
}

/// By which a host's filter knows what is ours.
#[cfg(feature = "tracing")]
pub(crate) const TARGET: &str = "diesel_accounts";
