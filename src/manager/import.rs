//! Taking over accounts of another system.

use diesel::r2d2::R2D2Connection;

use super::UserManager;
use crate::accounts::IMPORT_BATCH;
use crate::error::Result;
use crate::import::{ImportOutcome, ImportSummary, ImportUser, InvalidImport, PreparedImport};
use crate::observe::operation;
use crate::store::AccountConnection;

impl<C> UserManager<C>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    /// Takes over any number of accounts of another system, with their password hashes, in batches
    /// of 500, each in one statement if nobody is in the way.
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
        let mut users = users.into_iter().peekable();
        while users.peek().is_some() {
            // No connection is held while hashes are wrapped.
            let batch =
                users.by_ref().take(IMPORT_BATCH).map(|user| self.policy.prepare_import(&user));
            let batch = batch.collect::<Result<Vec<_>>>()?;
            let (valid, invalid) = part(batch);
            let outcomes =
                self.write(operation!("import_users"), |accounts| accounts.import_users(&valid))?;
            let mut outcomes = outcomes.into_iter();
            for invalid in invalid {
                match invalid {
                    Some(invalid) => tell(ImportOutcome::Invalid(invalid)),
                    None => outcomes.by_ref().take(1).for_each(&mut tell),
                }
            }
        }
        Ok(summary)
    }
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
