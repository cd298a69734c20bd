//! Nothing but tests, in `tests`: those that take too long for each change.
//!
//! `scripts/with-servers cargo test -p diesel-accounts-full-proof`
