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

/// # Security
#[doc = include_str!("security.md")]
pub mod security {}
