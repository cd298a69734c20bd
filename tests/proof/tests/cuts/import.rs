//! Imports: each account wholly or not at all, and a repetition does the rest.

use diesel_accounts::{
    Argon2Cost, Error, ForeignHashes, Hashing, ImportOutcome, ImportSummary, ImportUser, Result,
    UserManager,
};
use diesel_accounts_proof::database::{ProofConnection, policy};

use crate::on_each_server;
use crate::scene::{PLACES, Scene, email_of};

on_each_server!(
    accounts_are_imported_wholly_and_the_rest_when_repeated,
    accounts_that_contradict_each_other_are_imported_wholly_and_the_rest_when_repeated,
);

/// All are inserted by one statement.
fn accounts_are_imported_wholly_and_the_rest_when_repeated<C: ProofConnection>() {
    expect_wholly_imported::<C>(false);
}

/// One is inserted after the others.
fn accounts_that_contradict_each_other_are_imported_wholly_and_the_rest_when_repeated<
    C: ProofConnection,
>() {
    expect_wholly_imported::<C>(true);
}

fn expect_wholly_imported<C: ProofConnection>(with_contradiction: bool) {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    let hashing = Hashing::new().cost(cost).accept(ForeignHashes::none().bcrypt(4));
    let mut scene = Scene::<C>::with_policy(policy().hashing(hashing));
    let taken = u64::from(with_contradiction);
    let mut unheard = 0;
    scene.cut_everywhere(
        &PLACES,
        |scene| [(); 3].map(|()| scene.fresh_name()),
        |scene, names| {
            let mut heard = Vec::new();
            (import(&scene.users, names, with_contradiction, &mut heard), heard)
        },
        |scene, names, (answer, heard), cut| {
            let mut whole = |name: &String| {
                let email = email_of(name);
                scene.accounts(&format!(
                    "username_key = '{name}' AND email_key = '{email}' \
                     AND password_hash IS NOT NULL AND username = '{name}'"
                ))
            };
            let there: Vec<_> = names.iter().map(&mut whole).collect();
            for (name, is_there) in names.iter().zip(&there) {
                assert_eq!(scene.accounts_named(name), *is_there, "{name} is there by half");
            }
            match answer {
                Ok(summary) => {
                    assert_eq!((summary.created(), summary.taken()), (3, taken));
                    assert_eq!((there.as_slice(), heard.as_slice()), (&[1; 3][..], &[true; 3][..]));
                }
                Err(error) => {
                    assert!(cut.has_happened);
                    let is_documented =
                        matches!(error, Error::Database(_) | Error::Undetermined { .. });
                    assert!(is_documented, "{error:?}");
                    unheard += i64::from(there.contains(&1));
                }
            }
            let again = import(&scene.users, names, with_contradiction, &mut Vec::new()).unwrap();
            let there_before = u64::try_from(there.iter().sum::<i64>()).unwrap();
            assert_eq!((again.created(), again.existing()), (3 - there_before, there_before));
            assert_eq!((again.taken(), again.failed(), again.invalid()), (taken, 0, 0));
            for name in names {
                assert_eq!(scene.accounts_named(name), 1);
                assert!(
                    scene.users.authenticate(name, "p\u{e4}ssw\u{f6}rd").unwrap().is_accepted()
                );
            }
        },
    );
    assert!(unheard > 0, "an import that is not told of is among them");
}

/// Three accounts, and perhaps one whose username is that of the first.
fn import<C: ProofConnection>(
    users: &UserManager<C>,
    names: &[String; 3],
    with_contradiction: bool,
    heard: &mut Vec<bool>,
) -> Result<ImportSummary> {
    let account = |name: &str, email: String| {
        ImportUser::new().username(name).email(email).password_hash(HASH)
    };
    let mut accounts: Vec<_> = names.iter().map(|name| account(name, email_of(name))).collect();
    if with_contradiction {
        accounts.push(account(&names[0], format!("another.{}", email_of(&names[0]))));
    }
    users.import_users(accounts, |number, outcome| {
        if number < 3 {
            heard.push(matches!(outcome, ImportOutcome::Created(_)));
        }
    })
}

const HASH: &str = "$2b$04$xFik8qfyLVEaJT.jFZ7TTu1.1NaMWK6psRG04rM91pWqbs1hvG8we";
