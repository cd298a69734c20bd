//! What is forgotten in the end, and what is not.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::TransactionManager;
use diesel_accounts::{DatabaseLimiter, Quota, RateLimiter};
use diesel_accounts_proof::database::ProofConnection;
use diesel_accounts_proof::statements::before_each_statement;

use crate::support::{
    DAY, HOUR, MICRO, MINUTE, Stage, client, impatient, micros, on_each_engine, on_each_server,
    quota,
};

on_each_engine!(
    what_rests_for_more_than_a_day_is_forgotten_in_the_end_and_nothing_else,
    a_key_that_is_needed_again_is_not_forgotten_meanwhile,
);

on_each_server!(a_row_at_rest_that_somebody_locks_is_no_trouble_of_a_new_key,);

/// A sweep comes with one in 16 new keys. That there are fewer than 40 in 2000, when each takes no
/// more than one row because the machine is slow, is as likely as one in 10^17.
fn what_rests_for_more_than_a_day_is_forgotten_in_the_end_and_nothing_else<C: ProofConnection>(
    stage: Stage<C>,
) {
    let now = stage.clock.micros();
    make_keys(&stage, "resting", 0..40);
    stage.clock.advance(MICRO);
    make_keys(&stage, "for just a day", 0..1);
    let (waiting, monthly) = (client(&stage.users, "waiting"), quota(1, 30 * DAY));
    assert_eq!(stage.check(waiting, monthly), None);
    assert_eq!(stage.arrivals().len(), 42);
    stage.clock.advance(30 * MINUTE + DAY);

    let just_a_day = now + 1 + micros(30 * MINUTE);
    let mut keys = 0;
    while stage.arrivals()[0] < just_a_day {
        assert!(keys < 2000, "{} are left", stage.arrivals().len());
        make_keys(&stage, "new", keys..keys + 8);
        keys += 8;
    }
    // These come with sweeps again, of which none finds anything.
    make_keys(&stage, "new", keys..keys + 400);
    let new = stage.clock.micros() + micros(30 * MINUTE);
    let mut expected = vec![just_a_day];
    expected.extend((0..keys + 400).map(|_| new));
    expected.push(now + 1 + micros(30 * DAY));
    assert_eq!(stage.arrivals(), expected);
    assert_eq!(stage.check(waiting, monthly), Some(29 * DAY - 30 * MINUTE));
}

/// Between its being found and its deletion somebody asks for it, and that counts.
fn a_key_that_is_needed_again_is_not_forgotten_meanwhile<C: ProofConnection>(stage: Stage<C>) {
    let (key, once) = (client(&stage.users, "needed again"), quota(1, HOUR));
    assert_eq!(stage.check(key, once), None);
    stage.clock.advance(2 * DAY);
    let mut conn = stage.database.connect();
    let other = DatabaseLimiter::new(&stage.instance(&stage.clock));
    let was_found = before_the_deletion(&mut conn, move || {
        assert_eq!(other.check(key, once).unwrap().refused(), None);
    });
    until_a_deletion(&stage, &mut conn, &was_found);
    assert_eq!(stage.check(key, once), Some(HOUR));
}

/// Where a row can be locked alone. Whoever asks for another key has nothing to do with it.
fn a_row_at_rest_that_somebody_locks_is_no_trouble_of_a_new_key<C: ProofConnection>(
    stage: Stage<C>,
) {
    make_keys(&stage, "locked", 0..1);
    stage.clock.advance(2 * DAY);
    let mut holder = stage.database.connect();
    // Of all levels the one at which MariaDB locks no gap, where new keys go.
    holder.begin("READ COMMITTED").unwrap();
    let touch = "UPDATE account_limits SET theoretical_arrival = theoretical_arrival - 1";
    holder.batch_execute(touch).unwrap();
    let mut conn = stage.database.connect();
    impatient(&mut conn);
    let was_found = before_the_deletion(&mut conn, || {});
    let keys = until_a_deletion(&stage, &mut conn, &was_found);
    C::TransactionManager::rollback_transaction(&mut holder).unwrap();
    assert_eq!(stage.arrivals().len(), 1 + keys);
}

/// Asks once for each of many keys, that are at rest half an hour later.
fn make_keys<C: ProofConnection>(stage: &Stage<C>, name: &str, numbers: Range<usize>) {
    for number in numbers {
        let key = client(&stage.users, &format!("{name} {number}"));
        assert_eq!(stage.check(key, hourly()), None, "{name} {number}");
    }
}

/// Asks for new keys on a connection until one of them has come with a deletion, and tells for how
/// many: 400 come without any sweep as often as once in 10^11.
fn until_a_deletion<C: ProofConnection>(
    stage: &Stage<C>,
    conn: &mut C,
    was_found: &AtomicBool,
) -> usize {
    let has_come = (1..=400).find(|number| {
        let key = client(&stage.users, &format!("new {number}"));
        let answer = stage.users.on(conn).check_limit(key, hourly()).unwrap();
        assert_eq!(answer.refused(), None);
        was_found.load(Ordering::SeqCst)
    });
    has_come.unwrap()
}

/// Does something once, before the connection deletes what it has found, and tells when it has.
fn before_the_deletion<C: ProofConnection>(
    conn: &mut C,
    act: impl FnOnce() + Send + 'static,
) -> Arc<AtomicBool> {
    let was_found = Arc::new(AtomicBool::new(false));
    let (found, mut act) = (was_found.clone(), Some(act));
    before_each_statement(conn, move |statement| {
        if let Some(act) = act.take_if(|_| statement.starts_with("DELETE")) {
            act();
            found.store(true, Ordering::SeqCst);
        }
    });
    was_found
}

fn hourly() -> Quota {
    quota(2, HOUR)
}
