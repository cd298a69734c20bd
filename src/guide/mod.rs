//! How it all fits together: longer than an item's own documentation has room for.

/// # The host's transaction
#[doc = include_str!("transactions.md")]
pub mod transactions {}

/// # Asynchronous hosts
#[doc = include_str!("async_hosts.md")]
pub mod async_hosts {}

/// # Races, faults and retries
#[doc = include_str!("races.md")]
pub mod races {}

/// # What an answer means
#[doc = include_str!("outcomes.md")]
pub mod outcomes {}

/// # Signing in
#[doc = include_str!("sign_in.md")]
pub mod sign_in {}

/// # Hashing: costs and sizing
#[doc = include_str!("hashing.md")]
pub mod hashing {}

/// # What is told: logs and metrics
#[doc = include_str!("observing.md")]
pub mod observing {}

/// # The record of what was done
#[cfg(feature = "audit")]
#[doc = include_str!("audit.md")]
pub mod audit {}

/// # A registration service
#[doc = include_str!("service.md")]
pub mod service {}

/// # Migrating from Django
#[doc = include_str!("django.md")]
pub mod django {}

/// # Security
#[doc = include_str!("security.md")]
pub mod security {}
