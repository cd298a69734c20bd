//! Making the tables, and checking them.

use std::time::Instant;

use super::Accounts;
use super::transaction::transaction_depth;
use crate::error::{Error, Result};
use crate::store::AccountConnection;
use crate::store::check::{self, SchemaReport};
use crate::store::dialect::Dialect;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Creates the tables of this crate, or brings them up to date.
    ///
    /// It can be called at every start, also by many processes at once on one empty database. Only
    /// tables named `account_..` are touched; the ledger is `account_migrations`, and the ledger of
    /// the host's own migrations is left alone. A schema that is newer than this version is left as
    /// it is.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionOpen`] inside a transaction, for MariaDB would commit it;
    /// [`Error::Schema`] if a table of another program has one of our names;
    /// [`Error::Busy`] if others kept the database locked until the deadline;
    /// [`Error::Database`].
    ///
    /// See [`Accounts::new`] for an example.
    pub fn migrate(&mut self) -> Result<()> {
        if transaction_depth(self.conn)? > 0 {
            return Err(Error::TransactionOpen);
        }
        C::Backend::migrate(self.conn, Instant::now() + self.policy.deadline())
    }

    /// Tells what is wrong with the schema or the server, if anything is: for the start of a host,
    /// above all of one that runs the [`migrations`](crate::migrations) itself.
    ///
    /// It reads the version of every account's keys, which takes seconds on a table of ten million.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// See [`SchemaReport`] for an example.
    pub fn check(&mut self) -> Result<SchemaReport> {
        check::check(self.conn)
    }
}
