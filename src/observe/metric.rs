//! The names and labels of the metrics: see the table in `guide/observing.md`.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

pub(super) fn count_outcome(name: &'static str, outcome: &'static str) {
    counter!(name, "outcome" => outcome).increment(1);
}

pub(super) fn count_race_recovered() {
    counter!("account_create_race_recovered_total").increment(1);
}

pub(super) fn count_retry(reason: &'static str) {
    counter!("account_db_retry_total", "reason" => reason).increment(1);
}

pub(super) fn count_lost_record() {
    counter!("account_record_lost_total").increment(1);
}

pub(super) fn queue_grows() {
    gauge!("account_hash_queue").increment(1);
}

pub(super) fn queue_shrinks() {
    gauge!("account_hash_queue").decrement(1);
}

pub(super) fn count_rejected_hash() {
    counter!("account_hash_rejected_total").increment(1);
}

pub(super) fn hashed(time: Duration) {
    histogram!("account_hash_seconds").record(time.as_secs_f64());
}
