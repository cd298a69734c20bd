//! Failover, replicas, poolers and clusters that take writes everywhere.

#![expect(clippy::unwrap_used, reason = "a proof fails by panicking")]

mod failover;
mod galera;
mod pgbouncer;
mod replica;
mod support;
