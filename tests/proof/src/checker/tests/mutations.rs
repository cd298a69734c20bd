//! Good histories that are spoiled by chance.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

proptest! {
    /// Whatever a row at the end is changed to, or if it is left out, it is found.
    #[test]
    fn a_row_that_is_not_as_it_was_is_found(
        which in any::<Index>(),
        row in any::<Index>(),
        change in 0..6_u8,
    ) {
        let made = good(which);
        let mut spoiled = made.clone();
        let index = row.index(made.history.rows.len());
        let row = &mut spoiled.history.rows[index];
        match change {
            0 => drop(spoiled.history.rows.remove(index)),
            1 => row.id = AccountId(99),
            2 => row.username = Some(name(77)),
            3 => row.email = Some(Name { spelling: 5, ..row.email.unwrap() }),
            4 => row.state = State::Disabled,
            _ => row.password = Password::STRANGE,
        }
        prop_assert_eq!(made.broken(), []);
        prop_assert!(!spoiled.broken().is_empty());
    }

    /// A call that turns out to have lasted longer could have taken effect at more instants: a good
    /// history stays good.
    #[test]
    fn a_call_that_lasts_longer_spoils_nothing(
        which in any::<Index>(),
        call in any::<Index>(),
        earlier in 0..200_u64,
        later in 0..200_u64,
    ) {
        let mut made = good(which);
        let index = call.index(made.history.calls.len());
        let call = &mut made.history.calls[index];
        call.invoked = call.invoked.saturating_sub(earlier);
        call.answered += later;
        made.history.calls.sort_by_key(|call| (call.invoked, call.number));
        let is_of_time = |rule: &Rule| {
            // What was left open is settled by a *later* call only.
            *rule != Rule::UndeterminedIsSettled && *rule != Rule::CreatedHasItsRow
        };
        prop_assert!(!made.broken().iter().any(is_of_time));
    }

    /// A second account that says that it was created is found, unless its names are free.
    #[test]
    fn a_second_account_is_found(which in any::<Index>(), row in any::<Index>()) {
        let made = good(which);
        let held = made.history.rows[row.index(made.history.rows.len())];
        let (username, email) = (held.username.unwrap().class, held.email.unwrap().class);
        let second = AccountId(50);
        for (username, email) in [(username, 60), (61, email), (username, email)] {
            let spoiled = made
                .clone()
                .then(create(second, username, email), Answer::Created)
                .row(super::row(second, username, email));
            let broken = spoiled.broken();
            prop_assert!(broken.contains(&Rule::OneRowPerKey), "{:?}", broken);
        }
        let beside = made.then(create(second, 62, 63), Answer::Created).row(super::row(second, 62, 63));
        prop_assert_eq!(beside.broken(), []);
    }
}

fn good(which: Index) -> Made {
    use super::good::{
        at_once, deleted_and_made_again, two_accounts_have_one_name_each, undetermined_and_settled,
    };
    let made = [
        at_once,
        deleted_and_made_again,
        two_accounts_have_one_name_each,
        undetermined_and_settled,
    ];
    made[which.index(made.len())]()
}
