//! Histories in which the library behaves in a way that it must not, whatever it answers.

use super::*;

#[test]
fn an_undetermined_creation_that_no_fault_touched() {
    Made::new()
        .fault(100, 200)
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .then(create(ALICE, 1, 1), Answer::Created)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::UndeterminedOnlyByFaults);
}

#[test]
fn an_undetermined_creation_that_is_never_settled() {
    Made::new()
        .fault(0, 200)
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .then(create(ALICE, 1, 1), not_done())
        .breaks(Rule::UndeterminedIsSettled);
}

#[test]
fn a_call_beyond_its_deadline() {
    Made::new()
        .during(10, 1011, Operation::FindId { id: ALICE }, Answer::NotFound)
        .breaks(Rule::DeadlinesHold);
}

#[test]
fn a_pool_that_lost_a_connection() {
    let mut made = Made::new();
    made.history.pools.push(PoolState {
        manager: 0,
        from: 0,
        to: 1000,
        size: 2,
        usable: 1,
        discarded: 0,
    });
    made.breaks(Rule::PoolsAreWhole);
}

#[test]
fn a_pool_that_threw_a_connection_away_for_nothing() {
    let discarded = PoolState { manager: 0, from: 0, to: 1000, size: 2, usable: 2, discarded: 1 };
    let mut made = Made::new();
    made.history.pools.push(discarded);
    made.breaks(Rule::PoolsAreWhole);
    let mut severed = Made::new().fault(0, 10);
    severed.history.pools.push(discarded);
    severed.is_good();
}

#[test]
fn a_secret_that_came_to_light() {
    let mut made = Made::new();
    made.history.leaks.push(Leak { output: "log".to_owned(), secret: "a password".to_owned() });
    made.breaks(Rule::SecretsStaySecret);
}

/// Whoever has a transaction is told to roll it back.
#[test]
fn an_undetermined_outcome_in_a_transaction() {
    Made::new()
        .fault(0, 100)
        .then(in_transaction(ALICE, 1, 1), transaction(Answer::Undetermined, End::RolledBack))
        .breaks(Rule::NothingStrange);
}

#[test]
fn an_answer_that_should_not_be_possible() {
    Made::new()
        .then(Operation::Delete { id: ALICE }, Answer::Strange { error: "panic".to_owned() })
        .breaks(Rule::NothingStrange);
}

#[test]
fn whatever_fails_for_no_reason() {
    let not_done = |error: &str| Answer::NotDone { error: error.to_owned() };
    let unknown = Answer::Unknown { error: "database".to_owned() };
    let in_transaction = in_transaction(ALICE, 1, 1);
    let rolled_back = |error| transaction(not_done(error), End::RolledBack);
    for (operation, answer) in [
        (create(ALICE, 1, 1), not_done(BUSY)),
        (create(ALICE, 1, 1), not_done(NO_CONNECTION)),
        (in_transaction.clone(), rolled_back(MUST_ROLL_BACK)),
        (Operation::Delete { id: ALICE }, not_done(BUSY)),
        (Operation::Disable { id: ALICE }, unknown.clone()),
        (Operation::FindId { id: ALICE }, unknown),
    ] {
        Made::new().then(operation.clone(), answer.clone()).breaks(Rule::FailuresHaveCauses);
        Made::new().fault(0, 50).then(operation, answer).is_good();
    }
    for (operation, answer) in
        [(create(ALICE, 1, 1), not_done(NOT_CREATED)), (in_transaction, rolled_back(NOT_CREATED))]
    {
        let made = Made::new().fault(0, 50).stopped(0, 50).locked(0, 50);
        made.then(operation.clone(), answer.clone()).breaks(Rule::FailuresHaveCauses);
        Made::new().full(0, 50).then(operation, answer).is_good();
    }
    // A lock, or a lack of patience, takes no answer away.
    for operation in [Operation::Disable { id: ALICE }, Operation::FindId { id: ALICE }] {
        let unknown = || Answer::Unknown { error: "database".to_owned() };
        let made = Made::new().locked(0, 50).then(operation.clone(), unknown());
        made.breaks(Rule::FailuresHaveCauses);
        Made::new().stopped(0, 50).then(operation, unknown()).is_good();
    }
    // Of these no fault is a cause.
    for error in ["hidden conflict", "hashing busy", MUST_ROLL_BACK] {
        let made = Made::new().fault(0, 50).then(create(ALICE, 1, 1), not_done(error));
        made.breaks(Rule::FailuresHaveCauses);
    }
}

/// A deadlock, or one wait for a lock, is no reason to give up before the time is over.
#[test]
fn whatever_is_given_up_too_soon() {
    let not_done = |error: &str| Answer::NotDone { error: error.to_owned() };
    let (busy, no_connection) = (not_done(BUSY), not_done(NO_CONNECTION));
    let locked = || Made::new().locked(0, 500).fault(0, 500);
    let create = || create(ALICE, 1, 1);
    let made = locked().during(10, 100, create(), busy.clone()).with_time(100, 50);
    made.breaks(Rule::FailuresHaveCauses);
    locked().during(10, 110, create(), busy.clone()).with_time(100, 50).is_good();
    // What was stopped is not sent again.
    locked().stopped(0, 50).then(create(), busy).with_time(100, 50).is_good();
    for (deadline, patience) in [(100, 50), (50, 100)] {
        let early = locked().during(10, 50, create(), no_connection.clone());
        early.with_time(deadline, patience).breaks(Rule::FailuresHaveCauses);
        let late = locked().during(10, 60, create(), no_connection.clone());
        late.with_time(deadline, patience).is_good();
    }
}

#[test]
fn a_pool_has_no_connection_only_while_others_have_them() {
    let pool = PoolState { manager: 0, from: 0, to: 1000, size: 1, usable: 1, discarded: 0 };
    let no_connection = || Answer::NotDone { error: NO_CONNECTION.to_owned() };
    let look_up = || Operation::FindId { id: ALICE };
    let mut made = Made::new().during(10, 20, look_up(), Answer::NotFound).during(
        15,
        40,
        look_up(),
        no_connection(),
    );
    made.history.pools.push(pool);
    made.is_good();
    let mut made = Made::new().during(10, 20, look_up(), Answer::NotFound).during(
        25,
        40,
        look_up(),
        no_connection(),
    );
    made.history.pools.push(pool);
    made.breaks(Rule::FailuresHaveCauses);
}

#[test]
fn a_host_must_roll_back_only_beside_others() {
    let told = |at| {
        let error = MUST_ROLL_BACK.to_owned();
        let answer = transaction(Answer::NotDone { error }, End::RolledBack);
        Made::new().during(10, 20, Operation::FindId { id: BOB }, Answer::NotFound).during(
            at,
            40,
            in_transaction(ALICE, 1, 1),
            answer,
        )
    };
    told(15).is_good();
    told(25).breaks(Rule::FailuresHaveCauses);
}

/// It stops nothing before its time.
#[test]
fn a_time_out_that_was_not_reached_excuses_nothing() {
    let asked = |until| {
        let mut made = Made::new()
            .fault(0, 1000)
            .during(10, until, create(ALICE, 1, 1), Answer::Undetermined)
            .then(create(ALICE, 1, 1), Answer::Created)
            .row(row(ALICE, 1, 1));
        made.history.faults[0].slows = 100;
        made
    };
    asked(110).is_good();
    asked(109).breaks(Rule::UndeterminedOnlyByFaults);
}

#[test]
fn a_pool_that_threw_a_connection_away_when_the_fault_was_over() {
    let mut made = Made::new().fault(0, 10);
    let pool = PoolState { manager: 0, from: 20, to: 1000, size: 2, usable: 2, discarded: 1 };
    made.history.pools.push(pool);
    made.breaks(Rule::PoolsAreWhole);
}

#[test]
fn a_fault_that_struck_nobody_excuses_nothing() {
    let mut made = Made::new()
        .fault(0, 200)
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .then(create(ALICE, 1, 1), Answer::Created)
        .row(row(ALICE, 1, 1));
    made.history.faults[0].count = 0;
    made.breaks(Rule::UndeterminedOnlyByFaults);
}
