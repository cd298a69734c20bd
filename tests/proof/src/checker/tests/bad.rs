use super::*;

#[test]
fn two_rows_with_one_key() {
    Made::new()
        .fault(0, 100)
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .then(create(BOB, 1, 2), Answer::Created)
        .then(create(ALICE, 1, 1), existing(BOB, true, false))
        .row(row(ALICE, 1, 1))
        .row(row(BOB, 1, 2))
        .breaks(Rule::OneRowPerKey);
}

#[test]
fn a_row_that_nobody_asked_for() {
    Made::new().row(row(ALICE, 1, 1)).breaks(Rule::EveryRowWasAskedFor);
    Made::new()
        .then(create(BOB, 1, 1), existing(ALICE, true, true))
        .breaks(Rule::EveryRowWasAskedFor);
}

#[test]
fn a_creation_that_failed_and_has_a_row() {
    Made::new()
        .locked(0, 50)
        .then(create(ALICE, 1, 1), not_done())
        .row(row(ALICE, 1, 1))
        .breaks(Rule::NotCreatedHasNoRow);
}

#[test]
fn a_creation_that_failed_and_was_seen() {
    Made::new()
        .locked(0, 50)
        .then(create(ALICE, 1, 1), not_done())
        .then(create(BOB, 1, 2), existing(ALICE, true, false))
        .breaks(Rule::NotCreatedHasNoRow);
}

#[test]
fn a_transaction_that_was_rolled_back_and_has_a_row() {
    Made::new()
        .then(in_transaction(ALICE, 1, 1), transaction(Answer::Created, End::RolledBack))
        .row(row(ALICE, 1, 1))
        .breaks(Rule::NotCreatedHasNoRow);
}

#[test]
fn a_creation_that_was_heard_twice() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(ALICE, 1, 1), Answer::Created)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::CreatedIsHeardOnce);
}

#[test]
fn a_created_account_that_is_lost() {
    Made::new().then(create(ALICE, 1, 1), Answer::Created).breaks(Rule::CreatedHasItsRow);
}

#[test]
fn a_created_account_with_other_values() {
    let other = Name { class: 1, spelling: 2 };
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .row(Row { username: Some(other), ..row(ALICE, 1, 1) })
        .breaks(Rule::CreatedHasItsRow);
}

#[test]
fn a_row_in_a_state_that_nobody_wrote() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .row(Row { state: State::Disabled, ..row(ALICE, 1, 1) })
        .breaks(Rule::CreatedHasItsRow);
}

#[test]
fn a_row_with_the_password_before_the_last() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::SetPassword { id: ALICE, new: Password(70) }, Answer::Done)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::TheLastPasswordVerifies);
}

#[test]
fn an_existing_account_that_was_deleted_before() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .then(create(BOB, 1, 2), existing(ALICE, true, false))
        .breaks(Rule::ExistingExisted);
}

#[test]
fn an_existing_account_of_somebody_else() {
    let made = Made::new().then(create(ALICE, 1, 1), Answer::Created).row(row(ALICE, 1, 1));
    let with = |answer| made.clone().then(create(BOB, 1, 2), answer);
    with(existing(ALICE, true, false)).is_good();
    with(existing(ALICE, true, true)).breaks(Rule::ExistingExisted);
    with(existing(ALICE, false, true)).breaks(Rule::ExistingExisted);
    let to_another =
        Answer::Existing { id: ALICE, by_username: true, by_email: false, same_creation: true };
    with(to_another).breaks(Rule::ExistingExisted);
}

#[test]
fn an_existing_account_where_there_are_two() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(BOB, 2, 2), Answer::Created)
        .then(create(EVE, 1, 2), existing(ALICE, true, false))
        .row(row(ALICE, 1, 1))
        .row(row(BOB, 2, 2))
        .breaks(Rule::ExistingExisted);
}

#[test]
fn taken_by_nobody() {
    let taken =
        |by_username| Answer::Taken { by_username, by_email: None, reason: TakenReason::Policy };
    let made = Made::new().then(create(ALICE, 1, 1), Answer::Created);
    made.clone()
        .row(row(ALICE, 1, 1))
        .then(create(BOB, 1, 2), taken(Some(ALICE)))
        .breaks(Rule::TakenWasTaken);
    made.then(Operation::Delete { id: ALICE }, Answer::Done)
        .then(create(BOB, 1, 2), taken(Some(ALICE)))
        .breaks(Rule::TakenWasTaken);
    Made::new().then(create(BOB, 1, 2), taken(None)).breaks(Rule::TakenWasTaken);
}

#[test]
fn an_id_that_nobody_used() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(ALICE, 1, 1), Answer::IdReused)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::ReusedIdWasUsed);
}

#[test]
fn two_holders_of_one_name() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(BOB, 1, 2), Answer::Created)
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .row(row(BOB, 1, 2))
        .breaks(Rule::OneHolderAtATime);
}

#[test]
fn a_holder_of_a_name_that_was_held() {
    Made::new()
        .during(10, 20, create(ALICE, 1, 1), Answer::Created)
        .during(30, 40, create(BOB, 1, 2), Answer::Created)
        .during(35, 60, Operation::Delete { id: BOB }, Answer::Done)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::OneHolderAtATime);
}

#[test]
fn somebody_found_who_was_not_there() {
    let find = Operation::FindUsername { username: name(1) };
    let made = Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(BOB, 2, 2), Answer::Created)
        .row(row(ALICE, 1, 1))
        .row(row(BOB, 2, 2));
    made.clone().then(find.clone(), sight(ALICE, 1, 1)).is_good();
    made.clone().then(find.clone(), sight(BOB, 2, 2)).breaks(Rule::FoundWasThere);
    made.then(find.clone(), sight(ALICE, 1, 3)).breaks(Rule::FoundWasThere);
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .then(find, sight(ALICE, 1, 1))
        .breaks(Rule::FoundWasThere);
}

#[test]
fn somebody_not_found_who_was_there() {
    let made = Made::new().then(create(ALICE, 1, 1), Answer::Created).row(row(ALICE, 1, 1));
    for find in [
        Operation::FindId { id: ALICE },
        Operation::FindUsername { username: name(1) },
        Operation::FindEmail { email: name(1) },
    ] {
        made.clone().then(find, Answer::NotFound).breaks(Rule::ThereIsFound);
    }
}

#[test]
fn a_change_of_an_account_that_was_not_there() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .breaks(Rule::ChangesMeetTheirAccount);
}

#[test]
fn a_change_that_missed_its_account() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::Delete { id: ALICE }, Answer::NotFound)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::ChangesMeetTheirAccount);
}

#[test]
fn an_account_that_outlives_its_deletion() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .row(row(ALICE, 1, 1))
        .breaks(Rule::ChangesMeetTheirAccount);
}

#[test]
fn a_sign_in_with_a_password_of_another_time() {
    let sign_in =
        Operation::Authenticate { login: Login::Email(name(1)), password: password_of(ALICE) };
    let made = Made::new().then(create(ALICE, 1, 1), Answer::Created);
    let rule = Rule::PasswordsDecideSignIns;
    made.clone()
        .then(Operation::SetPassword { id: ALICE, new: Password(70) }, Answer::Done)
        .then(sign_in.clone(), Answer::Accepted { id: ALICE })
        .row(Row { password: Password(70), ..row(ALICE, 1, 1) })
        .breaks(rule);
    made.clone()
        .then(Operation::Disable { id: ALICE }, Answer::Done)
        .then(sign_in.clone(), Answer::Accepted { id: ALICE })
        .row(Row { state: State::Disabled, ..row(ALICE, 1, 1) })
        .breaks(rule);
    for reason in ["wrong_password", "unknown_login", "disabled"] {
        made.clone().row(row(ALICE, 1, 1)).then(sign_in.clone(), refused(reason)).breaks(rule);
    }
    let change = Operation::ChangePassword { id: ALICE, current: Password(71), new: Password(72) };
    made.then(change, Answer::Done)
        .row(Row { password: Password(72), ..row(ALICE, 1, 1) })
        .breaks(rule);
}

#[test]
fn a_transaction_whose_rows_do_not_follow() {
    let rule = Rule::HostRowsFollowTheirTransaction;
    let made = Made::new().then(create(ALICE, 1, 1), Answer::Created).row(row(ALICE, 1, 1));
    made.clone()
        .then(in_transaction(BOB, 1, 2), transaction(existing(ALICE, true, false), End::Committed))
        .breaks(rule);
    made.then(in_transaction(BOB, 1, 2), transaction(not_done(), End::RolledBack))
        .host_row(1)
        .locked(40, 60)
        .breaks(rule);
}

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

/// Each answer could be true at some instant, but not all in one order: the one saw Alice before
/// Bob was there, the other Bob before Alice was.
#[test]
fn answers_that_are_not_true_in_one_order() {
    Made::new()
        .during(10, 100, create(ALICE, 1, 1), Answer::Created)
        .during(10, 100, create(BOB, 2, 2), Answer::Created)
        .during(10, 100, create(EVE, 1, 2), existing(ALICE, true, false))
        .during(10, 100, create(AccountId(0xf), 1, 2), existing(BOB, false, true))
        .row(row(ALICE, 1, 1))
        .row(row(BOB, 2, 2))
        .breaks(Rule::Linearizable);
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

/// Whoever repeats a creation that was not made is not told that it was there: somebody made it.
#[test]
fn a_creation_that_finds_itself_although_no_other_call_made_it() {
    Made::new()
        .locked(0, 50)
        .then(create(ALICE, 1, 1), not_done())
        .fault(40, 200)
        .during(40, 100, create(ALICE, 1, 1), same(ALICE))
        .during(90, 120, Operation::Delete { id: ALICE }, Answer::Done)
        .breaks_all(&[Rule::NotCreatedHasNoRow, Rule::ChangesMeetTheirAccount]);
}

/// It says that it made nothing, although its answer may have been lost.
#[test]
fn a_try_whose_answer_was_lost_and_that_is_told_of_somebody_else() {
    Made::new()
        .fault(20, 200)
        .during(20, 200, create(ALICE, 1, 1), existing(BOB, true, true))
        .during(40, 50, create(EVE, 1, 1), existing(ALICE, true, true))
        .during(60, 70, Operation::Delete { id: ALICE }, Answer::Done)
        .during(80, 90, create(BOB, 1, 1), Answer::Created)
        .row(row(BOB, 1, 1))
        .breaks_all(&[Rule::NotCreatedHasNoRow, Rule::ChangesMeetTheirAccount]);
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

#[test]
fn a_right_password_that_has_to_wait_though_nobody_failed() {
    let sign_in = |password| Operation::Authenticate { login: Login::Username(name(1)), password };
    let right = password_of(ALICE);
    let created = || Made::new().then(create(ALICE, 1, 1), Answer::Created).row(row(ALICE, 1, 1));
    for reason in ["throttled", "password_disabled"] {
        created()
            .then(sign_in(right), Answer::Accepted { id: ALICE })
            .then(sign_in(right), refused(reason))
            .breaks(Rule::PasswordsDecideSignIns);
        created()
            .then(sign_in(Password::STRANGE), refused("wrong_password"))
            .then(sign_in(right), refused(reason))
            .is_good();
        // One that is under way is counted before it is looked at.
        created()
            .during(100, 200, sign_in(right), Answer::Accepted { id: ALICE })
            .during(150, 160, sign_in(right), refused(reason))
            .is_good();
    }
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
