//! What tries to break the guarantees of `diesel-accounts`; the attempts themselves are in `tests`.
//!
//! Nothing here is shared with the library's own tests, and the library's code is used only through
//! its public functions: who judges must not have learnt from the accused.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a proof fails by panicking"
)]

pub mod acts;
pub mod address;
pub mod checker;
pub mod clusters;
pub mod database;
pub mod history;
pub mod host;
pub mod linear;
pub mod load;
pub mod names;
pub mod process;
pub mod proxy;
pub mod schedule;
pub mod servers;
pub mod statements;
pub mod verdict;
pub mod wait;
pub mod workload;
