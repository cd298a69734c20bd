//! A Galera cluster of MariaDB: three nodes that all take writes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, RwLock};
use std::thread;
use std::time::Duration;

use diesel::MysqlConnection;
use diesel::connection::{Connection, SimpleConnection};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool};
use diesel_accounts::{
    Creation, NewUser, RefusalReason, SignIn, ThrottleRules, UserId, UserManager,
};
use diesel_accounts_proof::database::{Database, ProofConnection, policy, pool_at};
use diesel_accounts_proof::host::{host_rows, insert_host_row, make_host_table, run_again};
use diesel_accounts_proof::load::{Load, judge};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection as _;

use crate::support::{person, url_on, users_at};

/// In one test, for a cluster takes long to start.
#[test]
fn a_galera_cluster_keeps_the_promises_of_one_server() {
    let mut cluster = Cluster::new();
    one_of_all_nodes_creates_and_all_others_recognise(&cluster);
    hosts_on_all_nodes_create_together_and_get_through(&cluster);
    another_node_creates_nobody_again_and_may_read_the_past(&cluster);
    no_wrong_password_on_any_node_is_lost(&cluster);
    another_node_goes_on_when_one_is_killed(&mut cluster);
}

struct Cluster {
    nodes: Vec<Server>,
    database: Database<MysqlConnection>,
    urls: Vec<String>,
}

impl Cluster {
    fn new() -> Self {
        let nodes = Server::galera(3);
        let database = Database::<MysqlConnection>::on(&nodes[0].url());
        let urls = nodes.iter().map(|node| url_on(&database, &nodes[0], node)).collect();
        let cluster = Self { nodes, database, urls };
        make_host_table(&cluster.database);
        for node in 0..3 {
            cluster.wait_for_rows(node, "host_rows", 0);
        }
        cluster
    }

    fn users(&self, node: usize, size: u32) -> UserManager<MysqlConnection> {
        users_at(&self.urls[node], size, Duration::from_secs(60))
    }

    /// Waits until each node has so many accounts; they must be the same.
    fn insist_on_people(&self, number: i64) {
        let people_of = |node: usize| {
            self.wait_for_rows(node, "account_users", number);
            let mut people =
                MysqlConnection::establish(&self.urls[node]).unwrap().accounts().unwrap();
            people.sort_by(|one, other| one.id.cmp(&other.id));
            format!("{people:?}")
        };
        let people = people_of(0);
        assert!(people == people_of(1) && people == people_of(2), "the nodes differ");
    }

    /// Nodes have what was committed elsewhere a little later.
    fn wait_for_rows(&self, node: usize, rows: &str, number: i64) {
        let query = format!("SELECT COUNT(*) AS number FROM {rows}");
        wait_until("the node has the rows", || {
            MysqlConnection::establish(&self.urls[node])
                .is_ok_and(|mut conn| conn.numbers(&query) == Ok(vec![number]))
        });
    }
}

fn one_of_all_nodes_creates_and_all_others_recognise(cluster: &Cluster) {
    let managers: Vec<_> = (0..THREADS).map(|thread| cluster.users(thread % 3, 1)).collect();
    let together = Barrier::new(THREADS);
    let answers: Vec<Vec<Creation>> = thread::scope(|scope| {
        let create = |thread: usize| {
            let (users, together) = (&managers[thread], &together);
            scope.spawn(move || {
                let round = |round: usize| {
                    let name = format!("r{round}");
                    // In every other round they have a name in common, and not the address.
                    let new_user = match round % 2 {
                        0 => person(&name),
                        _ => {
                            NewUser::new(&name, format!("{name}_{thread}@example.org"), "secret 12")
                        }
                    };
                    let prepared = users.prepare(new_user).unwrap();
                    together.wait();
                    users.create_prepared_user(&prepared).unwrap()
                };
                (0..ROUNDS).map(round).collect()
            })
        };
        let threads: Vec<_> = (0..THREADS).map(create).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for round in 0..ROUNDS {
        let answers = answers.iter().map(|answers| &answers[round]);
        let ids: HashSet<UserId> = answers.clone().map(id_of).collect();
        let created = answers.filter(|creation| creation.is_created()).count();
        assert_eq!((created, ids.len()), (1, 1), "round {round}");
    }
    cluster.insist_on_people(i64::try_from(ROUNDS).unwrap());
}

/// The one who loses may hear of it at its own COMMIT only.
fn hosts_on_all_nodes_create_together_and_get_through(cluster: &Cluster) {
    let rounds = 50;
    let (together, created, reruns) = (Barrier::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
    let refused_commits = AtomicUsize::new(0);
    thread::scope(|scope| {
        for node in 0..3 {
            let (together, created, reruns) = (&together, &created, &reruns);
            let refused_commits = &refused_commits;
            scope.spawn(move || {
                let users = cluster.users(node, 1);
                let mut conn = MysqlConnection::establish(&cluster.urls[node]).unwrap();
                for round in 0..rounds {
                    let prepared = users.prepare(person(&format!("h{round}"))).unwrap();
                    together.wait();
                    let mut commits = 0;
                    let (creation, runs) = run_again(&mut conn, "REPEATABLE READ", |conn| {
                        insert_host_row(conn)?;
                        let creation = users.on(conn).create_user(&prepared)?;
                        commits += 1;
                        Ok(creation)
                    });
                    refused_commits.fetch_add(commits - 1, Ordering::Relaxed);
                    created.fetch_add(usize::from(creation.is_created()), Ordering::Relaxed);
                    reruns.fetch_add(usize::try_from(runs).unwrap(), Ordering::Relaxed);
                }
            });
        }
    });
    println!(
        "hosts: {reruns:?} reruns of {} transactions, {refused_commits:?} for a refused commit",
        3 * rounds
    );
    assert!(refused_commits.into_inner() > 0, "no host heard of it at its commit");
    assert_eq!(created.into_inner(), rounds);
    for node in 0..3 {
        cluster.wait_for_rows(node, "host_rows", i64::try_from(3 * rounds).unwrap());
        let people = "account_users WHERE username LIKE 'h%'";
        cluster.wait_for_rows(node, people, i64::try_from(rounds).unwrap());
    }
    assert_eq!(host_rows(&cluster.database), i64::try_from(3 * rounds).unwrap());
}

/// What was committed on one node can be read on the others a moment later, unless a session waits
/// for it; that nobody is there twice does not depend on it.
fn another_node_creates_nobody_again_and_may_read_the_past(cluster: &Cluster) {
    let (here, there) = (cluster.users(0, 1), cluster.users(1, 1));
    let patient = UserManager::with_policy(
        Pool::builder()
            .max_size(1)
            .connection_customizer(Box::new(WaitForOthers))
            .build(ConnectionManager::<MysqlConnection>::new(&cluster.urls[1]))
            .unwrap(),
        policy().build().unwrap(),
    );
    let (mut unseen, mut deleted_and_seen) = (0, 0);
    for round in 0..ROUNDS {
        let name = format!("s{round}");
        let user = here.create_user(person(&name)).unwrap().created().unwrap();
        if round % 2 == 0 {
            unseen += usize::from(there.user_by_username(&name).unwrap().is_none());
        } else {
            assert_eq!(patient.user_by_username(&name).unwrap().unwrap().id(), user.id());
        }
        assert_eq!(id_of(&there.create_user(person(&name)).unwrap()), user.id());
        here.delete_user(user.id()).unwrap();
        if round % 2 == 0 {
            let creation = there.create_user(person(&name)).unwrap();
            deleted_and_seen += usize::from(!creation.is_created());
        } else {
            assert!(patient.create_user(person(&name)).unwrap().is_created());
        }
        cluster.wait_for_rows(1, &format!("account_users WHERE id = x'{}'", hex(user.id())), 0);
        let _ = there.create_user(person(&name)).unwrap();
        cluster.wait_for_rows(0, &format!("account_users WHERE username = '{name}'"), 1);
    }
    println!(
        "of {} each: {unseen} created elsewhere not seen, {deleted_and_seen} deleted elsewhere seen",
        ROUNDS / 2
    );
}

fn hex(id: UserId) -> String {
    id.to_string().replace('-', "")
}

/// Has each statement wait until the node has what was committed before it anywhere.
#[derive(Debug)]
struct WaitForOthers;

impl CustomizeConnection<MysqlConnection, R2d2Error> for WaitForOthers {
    fn on_acquire(&self, conn: &mut MysqlConnection) -> Result<(), R2d2Error> {
        conn.batch_execute("SET wsrep_sync_wait = 7").map_err(R2d2Error::QueryError)
    }
}

/// Neither lost, so that there are more guesses, nor counted twice.
fn no_wrong_password_on_any_node_is_lost(cluster: &Cluster) {
    let moment = Duration::from_micros(1);
    let rules = ThrottleRules::new()
        .client(99, moment, moment)
        .account(99, moment, moment)
        .most_failures(100);
    let users = cluster.users(0, 1);
    let id = users.create_user(person("guessed")).unwrap().created().unwrap().id();
    for node in 0..3 {
        cluster.wait_for_rows(node, "account_users WHERE username = 'guessed'", 1);
    }
    let (wrong, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (wrong, refused) = (&wrong, &refused);
            scope.spawn(move || {
                let pool = pool_at::<MysqlConnection>(&cluster.urls[thread % 3], 1);
                let policy = policy().throttle(rules).build().unwrap();
                let users = UserManager::with_policy(pool, policy);
                for _ in 0..30 {
                    let SignIn::Refused(refusal) = users.authenticate("guessed", "x").unwrap()
                    else {
                        panic!("the password is wrong");
                    };
                    let counter = match refusal.reason_for_audit() {
                        RefusalReason::WrongPassword => wrong,
                        RefusalReason::PasswordDisabled | RefusalReason::Throttled => refused,
                        reason => panic!("{reason:?}"),
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let counted = users.failed_attempts(id).unwrap().count();
    println!("sign-in: {wrong:?} guesses, {refused:?} refused, {counted} counted");
    assert_eq!((wrong.into_inner(), counted), (100, 100));
}

fn another_node_goes_on_when_one_is_killed(cluster: &mut Cluster) {
    let mut admin = MysqlConnection::establish(&cluster.urls[1]).unwrap();
    admin.batch_execute("DELETE FROM account_users").unwrap();
    cluster.insist_on_people(0);
    let deadline = Duration::from_secs(1);
    let users = RwLock::new(users_at::<MysqlConnection>(&cluster.urls[0], 8, deadline));
    let current = |_| users.read().unwrap().clone();
    let heard = Load::run_by(8, &current, |load| {
        load.wait_for_creations(300);
        cluster.nodes[0].kill();
        *users.write().unwrap() = users_at(&cluster.urls[1], 8, deadline);
        load.wait_for_creations(300);
    });
    let tally = judge(&mut admin, &users_at(&cluster.urls[1], 1, Duration::from_secs(60)), &heard);
    println!("a node was killed: {tally:?}");
    // It comes back and has what it missed.
    cluster.nodes[0].start_again();
    cluster.nodes[0].wait_until_synced();
    let people = tally.created + tally.undetermined.0;
    cluster.insist_on_people(i64::try_from(people).unwrap());
    assert_eq!(tally.refused, 0);
}

fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}

const THREADS: usize = 6;
const ROUNDS: usize = 100;
