//! Taking over accounts of another system.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::{self, SendError};
use std::thread;
use std::time::Instant;

use diesel::r2d2::R2D2Connection;

use super::UserManager;
use super::writers::Turn;
use crate::accounts::{BatchSize, IMPORT_BATCH};
use crate::error::Result;
use crate::import::{ImportOutcome, ImportSummary, ImportUser, InvalidImport, PreparedImport};
use crate::observe::{Here, operation};
use crate::policy::Policy;
use crate::store::AccountConnection;

impl<C> UserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// Takes over any number of accounts of another system, with their password hashes, in batches
    /// of 500, each in one statement if nobody is in the way. While one batch is imported the next is
    /// validated, by a thread of its own: one batch is read ahead.
    ///
    /// On SQLite a batch is a transaction, for whose end others who write wait, and of as many
    /// accounts as take about 100 milliseconds by what those before took: 500 at first, and up to
    /// 8,000.
    ///
    /// `heard` is told the number of each account, from 0, and what it came to, in the order of the
    /// accounts, as soon as its batch is done.
    ///
    /// It can be repeated and resumed: whatever an earlier run created is
    /// [`ImportOutcome::Existing`], and nothing that is there is changed.
    ///
    /// # Errors
    ///
    /// Trouble that is not one account's: [`Error::Pool`](crate::Error::Pool),
    /// [`Error::Database`](crate::Error::Database), [`Error::Hashing`](crate::Error::Hashing),
    /// [`Error::HashingBusy`](crate::Error::HashingBusy),
    /// [`Error::Undetermined`](crate::Error::Undetermined). The batches before stay committed, and of
    /// the batch at hand some accounts may be, of which `heard` was not told: run it again.
    ///
    /// ```
    /// use diesel_accounts::{ForeignHashes, Hashing, ImportUser, Policy, UserManager};
    ///
    /// # use diesel_accounts::diesel::{SqliteConnection, r2d2::{ConnectionManager, Pool}};
    /// # let database = ConnectionManager::<SqliteConnection>::new(":memory:");
    /// # let pool = Pool::builder().max_size(1).build(database)?;
    /// let hashing = Hashing::new().accept(ForeignHashes::none().bcrypt(4)); // use what you have
    /// let users = UserManager::with_policy(pool, Policy::builder().hashing(hashing).build()?);
    /// # users.migrate()?;
    /// let alice = ImportUser::new()
    ///     .username("alice")
    ///     .email("alice@example.org")
    ///     .password_hash("$2b$04$xFik8qfyLVEaJT.jFZ7TTu1.1NaMWK6psRG04rM91pWqbs1hvG8we");
    /// let summary = users.import_users([alice], |number, outcome| println!("{number}: {outcome:?}"))?;
    /// assert_eq!(summary.created(), 1);
    /// assert!(users.authenticate("alice", "p\u{e4}ssw\u{f6}rd")?.is_accepted());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn import_users(
        &self,
        users: impl IntoIterator<Item = ImportUser>,
        heard: impl FnMut(u64, &ImportOutcome),
    ) -> Result<ImportSummary> {
        self.observed(operation!("import_users"), || self.import(users, heard))
    }

    fn import(
        &self,
        users: impl IntoIterator<Item = ImportUser>,
        mut heard: impl FnMut(u64, &ImportOutcome),
    ) -> Result<ImportSummary> {
        let mut summary = ImportSummary::default();
        let mut next = 0;
        let mut tell = |outcome: ImportOutcome| {
            summary.count(&outcome);
            heard(next, &outcome);
            next += 1;
        };
        let size = RefCell::new(BatchSize::of::<C>(false));
        in_batches(&self.policy, &size, users.into_iter().fuse(), |batch| {
            let (valid, invalid) = part(batch?);
            let mut outcomes = self.import_batch(&valid, &size)?.into_iter();
            for invalid in invalid {
                match invalid {
                    Some(invalid) => tell(ImportOutcome::Invalid(invalid)),
                    None => outcomes.by_ref().take(1).for_each(&mut tell),
                }
            }
            Ok(())
        })?;
        Ok(summary)
    }

    /// No connection is held while others are validated, and hashes wrapped.
    fn import_batch(
        &self,
        batch: &[PreparedImport],
        size: &RefCell<BatchSize>,
    ) -> Result<Vec<ImportOutcome>> {
        let until = Instant::now() + self.policy.deadline();
        let mut turn = self.turn(until)?;
        self.act_until(until, |accounts| {
            let started = Instant::now();
            let mut lend = || turn.iter_mut().for_each(Turn::lend);
            let outcomes = accounts.import_batch(batch, &mut lend)?;
            size.borrow_mut().learn(batch.len(), started.elapsed());
            Ok(outcomes)
        })
    }
}

/// A batch that was validated.
type Validated = Result<Vec<Result<PreparedImport, InvalidImport>>>;

/// Validates users in batches. Of more than one, the next is validated while one is imported: to
/// read names takes about as long as to write them.
fn in_batches(
    policy: &Policy,
    size: &RefCell<BatchSize>,
    mut users: impl Iterator<Item = ImportUser>,
    mut import: impl FnMut(Validated) -> Result<()>,
) -> Result<()> {
    let validate = |batch: &[ImportUser]| -> Validated {
        batch.iter().map(|user| policy.prepare_import(user)).collect()
    };
    let mut next_batch = || batch_of(&mut users, size.borrow().get());
    let first = next_batch();
    let mut second = if first.len() < IMPORT_BATCH { Vec::new() } else { next_batch() };
    if second.is_empty() {
        return if first.is_empty() { Ok(()) } else { import(validate(&first)) };
    }
    let here = Here::new();
    thread::scope(|scope| {
        let (give, given) = mpsc::channel::<Vec<ImportUser>>();
        let (validated, ready) = mpsc::channel();
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            here.within(|| {
                // Nobody waits for it any more when an import has failed.
                given.iter().try_for_each(|batch| validated.send(validate(&batch)))
            })
        });
        // Where there is no thread to be had, it is done here and now.
        let hand_over = |batch| give.send(batch).err().map(|SendError(batch)| validate(&batch));
        let mut ahead = VecDeque::from([hand_over(first)]);
        loop {
            if !second.is_empty() {
                ahead.push_back(hand_over(std::mem::take(&mut second)));
            }
            let batch = match ahead.pop_front() {
                None => break,
                Some(Some(batch)) => batch,
                Some(None) => match ready.recv() {
                    Ok(batch) => batch,
                    // It panicked, and so does the scope.
                    Err(_) => break,
                },
            };
            import(batch)?;
            second = next_batch();
        }
        Ok(())
    })
}

/// The next users, so many at most, and no more than 500 if one of them has a hash to be wrapped:
/// that takes as long as a new one.
fn batch_of(users: &mut impl Iterator<Item = ImportUser>, most: usize) -> Vec<ImportUser> {
    let (mut batch, mut most) = (Vec::with_capacity(IMPORT_BATCH), most);
    while batch.len() < most {
        let Some(user) = users.next() else { break };
        if user.is_to_be_wrapped() {
            most = most.min(IMPORT_BATCH.max(batch.len() + 1));
        }
        batch.push(user);
    }
    batch
}

/// The valid accounts; and for each of all why it is not one.
fn part(
    batch: Vec<Result<PreparedImport, InvalidImport>>,
) -> (Vec<PreparedImport>, Vec<Option<InvalidImport>>) {
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for import in batch {
        match import {
            Ok(import) => {
                valid.push(import);
                invalid.push(None);
            }
            Err(error) => invalid.push(Some(error)),
        }
    }
    (valid, invalid)
}

#[cfg(test)]
mod tests {
    use super::{ImportUser, batch_of};

    #[test]
    fn a_batch_with_hashes_to_be_wrapped_has_no_more_than_five_hundred() {
        let plain = || ImportUser::new().password_hash("a");
        let layered = || ImportUser::new().layered_password_hash("a");
        let mut users = (0..3_000).map(|number| if number < 2_000 { plain() } else { layered() });
        let mut sizes = Vec::new();
        loop {
            let batch = batch_of(&mut users, 1_200);
            if batch.is_empty() {
                break;
            }
            sizes.push(batch.len());
        }
        // The second ends with the first that is to be wrapped.
        assert_eq!(sizes, [1_200, 801, 500, 499]);
    }

    #[test]
    fn a_batch_reads_no_further_than_it_is_to() {
        let mut read = 0;
        let mut users = std::iter::repeat_with(|| {
            read += 1;
            ImportUser::new()
        });
        assert_eq!(batch_of(&mut users, 7).len(), 7);
        assert_eq!(read, 7);
    }
}
