//! The two halves of a sign-in that need the database: counting and looking up, and what follows.

use std::time::{Duration, Instant};

use diesel::result::{DatabaseErrorKind, Error as DieselError, QueryResult};

use super::Accounts;
use super::limit::Limit;
use super::transaction::{read, transaction_depth, write_alone, write_alone_together};
use crate::audit::AuditEvent;
use crate::error::{Error, HashingFailure, Result};
use crate::identity::key::{EmailKey, UsernameKey};
use crate::observe::{self, Retry, operation};
use crate::password::PasswordHash;
use crate::retry::Backoff;
use crate::secret_key::{DeviceToken, NONCE_BYTES, digest_of};
use crate::sign_in::{
    Accepted, Admission, Outcome, Refusal, RefusalReason, SignIn, SignInAttempt, VerifiedAttempt,
};
use crate::store::AccountConnection;
use crate::store::attempts::{
    AttemptCounts, AttemptKey, AttemptQueries, AttemptRow, InsertAttempt,
};
use crate::store::dialect::{Dialect, Trouble};
use crate::store::events::EventQueries;
use crate::store::mark_lost;
use crate::store::rows::{Credentials, UserChanges};
use crate::store::users::UserQueries;
use crate::timestamp::Timestamp;
use crate::user::User;

impl<'a, C: AccountConnection> Accounts<'a, C> {
    /// Begins a sign-in: finds the account by username or email address, and counts the attempt
    /// before the password is looked at.
    ///
    /// [`UserManager::authenticate`](crate::UserManager::authenticate) does this and all that
    /// follows. A host without a pool goes on with [`Policy::verify`](crate::Policy::verify),
    /// without holding the connection if it can, and ends with [`Accounts::finish_sign_in`].
    ///
    /// # Errors
    ///
    /// [`Error::TransactionOpen`] inside a transaction, whose rollback would erase the count;
    /// [`Error::Database`], [`Error::Busy`].
    ///
    /// ```
    /// use diesel_accounts::diesel::{Connection, SqliteConnection};
    /// use diesel_accounts::{Accounts, NewUser, Policy};
    ///
    /// let policy = Policy::default();
    /// let mut conn = SqliteConnection::establish(":memory:")?;
    /// let mut accounts = Accounts::new(&policy, &mut conn);
    /// accounts.migrate()?;
    /// let alice = policy.prepare(NewUser::new("alice", "alice@example.org", "correct horse"))?;
    /// let _ = accounts.create_user(&alice)?;
    ///
    /// let attempt = accounts.begin_sign_in("Alice")?;
    /// let verified = policy.verify(attempt, "correct horse");
    /// assert!(accounts.finish_sign_in(verified)?.is_accepted());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin_sign_in(&mut self, login: &str) -> Result<SignInAttempt> {
        self.observed(operation!("begin_sign_in"), |accounts| {
            accounts.refuse_transaction()?;
            // What is longer is nobody's, and not looked at.
            let login = if login.len() > MOST_LOGIN_BYTES { "" } else { login.trim() };
            let key = key_of(login);
            let credentials = match &key {
                Some(key) => accounts.credentials(key)?,
                None => None,
            };
            let subject = match (&credentials, &key) {
                (Some(credentials), _) => AttemptKey::from(credentials.user.id),
                (None, Some(key)) => accounts.digest("login", key.as_str().as_bytes()),
                (None, None) => accounts.digest("login", login.as_bytes()),
            };
            accounts.count(credentials, subject)
        })
    }

    /// Ends a sign-in: takes the count back and records the sign-in if the password was right.
    ///
    /// A hash that is obsolete is replaced. It is refused if the password was changed, or the
    /// account disabled or deleted, since the sign-in began.
    ///
    /// # Errors
    ///
    /// What [`Policy::verify`](crate::Policy::verify) failed with: [`Error::HashingBusy`],
    /// [`Error::Hashing`], [`Error::Configuration`]; the attempt does not count then, unless the
    /// database fails too. [`Error::TransactionOpen`], [`Error::Database`], [`Error::Busy`].
    ///
    /// See [`Accounts::begin_sign_in`] for an example.
    pub fn finish_sign_in(&mut self, verified: VerifiedAttempt) -> Result<SignIn> {
        self.observed(operation!("finish_sign_in"), |accounts| {
            accounts.refuse_transaction()?;
            accounts.as_one(|accounts| accounts.finish(verified))
        })
    }

    fn finish(&mut self, verified: VerifiedAttempt) -> Result<SignIn> {
        let VerifiedAttempt { attempt, outcome } = verified;
        let new_hash = match outcome {
            Outcome::Right(new_hash) => new_hash,
            Outcome::Refused(reason) => return self.refuse_sign_in(&attempt, reason),
            Outcome::Failed(error) => return Err(self.take_back(&attempt, error)),
        };
        let Some(Credentials { user, .. }) = &attempt.credentials else {
            return self.refuse_sign_in(&attempt, RefusalReason::UnknownLogin);
        };
        let is_accepted = !self.policy.refuses_unverified(user);
        let device_token = self.device_token(user, attempt.device)?;
        let event = match is_accepted {
            true => self.event("sign_in", "accepted", user.id)?,
            false => None,
        };
        let changes = is_accepted.then(|| self.changes_of_sign_in(user, new_hash)).flatten();
        // Whoever knows an old password only clears no count of the new one.
        if !self.settle(&attempt, user, changes.as_ref(), event.as_ref())? {
            return self.refuse_sign_in(&attempt, RefusalReason::Superseded);
        }
        if !is_accepted {
            return self.refuse_sign_in(&attempt, RefusalReason::EmailNotVerified);
        }
        self.policy.audit().tell(event.as_ref());
        Ok(SignIn::Accepted(Accepted { user: Box::new(user.clone()), device_token }))
    }

    /// Counts an attempt on an account, or on a login that nobody has: the one door through which
    /// every submitted password passes.
    pub(super) fn count(
        &mut self,
        credentials: Option<Credentials>,
        subject: AttemptKey,
    ) -> Result<SignInAttempt> {
        let device = credentials.as_ref().and_then(|credentials| {
            let token = self.context.device_token()?;
            self.policy.device_key()?.device_of(&credentials.user, token)
        });
        let bucket = match device {
            Some(device) => self.digest("device", &device),
            None => self.digest("client", self.context.client_key().as_bytes()),
        };
        let limits = self.limits(bucket, device.is_some());
        let admission = self.as_one(|accounts| accounts.admit(subject, limits))?;
        Ok(SignInAttempt { credentials, subject, bucket, device, admission })
    }

    fn admit(&mut self, subject: AttemptKey, limits: [Limit<'_>; 2]) -> Result<Admission> {
        let [by_client, by_all] = limits;
        let mut backoff = Backoff::until(self.deadline());
        loop {
            let now = self.policy.now();
            let client = by_client.client;
            let rows = read(self.conn, |conn| C::Backend::attempts_of(conn, subject, client))?;
            let of = |limit: &Limit<'_>| rows.iter().find(|row| row.client == limit.client);
            let (own, all) = (of(&by_client), of(&by_all));
            let waits = [(own, &by_client), (all, &by_all)]
                .map(|(row, limit)| row.and_then(|row| limit.wait_of(row, now)));
            if let Some(wait) = waits.into_iter().flatten().max() {
                return Ok(Admission::Waiting(wait));
            }
            let is_disabled = all.is_some_and(|row| by_all.is_reached(row, now));
            // The row of all is there before that of a client counts: nobody has to go back on it
            // because others made it first.
            if all.is_none() && !is_disabled {
                self.insert_count(subject, &by_all, NO_FAILURES, now)?;
            }
            let all = all.copied().unwrap_or(AttemptRow {
                client: by_all.client,
                counts: AttemptCounts { last_at: now, ..NO_FAILURES },
            });
            // A row that others changed meanwhile is looked at once more.
            if self.count_in(subject, &by_client, own, now)? {
                if is_disabled {
                    return Ok(Admission::PasswordDisabled(now));
                }
                let counted = self.count_in(subject, &by_all, Some(&all), now);
                if let Ok(true) = counted {
                    return Ok(Admission::Admitted(now));
                }
                self.refund(subject, &by_client, now)?;
                counted?;
            }
            if !backoff.pause() {
                return Err(Error::Busy);
            }
            observe::retry(Retry::Changed);
        }
    }

    /// What holds an attempt up: the count of the client or device, and that of all together.
    fn limits(&self, bucket: AttemptKey, is_known_device: bool) -> [Limit<'a>; 2] {
        let rules = self.policy.throttle();
        let by_client =
            Limit { client: bucket, waits: Some(rules.client_waits()), most_in_a_row: i64::MAX };
        let by_all = Limit {
            client: AttemptKey::ALL,
            waits: (!is_known_device).then(|| rules.account_waits()),
            most_in_a_row: rules.failures_until_disabled(),
        };
        [by_client, by_all]
    }

    /// Whether the attempt was counted: in the row that was seen, or in a new one.
    fn count_in(
        &mut self,
        subject: AttemptKey,
        limit: &Limit<'_>,
        seen: Option<&AttemptRow>,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(seen) = seen else {
            if fastrand::u32(..NEW_ROWS_FOR_A_SWEEP) == 0 {
                // Whoever is signing in has nothing to do with it.
                let _ = self.sweep(ROWS_OF_A_SWEEP, Instant::now() + TIME_OF_A_SWEEP);
            }
            let first = limit.counted(&NO_FAILURES, now);
            return self.insert_count(subject, limit, first, now);
        };
        if limit.is_reached(seen, now) {
            return Ok(false);
        }
        let key = (subject, limit.client);
        let counts = limit.counted(&seen.counts, now);
        let replaced =
            self.write_alone(|conn| C::Backend::replace_attempts(conn, key, seen, &counts))?;
        Ok(replaced > 0)
    }

    /// Whether there was no row yet.
    fn insert_count(
        &mut self,
        subject: AttemptKey,
        limit: &Limit<'_>,
        counts: AttemptCounts,
        now: Timestamp,
    ) -> Result<bool> {
        let counts = AttemptCounts { last_at: now, ..counts };
        let row = InsertAttempt { subject, client: limit.client, counts };
        let inserted = self.write_alone(|conn| match C::Backend::insert_attempt(conn, &row) {
            Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(0),
            answer => answer,
        })?;
        Ok(inserted > 0)
    }

    fn refund(&mut self, subject: AttemptKey, limit: &Limit<'_>, then: Timestamp) -> Result<()> {
        let (key, brought_wait) = ((subject, limit.client), limit.waits.is_some());
        self.write_alone(|conn| C::Backend::refund_attempt(conn, key, then, brought_wait))?;
        Ok(())
    }

    /// What is written down of somebody who signed in, if that is due.
    fn changes_of_sign_in(
        &self,
        user: &User,
        new_hash: Option<PasswordHash>,
    ) -> Option<UserChanges> {
        let now = self.policy.now();
        let is_due = is_older(user.last_sign_in_at, now, self.policy.sign_in_recorded_every());
        (new_hash.is_some() || is_due).then(|| UserChanges::signed_in(new_hash, now))
    }

    /// A password was right: writes that down, and takes the failures in a row back, if the account
    /// is still as it was when the password was read.
    fn settle(
        &mut self,
        attempt: &SignInAttempt,
        user: &User,
        changes: Option<&UserChanges>,
        event: Option<&AuditEvent>,
    ) -> Result<bool> {
        let (subject, bucket, until) = (attempt.subject, attempt.bucket, self.deadline());
        let row = self.row(event);
        let act = |conn: &mut C| {
            let is_as_it_was = match changes {
                Some(changes) => {
                    C::Backend::change_user_of_generation(conn, user, changes, false)? > 0
                }
                None => is_as_it_was(conn, user)?,
            };
            if is_as_it_was {
                C::Backend::clear_attempts(conn, subject, bucket)?;
                C::Backend::insert_event(conn, row)?;
            }
            Ok(is_as_it_was)
        };
        match row.is_some() {
            true => write_alone_together(self.conn, until, act),
            false => write_alone(self.conn, until, act),
        }
    }

    /// An attempt came to nothing, through no fault of whoever made it.
    pub(super) fn take_back(&mut self, attempt: &SignInAttempt, error: Error) -> Error {
        let SignInAttempt { subject, bucket, device, admission, .. } = *attempt;
        let [by_client, by_all] = self.limits(bucket, device.is_some());
        let taken_back = match admission {
            Admission::Admitted(then) => self.as_one(|accounts| {
                let by_client = accounts.refund(subject, &by_client, then);
                accounts.refund(subject, &by_all, then).and(by_client)
            }),
            Admission::PasswordDisabled(then) => self.refund(subject, &by_client, then),
            Admission::Waiting(_) => Ok(()),
        };
        // The first error is the one that tells what happened; of this one only the pool hears.
        if let Err(Error::Database(cause)) = taken_back {
            if Trouble::on(self.conn, cause.diesel_error()) == Trouble::Lost {
                mark_lost(self.conn);
            }
        }
        error
    }

    fn refuse_sign_in(&mut self, attempt: &SignInAttempt, reason: RefusalReason) -> Result<SignIn> {
        Ok(SignIn::Refused(self.refuse("sign_in", attempt, reason)?))
    }

    /// Refuses a password, and records that if it is to be.
    pub(super) fn refuse(
        &mut self,
        action: &str,
        attempt: &SignInAttempt,
        reason: RefusalReason,
    ) -> Result<Refusal> {
        observe::password_refused(reason, attempt.owner());
        self.record_refusal(action, reason.code(), attempt.owner())?;
        Ok(self.refusal(attempt, reason))
    }

    fn refusal(&self, attempt: &SignInAttempt, reason: RefusalReason) -> Refusal {
        let retry_after = match attempt.admission {
            Admission::Waiting(until) => {
                let micros = until.as_micros().saturating_sub(self.policy.now().as_micros());
                Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
            }
            Admission::Admitted(_) | Admission::PasswordDisabled(_) => None,
        };
        Refusal { reason, retry_after }
    }

    fn credentials(&mut self, key: &LoginKey) -> Result<Option<Credentials>> {
        let realm = self.realm;
        let found = read(self.conn, |conn| match key {
            LoginKey::Email(key) => C::Backend::credentials_by_email_key(conn, realm, key.as_str()),
            LoginKey::Username(key) => {
                C::Backend::credentials_by_username_key(conn, realm, key.as_str())
            }
        })?;
        // Compared here too: a column of another collation would find a key that is only similar.
        Ok(found.filter(|credentials| {
            let stored = match key {
                LoginKey::Email(_) => &credentials.email_key,
                LoginKey::Username(_) => &credentials.username_key,
            };
            stored.as_deref() == Some(key.as_str())
        }))
    }

    /// The same device goes on to be itself.
    fn device_token(
        &self,
        user: &User,
        device: Option<[u8; NONCE_BYTES]>,
    ) -> Result<Option<DeviceToken>> {
        let Some(key) = self.policy.device_key() else {
            return Ok(None);
        };
        let nonce = match device {
            Some(nonce) => nonce,
            None => {
                let mut nonce = [0; NONCE_BYTES];
                getrandom::fill(&mut nonce).map_err(|_| Error::Hashing(HashingFailure::Random))?;
                nonce
            }
        };
        Ok(key.device_token(user, nonce))
    }

    fn digest(&self, purpose: &str, text: &[u8]) -> AttemptKey {
        let key = self.policy.device_key();
        AttemptKey::from_bytes(digest_of(key, purpose, self.realm, text))
    }

    pub(super) fn refuse_transaction(&mut self) -> Result<()> {
        match transaction_depth(self.conn)? {
            0 => Ok(()),
            _ => Err(Error::TransactionOpen),
        }
    }

    /// Does one thing on a connection without a transaction, again while the database is busy.
    pub(super) fn write_alone<T>(
        &mut self,
        act: impl FnMut(&mut C) -> QueryResult<T>,
    ) -> Result<T> {
        let until = self.deadline();
        write_alone(self.conn, until, act)
    }
}

/// Whether no session of a user's was ended since.
fn is_as_it_was<C: AccountConnection>(conn: &mut C, user: &User) -> QueryResult<bool> {
    let found = C::Backend::user_by_id(conn, user.realm, user.id)?;
    Ok(found.is_some_and(|found| found.user.session_generation == user.session_generation))
}

/// The canonical form of what somebody signs in with.
enum LoginKey {
    Email(EmailKey),
    Username(UsernameKey),
}

impl LoginKey {
    fn as_str(&self) -> &str {
        match self {
            Self::Email(key) => key.as_str(),
            Self::Username(key) => key.as_str(),
        }
    }
}

/// A text with an `@` is an address, any other a username; `None` if it can be neither.
fn key_of(login: &str) -> Option<LoginKey> {
    match login.contains('@') {
        true => EmailKey::of(login).map(LoginKey::Email),
        false => UsernameKey::of(login).ok().map(LoginKey::Username),
    }
}

fn is_older(time: Option<Timestamp>, now: Timestamp, than: Duration) -> bool {
    let than = i64::try_from(than.as_micros()).unwrap_or(i64::MAX);
    time.is_none_or(|time| now.as_micros().saturating_sub(time.as_micros()) >= than)
}

/// More than any username or address has, with some white space around it.
const MOST_LOGIN_BYTES: usize = 2048;

const NO_FAILURES: AttemptCounts = AttemptCounts {
    failures: 0,
    in_a_row: 0,
    blocked_until: 0,
    last_at: Timestamp::from_micros(i64::MAX),
};

/// One in so many new rows pays for the old ones, of which it takes more than were made.
const NEW_ROWS_FOR_A_SWEEP: u32 = 16;
const ROWS_OF_A_SWEEP: u32 = 32;
const TIME_OF_A_SWEEP: Duration = Duration::from_millis(50);
