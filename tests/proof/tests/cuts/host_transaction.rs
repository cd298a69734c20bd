//! A creation in a transaction of the host's, the host's own COMMIT included: the account and the
//! host's row are there, or neither is.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel_accounts::{Creation, Error, Existing, PreparedUser, User};
use diesel_accounts_proof::database::ProofConnection;

use crate::on_each_server;
use crate::scene::{PASSWORD, PLACES, Scene, new_user};

on_each_server!(
    an_account_and_the_row_of_the_host_are_committed_together,
    a_duplicate_leaves_the_row_of_the_host_to_the_host,
);

fn an_account_and_the_row_of_the_host_are_committed_together<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.execute(PROFILES);
    let mut after_errors = BTreeSet::new();
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let name = scene.fresh_name();
            (scene.connect(), scene.users.prepare(new_user(&name)).unwrap(), name)
        },
        |scene, (conn, prepared, name)| create_with_profile(scene, conn, prepared, name),
        |scene, (_, prepared, name), answer, cut| {
            let (accounts, profiles) = (scene.accounts_named(name), profiles(scene, name));
            assert_eq!(accounts, profiles, "one without the other");
            match answer {
                Ok(user) => {
                    assert_eq!(accounts, 1);
                    assert_eq!(scene.direct.user_by_username(name).unwrap(), Some(user));
                }
                Err(HostError::Exists(existing)) => panic!("nobody is in the way: {existing:?}"),
                Err(_) => {
                    assert!(cut.has_happened);
                    after_errors.insert(accounts);
                    // As the guide has it: the same id, outside the transaction.
                    match scene.direct.create_prepared_user(prepared).unwrap() {
                        Creation::Created(_) => assert_eq!(accounts, 0),
                        Creation::Existing(existing) => {
                            assert!(existing.is_same_creation());
                            assert_eq!(accounts, 1);
                        }
                    }
                }
            }
            assert_eq!(scene.accounts_named(name), 1);
            assert!(scene.is_password(name, PASSWORD));
        },
    );
    assert_eq!(after_errors, BTreeSet::from([0, 1]), "a COMMIT without an answer is among them");
}

fn a_duplicate_leaves_the_row_of_the_host_to_the_host<C: ProofConnection>() {
    let mut scene = Scene::<C>::new();
    scene.execute(PROFILES);
    scene.cut_everywhere(
        &PLACES,
        |scene| {
            let user = scene.fresh_user();
            let again = scene.users.prepare(new_user(user.username().unwrap())).unwrap();
            (scene.connect(), again, user)
        },
        |scene, (conn, prepared, user)| {
            conn.transaction(|conn| {
                insert_profile(conn, user.username().unwrap())?;
                match scene.users.on(conn).create_user(prepared)? {
                    Creation::Created(_) => panic!("there is one already"),
                    Creation::Existing(existing) => Ok::<_, Error>(existing),
                }
            })
        },
        |scene, (_, _, user), answer, cut| {
            let name = user.username().unwrap();
            let profiles = profiles(scene, name);
            match answer {
                Ok(existing) => {
                    assert_eq!(existing.user_id(), user.id());
                    assert_eq!(profiles, 1);
                }
                Err(_) => assert!(cut.has_happened && profiles <= 1),
            }
            assert_eq!(scene.accounts_named(name), 1);
            assert_eq!(scene.direct.user_by_id(user.id()).unwrap().as_ref(), Some(&*user));
        },
    );
}

#[derive(Debug)]
enum HostError {
    /// Read when a test fails.
    Accounts(#[expect(dead_code, reason = "only printed")] Error),
    Exists(Existing),
}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self::Accounts(error)
    }
}

impl From<diesel::result::Error> for HostError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Accounts(error.into())
    }
}

fn create_with_profile<C: ProofConnection>(
    scene: &Scene<C>,
    conn: &mut C,
    prepared: &PreparedUser,
    name: &str,
) -> Result<User, HostError> {
    conn.transaction(|conn| {
        insert_profile(conn, name)?;
        match scene.users.on(conn).create_user(prepared)? {
            Creation::Created(user) => Ok(user),
            Creation::Existing(existing) => Err(HostError::Exists(existing)),
        }
    })
}

fn insert_profile(conn: &mut impl SimpleConnection, name: &str) -> diesel::QueryResult<()> {
    conn.batch_execute(&format!("INSERT INTO profiles VALUES ('{name}')"))
}

fn profiles<C: ProofConnection>(scene: &mut Scene<C>, name: &str) -> i64 {
    scene.numbers(&format!("SELECT COUNT(*) AS number FROM profiles WHERE name = '{name}'"))[0]
}

const PROFILES: &str = "CREATE TABLE profiles (name VARCHAR(100) NOT NULL)";
