//! A replica of PostgreSQL that lags.

use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::{Connection, SimpleConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_accounts::{Creation, Duplicates, Error, UserManager};
use diesel_accounts_proof::database::{Database, ProofConnection, policy, pool_at};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;

use crate::support::{assert_matches, person, url_on, users_at};

struct Scene {
    primary: Server,
    standby: Server,
    database: Database<PgConnection>,
    /// As it should be.
    on_primary: UserManager<PgConnection>,
    on_replica: UserManager<PgConnection>,
}

impl Scene {
    /// The replica knows `early` and not `late`; `gone` was deleted meanwhile, and it does not know.
    fn new() -> Self {
        let primary = Server::postgres(&[]);
        let database = Database::<PgConnection>::on(&primary.url());
        let standby = Server::standby(&primary, "standby", &[]);
        let deadline = Duration::from_secs(10);
        let on_primary = users_at(database.url(), 2, deadline);
        let on_replica = users_at(&url_on(&database, &primary, &standby), 2, deadline);
        let scene = Self { primary, standby, database, on_primary, on_replica };
        for name in ["early", "gone"] {
            assert!(scene.on_primary.create_user(person(name)).unwrap().is_created());
        }
        wait_until("the replica has them", || {
            scene.on_replica.user_by_username("gone").unwrap().is_some()
        });
        scene.stop_following();
        assert!(scene.on_primary.create_user(person("late")).unwrap().is_created());
        let gone = scene.on_primary.user_by_username("gone").unwrap().unwrap();
        scene.on_primary.delete_user(gone.id()).unwrap();
        scene
    }

    /// From now on the replica lags, by as long as the test takes.
    fn stop_following(&self) {
        let mut conn = PgConnection::establish(&self.standby.url()).unwrap();
        conn.batch_execute("SELECT pg_wal_replay_pause()").unwrap();
        let state = "SELECT (pg_get_wal_replay_pause_state() = 'paused')::int::bigint AS number";
        wait_until("the replica lags", || conn.numbers(state) == Ok(vec![1]));
    }
}

#[test]
fn creations_on_the_primary_are_decided_by_the_primary_however_far_a_replica_lags() {
    let scene = Scene::new();
    assert!(scene.on_replica.user_by_username("late").unwrap().is_none());
    assert!(!scene.on_primary.create_user(person("late")).unwrap().is_created());
    assert!(scene.on_replica.user_by_username("gone").unwrap().is_some());
    assert!(scene.on_primary.create_user(person("gone")).unwrap().is_created());
    let rows = "SELECT COUNT(*) AS number FROM account_users";
    assert_eq!(scene.database.connect().numbers(rows), Ok(vec![3]));
}

/// By mistake: nothing is created, nobody signs in, and whoever is known there exists, as of then.
#[test]
fn a_manager_on_a_replica_creates_nothing_and_knows_the_past() {
    let scene = Scene::new();
    let users = &scene.on_replica;
    for name in ["late", "new"] {
        let failure = assert_matches!(
            users.create_user(person(name)), Err(Error::NotCreated(failure)) => failure);
        assert_matches!(
            failure.diesel_error(),
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)
        );
    }
    for name in ["early", "gone"] {
        assert_matches!(users.create_user(person(name)), Ok(Creation::Existing(_)));
        let prepared = users.prepare(person(name)).unwrap();
        assert_matches!(users.create_prepared_user(&prepared), Err(Error::NotCreated(_)));
    }
    // Without the look-up that saves a hash nothing is told from the past.
    let policy = policy().duplicates(Duplicates::Refuse).build().unwrap();
    let url = url_on(&scene.database, &scene.primary, &scene.standby);
    let refusing = UserManager::with_policy(pool_at::<PgConnection>(&url, 1), policy);
    assert_matches!(refusing.create_user(person("gone")), Err(Error::NotCreated(_)));
    assert_matches!(users.authenticate("early", "correct horse"), Err(Error::Database(_)));
    let early = users.user_by_username("early").unwrap().unwrap();
    assert_matches!(
        users.change_password(early.id(), "correct horse", "battery staple"),
        Err(Error::Database(_))
    );
    assert_matches!(users.disable_user(early.id()), Err(Error::Database(_)));
}
