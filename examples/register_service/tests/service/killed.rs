//! The service, or its database, killed in the middle of many registrations: every client asks
//! again, with its `Idempotency-Key`, until it has a final answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use diesel::{MysqlConnection, PgConnection};
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;

use crate::client::{Client, REGISTER};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;
use crate::table::count;

on_each_engine!(a_thousand_clients_end_with_an_account_each_when_the_service_is_killed);

#[test]
fn a_thousand_clients_end_with_an_account_each_when_postgres_is_killed() {
    when_the_database_is_killed::<PgConnection>(Server::postgres(&[]));
}

#[test]
fn a_thousand_clients_end_with_an_account_each_when_mariadb_is_killed() {
    when_the_database_is_killed::<MysqlConnection>(Server::mariadb(&[]));
}

fn a_thousand_clients_end_with_an_account_each_when_the_service_is_killed<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database);
    let mut service = setup.start();
    let crowd = Crowd::new(&database, service.client());
    thread::scope(|scope| {
        crowd.come(scope);
        for killed in 1..=3 {
            crowd.wait_for(CLIENTS * killed / 4);
            service.kill();
            service = setup.start();
            crowd.go_to(service.client());
        }
    });
    crowd.judge(&[201]);
    crowd.ask_once_more();
    crowd.judge(&[201]);
    assert!(crowd.disturbed.load(Relaxed) > 0, "nobody noticed");
    service.stop();
}

fn when_the_database_is_killed<C: ProofConnection>(mut server: Server) {
    let database = Database::<C>::on(&server.url());
    let mut service = Setup::on(&database).start();
    let client = service.client().clone();
    let crowd = Crowd::new(&database, &client);
    thread::scope(|scope| {
        crowd.come(scope);
        crowd.wait_for(CLIENTS / 3);
        server.kill();
        wait_until("somebody is told", || crowd.unavailable.load(Relaxed) > 0);
        assert_eq!(client.get("/healthz").status, 200);
        assert_eq!(client.get("/readyz").status, 503);
        server.start_again();
        wait_until("it is ready again", || client.get("/readyz").status == 200);
    });
    crowd.judge(&[200, 201]);
    crowd.ask_once_more();
    crowd.judge(&[200, 201]);
    assert!(service.runs());
    service.stop();
}

/// Clients that each want one account, and ask until they have it.
struct Crowd<'a, C: ProofConnection> {
    database: &'a Database<C>,
    service: RwLock<Client>,
    next: AtomicUsize,
    /// Of each client that has a final answer: its number, the status, the id.
    ended: Mutex<Vec<(usize, u16, String)>>,
    /// How often there was nobody to answer.
    disturbed: AtomicUsize,
    /// How often the answer was 503.
    unavailable: AtomicUsize,
}

impl<'a, C: ProofConnection> Crowd<'a, C> {
    fn new(database: &'a Database<C>, client: &Client) -> Self {
        Self {
            database,
            service: RwLock::new(client.clone()),
            next: AtomicUsize::new(0),
            ended: Mutex::default(),
            disturbed: AtomicUsize::new(0),
            unavailable: AtomicUsize::new(0),
        }
    }

    fn come<'scope>(&'scope self, scope: &'scope thread::Scope<'scope, '_>) {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = self.next.fetch_add(1, Relaxed);
                    if number >= CLIENTS {
                        break;
                    }
                    let (status, id) = self.ask_until_answered(number);
                    self.ended.lock().unwrap().push((number, status, id));
                }
            });
        }
    }

    fn ask_until_answered(&self, number: usize) -> (u16, String) {
        let body = person(number).registration();
        let key = format!("canary-key-{number}");
        let patience = Instant::now() + Duration::from_secs(150);
        loop {
            assert!(Instant::now() < patience, "client {number} has no answer");
            let client = self.service.read().unwrap().with("idempotency-key", &key);
            match client.try_post(REGISTER, &body) {
                Ok(answer) if matches!(answer.status, 200 | 201) => {
                    return (answer.status, answer.user_id());
                }
                Ok(answer) => {
                    let told = (answer.status, answer.retry_after().is_some());
                    assert!(matches!(told, (409 | 503, true)), "{answer:?}");
                    if answer.status == 503 {
                        self.unavailable.fetch_add(1, Relaxed);
                    }
                }
                Err(_) => {
                    self.disturbed.fetch_add(1, Relaxed);
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn go_to(&self, client: &Client) {
        *self.service.write().unwrap() = client.clone();
    }

    fn wait_for(&self, ended: usize) {
        wait_until("so many have an answer", || self.ended.lock().unwrap().len() >= ended);
    }

    /// Finds that whoever sends the same request again hears of the same account.
    fn ask_once_more(&self) {
        let ended = self.ended.lock().unwrap();
        thread::scope(|scope| {
            for clients in ended.chunks(ended.len().div_ceil(AT_ONCE)) {
                scope.spawn(move || {
                    for (number, _, id) in clients {
                        let (_, again) = self.ask_until_answered(*number);
                        assert_eq!(again, *id, "client {number}");
                    }
                });
            }
        });
    }

    /// Finds one account for each client, and that is the one that it was told of.
    fn judge(&self, statuses: &[u16]) {
        let ended = self.ended.lock().unwrap();
        assert_eq!(ended.len(), CLIENTS);
        let rows = count(self.database, "account_users");
        assert_eq!(rows, i64::try_from(CLIENTS).unwrap());
        let ids: BTreeSet<_> = ended.iter().map(|(_, _, id)| id).collect();
        assert_eq!(ids.len(), CLIENTS);
        let users = self.database.users(1);
        for (number, status, id) in ended.iter() {
            assert!(statuses.contains(status), "{number} {status}");
            let user = users.user_by_username(&person(*number).username).unwrap().unwrap();
            assert_eq!(
                (user.id().to_string(), user.email()),
                (id.clone(), Some(&*person(*number).email))
            );
        }
        // Each was recorded once, whenever what was killed.
        let created =
            count(self.database, "account_events WHERE action = 'create' AND outcome = 'created'");
        assert_eq!(created, rows);
    }
}

fn person(number: usize) -> Person {
    Person::new(&format!("client{number}"))
}

/// More than can be answered at once.
const AT_ONCE: usize = 24;

const CLIENTS: usize = 1_000;
