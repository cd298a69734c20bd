use super::*;

pub(super) fn deleted_and_made_again() -> Made {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(BOB, 1, 2), existing(ALICE, true, false))
        .then(Operation::FindUsername { username: name(1) }, sight(ALICE, 1, 1))
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .then(Operation::FindEmail { email: name(1) }, Answer::NotFound)
        .then(Operation::Disable { id: ALICE }, Answer::NotFound)
        .then(create(BOB, 1, 2), Answer::Created)
        .then(create(ALICE, 3, 1), Answer::Created)
        .row(row(BOB, 1, 2))
        .row(row(ALICE, 3, 1))
}

pub(super) fn undetermined_and_settled() -> Made {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .fault(20, 30)
        .then(create(ALICE, 1, 1), not_done())
        .locked(40, 50)
        .then(create(ALICE, 1, 1), same(ALICE))
        .row(row(ALICE, 1, 1))
}

pub(super) fn two_accounts_have_one_name_each() -> Made {
    let taken = Answer::Taken {
        by_username: Some(ALICE),
        by_email: Some(BOB),
        reason: TakenReason::TwoAccounts,
    };
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(BOB, 2, 2), Answer::Created)
        .then(create(EVE, 1, 2), taken)
        .row(row(ALICE, 1, 1))
        .row(row(BOB, 2, 2))
}

pub(super) fn at_once() -> Made {
    Made::new()
        .during(10, 100, create(ALICE, 1, 1), existing(BOB, false, true))
        .during(20, 90, create(BOB, 2, 1), Answer::Created)
        .during(25, 80, Operation::FindEmail { email: name(1) }, Answer::NotFound)
        .during(30, 95, Operation::Delete { id: BOB }, Answer::Done)
        .during(40, 99, create(EVE, 2, 1), Answer::Created)
        .row(row(EVE, 2, 1))
}

#[test]
fn an_account_that_was_deleted_can_be_made_again_by_another_and_by_the_same_creation() {
    deleted_and_made_again().is_good();
}

#[test]
fn what_a_fault_left_open_is_settled_by_the_same_id() {
    undetermined_and_settled().is_good();
}

#[test]
fn an_undetermined_creation_may_have_made_nothing() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .fault(0, 25)
        .then(create(BOB, 1, 1), Answer::Created)
        .then(create(ALICE, 1, 1), existing(BOB, true, true))
        .row(row(BOB, 1, 1))
        .is_good();
}

#[test]
fn an_undetermined_creation_may_have_made_an_account_that_others_saw() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Undetermined)
        .fault(0, 25)
        .then(create(BOB, 1, 2), existing(ALICE, true, false))
        .then(Operation::Delete { id: ALICE }, Answer::Done)
        .then(create(ALICE, 1, 1), Answer::Created)
        .row(row(ALICE, 1, 1))
        .is_good();
}

#[test]
fn two_accounts_that_have_one_name_each_are_both_named() {
    two_accounts_have_one_name_each().is_good();
}

#[test]
fn calls_at_once_may_have_happened_in_any_order() {
    at_once().is_good();
}

#[test]
fn of_two_calls_of_one_creation_the_later_may_have_been_the_first() {
    Made::new()
        .during(10, 100, create(ALICE, 1, 1), Answer::Created)
        .during(20, 30, create(ALICE, 1, 1), Answer::Created)
        .during(40, 50, Operation::Delete { id: ALICE }, Answer::Done)
        .row(row(ALICE, 1, 1))
        .is_good();
}

#[test]
fn a_try_whose_answer_was_lost_may_have_made_an_account_that_was_deleted_again() {
    Made::new()
        .fault(20, 200)
        .during(20, 200, create(ALICE, 1, 1), Answer::Created)
        .during(40, 50, create(EVE, 1, 1), existing(ALICE, true, true))
        .during(60, 70, Operation::Delete { id: ALICE }, Answer::Done)
        .during(80, 90, Operation::FindId { id: ALICE }, Answer::NotFound)
        .row(row(ALICE, 1, 1))
        .is_good();
}

/// The first try made it and lost its answer; another call made it again.
#[test]
fn a_try_whose_answer_was_lost_may_find_what_another_call_made_after_a_deletion() {
    Made::new()
        .fault(10, 200)
        .during(10, 200, create(ALICE, 1, 1), same(ALICE))
        .during(40, 100, Operation::Delete { id: ALICE }, Answer::Done)
        .during(60, 90, create(ALICE, 1, 1), Answer::Created)
        .during(220, 230, Operation::FindId { id: ALICE }, sight(ALICE, 1, 1))
        .row(row(ALICE, 1, 1))
        .is_good();
}

#[test]
fn a_reserved_account_is_not_found_and_keeps_its_names() {
    let taken =
        Answer::Taken { by_username: Some(ALICE), by_email: None, reason: TakenReason::Reserved };
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(Operation::Reserve { id: ALICE }, Answer::Done)
        .then(Operation::FindUsername { username: name(1) }, Answer::NotFound)
        .then(Operation::Disable { id: ALICE }, Answer::NotFound)
        .then(create(BOB, 1, 2), taken)
        .row(reserved(ALICE))
        .is_good();
}

#[test]
fn a_transaction_of_the_host_decides_for_the_account_too() {
    Made::new()
        .then(in_transaction(ALICE, 1, 1), transaction(Answer::Created, End::RolledBack))
        .then(in_transaction(BOB, 1, 1), transaction(Answer::Created, End::Unknown))
        .then(in_transaction(EVE, 1, 1), transaction(existing(BOB, true, true), End::Committed))
        .then(in_transaction(ALICE, 2, 2), transaction(Answer::Created, End::Unknown))
        .then(in_transaction(EVE, 3, 3), transaction(Answer::Undetermined, End::Unknown))
        .of_a_victim()
        .host_row(1)
        .host_row(2)
        .host_row(4)
        .row(row(BOB, 1, 1))
        .row(row(EVE, 3, 3))
        .is_good();
}

#[test]
fn an_id_that_belongs_to_other_names_is_told() {
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(create(ALICE, 2, 1), Answer::IdReused)
        .row(row(ALICE, 1, 1))
        .is_good();
}

#[test]
fn duplicates_that_the_policy_refuses_are_taken() {
    let refuses = Operation::Create {
        id: BOB,
        username: name(1),
        email: name(2),
        password: password_of(BOB),
        way: Way::Pool,
        refuses_duplicates: true,
    };
    let taken =
        Answer::Taken { by_username: Some(ALICE), by_email: None, reason: TakenReason::Policy };
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(refuses, taken)
        .row(row(ALICE, 1, 1))
        .is_good();
}

#[test]
fn the_password_of_the_time_signs_in() {
    let login = Login::Username(name(1));
    let sign_in = |password| Operation::Authenticate { login, password };
    let (first, second, third) = (password_of(ALICE), Password(70), Password(71));
    Made::new()
        .then(create(ALICE, 1, 1), Answer::Created)
        .then(sign_in(first), Answer::Accepted { id: ALICE })
        .then(Operation::ChangePassword { id: ALICE, current: first, new: second }, Answer::Done)
        .then(sign_in(first), refused("wrong_password"))
        .then(sign_in(second), Answer::Accepted { id: ALICE })
        .then(Operation::Disable { id: ALICE }, Answer::Done)
        .then(sign_in(second), refused("disabled"))
        .then(Operation::Enable { id: ALICE }, Answer::Done)
        .then(
            Operation::SetPassword { id: ALICE, new: third },
            Answer::Unknown { error: "closed".to_owned() },
        )
        .stopped(260, 270)
        .then(sign_in(second), refused("wrong_password"))
        .row(Row { password: third, ..row(ALICE, 1, 1) })
        .is_good();
}

#[test]
fn a_record_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a folder").join("record.jsonl");
    let mut made = deleted_and_made_again().fault(3, 4).host_row(9);
    made.history.pools.push(PoolState {
        manager: 0,
        from: 0,
        to: 1000,
        size: 2,
        usable: 2,
        discarded: 0,
    });
    made.history.leaks.push(Leak { output: "log".to_owned(), secret: "a password".to_owned() });
    made.history.head.settings.insert("threads".to_owned(), "8".to_owned());
    made.history.write(&path).unwrap();
    assert_eq!(History::read(&path).unwrap(), made.history);
}

#[test]
fn a_file_without_a_head_is_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    std::fs::write(&path, "{\"host_row\":1}\n").unwrap();
    assert!(History::read(&path).is_err());
}
