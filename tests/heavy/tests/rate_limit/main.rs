//! How often somebody may do something: counts that instances share in the database of each engine,
//! and those of one process.
//!
//! The databases are at times that the tests set. The limiter of one process has no clock of the
//! test's: what is asked of it holds however slow the machine is.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod amounts;
mod clocks;
mod forgetting;
mod locks;
mod model;
mod process;
mod races;
mod schema;
mod secrets;
mod statements;
mod support;
