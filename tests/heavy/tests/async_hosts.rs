//! Hosts that connect with `diesel-async`, through its `AsyncConnectionWrapper`.

use std::thread;
use std::time::Duration;

use diesel::Connection;
use diesel::result::Error as DieselError;
use diesel_accounts::{
    Accounts, Creation, Duplicates, Engine, Error, Matched, PreparedUser, TakenReason,
};
use diesel_accounts_proof::proxy::{Fault, Place, Proxy};
use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;

mod support;

use self::support::{
    HostConnection, PostgresHost, Server, TestDb, assert_matches, cheap_policy, id_of,
};

/// Runs each test, a function of `TestDb<C>`, on the asynchronous connection of each engine.
macro_rules! on_each_host {
    ($($test:ident),+ $(,)?) => {
        mod mysql {
            $(#[test] fn $test() {
                super::$test(super::support::TestDb::<super::support::MysqlHost>::new());
            })+
        }
        mod postgres {
            $(#[test] fn $test() {
                super::$test(super::support::TestDb::<super::support::PostgresHost>::new());
            })+
        }
        mod sqlite {
            $(#[test] fn $test() {
                super::$test(super::support::TestDb::<super::support::SqliteHost>::new());
            })+
        }
    };
}

on_each_host!(
    migrations_can_run_again_and_leave_a_sound_schema,
    a_creation_is_created_then_existing,
    a_policy_that_refuses_says_what_is_taken,
    a_user_is_found_by_every_look_up,
    an_account_can_be_disabled_reserved_and_deleted,
    many_creations_of_one_person_at_once_make_one_account,
    the_account_and_the_row_of_the_host_are_committed_together,
    the_account_and_the_row_of_the_host_are_rolled_back_together,
    a_duplicate_leaves_the_transaction_of_the_host_usable,
    a_lock_that_is_not_released_in_time_is_busy,
    a_lock_that_is_not_released_in_time_ends_the_transaction_of_the_host,
);

/// The tests of engines whose sessions can be ended from outside.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        mod mysql_server {
            $(#[test] fn $test() {
                super::$test(super::support::TestDb::<super::support::MysqlHost>::new());
            })+
        }
        mod postgres_server {
            $(#[test] fn $test() {
                super::$test(super::support::TestDb::<super::support::PostgresHost>::new());
            })+
        }
    };
}

on_each_server!(
    a_connection_lost_before_the_creation_leaves_no_false_answer,
    a_connection_lost_while_inserting_is_undetermined_and_settled_by_asking_again,
    a_connection_lost_in_the_transaction_of_the_host_must_be_rolled_back,
    a_session_that_ends_in_the_middle_of_a_look_up_tells_the_host_to_roll_back,
);

#[test]
fn a_mysql_connection_opened_by_a_tokio_host_works_on_a_blocking_thread() {
    opened_in_a_runtime::<diesel_async::AsyncMysqlConnection>(TestDb::new());
}

#[test]
fn a_postgres_connection_opened_by_a_tokio_host_works_on_a_blocking_thread() {
    opened_in_a_runtime::<diesel_async::AsyncPgConnection>(TestDb::new());
}

#[test]
fn a_sqlite_connection_opened_by_a_tokio_host_works_on_a_blocking_thread() {
    type Async =
        diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>;
    opened_in_a_runtime::<Async>(TestDb::new());
}

fn opened_in_a_runtime<A>(db: TestDb<AsyncConnectionWrapper<A>>)
where
    A: AsyncConnection + 'static,
    AsyncConnectionWrapper<A>: HostConnection,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let policy = db.policy.clone();
    let alice = db.prepare("alice");
    let creation = runtime.block_on(async {
        let mut conn = AsyncConnectionWrapper::<A>::from(A::establish(&db.url).await.unwrap());
        tokio::task::spawn_blocking(move || Accounts::new(&policy, &mut conn).create_user(&alice))
            .await
            .unwrap()
    });
    assert_matches!(creation, Ok(Creation::Created(_)));
    assert_eq!(db.count("account_users"), 1);
}

fn migrations_can_run_again_and_leave_a_sound_schema<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let mut accounts = Accounts::new(&db.policy, &mut conn);
    accounts.migrate().unwrap();
    let report = accounts.check().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

fn a_creation_is_created_then_existing<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let mut accounts = Accounts::new(&db.policy, &mut conn);
    let created = accounts.create_user(&db.prepare("alice")).unwrap();
    assert!(created.is_created());
    let again = accounts.create_user(&db.prepare("ALICE"));
    let existing = assert_matches!(again, Ok(Creation::Existing(existing)) => existing);
    assert_eq!(existing.user_id(), id_of(&created));
    assert_eq!(existing.matched(), Matched::Both);
    assert_eq!(created.created(), Some(existing.into_unauthenticated_user()));
    assert_eq!(db.count("account_users"), 1);
}

fn a_policy_that_refuses_says_what_is_taken<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let policy = cheap_policy().duplicates(Duplicates::Refuse).build().unwrap();
    let mut accounts = Accounts::new(&policy, &mut conn);
    let id = id_of(&accounts.create_user(&db.prepare("alice")).unwrap());
    let refused = accounts.create_user(&db.prepare("alice"));
    let taken = assert_matches!(refused, Err(Error::Taken(taken)) => taken);
    assert_eq!(taken.reason(), TakenReason::Policy);
    assert_eq!(taken.username_holder(), Some(id));
    assert_eq!(taken.email_holder(), Some(id));
}

fn a_user_is_found_by_every_look_up<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let mut accounts = Accounts::new(&db.policy, &mut conn);
    let alice = accounts.create_user(&db.prepare("alice")).unwrap();
    let bob = accounts.create_user(&db.prepare("bob")).unwrap();
    let alice = alice.created().unwrap();
    let found = [
        accounts.user_by_id(alice.id()).unwrap(),
        accounts.user_by_username("ALICE").unwrap(),
        accounts.user_by_email("alice@EXAMPLE.org").unwrap(),
        accounts.user_by_login("alice").unwrap(),
        accounts.users_by_username_prefix("al", None, 9).unwrap().pop(),
        accounts.users_by_email_prefix("al", None, 9).unwrap().pop(),
        accounts.list_users(None, 1).unwrap().pop(),
    ];
    for user in found {
        assert_eq!(user.as_ref(), Some(&alice));
    }
    let behind = accounts.list_users(Some(alice.cursor()), 9).unwrap();
    assert_eq!(behind, [bob.created().unwrap()]);
}

fn an_account_can_be_disabled_reserved_and_deleted<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let mut accounts = Accounts::new(&db.policy, &mut conn);
    let id = id_of(&accounts.create_user(&db.prepare("alice")).unwrap());
    accounts.disable_user(id).unwrap();
    assert!(!accounts.user_by_id(id).unwrap().unwrap().is_active());
    accounts.enable_user(id).unwrap();
    assert!(accounts.user_by_id(id).unwrap().unwrap().is_active());
    accounts.reserve_user(id).unwrap();
    assert_eq!(accounts.user_by_username("alice").unwrap(), None);
    accounts.delete_user(id).unwrap();
    assert_matches!(accounts.delete_user(id), Err(Error::UserNotFound));
}

fn many_creations_of_one_person_at_once_make_one_account<C: HostConnection>(db: TestDb<C>) {
    let answers: Vec<Creation> = thread::scope(|scope| {
        let creations: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let alice = db.prepare("alice");
                    Accounts::new(&db.policy, &mut db.connect()).create_user(&alice)
                })
            })
            .collect();
        creations.into_iter().map(|creation| creation.join().unwrap().unwrap()).collect()
    });
    let created = answers.iter().filter(|answer| answer.is_created()).count();
    assert_eq!(created, 1, "{answers:?}");
    let id = id_of(&answers[0]);
    assert!(answers.iter().all(|answer| id_of(answer) == id));
    assert_eq!(db.count("account_users"), 1);
}

fn the_account_and_the_row_of_the_host_are_committed_together<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let alice = db.prepare("alice");
    let creation = conn.transaction(|conn| {
        conn.batch_execute("INSERT INTO profiles VALUES (1)")?;
        let creation = Accounts::new(&db.policy, conn).create_user(&alice)?;
        assert_eq!(db.count("account_users"), 0);
        Ok::<_, Error>(creation)
    });
    assert_matches!(creation, Ok(Creation::Created(_)));
    assert_eq!((db.count("account_users"), db.count("profiles")), (1, 1));
}

fn the_account_and_the_row_of_the_host_are_rolled_back_together<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let alice = db.prepare("alice");
    let rolled_back = conn.transaction(|conn| {
        let creation = Accounts::new(&db.policy, conn).create_user(&alice)?;
        assert!(creation.is_created());
        conn.batch_execute("INSERT INTO profiles VALUES (1)")?;
        Err::<(), _>(Error::from(DieselError::RollbackTransaction))
    });
    assert_matches!(rolled_back, Err(Error::Database(_)));
    assert_eq!((db.count("account_users"), db.count("profiles")), (0, 0));
    let again = Accounts::new(&db.policy, &mut conn).create_user(&alice);
    assert_matches!(again, Ok(Creation::Created(_)));
}

fn a_duplicate_leaves_the_transaction_of_the_host_usable<C: HostConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let first = Accounts::new(&db.policy, &mut conn).create_user(&db.prepare("alice"));
    let id = id_of(&first.unwrap());
    let (alice, bob) = (db.prepare("alice"), db.prepare("bob"));
    let creations = conn.transaction(|conn| {
        conn.batch_execute("INSERT INTO profiles VALUES (1)")?;
        let existing = Accounts::new(&db.policy, conn).create_user(&alice)?;
        conn.batch_execute("INSERT INTO profiles VALUES (2)")?;
        let created = Accounts::new(&db.policy, conn).create_user(&bob)?;
        Ok::<_, Error>((existing, created))
    });
    let (existing, created) = creations.unwrap();
    assert_eq!((existing.is_created(), id_of(&existing)), (false, id));
    assert!(created.is_created());
    assert_eq!((db.count("account_users"), db.count("profiles")), (2, 2));
}

fn a_lock_that_is_not_released_in_time_is_busy<C: HostConnection>(db: TestDb<C>) {
    let alice = db.prepare("alice");
    let policy = cheap_policy().deadline(Duration::from_millis(50)).build().unwrap();
    let mut conn = db.connect();
    conn.limit_lock_waits();
    db.while_somebody_creates(&alice, || {
        let creation = Accounts::new(&policy, &mut conn).create_user(&db.prepare("alice"));
        assert_matches!(creation, Err(Error::Busy));
    });
    // The other one rolled back: nobody was created, and somebody can be.
    assert_eq!(db.count("account_users"), 0);
    let creation = Accounts::new(&policy, &mut conn).create_user(&alice);
    assert_matches!(creation, Ok(Creation::Created(_)));
}

fn a_lock_that_is_not_released_in_time_ends_the_transaction_of_the_host<C: HostConnection>(
    db: TestDb<C>,
) {
    let alice = db.prepare("alice");
    let mut conn = db.connect();
    conn.limit_lock_waits();
    db.while_somebody_creates(&alice, || {
        let creation = conn
            .transaction(|conn| Accounts::new(&db.policy, conn).create_user(&db.prepare("alice")));
        assert_matches!(creation, Err(Error::HostMustRollBack(Some(_))));
    });
    // What the host is told to do works on the same connection.
    let creation = conn.transaction(|conn| Accounts::new(&db.policy, conn).create_user(&alice));
    assert_matches!(creation, Ok(Creation::Created(_)));
    assert_eq!(db.count("account_users"), 1);
}

fn a_connection_lost_before_the_creation_leaves_no_false_answer<C: Server>(db: TestDb<C>) {
    let alice = db.prepare("alice");
    let mut conn = db.connect();
    let session = conn.session();
    db.end_session(session);
    let creation = Accounts::new(&db.policy, &mut conn).create_user(&alice);
    assert_undetermined(&creation, &alice);
    assert_eq!(db.count("account_users"), 0);
    let again = Accounts::new(&db.policy, &mut db.connect()).create_user(&alice);
    assert_matches!(again, Ok(Creation::Created(_)));
}

fn a_connection_lost_while_inserting_is_undetermined_and_settled_by_asking_again<C: Server>(
    db: TestDb<C>,
) {
    let alice = db.prepare("alice");
    let mut conn = db.connect();
    let session = conn.session();
    db.while_somebody_creates(&db.prepare("alice"), || {
        thread::scope(|scope| {
            let creation = scope.spawn(|| Accounts::new(&db.policy, &mut conn).create_user(&alice));
            db.wait_until_inserting(session, || creation.is_finished());
            db.end_session(session);
            assert_undetermined(&creation.join().unwrap(), &alice);
        });
    });
    let again = Accounts::new(&db.policy, &mut db.connect()).create_user(&alice);
    assert_matches!(again, Ok(Creation::Created(_)));
    assert_eq!(db.count("account_users"), 1);
}

fn a_connection_lost_in_the_transaction_of_the_host_must_be_rolled_back<C: Server>(db: TestDb<C>) {
    let alice = db.prepare("alice");
    let mut conn = db.connect();
    let session = conn.session();
    let mut answer = None;
    let transaction = conn.transaction(|conn| {
        conn.batch_execute("INSERT INTO profiles VALUES (1)")?;
        db.end_session(session);
        answer = Some(Accounts::new(&db.policy, conn).create_user(&alice));
        Err::<(), _>(Error::from(DieselError::RollbackTransaction))
    });
    assert_matches!(transaction, Err(Error::Database(_)));
    assert_matches!(answer, Some(Err(Error::HostMustRollBack(Some(_)))));
    assert_eq!((db.count("account_users"), db.count("profiles")), (0, 0));
}

/// The driver says only why the session was ended, and not that it is gone. What Diesel says of a
/// rollback that fails must not take the place of our error.
fn a_session_that_ends_in_the_middle_of_a_look_up_tells_the_host_to_roll_back<C: Server>(
    db: TestDb<C>,
) {
    let mut conn = db.connect();
    let session = conn.session();
    db.while_nobody_can_read("account_users", || {
        thread::scope(|scope| {
            let transaction = scope.spawn(|| {
                conn.transaction(|conn| Accounts::new(&db.policy, conn).user_by_username("alice"))
            });
            db.wait_until_waiting_for_a_table(session, || transaction.is_finished());
            db.end_session(session);
            let answer = transaction.join().unwrap();
            assert_matches!(answer, Err(Error::HostMustRollBack(Some(_))));
        });
    });
}

/// A pooler says in words of its own that it has lost its server, which has committed.
#[test]
fn a_session_that_a_pooler_ends_is_undetermined_although_the_time_is_over() {
    let db = TestDb::<PostgresHost>::new();
    let proxy = Proxy::in_front_of(Engine::Postgres, &db.url);
    // Parameters of libpq's; the wrapper's runtime has no timers.
    let url = proxy.url(&db.url).replace("gssencmode=disable&", "");
    let url = url.replace("&connect_timeout=10", "");
    let mut conn = <PostgresHost as Connection>::establish(&url).unwrap();
    let policy = cheap_policy().deadline(Duration::from_micros(1)).build().unwrap();
    let mut accounts = Accounts::new(&policy, &mut conn);
    // The first has its statement prepared, and the second tells how many messages there are.
    assert!(accounts.create_user(&db.prepare("alice")).unwrap().is_created());
    proxy.set_fault(Fault::None);
    assert!(accounts.create_user(&db.prepare("bob")).unwrap().is_created());
    proxy.set_fault(Fault::Cut { at: proxy.messages(), place: Place::AfterInWords });
    let carol = db.prepare("carol");
    assert_undetermined(&accounts.create_user(&carol), &carol);
    assert_eq!((proxy.strikes(), db.count("account_users")), (1, 3));
}

fn assert_undetermined(creation: &Result<Creation, Error>, prepared: &PreparedUser) {
    match creation {
        Err(Error::Undetermined { id, .. }) => assert_eq!(*id, prepared.id()),
        other => panic!("{other:?} is not undetermined"),
    }
}
