//! What was done to accounts, for the host's records.

#![cfg_attr(
    not(feature = "audit"),
    allow(unnameable_types, unreachable_pub, reason = "nothing of it is public then")
)]

use std::fmt;
use std::sync::Arc;

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::*;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::context::Context;
use crate::creation::Creation;
use crate::error::{Error, HashingFailure, Result};
use crate::identity::unsafe_character;
use crate::observe;
use crate::policy::Policy;
use crate::store::rows::InsertUser;
use crate::store::schema::account_events;
use crate::store::schema::sql_types::AccountId;
use crate::timestamp::Timestamp;
use crate::user::{RealmId, UserId};

/// Hears what was done to accounts, as soon as it is done: a file, a queue, the log of the host.
///
/// What is done on a connection of the library's own is committed by then; in a transaction of the
/// host's it may yet be rolled back. A sink that fails keeps nothing from being done; where an act
/// without its record must not be, [`PolicyBuilder::audit_table`](crate::PolicyBuilder::audit_table)
/// writes both in one transaction. It is called on the thread that acts, and holds it up; on SQLite
/// also everybody else who wants to write, for they take turns. It may write through the same manager
/// itself, and must not wait for another thread that does.
///
/// See [`PolicyBuilder::audit_sink`](crate::PolicyBuilder::audit_sink) for an example.
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Hears of one event.
    fn record(&self, event: &AuditEvent);
}

/// Something that was done to an account, or that somebody wanted and was refused. It holds no
/// username, address or password.
///
/// The [guide](crate::guide::audit) has the table of actions and outcomes.
#[derive(Clone, Debug, Eq, Insertable, PartialEq, Queryable, Selectable)]
#[diesel(table_name = account_events)]
#[diesel(treat_none_as_default_value = false)]
pub struct AuditEvent {
    pub(crate) id: EventId,
    pub(crate) realm: RealmId,
    pub(crate) occurred_at: Timestamp,
    pub(crate) action: String,
    pub(crate) outcome: String,
    pub(crate) user_id: Option<UserId>,
    pub(crate) actor: Option<UserId>,
    pub(crate) client: Option<String>,
    pub(crate) request_id: Option<String>,
}

impl AuditEvent {
    pub(crate) fn new(
        id: EventId,
        realm: RealmId,
        context: &Context,
        occurred_at: Timestamp,
        what: (&str, &str),
        user_id: Option<UserId>,
    ) -> Self {
        Self {
            id,
            realm,
            occurred_at,
            action: what.0.to_owned(),
            outcome: what.1.to_owned(),
            user_id,
            actor: context.acting_user(),
            client: context.client_text().map(clean),
            request_id: context.request_text().map(clean),
        }
    }

    /// The same event; under the same id if there are no random numbers.
    pub(crate) fn under_another_id(self) -> Self {
        Self { id: EventId::generate().unwrap_or(self.id), ..self }
    }

    /// Identifies the event. That of a creation derives from the account and the time.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// In which realm.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// When, by the clock of the policy.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.occurred_at
    }

    /// What was done or wanted: a stable name in snake case.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// What came of it: a stable name in snake case.
    #[must_use]
    pub fn outcome(&self) -> &str {
        &self.outcome
    }

    /// To whose account; `None` if to nobody's, or to those of two. The account may be gone.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        self.user_id
    }

    /// By whom, if not by the person whom the account belongs to
    /// ([`Context::actor`](crate::Context::actor)).
    #[must_use]
    pub fn actor(&self) -> Option<UserId> {
        self.actor
    }

    /// Where it came from ([`Context::client`](crate::Context::client)): 255 characters at most,
    /// those that could be taken for something else escaped.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// What the host calls the request ([`Context::request_id`](crate::Context::request_id)), as
    /// [`AuditEvent::client`].
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

/// Identifies an [`AuditEvent`]: a UUID.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, AsExpression, FromSqlRow)]
#[diesel(sql_type = AccountId)]
pub struct EventId([u8; 16]);

impl EventId {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// That of a creation (version 8 of RFC 9562): all tries of one creation have one time.
    fn of_creation(wanted: &InsertUser<'_>) -> Self {
        let digest = Sha256::new()
            .chain_update(b"diesel-accounts creation 1\0")
            .chain_update(wanted.realm.as_bytes())
            .chain_update(wanted.id.as_bytes())
            .chain_update(wanted.updated_at.as_micros().to_be_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(*Builder::from_custom_bytes(bytes).into_uuid().as_bytes())
    }

    /// A new one (version 7 of RFC 9562).
    pub(crate) fn generate() -> Result<Self, HashingFailure> {
        UserId::generate().map(|id| Self(*id.as_bytes()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0), f)
    }
}

/// Where events go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audit {
    pub(crate) table: bool,
    pub(crate) sink: Option<Arc<dyn AuditSink>>,
}

impl Audit {
    /// Tells the host of something that is done, and recorded where that is to be.
    pub(crate) fn tell(&self, event: Option<&AuditEvent>) {
        if let (Some(event), Some(sink)) = (event, &self.sink) {
            sink.record(event);
        }
    }

    fn is_on(&self) -> bool {
        self.table || self.sink.is_some()
    }
}

/// What is to be recorded; `None` if nobody keeps a record.
pub(crate) fn event(
    policy: &Policy,
    realm: RealmId,
    context: &Context,
    what: (&str, &str),
    user_id: Option<UserId>,
) -> Result<Option<AuditEvent>> {
    if !policy.audit().is_on() {
        return Ok(None);
    }
    let id = EventId::generate().map_err(Error::Hashing)?;
    Ok(Some(AuditEvent::new(id, realm, context, policy.now(), what, user_id)))
}

/// The same for something that was refused: if there are no random numbers, the record is lost.
pub(crate) fn refusal(
    policy: &Policy,
    realm: RealmId,
    context: &Context,
    what: (&str, &str),
    user_id: Option<UserId>,
) -> Option<AuditEvent> {
    event(policy, realm, context, what, user_id).unwrap_or_else(|error| {
        observe::record_lost(&error);
        None
    })
}

/// The same for an account that is to be inserted. Its id derives from the creation: however often
/// that is tried, there is one event.
pub(crate) fn event_of_creation(
    policy: &Policy,
    context: &Context,
    action: &str,
    wanted: &InsertUser<'_>,
) -> Option<AuditEvent> {
    policy.audit().is_on().then(|| {
        let (id, tried_at) = (EventId::of_creation(wanted), wanted.updated_at);
        let what = (action, "created");
        AuditEvent::new(id, wanted.realm, context, tried_at, what, Some(wanted.id))
    })
}

/// What came of a creation, and to whose account, where it came to an account.
pub(crate) fn outcome_of(answer: &Result<Creation>) -> Option<(&'static str, Option<UserId>)> {
    match answer {
        Ok(Creation::Created(user)) => Some(("created", Some(user.id()))),
        Ok(Creation::Existing(existing)) => Some(("existing", Some(existing.user_id()))),
        Err(Error::Taken(taken)) => Some(("taken", taken.only_holder())),
        Err(_) => None,
    }
}

/// A text of a stranger's as it can stand in a record of one line, and be read back.
fn clean(text: &str) -> String {
    let escaped = text.chars().flat_map(|character| {
        let is_plain = character != '\\' && unsafe_character(character).is_none();
        let plain = is_plain.then_some(character);
        let escape = (!is_plain).then(|| character.escape_default());
        plain.into_iter().chain(escape.into_iter().flatten())
    });
    escaped.take(MOST_CHARACTERS).collect()
}

/// The columns are as wide.
const MOST_CHARACTERS: usize = 255;

#[cfg(test)]
mod tests {
    use super::{EventId, clean};
    use crate::new_user::NewUser;
    use crate::policy::Policy;
    use crate::store::rows::InsertUser;
    use crate::timestamp::Timestamp;
    use crate::user::RealmId;

    #[test]
    fn the_event_of_a_creation_is_the_same_for_all_its_tries_and_for_no_other() {
        let prepared = |name: &str| {
            let email = format!("{name}@example.org");
            let nobody = NewUser::new(name, email, "").without_password();
            Policy::default().prepare(nobody).unwrap()
        };
        let (alice, bob) = (prepared("alice"), prepared("bobby"));
        let event = |prepared, realm, micros| {
            let then = Timestamp::from_micros(micros);
            EventId::of_creation(&InsertUser::new(prepared, realm, then))
        };
        let first = event(&alice, RealmId::NIL, 5);
        assert_eq!(first, event(&alice, RealmId::NIL, 5));
        assert_ne!(first, event(&alice, RealmId::NIL, 6));
        assert_ne!(first, event(&alice, RealmId::from_bytes([1; 16]), 5));
        assert_ne!(first, event(&bob, RealmId::NIL, 5));
        assert_eq!(first.to_string().as_bytes().get(14), Some(&b'8'));
    }

    #[test]
    fn what_could_forge_a_line_is_escaped() {
        for (typed, cleaned) in [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("a\nb\r\0", "a\\nb\\r\\u{0}"),
            ("\u{202e}evil\u{1b}[31m", "\\u{202e}evil\\u{1b}[31m"),
            ("\\n", "\\\\n"),
            ("bücher", "bücher"),
        ] {
            assert_eq!(clean(typed), cleaned, "{typed:?}");
        }
        assert_eq!(clean(&"é".repeat(300)).chars().count(), 255);
        assert_eq!(clean(&"\n".repeat(300)).len(), 255);
    }
}
