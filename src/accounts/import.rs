//! Taking over many accounts of another system.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::Accounts;
use super::batch_size::{BatchSize, IMPORT_BATCH};
use super::create::{Insertion, Lent, create};
use super::transaction::{
    Failed, in_savepoint_if_needed, must_roll_back, read, together, transaction_depth,
};
use crate::audit::AuditEvent;
use crate::creation::{Creation, Existing, Matched, Taken, Verdict, decide};
use crate::error::{Error, Result};
use crate::import::{ImportOutcome, PreparedImport};
use crate::observe::operation;
use crate::policy::Duplicates;
use crate::store::AccountConnection;
use crate::store::dialect::{Dialect, Trouble};
use crate::store::events::EventQueries;
use crate::store::rows::{Claim, InsertUser, UserRow};
use crate::store::users::UserQueries;
use crate::user::UserId;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Takes over some accounts, 500 at a time in one statement if nobody is in their way, and more
    /// on SQLite, in one transaction; what each came to, in their order.
    ///
    /// [`UserManager::import_users`](crate::UserManager::import_users) does this for any number,
    /// and tells of each batch as soon as it is committed. What each comes to is what it would if they
    /// were imported one after the other. As creations go, the database's own refusal decides: if
    /// others are creating the same accounts meanwhile, the rest is inserted one by one.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] or [`Error::Undetermined`], after which it is not known which of them were
    /// created: the same call again finds whoever was. (To hear what came of each, give 500 at a
    /// time.) In a transaction [`Error::HostMustRollBack`].
    ///
    /// A row for which the database was busy until the policy's deadline is
    /// [`ImportOutcome::Failed`] with [`Error::Busy`]. All rows of the same 500 that come after such
    /// a one have a deadline together, and are `Busy` without being tried when it has passed.
    pub fn import_users(&mut self, imports: &[PreparedImport]) -> Result<Vec<ImportOutcome>> {
        self.observed(operation!("import_users"), |accounts| {
            let mut outcomes = Vec::with_capacity(imports.len());
            let in_transaction = transaction_depth(accounts.conn) != Ok(0);
            let mut size = BatchSize::of::<C>(in_transaction);
            while let Some(left) = imports.get(outcomes.len()..).filter(|left| !left.is_empty()) {
                let batch = left.get(..size.get()).unwrap_or(left);
                let started = Instant::now();
                outcomes.extend(accounts.import_batch(batch, &mut || ())?);
                size.learn(batch.len(), started.elapsed());
            }
            Ok(outcomes)
        })
    }

    /// Takes over as many as are inserted at once. `pause` is called before each that is inserted by
    /// itself.
    pub(crate) fn import_batch(
        &mut self,
        batch: &[PreparedImport],
        pause: &mut dyn FnMut(),
    ) -> Result<Vec<ImportOutcome>> {
        let now = self.policy.now();
        let rows = batch.iter().map(|import| InsertUser::of_import(import, self.realm, now));
        let mut claimed = Claimed::default();
        let mut rows: Vec<_> = rows
            .map(|wanted| Row { is_first: claimed.take(&wanted.claim()), outcome: None, wanted })
            .collect();
        // Whoever is in the way is looked for when somebody is. But what is refused in a
        // transaction of the host's may leave locks behind.
        let first = match transaction_depth(self.conn) {
            Ok(0) => self.insert_those_left(&mut rows)?,
            _ => Inserted::Nothing,
        };
        let is_done = matches!(first, Inserted::These(_));
        if !is_done && batch.len() > IMPORT_BATCH {
            // Because of one, who would keep all others from being inserted together.
            let mut outcomes = Vec::with_capacity(batch.len());
            for piece in batch.chunks(IMPORT_BATCH) {
                outcomes.extend(self.import_batch(piece, pause)?);
            }
            return Ok(outcomes);
        }
        if rows.iter().any(Row::is_left) {
            self.find_those_left(&mut rows)?;
            // Who was busy is waited for once, by each row that is left.
            if !matches!(first, Inserted::NoTime) {
                self.insert_those_left(&mut rows)?;
            }
        }
        let mut waits_until = None;
        let one_by_one = |Row { wanted, outcome, .. }| match outcome {
            Some(outcome) => Ok(outcome),
            None => {
                pause();
                self.import_one(&wanted, &mut waits_until)
            }
        };
        rows.into_iter().map(one_by_one).collect()
    }

    /// Finds who is in the way of those that are left.
    fn find_those_left(&mut self, rows: &mut [Row<'_>]) -> Result<()> {
        let mut left: Vec<_> = rows.iter_mut().filter(|row| row.is_left()).collect();
        let claims: Vec<_> = left.iter().map(|row| row.wanted.claim()).collect();
        let holders = self.holders_of(&claims)?;
        for (row, claim) in left.iter_mut().zip(&claims) {
            let verdict = decide(claim, holders.in_the_way_of(claim), DUPLICATES, None);
            row.outcome = outcome_of(claim, verdict);
        }
        Ok(())
    }

    /// Inserts those that are left.
    fn insert_those_left(&mut self, rows: &mut [Row<'_>]) -> Result<Inserted> {
        let left = rows.iter().filter(|row| row.is_left());
        let left: Vec<_> = left.map(|row| row.wanted.clone()).collect();
        let inserted = self.insert_all(&left)?;
        if let Inserted::These(ids) = &inserted {
            let left = rows.iter_mut().filter(|row| row.is_left());
            for row in left.filter(|row| ids.contains(&row.wanted.id)) {
                row.outcome = Some(ImportOutcome::Created(row.wanted.id));
            }
        }
        Ok(inserted)
    }

    /// Which of them were inserted; each of the others is to be found, or inserted by itself.
    fn insert_all(&mut self, rows: &[InsertUser<'_>]) -> Result<Inserted> {
        if rows.is_empty() {
            return Ok(Inserted::These(HashSet::new()));
        }
        let in_transaction = transaction_depth(self.conn) != Ok(0);
        let events = self.events_of(rows);
        let is_recorded = self.policy.audit().table && !events.is_empty();
        let mut is_half_done = false;
        let mut insert = |conn: &mut C| {
            let inserted = C::Backend::insert_users(conn, rows)?;
            let records = events.iter().filter(|event| is_about(event, &inserted));
            let records: Vec<_> = records.filter(|_| is_recorded).cloned().collect();
            if !records.is_empty() {
                is_half_done = true;
                C::Backend::insert_events(conn, &records)?;
                is_half_done = false;
            }
            Ok(inserted)
        };
        let inserted = match (in_transaction, is_recorded) {
            (true, _) => in_savepoint_if_needed(self.conn, insert)
                .map_err(|error| Failed::in_transaction(self.conn, error)),
            (false, true) => together(self.conn, insert),
            (false, false) => insert(self.conn).map_err(|error| Failed::by(self.conn, error)),
        };
        let Failed { trouble, error, .. } = match inserted {
            Ok(inserted) => {
                let made = events.iter().filter(|event| is_about(event, &inserted));
                made.for_each(|event| self.policy.audit().tell(Some(event)));
                return Ok(Inserted::These(inserted));
            }
            Err(failed) => failed,
        };
        if in_transaction && is_half_done && !C::Backend::REFUSAL_SPOILS_TRANSACTION {
            return Err(must_roll_back(self.conn, trouble, error));
        }
        match trouble {
            Trouble::Conflict | Trouble::Refused => Ok(Inserted::Nothing),
            // Whoever is in the way may be in the way of one row only.
            Trouble::Contention | Trouble::Stopped | Trouble::Unnamed if !in_transaction => {
                Ok(Inserted::NoTime)
            }
            trouble if in_transaction => Err(must_roll_back(self.conn, trouble, error)),
            _ => Err(Error::from(error)),
        }
    }

    /// Each row has a deadline of its own; but all that come after one for which the database was
    /// busy until then have one together, for they may all wait for the same.
    fn import_one(
        &mut self,
        row: &InsertUser<'_>,
        waits_until: &mut Option<Instant>,
    ) -> Result<ImportOutcome> {
        let in_a_while = || Instant::now() + self.policy.deadline();
        if waits_until.is_some_and(|until| until <= Instant::now()) {
            return Ok(ImportOutcome::Failed(Error::Busy));
        }
        let until = waits_until.unwrap_or_else(in_a_while);
        let event = self.event_of_creation("import", row);
        let insertion =
            Insertion { wanted: row, event: self.row(event.as_ref()), duplicates: DUPLICATES };
        let verdict = match create(&mut Lent(self.conn), &insertion, until) {
            Ok(creation) => {
                if creation.is_created() {
                    self.policy.audit().tell(event.as_ref());
                }
                Verdict::Answer(creation)
            }
            Err(error @ (Error::HostMustRollBack(_) | Error::Undetermined { .. })) => {
                return Err(error);
            }
            Err(error) => {
                if matches!(error, Error::Busy) {
                    waits_until.get_or_insert_with(in_a_while);
                }
                Verdict::Refused(error)
            }
        };
        Ok(outcome_of(&row.claim(), verdict)
            .unwrap_or(ImportOutcome::Failed(Error::HiddenConflict)))
    }

    fn events_of(&self, rows: &[InsertUser<'_>]) -> Vec<AuditEvent> {
        rows.iter().filter_map(|row| self.event_of_creation("import", row)).collect()
    }

    fn holders_of(&mut self, claims: &[Claim<'_>]) -> Result<Holders> {
        let (realm, mut holders) = (self.realm, Vec::new());
        for claims in claims.chunks(IMPORT_BATCH) {
            let ids: Vec<_> = claims.iter().map(|claim| claim.id).collect();
            let usernames: Vec<_> = claims.iter().filter_map(|claim| claim.username_key).collect();
            let emails: Vec<_> = claims.iter().filter_map(|claim| claim.email_key).collect();
            holders.extend(read(self.conn, |conn| {
                C::Backend::holders_of_any(conn, realm, &ids, &usernames, &emails)
            })?);
        }
        Ok(Holders::new(holders))
    }
}

/// Whether an event is about one of these accounts.
fn is_about(event: &AuditEvent, users: &HashSet<UserId>) -> bool {
    event.user_id.is_some_and(|id| users.contains(&id))
}

/// What came of an insertion of many.
enum Inserted {
    /// These were inserted; somebody was in the way of the others.
    These(HashSet<UserId>),
    /// One was refused, and all with it.
    Nothing,
    /// The database had no time for any.
    NoTime,
}

/// An account of a batch.
struct Row<'a> {
    wanted: InsertUser<'a>,
    /// No row before it lays claim to the same. The others come when those have come to something,
    /// one by one.
    is_first: bool,
    /// What it came to, as soon as that is known.
    outcome: Option<ImportOutcome>,
}

impl Row<'_> {
    fn is_left(&self) -> bool {
        self.is_first && self.outcome.is_none()
    }
}

/// The accounts that hold an id or a key of a batch, by what they hold.
struct Holders {
    by_id: HashMap<UserId, UserRow>,
    by_username: HashMap<String, UserRow>,
    by_email: HashMap<String, UserRow>,
}

impl Holders {
    fn new(rows: Vec<UserRow>) -> Self {
        let keyed = |key: fn(&UserRow) -> Option<&String>| {
            let with_key = |row: &UserRow| Some((key(row)?.clone(), row.clone()));
            rows.iter().filter_map(with_key).collect()
        };
        Self {
            by_username: keyed(|row| row.username_key.as_ref()),
            by_email: keyed(|row| row.email_key.as_ref()),
            by_id: rows.into_iter().map(|row| (row.user.id, row)).collect(),
        }
    }

    fn in_the_way_of(&self, claim: &Claim<'_>) -> Vec<UserRow> {
        let by_username = claim.username_key.and_then(|key| self.by_username.get(key));
        let by_email = claim.email_key.and_then(|key| self.by_email.get(key));
        [self.by_id.get(&claim.id), by_username, by_email].into_iter().flatten().cloned().collect()
    }
}

/// What the accounts of one batch lay claim to.
#[derive(Default)]
struct Claimed<'a> {
    ids: HashSet<UserId>,
    usernames: HashSet<&'a str>,
    emails: HashSet<&'a str>,
}

impl<'a> Claimed<'a> {
    /// Whether nobody before has laid claim to any of it.
    fn take(&mut self, claim: &Claim<'a>) -> bool {
        let id = self.ids.insert(claim.id);
        let username = claim.username_key.is_none_or(|key| self.usernames.insert(key));
        let email = claim.email_key.is_none_or(|key| self.emails.insert(key));
        id && username && email
    }
}

/// `None` if nobody is in the way.
fn outcome_of(claim: &Claim<'_>, verdict: Verdict) -> Option<ImportOutcome> {
    match verdict {
        Verdict::Answer(Creation::Created(user)) => Some(ImportOutcome::Created(user.id())),
        Verdict::Answer(Creation::Existing(existing)) => Some(match is_same(claim, &existing) {
            true => ImportOutcome::Existing(existing.user_id()),
            false => ImportOutcome::Taken(Taken::by_one(&existing)),
        }),
        Verdict::Refused(Error::Taken(taken)) => Some(ImportOutcome::Taken(taken)),
        Verdict::Refused(error) => Some(ImportOutcome::Failed(error)),
        Verdict::NotVisible => None,
    }
}

/// Whether the account that is there has the names of the one that is imported, and no other.
fn is_same(claim: &Claim<'_>, existing: &Existing) -> bool {
    let user = existing.unauthenticated_user();
    let (username, email) = (user.username().is_some(), user.email().is_some());
    let wanted = (claim.username_key.is_some(), claim.email_key.is_some());
    let matched = match existing.matched() {
        Matched::Username => (true, false),
        Matched::Email => (false, true),
        Matched::Both => (true, true),
    };
    existing.is_same_creation() || wanted == matched && wanted == (username, email)
}

/// An import never refuses an account because it was imported before.
const DUPLICATES: Duplicates = Duplicates::ReturnExisting;
