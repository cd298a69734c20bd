//! Disabling, enabling, reserving, deleting; ending waits and forgetting attempts.

use diesel_accounts::{Error, Result, User, UserId, UserManager};
use diesel_accounts_proof::database::ProofConnection;

use crate::on_each_server;
use crate::scene::{PASSWORD, PLACES, Scene, counts, expect_lost};

on_each_server!(
    an_account_is_disabled_or_as_before,
    an_account_is_enabled_or_as_before,
    an_account_is_reserved_or_as_before,
    an_account_is_deleted_or_as_before,
    waits_are_ended_together_or_as_before,
    old_attempts_are_forgotten_and_no_others,
);

fn an_account_is_disabled_or_as_before<C: ProofConnection>() {
    Change {
        given: Scene::fresh_user,
        act: UserManager::disable_user,
        before: "state = 0 AND session_generation = 0",
        after: "state = 1 AND session_generation >= 1",
        repeated: |answer, _| answer.is_ok(),
    }
    .expect_made_or_not(Scene::<C>::new());
}

fn an_account_is_enabled_or_as_before<C: ProofConnection>() {
    Change {
        given: |scene| {
            let user = scene.fresh_user();
            scene.direct.disable_user(user.id()).unwrap();
            user
        },
        act: UserManager::enable_user,
        before: "state = 1 AND session_generation = 1",
        after: "state = 0 AND session_generation = 1",
        repeated: |answer, _| answer.is_ok(),
    }
    .expect_made_or_not(Scene::<C>::new());
}

fn an_account_is_reserved_or_as_before<C: ProofConnection>() {
    Change {
        given: Scene::fresh_user,
        act: UserManager::reserve_user,
        before: "state = 0 AND session_generation = 0 AND username IS NOT NULL \
                 AND email IS NOT NULL AND password_hash IS NOT NULL",
        after: "state = 2 AND session_generation = 1 AND username IS NULL \
                AND email IS NULL AND password_hash IS NULL",
        repeated: is_done_once,
    }
    .expect_made_or_not(Scene::<C>::new());
}

fn an_account_is_deleted_or_as_before<C: ProofConnection>() {
    Change {
        given: Scene::fresh_user,
        act: UserManager::delete_user,
        before: "state = 0 AND session_generation = 0 AND password_hash IS NOT NULL",
        after: GONE,
        repeated: is_done_once,
    }
    .expect_made_or_not(Scene::<C>::new());
}

fn waits_are_ended_together_or_as_before<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            for _ in 0..5 {
                assert!(!scene.is_password(user.username().unwrap(), "wrong"));
            }
            user
        },
        |scene, user| scene.users.unlock_user(user.id()),
        |scene, user, answer, cut| {
            let name = user.username().unwrap();
            let waiting = scene.numbers(&format!(
                "SELECT COUNT(*) AS number FROM account_attempts \
                 JOIN account_users ON id = subject \
                 WHERE username_key = '{name}' AND failures > 0"
            ));
            match answer {
                Ok(()) => assert_eq!(waiting, [0]),
                Err(error) => expect_lost(&error, cut),
            }
            assert!([0, 2].contains(&waiting[0]), "half of them: {waiting:?}");
            assert_eq!(counts(scene, name), [5, 5], "the failures in a row stay");
            scene.users.unlock_user(user.id()).unwrap();
            assert!(scene.is_password(name, PASSWORD));
        },
    );
}

fn old_attempts_are_forgotten_and_no_others<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    let old = "SELECT COUNT(*) AS number FROM account_attempts WHERE last_at = 0";
    let young = "SELECT COUNT(*) AS number FROM account_attempts WHERE last_at > 0";
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            scene.execute("DELETE FROM account_attempts");
            let nobody = [(); 3].map(|()| scene.fresh_name());
            for login in nobody.iter().chain(&nobody[..1]) {
                assert!(!scene.is_password(login, "wrong"));
            }
            // After the last sign-in: one in some forgets old ones by the way.
            scene.execute("UPDATE account_attempts SET last_at = 0 WHERE in_a_row < 2");
        },
        |scene, ()| scene.users.forget_old_attempts(100),
        |scene, (), answer, cut| {
            let left = scene.numbers(old)[0];
            match answer {
                Ok(forgotten) => assert_eq!((forgotten, left), (4, 0)),
                Err(error) => {
                    expect_lost(&error, cut);
                    assert!(left <= 4);
                }
            }
            let forgotten = scene.users.forget_old_attempts(100).unwrap();
            assert_eq!(i64::try_from(forgotten), Ok(left));
            assert_eq!(scene.numbers(old), [0]);
            assert_eq!(scene.numbers(young), [2]);
        },
    );
}

/// One statement that changes one account.
struct Change<C: ProofConnection> {
    given: fn(&mut Scene<C>) -> User,
    act: fn(&UserManager<C>, UserId) -> Result<()>,
    /// What is so of the account if it was not done.
    before: &'static str,
    /// What is so of it if it was done.
    after: &'static str,
    /// Whether a repetition may have the answer, after it was done, or not.
    repeated: fn(&Result<()>, bool) -> bool,
}

impl<C: ProofConnection> Change<C> {
    fn expect_made_or_not(self, mut scene: Scene<C>) {
        scene.cut_everywhere(
            &PLACES,
            self.given,
            |scene, user| (self.act)(&scene.users, user.id()),
            |scene, user, answer, cut| {
                let name = user.username().unwrap();
                let is_done = self.is_done(scene, name);
                match answer {
                    Ok(()) => assert!(is_done),
                    Err(error) => expect_lost(&error, cut),
                }
                let again = (self.act)(&scene.users, user.id());
                assert!((self.repeated)(&again, is_done), "{again:?} after {is_done}");
                assert!(self.is_done(scene, name));
            },
        );
    }

    /// It was done or it was not, with all that belongs to it.
    fn is_done(&self, scene: &mut Scene<C>, name: &str) -> bool {
        let rows = scene.accounts_named(name);
        let so = |scene: &mut Scene<C>, condition: &str| {
            scene.accounts(&format!("username_key = '{name}' AND {condition}"))
        };
        let is_before = so(scene, self.before) == 1;
        let is_after = match self.after {
            GONE => rows == 0,
            after => so(scene, after) == 1,
        };
        assert_ne!(is_before, is_after, "neither before nor after");
        is_after
    }
}

/// There is nobody left to do it to again.
fn is_done_once(answer: &Result<()>, was_done: bool) -> bool {
    match answer {
        Ok(()) => !was_done,
        Err(error) => was_done && matches!(error, Error::UserNotFound),
    }
}

const GONE: &str = "gone";
