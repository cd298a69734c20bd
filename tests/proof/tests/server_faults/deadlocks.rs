//! Those who wait for each other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use diesel_accounts::{Creation, Engine, Error, PreparedUser, UserId, UserManager};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::host::{
    host_rows, in_transaction, insert_host_row, make_host_table, run_again,
};
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::support::{count_of, id_of, on_each_engine, person};

on_each_engine!(
    two_hosts_who_wait_for_each_other_are_told_and_get_through,
    a_change_that_loses_a_deadlock_says_to_roll_back,
    creations_of_their_own_never_hear_of_deadlocks,
);

/// At each isolation level, two hosts create two users in opposite order.
fn two_hosts_who_wait_for_each_other_are_told_and_get_through<C: Connection>() {
    for (number, (isolation, setting)) in C::ISOLATIONS.iter().enumerate() {
        if C::ENGINE == Engine::Sqlite && *isolation != "DEFERRED" {
            // They wait before they begin.
            continue;
        }
        let database = Database::<C>::new();
        make_host_table(&database);
        let users = database.users(2);
        let names = [format!("first{number}"), format!("second{number}")];
        let are_ready = [AtomicBool::new(false), AtomicBool::new(false)];
        let outcomes: Vec<_> = thread::scope(|scope| {
            let hosts: Vec<_> = [0, 1]
                .map(|host| {
                    let (database, users) = (&database, &users);
                    let (names, are_ready) = (&names, &are_ready);
                    scope.spawn(move || {
                        let mut conn = database.connect();
                        set_up(&mut conn, setting);
                        let order = [&names[host], &names[1 - host]];
                        let prepared = order.map(|name| users.prepare(person(name)).unwrap());
                        let host = Host { users, prepared, ready: host, are_ready };
                        run_again(&mut conn, isolation, |conn| host.run(conn))
                    })
                })
                .into_iter()
                .collect();
            hosts.into_iter().map(|host| host.join().unwrap()).collect()
        });
        let reruns: u32 = outcomes.iter().map(|(_, reruns)| reruns).sum();
        assert!(reruns > 0, "{isolation} {setting}: nobody was told");
        let created = outcomes.iter().flat_map(|(creations, _)| creations);
        let created = created.filter(|creation| creation.is_created()).count();
        assert_eq!((created, host_rows(&database)), (2, 2), "{isolation} {setting}");
        for name in &names {
            assert_eq!(count_of(&database, name), 1, "{isolation} {setting}");
        }
        // Both mean the same accounts.
        let ids: Vec<_> = outcomes.iter().map(|(both, _)| both.each_ref().map(id_of)).collect();
        assert_eq!(ids[0], [ids[1][1], ids[1][0]], "{isolation} {setting}");
    }
}

struct Host<'a, C: Connection> {
    users: &'a UserManager<C>,
    prepared: [PreparedUser; 2],
    ready: usize,
    are_ready: &'a [AtomicBool; 2],
}

impl<C: Connection> Host<'_, C> {
    /// The first time it waits until the other has begun as well.
    fn run(&self, conn: &mut C) -> Result<[Creation; 2], Error> {
        if C::ENGINE == Engine::Sqlite {
            conn.numbers("SELECT COUNT(*) AS number FROM host_rows")?;
            self.wait_for_the_other();
        }
        let (users, [first, second]) = (self.users, &self.prepared);
        insert_host_row(conn).map_err(|error| match C::ENGINE {
            Engine::Sqlite => Error::HostMustRollBack(None),
            _ => error.into(),
        })?;
        let first = users.on(conn).create_user(first)?;
        if C::ENGINE != Engine::Sqlite {
            self.wait_for_the_other();
        }
        Ok([first, users.on(conn).create_user(second)?])
    }

    fn wait_for_the_other(&self) {
        self.are_ready[self.ready].store(true, Ordering::Relaxed);
        let other = &self.are_ready[1 - self.ready];
        wait_until("the other is ready", || other.load(Ordering::Relaxed));
    }
}

/// Each host changes an account, and then that of the other.
fn a_change_that_loses_a_deadlock_says_to_roll_back<C: Connection>() {
    let changes: [Change<C>; 4] = [
        |users, conn, id| users.on(conn).delete_user(id),
        |users, conn, id| users.on(conn).disable_user(id),
        |users, conn, id| users.on(conn).reserve_user(id),
        |users, conn, id| users.on(conn).set_unusable_password(id),
    ];
    for (number, change) in changes.iter().enumerate() {
        let database = Database::<C>::new();
        make_host_table(&database);
        let users = database.users(1);
        let ids = ["first", "second"].map(|name| id_of(&users.create_user(person(name)).unwrap()));
        let are_ready = [AtomicBool::new(false), AtomicBool::new(false)];
        let answers = thread::scope(|scope| {
            let hosts = [0, 1].map(|host| {
                let (database, users, are_ready) = (&database, &users, &are_ready);
                scope.spawn(move || {
                    let mut conn = database.connect();
                    set_up(&mut conn, "");
                    in_transaction(&mut conn, C::ISOLATIONS[0].0, |conn| {
                        let wait_for_the_other = || {
                            are_ready[host].store(true, Ordering::Relaxed);
                            let other = &are_ready[1 - host];
                            wait_until("the other is ready", || other.load(Ordering::Relaxed));
                        };
                        if C::ENGINE == Engine::Sqlite {
                            conn.numbers("SELECT COUNT(*) AS number FROM account_users")?;
                            wait_for_the_other();
                            change(users, conn, ids[host])?;
                            return Ok(insert_host_row(conn)?);
                        }
                        insert_host_row(conn)?;
                        users.on(conn).require_password_change(ids[host])?;
                        wait_for_the_other();
                        change(users, conn, ids[1 - host])
                    })
                })
            });
            hosts.map(|host| host.join().unwrap())
        });
        let told = answers.iter().filter(|answer| match answer {
            Ok(()) => false,
            Err(Error::HostMustRollBack(_)) => true,
            Err(error) => panic!("change {number}: {error:?}"),
        });
        let told = i64::try_from(told.count()).unwrap();
        assert!(told > 0, "change {number}: nobody was told");
        assert_eq!(host_rows(&database), 2 - told, "change {number}");
    }
}

type Change<C> = fn(&UserManager<C>, &mut C, UserId) -> Result<(), Error>;

/// While hosts create the same people in both orders and roll back.
fn creations_of_their_own_never_hear_of_deadlocks<C: Connection>() {
    let database = Database::<C>::new();
    make_host_table(&database);
    let users = database.users(THREADS);
    let (created, rolled_back) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let names = [format!("a{round}"), format!("b{round}")];
        // Those of SQLite wait before they begin, and never meet.
        let are_ready = [0, 1].map(|_| AtomicBool::new(C::ENGINE == Engine::Sqlite));
        // In every second round whoever is first is first; in the others the hosts are.
        let hosts_are_first = round % 2 == 1;
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (database, users, names) = (&database, &users, &names);
                let (created, rolled_back) = (&created, &rolled_back);
                let are_ready = &are_ready;
                let mut order = names.each_ref();
                if thread % 2 == 0 {
                    order.reverse();
                }
                scope.spawn(move || {
                    if thread >= 2 {
                        if hosts_are_first {
                            wait_until("the hosts are ready", || {
                                are_ready.iter().all(|is_ready| is_ready.load(Ordering::Relaxed))
                            });
                        }
                        for name in order {
                            let creation = users.create_user(person(name)).unwrap();
                            created
                                .fetch_add(usize::from(creation.is_created()), Ordering::Relaxed);
                        }
                        return;
                    }
                    let prepared = order.map(|name| users.prepare(person(name)).unwrap());
                    let mut conn = database.connect();
                    set_up(&mut conn, C::ISOLATIONS[1].1);
                    if C::ENGINE == Engine::Mysql {
                        // One who waits for a gap of the other, who waits here for the one.
                        conn.batch_execute("SET innodb_lock_wait_timeout = 1").unwrap();
                    }
                    let answer = in_transaction(&mut conn, C::ISOLATIONS[1].0, |conn| {
                        let [first, second] = &prepared;
                        let first = users.on(conn).create_user(first);
                        are_ready[thread as usize].store(true, Ordering::Relaxed);
                        let other = &are_ready[1 - thread as usize];
                        wait_until("the other is ready", || other.load(Ordering::Relaxed));
                        let _ = (first?, users.on(conn).create_user(second)?);
                        Err::<(), _>(Error::UserNotFound)
                    });
                    let is_told = matches!(answer, Err(Error::HostMustRollBack(_)));
                    rolled_back.fetch_add(usize::from(is_told), Ordering::Relaxed);
                });
            }
        });
        for name in names {
            assert_eq!(count_of(&database, &name), 1);
        }
    }
    let rolled_back = rolled_back.into_inner();
    println!("{:?}: {rolled_back} hosts were told to roll back", C::ENGINE);
    assert_eq!(created.into_inner(), 2 * ROUNDS);
    match C::ENGINE {
        Engine::Sqlite => assert_eq!(rolled_back, 0),
        // Each round in which they are first ends in a deadlock.
        _ => assert!(rolled_back >= ROUNDS / 2, "{rolled_back}"),
    }
}

fn set_up<C: Connection>(conn: &mut C, setting: &str) {
    if C::ENGINE == Engine::Postgres {
        conn.batch_execute("SET deadlock_timeout = '20ms'").unwrap();
    }
    if !setting.is_empty() {
        conn.batch_execute(setting).unwrap();
    }
}

const THREADS: u32 = 8;
const ROUNDS: usize = 20;
