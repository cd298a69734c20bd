//! What servers do to those who use them, and what becomes of accounts then.

#![expect(clippy::unwrap_used, reason = "a proof fails by panicking")]

mod aborted;
mod deadlocks;
mod full_disk;
mod killed;
mod limits;
mod read_only;
mod second_process;
mod sessions;
mod support;
mod timeouts;
