//! Making the tables, and checking them.

use super::Accounts;
use super::transaction::{read_much, transaction_depth};
use crate::error::{Error, Result};
use crate::observe::operation;
use crate::store::AccountConnection;
use crate::store::check::{self, SchemaReport};
use crate::store::dialect::Dialect;

impl<C: AccountConnection> Accounts<'_, C> {
    /// Creates the tables of this crate, or brings them up to date.
    ///
    /// It can be called at every start, also by many processes at once on one empty database. Only
    /// tables named `account_..` are touched; the ledger is `account_migrations`, and the ledger of
    /// the host's own migrations is left alone. A schema that is newer than this version is left as
    /// it is. On PostgreSQL the tables are looked for along the whole `search_path`, as all queries
    /// look for them, and made in the first schema of it if they are nowhere.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionOpen`] inside a transaction, for MariaDB would commit it, and one that
    /// was begun in plain SQL would be harmed on all engines (MySQL proper does not tell of those);
    /// with MariaDB's `autocommit` off every earlier read has begun one, which the host ends first.
    /// [`Error::Schema`] if a table of another program has one of our names, or the connection has
    /// no database; [`Error::Busy`] if others kept the database, or one of the tables, locked until
    /// the deadline (on MariaDB, which counts in seconds, up to a second longer for each of them);
    /// [`Error::Database`].
    ///
    /// See [`Accounts::new`] for an example.
    pub fn migrate(&mut self) -> Result<()> {
        self.observed(operation!("migrate"), |accounts| {
            if transaction_depth(accounts.conn)? > 0 {
                return Err(Error::TransactionOpen);
            }
            C::Backend::migrate(accounts.conn, accounts.deadline())
        })
    }

    /// Tells what is wrong with the schema or the server, if anything is: for the start of a host,
    /// above all of one that runs the [`migrations`](crate::migrations) itself.
    ///
    /// It reads the version of every account's keys, which takes seconds on a table of ten million.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], also if the connection may not read what it looks at: our tables, and
    /// the catalogue of the server. In a transaction [`Error::HostMustRollBack`].
    ///
    /// See [`SchemaReport`] for an example.
    pub fn check(&mut self) -> Result<SchemaReport> {
        self.observed(operation!("check"), |accounts| {
            let required = accounts.policy.required_keys();
            read_much(accounts.conn, |conn| check::check(conn, required))
        })
    }
}
