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

/// Whoever repeats a creation that was not made is not told that it was there: somebody made it.
#[test]
fn a_creation_that_finds_itself_although_no_other_call_made_it() {
    Made::new()
        .locked(0, 50)
        .then(create(ALICE, 1, 1), not_done())
        .fault(40, 200)
        .during(40, 100, create(ALICE, 1, 1), same(ALICE))
        .during(90, 120, Operation::Delete { id: ALICE }, Answer::Done)
        .breaks(Rule::ExistingExisted);
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
