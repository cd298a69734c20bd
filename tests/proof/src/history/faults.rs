//! What was done to the calls of a record, and what was seen beside them.

use serde::{Deserialize, Serialize};

use super::{Moment, is_false, is_zero};

/// A fault, and when it was at work.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Fault {
    /// What was done.
    pub kind: String,
    /// To the connections of which manager; to all if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<u16>,
    /// From when.
    pub from: Moment,
    /// To when.
    pub to: Moment,
    /// How often it struck.
    pub count: u64,
    /// Whether it can take away a connection, or what is read on one.
    pub severs: bool,
    /// Whether it can stop a statement at any time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stops: bool,
    /// Whether it can be the reason why a row is refused for good.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refuses: bool,
    /// How long a call lasts at least that it struck.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slows: Moment,
}

/// A pool after all calls.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct PoolState {
    /// Whose.
    pub manager: u16,
    /// Since when there was this pool.
    pub from: Moment,
    /// When it was looked at.
    pub to: Moment,
    /// How many connections it has to give.
    pub size: u32,
    /// How many it gave at once that answer and have no transaction open.
    pub usable: u32,
    /// How many it has thrown away: they were lost, or came back with a transaction open.
    #[serde(default)]
    pub discarded: u32,
}

/// A secret in an output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Leak {
    /// In which output. What leaked is not repeated.
    pub output: String,
    /// What kind of secret.
    pub secret: String,
}
