//! Too much to do, a database that is locked, and the end of the process.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::wait::wait_until;
use serde_json::json;

use crate::client::{Client, LOGIN};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;
use crate::table::count;

on_each_engine!(
    more_passwords_than_can_be_hashed_are_refused_until_later,
    who_is_stopped_answers_all_that_was_begun_and_is_not_ready,
);

#[test]
fn a_locked_database_is_told_and_waited_for_no_longer_than_is_said_on_sqlite() {
    while_it_is_locked::<SqliteConnection>("BEGIN IMMEDIATE", "ROLLBACK");
}

#[test]
fn a_locked_database_is_told_and_waited_for_no_longer_than_is_said_on_postgres() {
    while_it_is_locked::<PgConnection>("BEGIN; LOCK TABLE account_users", "ROLLBACK");
}

#[test]
fn a_locked_database_is_told_and_waited_for_no_longer_than_is_said_on_mariadb() {
    while_it_is_locked::<MysqlConnection>("LOCK TABLES account_users WRITE", "UNLOCK TABLES");
}

fn while_it_is_locked<C: ProofConnection>(lock: &str, unlock: &str) {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let (client, alice, bob) = (service.client(), Person::new("alice"), Person::new("bob"));
    client.registered(&alice);
    let mut holder = database.connect();
    holder.batch_execute(lock).unwrap();
    thread::scope(|scope| {
        let tries = [
            scope.spawn(|| client.register(&bob)),
            scope.spawn(|| client.with("idempotency-key", "canary-key").register(&bob)),
            scope.spawn(|| client.post(LOGIN, &alice.credentials())),
        ];
        for answer in tries.map(|thread| thread.join().unwrap()) {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.retry_after().unwrap() >= 1, "{answer:?}");
        }
        assert_eq!(client.get("/healthz").status, 200);
    });
    holder.batch_execute(unlock).unwrap();
    // What was not done is done when it is asked for again.
    client.registered(&bob);
    assert_eq!(client.post(LOGIN, &alice.credentials()).status, 200);
    assert_eq!(count(&database, "account_users"), 2);
    service.stop();
}

fn more_passwords_than_can_be_hashed_are_refused_until_later<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = service.client();
    let (enough, created, names) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Each goes on until somebody was refused, on however fast a machine.
        for _ in 0..600 {
            scope.spawn(|| {
                while !enough.load(Relaxed) {
                    let name = format!("user{}", names.fetch_add(1, Relaxed));
                    let answer = client.register(&Person::new(&name));
                    match answer.status {
                        201 => {
                            created.fetch_add(1, Relaxed);
                        }
                        503 => {
                            assert!(answer.retry_after().unwrap() >= 1, "{answer:?}");
                            enough.store(true, Relaxed);
                        }
                        _ => panic!("{answer:?}"),
                    }
                }
            });
        }
        wait_until("somebody is refused", || enough.load(Relaxed));
        // Whoever asks for no hash is answered meanwhile.
        assert_eq!(client.get("/readyz").status, 200);
    });
    assert!(created.load(Relaxed) > 0);
    assert_eq!(count(&database, "account_users"), i64::try_from(created.into_inner()).unwrap());
    client.registered(&Person::new("alice"));
}

fn who_is_stopped_answers_all_that_was_begun_and_is_not_ready<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let mut service = Setup::on(&database).start();
    let client = service.client().clone();
    // Half a request keeps its connection.
    let mut late = half_a_request(&client, "/readyz");

    thread::scope(|scope| {
        let threads: Vec<_> = (0..30)
            .map(|number| {
                let key = format!("canary-key-{number}");
                let client = client.with("idempotency-key", &key);
                scope.spawn(move || client.register(&Person::new(&format!("user{number}"))))
            })
            .collect();
        wait_until("all are begun", || count(&database, "service_requests") == 30);
        service.signal("TERM");
        wait_until("it stops", || service.output().contains("\"stopping\""));
        late.write_all(b"\r\n").unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with(&json!({ "status": "stopping" }).to_string()), "{answer}");
        for answer in threads.into_iter().map(|thread| thread.join().unwrap()) {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    });
    assert_eq!(service.ended().code(), Some(0));
    assert_eq!(count(&database, "account_users"), 30);
    assert_eq!(count(&database, "service_requests WHERE running_until > 0"), 0);
    assert_eq!(service.log().last().unwrap()["message"], "stopped");
}

#[test]
fn who_has_sent_half_a_request_does_not_keep_the_process_from_ending() {
    let database = Database::<SqliteConnection>::empty();
    let service = Setup::on(&database).start();
    let _silent = TcpStream::connect(service.client().address()).unwrap();
    let _half = half_a_request(service.client(), "/");
    service.stop();
}

/// A connection on which the service has read the head of a request without its end.
fn half_a_request(client: &Client, path: &str) -> TcpStream {
    let address: SocketAddr = client.address().parse().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n").unwrap();
    let ours = stream.local_addr().unwrap();
    wait_until("the half is read", || unread(address, ours) == Some(0));
    // Connections are accepted in turn: this one was before.
    assert_eq!(client.get("/healthz").status, 200);
    stream
}

/// How many bytes the kernel keeps for a socket on this machine (proc(5), `/proc/net/tcp`).
fn unread(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let written = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            let bytes = u32::from_ne_bytes(address.ip().octets());
            format!("{bytes:08X}:{:04X}", address.port())
        }
        SocketAddr::V6(_) => panic!("it listens on IPv4"),
    };
    let ends = [written(local), written(remote)];
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1..3] == ends)?;
    let received = row[4].split_once(':').unwrap().1;
    Some(u64::from_str_radix(received, 16).unwrap())
}
