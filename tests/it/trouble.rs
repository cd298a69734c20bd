//! What goes wrong in databases, and the one true answer to each.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel::r2d2::{ConnectionManager, NopErrorHandler, Pool};
use diesel::result::Error::RollbackTransaction;
use diesel_accounts::{
    Accounts, Argon2Engine, Argon2Input, Clock, Creation, Engine, Error, Hashing, HashingFailure,
    Policy, PreparedUser, Timestamp, UserId, UserManager, UserState,
};

use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, before_statement,
    begin_commit, bob, cheap_policy, id_of, impatient, on_each_engine, on_each_server, pool_of,
    unique_name, wait_until,
};

on_each_engine!(
    a_server_that_is_down_is_a_failure_of_the_pool,
    missing_tables_are_told_and_not_repeated_for_ever,
    a_look_up_that_fails_costs_no_connection,
    a_read_only_database_is_told,
    a_lock_that_is_held_too_long_is_busy_and_nothing_is_created,
    a_lock_that_is_released_in_time_is_waited_for,
    a_winner_that_rolls_back_leaves_the_name_free,
    a_winner_deleted_between_violation_and_look_up_ends_in_one_true_answer,
    a_winner_deleted_again_and_again_is_not_waited_for,
    a_conflict_with_nobody_is_an_error_of_its_own,
);

on_each_server!(
    a_lost_connection_from_the_pool_is_replaced,
    a_pooled_connection_lost_in_a_look_up_is_not_used_again,
    a_connection_lost_while_an_attempt_is_taken_back_is_not_used_again,
    a_lost_lent_connection_is_undetermined_and_the_same_id_settles_it,
    a_row_that_landed_although_its_answer_was_lost_is_created,
    a_row_that_landed_and_was_reserved_since_is_created_too,
    a_conflict_that_nobody_could_look_up_is_undetermined,
    a_row_of_an_earlier_call_is_the_same_creation_even_if_the_connection_is_lost,
    a_connection_lost_inside_a_transaction_means_to_roll_back,
    a_server_that_stays_away_leaves_it_undetermined,
);

fn a_server_that_is_down_is_a_failure_of_the_pool<C: TestConnection>(db: TestDb<C>) {
    let prepared = db.users.prepare(alice()).unwrap();
    let unreachable = TestDb::<C>::unreachable();
    assert_matches!(unreachable.create_user(alice()), Err(Error::Pool(_)));
    assert_matches!(unreachable.create_prepared_user(&prepared), Err(Error::Pool(_)));
    assert_matches!(unreachable.user_by_username("alice"), Err(Error::Pool(_)));
    assert_matches!(unreachable.migrate(), Err(Error::Pool(_)));
}

fn missing_tables_are_told_and_not_repeated_for_ever<C: TestConnection>(db: TestDb<C>) {
    db.connect().batch_execute("DROP TABLE account_users").unwrap();
    let prepared = db.users.prepare(alice()).unwrap();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    assert_matches!(db.users.on(&mut conn).create_user(&prepared), Err(Error::NotCreated(_)));
    let insertions = log.take().iter().filter(|query| query.starts_with("INSERT")).count();
    assert!((1..=3).contains(&insertions), "{insertions}");
    assert_matches!(db.users.create_user(alice()), Err(Error::NotCreated(_)));
    assert_matches!(db.users.user_by_username("alice"), Err(Error::Database(_)));
}

fn a_look_up_that_fails_costs_no_connection<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    // What is temporary goes with its connection.
    pool.get().unwrap().batch_execute("CREATE TEMPORARY TABLE marks (number INT)").unwrap();
    db.connect().batch_execute("ALTER TABLE account_users RENAME TO elsewhere").unwrap();
    assert_matches!(users.user_by_username("alice"), Err(Error::Database(_)));
    assert_eq!(pool.get().unwrap().number("SELECT COUNT(*) AS number FROM marks"), 0);
}

fn a_read_only_database_is_told<C: TestConnection>(db: TestDb<C>) {
    db.create(bob());
    let prepared = db.users.prepare(alice()).unwrap();
    let mut conn = db.connect();
    conn.batch_execute(match C::ENGINE {
        Engine::Sqlite => "PRAGMA query_only = 1",
        Engine::Postgres => "SET default_transaction_read_only = on",
        _ => "SET SESSION TRANSACTION READ ONLY",
    })
    .unwrap();
    let refused = db.users.on(&mut conn).create_user(&prepared);
    assert_matches!(refused, Err(Error::NotCreated(_)));
    assert!(db.users.on(&mut conn).user_by_username("bob").unwrap().is_some());
    assert_eq!(db.count(), 1);
}

fn a_lock_that_is_held_too_long_is_busy_and_nothing_is_created<C: TestConnection>(db: TestDb<C>) {
    let (mut holder, held) = (db.connect(), db.users.prepare(alice()).unwrap());
    let policy = cheap_policy().deadline(Duration::from_millis(300)).build().unwrap();
    let mut conn = db.connect();
    impatient(&mut conn);
    let prepared = policy.prepare(alice()).unwrap();
    let rolled_back = holder.transaction::<(), Error, _>(|holder| {
        assert!(db.users.on(holder).create_user(&held)?.is_created());
        let answer = Accounts::new(&policy, &mut conn).create_user(&prepared);
        assert_matches!(answer, Err(Error::Busy));
        Err(RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    assert_eq!(db.count(), 0);
    // The same creation succeeds once the lock is gone.
    assert!(db.users.create_prepared_user(&prepared).unwrap().is_created());
}

fn a_lock_that_is_released_in_time_is_waited_for<C: TestConnection>(db: TestDb<C>) {
    let (mut holder, held) = (db.connect(), db.users.prepare(alice()).unwrap());
    let mut conn = db.connect();
    impatient(&mut conn);
    let prepared = db.users.prepare(alice()).unwrap();
    let log = QueryLog::of(&mut conn);
    let users = &db.users;
    let answer = thread::scope(|scope| {
        let (done, wait) = mpsc::channel();
        let conn = &mut conn;
        let waiter = holder
            .transaction::<_, Error, _>(|holder| {
                assert!(users.on(holder).create_user(&held)?.is_created());
                let waiter = scope.spawn(move || {
                    let answer = users.on(conn).create_user(&prepared);
                    done.send(()).unwrap();
                    answer
                });
                // Commit only after the insertion was refused for the lock at least once.
                wait_until(|| {
                    assert!(wait.try_recv().is_err(), "answered while the lock was held");
                    log.count_of("INSERT") >= 2
                });
                Ok(waiter)
            })
            .unwrap();
        waiter.join().unwrap()
    });
    let existing = assert_matches!(answer, Ok(Creation::Existing(existing)) => existing);
    assert_eq!(existing.user_id(), held.id());
    assert_eq!(db.count(), 1);
}

fn a_winner_that_rolls_back_leaves_the_name_free<C: TestConnection>(db: TestDb<C>) {
    for round in 0..10 {
        let (mut winner, winning) = (db.connect(), db.users.prepare(alice()).unwrap());
        let mut conn = db.connect();
        let prepared = db.users.prepare(alice()).unwrap();
        let log = QueryLog::of(&mut conn);
        let users = &db.users;
        let answer = thread::scope(|scope| {
            let (conn, prepared) = (&mut conn, &prepared);
            let mut loser = None;
            let rolled_back = winner.transaction::<(), Error, _>(|winner| {
                assert!(users.on(winner).create_user(&winning)?.is_created());
                loser = Some(scope.spawn(move || match round % 2 {
                    0 => users.on(conn).create_user(prepared),
                    _ => conn.transaction(|conn| users.on(conn).create_user(prepared)),
                }));
                wait_until(|| log.count_of("INSERT") >= 1);
                Err(RollbackTransaction.into())
            });
            assert!(rolled_back.is_err());
            loser.unwrap().join().unwrap()
        });
        assert!(answer.unwrap().is_created(), "round {round}");
        db.users.delete_user(prepared.id()).unwrap();
    }
}

fn a_winner_deleted_between_violation_and_look_up_ends_in_one_true_answer<C: TestConnection>(
    db: TestDb<C>,
) {
    // On a connection of our own.
    let winner = db.create(alice());
    let mut conn = db.connect();
    let prepared = db.users.prepare(alice()).unwrap();
    let users = db.users.clone();
    before_statement(&mut conn, "SELECT", move || users.delete_user(winner.id()).unwrap());
    let answer = db.users.on(&mut conn).create_user(&prepared).unwrap();
    assert!(answer.is_created());
    db.users.delete_user(prepared.id()).unwrap();

    // In a transaction of the host's, where some engines let nobody delete what we have met.
    for (isolation, setting) in C::ISOLATIONS {
        let winner = db.create(alice()).id();
        let mut conn = db.connect();
        if !setting.is_empty() {
            conn.batch_execute(setting).unwrap();
        }
        // Whoever is kept waiting gives up soon.
        let users = db.users_with(cheap_policy().deadline(Duration::from_millis(200)));
        let mut deleter = db.connect();
        impatient(&mut deleter);
        before_statement(&mut conn, "SELECT", move || {
            let _ = users.on(&mut deleter).delete_user(winner);
        });
        let mut runs = 0;
        let answer = loop {
            runs += 1;
            let answer =
                begin_commit(&mut conn, isolation, |conn| db.users.on(conn).create_user(&prepared));
            match answer {
                Err(Error::HostMustRollBack(_)) if runs == 1 => {}
                answer => break answer,
            }
        };
        match answer {
            Ok(Creation::Created(user)) => assert_eq!(user.id(), prepared.id(), "{isolation}"),
            Ok(Creation::Existing(existing)) => assert_eq!(existing.user_id(), winner),
            Err(error) => panic!("{isolation} {setting}: {error:?}"),
        }
        db.connect().batch_execute("DELETE FROM account_users").unwrap();
    }
}

/// Somebody creates and deletes the account in between, each time.
fn a_winner_deleted_again_and_again_is_not_waited_for<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let users = db.users.clone();
    let present = Mutex::new(None);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let query = query.to_string();
            let mut present = present.lock().unwrap();
            if query.starts_with("INSERT") {
                *present = Some(id_of(&users.create_user(alice()).unwrap()));
            } else if query.trim_start_matches('(').starts_with("SELECT") {
                users.delete_user(present.take().unwrap()).unwrap();
            }
        }
    });
    let prepared = db.users.prepare(alice()).unwrap();
    assert_matches!(db.users.on(&mut conn).create_user(&prepared), Err(Error::HiddenConflict));
    assert_eq!(db.count(), 0);
}

fn a_conflict_with_nobody_is_an_error_of_its_own<C: TestConnection>(db: TestDb<C>) {
    let mut conn = db.connect();
    let swallow = match C::ENGINE {
        Engine::Sqlite => {
            "CREATE TRIGGER swallow BEFORE INSERT ON account_users BEGIN SELECT RAISE(IGNORE); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER swallow BEFORE INSERT ON account_users \
             FOR EACH ROW EXECUTE FUNCTION swallow()"
        }
        // A unique key of the host's own, on something that is not ours to look at.
        _ => "CREATE UNIQUE INDEX one_state ON account_users (state)",
    };
    if C::ENGINE == Engine::Mysql {
        db.create(bob());
    }
    conn.batch_execute(swallow).unwrap();
    let prepared = db.users.prepare(alice()).unwrap();
    let log = QueryLog::of(&mut conn);
    assert_matches!(db.users.on(&mut conn).create_user(&prepared), Err(Error::HiddenConflict));
    assert_eq!(log.count_of("INSERT"), 3);
    let in_transaction = conn.transaction(|conn| db.users.on(conn).create_user(&prepared));
    assert_matches!(in_transaction, Err(Error::HostMustRollBack(None)));
}

fn a_lost_connection_from_the_pool_is_replaced<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    for (start, new_user) in [("INSERT", alice()), ("SELECT", bob())] {
        if start != "INSERT" {
            db.create(bob());
        }
        let prepared = users.prepare(new_user).unwrap();
        kill_before(&db, &mut *pool.get().unwrap(), start);
        let creation = users.create_prepared_user(&prepared).unwrap();
        assert_eq!(creation.is_created(), start == "INSERT");
    }
    kill_before(&db, &mut *pool.get().unwrap(), "SELECT");
    assert!(!users.create_user(alice()).unwrap().is_created());
    assert_eq!(db.count(), 2);
    assert_eq!(pool.state().connections, 1);
}

/// Even where the pool tries no connection before it lends it.
fn a_pooled_connection_lost_in_a_look_up_is_not_used_again<C: TestConnection>(db: TestDb<C>) {
    let user = db.create(alice());
    let pool = Pool::builder()
        .max_size(1)
        .test_on_check_out(false)
        .build(ConnectionManager::<C>::new(&db.url))
        .unwrap();
    let users = UserManager::with_policy(pool.clone(), db.users.policy().clone());
    kill_before(&db, &mut *pool.get().unwrap(), "SELECT");
    assert_matches!(users.user_by_id(user.id()), Err(Error::Database(_)));
    assert_eq!(users.user_by_id(user.id()).unwrap(), Some(user.clone()));
    kill_before(&db, &mut *pool.get().unwrap(), "UPDATE");
    assert_matches!(users.disable_user(user.id()), Err(Error::Database(_)));
    users.disable_user(user.id()).unwrap();
}

/// The host hears of the hash that could not be computed, and the pool of the connection.
fn a_connection_lost_while_an_attempt_is_taken_back_is_not_used_again<C: TestConnection>(
    db: TestDb<C>,
) {
    db.create(alice());
    let users = db.users_with(cheap_policy().hashing(Hashing::new().engine(NoMemory)));
    let mut conn = db.connect();
    let id = connection_id(&mut conn);
    let attempt = users.on(&mut conn).begin_sign_in("alice").unwrap();
    let verified = users.policy().verify(attempt, PASSWORD);
    kill(&mut db.connect(), id);
    let answer = users.on(&mut conn).finish_sign_in(verified);
    assert_matches!(answer, Err(Error::Hashing(HashingFailure::OutOfMemory)));
    assert!(conn.is_broken());
}

#[derive(Debug)]
struct NoMemory;

impl Argon2Engine for NoMemory {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self)
    }

    fn compute(&mut self, _: &Argon2Input<'_>, _: &mut [u8]) -> Result<(), HashingFailure> {
        Err(HashingFailure::OutOfMemory)
    }
}

fn a_lost_lent_connection_is_undetermined_and_the_same_id_settles_it<C: TestConnection>(
    db: TestDb<C>,
) {
    let mut conn = db.connect();
    kill_before(&db, &mut conn, "INSERT");
    let prepared = db.users.prepare(alice()).unwrap();
    let answer = db.users.on(&mut conn).create_user(&prepared);
    let error = assert_matches!(answer, Err(error) => error);
    assert!(error.is_undetermined() && error.is_retryable());
    assert_matches!(error, Error::Undetermined { id, .. } if id == prepared.id());
    assert!(db.users.create_prepared_user(&prepared).unwrap().is_created());
}

/// The straggler: another connection inserts the very row before ours is cut.
fn a_row_that_landed_although_its_answer_was_lost_is_created<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let policy = cheap_policy().clock(Frozen).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    let prepared = Arc::new(users.prepare(alice()).unwrap());
    let policy = users.policy().clone();
    land_and_kill(&db, &mut *pool.get().unwrap(), policy, prepared.clone(), |_, _| {});
    let creation = users.create_prepared_user(&prepared).unwrap();
    assert!(creation.is_created());
    assert_eq!((id_of(&creation), db.count()), (prepared.id(), 1));
}

/// It was created before it was reserved: nobody else could hear so.
fn a_row_that_landed_and_was_reserved_since_is_created_too<C: TestConnection>(db: TestDb<C>) {
    let pool = pool_of::<C>(&db.url, 1);
    let policy = cheap_policy().clock(Frozen).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    let prepared = Arc::new(users.prepare(alice()).unwrap());
    let policy = users.policy().clone();
    land_and_kill(&db, &mut *pool.get().unwrap(), policy, prepared.clone(), |mut accounts, id| {
        accounts.reserve_user(id).unwrap();
    });
    let user = users.create_prepared_user(&prepared).unwrap().created().unwrap();
    assert_eq!((user.username(), user.state()), (Some("alice"), UserState::Active));
    assert!(users.user_by_id(prepared.id()).unwrap().is_none());
    // Whoever asks afterwards meets an account that is gone.
    assert_matches!(users.create_prepared_user(&prepared), Err(Error::Taken(_)));
}

/// The conflict is with the very account of an earlier call: "not created" would be a phantom
/// error.
fn a_conflict_that_nobody_could_look_up_is_undetermined<C: TestConnection>(db: TestDb<C>) {
    let prepared = db.users.prepare(alice()).unwrap();
    assert!(db.users.create_prepared_user(&prepared).unwrap().is_created());
    let mut conn = db.connect();
    kill_before(&db, &mut conn, "SELECT");
    let answer = db.users.on(&mut conn).create_user(&prepared);
    assert_matches!(answer, Err(Error::Undetermined { id, .. }) if id == prepared.id());
    assert!(!db.users.create_prepared_user(&prepared).unwrap().is_created());
}

fn a_row_of_an_earlier_call_is_the_same_creation_even_if_the_connection_is_lost<
    C: TestConnection,
>(
    db: TestDb<C>,
) {
    let pool = pool_of::<C>(&db.url, 1);
    let policy = cheap_policy().clock(Ticking(AtomicI64::new(0))).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    let prepared = Arc::new(users.prepare(alice()).unwrap());
    let policy = users.policy().clone();
    land_and_kill(&db, &mut *pool.get().unwrap(), policy, prepared.clone(), |_, _| {});
    let creation = users.create_prepared_user(&prepared).unwrap();
    let existing = assert_matches!(creation, Creation::Existing(existing) => existing);
    assert!(existing.is_same_creation());
    assert_eq!(db.count(), 1);
}

/// In place of the error that says so Diesel would return that of a rollback which cannot be sent.
fn a_connection_lost_inside_a_transaction_means_to_roll_back<C: TestConnection>(db: TestDb<C>) {
    let id = db.create(bob()).id();
    let prepared = db.users.prepare(alice()).unwrap();
    type Act<'a, C> = &'a dyn Fn(Accounts<'_, C>) -> Result<(), Error>;
    let acts: [(&str, Act<'_, C>); 3] = [
        ("INSERT INTO", &|mut accounts| accounts.create_user(&prepared).map(drop)),
        ("UPDATE", &|mut accounts| accounts.disable_user(id)),
        ("SELECT", &|mut accounts| accounts.user_by_id(id).map(drop)),
    ];
    for (start, act) in acts {
        let (mut flat, mut deep) = (db.connect(), db.connect());
        kill_before(&db, &mut flat, start);
        kill_before(&db, &mut deep, start);
        let flat = flat.transaction(|conn| act(db.users.on(conn)));
        let deep =
            deep.transaction::<_, Error, _>(|conn| conn.transaction(|c| act(db.users.on(c))));
        assert_matches!(flat, Err(Error::HostMustRollBack(Some(_))));
        assert_matches!(deep, Err(Error::HostMustRollBack(Some(_))));
    }
    assert_eq!(db.count(), 1);
    assert!(db.users.user_by_id(id).unwrap().unwrap().is_active());
}

/// The only connection is lost, and the server takes no other until the deadline.
fn a_server_that_stays_away_leaves_it_undetermined<C: TestConnection>(db: TestDb<C>) {
    let mut admin = db.connect();
    let guest = unique_name();
    let (invite, shut_out) = match C::ENGINE {
        Engine::Postgres => {
            (format!("CREATE ROLE {guest} SUPERUSER LOGIN"), format!("ALTER ROLE {guest} NOLOGIN"))
        }
        _ => (
            format!("CREATE USER {guest}; GRANT ALL ON *.* TO {guest}"),
            format!("ALTER USER {guest} ACCOUNT LOCK"),
        ),
    };
    admin.batch_execute(&invite).unwrap();
    let (scheme, rest) = db.url.split_once("://").unwrap();
    let (_, server) = rest.split_once('@').unwrap();
    let pool = Pool::builder()
        .max_size(1)
        .error_handler(Box::new(NopErrorHandler))
        .build(ConnectionManager::<C>::new(format!("{scheme}://{guest}@{server}")))
        .unwrap();
    let policy = cheap_policy().deadline(Duration::from_secs(2)).build().unwrap();
    let users = UserManager::with_policy(pool.clone(), policy);
    let prepared = users.prepare(alice()).unwrap();
    let mut conn = pool.get().unwrap();
    let id = connection_id(&mut *conn);
    before_statement(&mut *conn, "INSERT", move || {
        admin.batch_execute(&shut_out).unwrap();
        kill(&mut admin, id);
    });
    drop(conn);
    let answer = users.create_prepared_user(&prepared);
    assert_matches!(answer, Err(Error::Undetermined { id, .. }) if id == prepared.id());
    assert!(db.users.create_prepared_user(&prepared).unwrap().is_created());
}

/// Has the server end the connection just before it sends a statement.
fn kill_before<C: TestConnection>(db: &TestDb<C>, conn: &mut C, start: &'static str) {
    let id = connection_id(conn);
    let mut killer = db.connect();
    before_statement(conn, start, move || kill(&mut killer, id));
}

/// Inserts the row on another connection, does something more there, and has the server end this
/// one, just before it inserts.
fn land_and_kill<C: TestConnection>(
    db: &TestDb<C>,
    conn: &mut C,
    policy: Policy,
    prepared: Arc<PreparedUser>,
    afterwards: fn(Accounts<'_, C>, UserId),
) {
    let id = connection_id(conn);
    let mut other = db.connect();
    before_statement(conn, "INSERT", move || {
        let landed = Accounts::new(&policy, &mut other).create_user(&prepared);
        assert!(landed.unwrap().is_created());
        afterwards(Accounts::new(&policy, &mut other), prepared.id());
        kill(&mut other, id);
    });
}

fn connection_id<C: TestConnection>(conn: &mut C) -> i64 {
    conn.number(match C::ENGINE {
        Engine::Postgres => "SELECT pg_backend_pid()::bigint AS number",
        _ => "SELECT CAST(CONNECTION_ID() AS SIGNED) AS number",
    })
}

/// Ends a connection, and waits until the server knows it no more.
fn kill<C: TestConnection>(killer: &mut C, id: i64) {
    let (kill, alive) = match C::ENGINE {
        Engine::Postgres => (
            format!("SELECT pg_terminate_backend({id})"),
            format!("SELECT COUNT(*) AS number FROM pg_stat_activity WHERE pid = {id}"),
        ),
        _ => (
            format!("KILL {id}"),
            format!(
                "SELECT COUNT(*) AS number FROM information_schema.processlist WHERE id = {id}"
            ),
        ),
    };
    killer.batch_execute(&kill).unwrap();
    wait_until(|| killer.number(&alive) == 0);
}

/// It is always the same time.
#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000)
    }
}

/// It is never the same time.
#[derive(Debug)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
