//! Clients that go away, that come while the service stops, and that read nothing.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel_accounts::Engine;
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::wait::wait_until;

use crate::client::{Client, REGISTER};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::{Service, Setup};
use crate::table::count;

on_each_engine!(
    what_was_begun_for_clients_that_are_gone_is_done_before_the_end,
    who_comes_while_it_stops_is_served_and_told_that_it_stops,
);

fn what_was_begun_for_clients_that_are_gone_is_done_before_the_end<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let mut service = Setup::on(&database).start();
    let streams: Vec<_> = (0..30)
        .map(|number| {
            let mut stream = connect(service.client());
            let body = Person::new(&format!("user{number}")).registration().to_string();
            write!(
                stream,
                "POST {REGISTER} HTTP/1.1\r\nhost: localhost\r\nidempotency-key: canary-key-{number}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            stream
        })
        .collect();
    wait_until("all are begun", || count(&database, "service_requests") == 30);
    drop(streams);
    // Some are still being hashed, and none of those is done before nobody is let in any more.
    let (lock, unlock) = lock_of_accounts(C::ENGINE);
    let mut holder = database.connect();
    holder.batch_execute(lock).unwrap();
    service.signal("TERM");
    wait_until("nobody is let in", || TcpStream::connect(service.client().address()).is_err());
    let done = number_of_accounts(&mut holder);
    holder.batch_execute(unlock).unwrap();
    assert!(done < 30, "nothing was left to be done");
    assert_eq!(service.ended().code(), Some(0), "{}", service.output());
    assert_eq!(count(&database, "account_users"), 30);
    assert_eq!(count(&database, "service_requests WHERE running_until > 0"), 0);
    assert_eq!(service.log().last().unwrap()["message"], "stopped");
}

/// Whoever distributes requests has to hear of it first. Here it would take connections for an hour:
/// being told the same again changes nothing, and somebody at a terminal ends it.
fn who_comes_while_it_stops_is_served_and_told_that_it_stops<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let mut service = Setup::on(&database).set("GRACE", "3600").start();
    service.signal("TERM");
    wait_until("it stops", || service.output().contains("\"stopping\""));
    service.signal("TERM");
    // A client of its own has no connection yet.
    let client = Client::new(service.client().address());
    assert_eq!(client.get("/readyz").status, 503);
    assert_eq!(client.get("/healthz").status, 200);
    client.registered(&Person::new("alice"));
    service.signal("INT");
    assert_eq!(service.ended().code(), Some(0), "{}", service.output());
    assert_eq!(service.log().last().unwrap()["message"], "stopped at once, for it was told again");
    assert_eq!(count(&database, "account_users"), 1);
}

/// Until the request is given up, as it would be without the end.
#[test]
fn who_sends_half_a_body_keeps_the_process_for_a_while_only() {
    let database = Database::<SqliteConnection>::empty();
    let mut service = Setup::on(&database).set("GRACE", "0").start();
    let mut stream = connect(service.client());
    write!(
        stream,
        "POST {REGISTER} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n"
    )
    .unwrap();
    // It says so when it begins to read the body.
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 100");
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0), "{}", service.output());
    assert_eq!(service.log().last().unwrap()["message"], "stopped");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 503 "), "{answer}");
}

/// More answers are asked for than fit on the way, and none is read.
#[test]
fn who_reads_nothing_is_let_go() {
    let database = Database::<SqliteConnection>::empty();
    let service = Setup::on(&database).start();
    let mut stream = connect(service.client());
    stream.set_nonblocking(true).unwrap();
    let ours = stream.local_addr().unwrap().port();
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    wait_until("nothing goes out any more", || match stream.write(requests.as_bytes()) {
        Ok(sent) => sent < requests.len(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    });
    assert!(is_connected(&service, ours));
    wait_until("it lets go", || !is_connected(&service, ours));
    assert_eq!(service.client().get("/healthz").status, 200);
    service.stop();
}

#[test]
fn who_sends_half_a_head_is_let_go() {
    let database = Database::<SqliteConnection>::empty();
    let service = Setup::on(&database).start();
    let mut stream = connect(service.client());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n").unwrap();
    let ours = stream.local_addr().unwrap().port();
    assert!(is_connected(&service, ours));
    wait_until("it lets go", || !is_connected(&service, ours));
    assert_eq!(service.client().get("/healthz").status, 200);
    service.stop();
}

/// What keeps everybody from creating an account, and what ends it.
fn lock_of_accounts(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Sqlite => ("BEGIN IMMEDIATE", "ROLLBACK"),
        Engine::Postgres => ("BEGIN; LOCK TABLE account_users", "ROLLBACK"),
        _ => ("LOCK TABLES account_users WRITE", "UNLOCK TABLES"),
    }
}

/// As whoever holds the lock sees them.
fn number_of_accounts<C: ProofConnection>(holder: &mut C) -> i64 {
    holder.numbers("SELECT COUNT(*) AS number FROM account_users").unwrap()[0]
}

fn connect(client: &Client) -> TcpStream {
    let stream = TcpStream::connect(client.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Whether the service still has a connection from a port open (proc(5), `/proc/net/tcp`).
fn is_connected(service: &Service, port: u16) -> bool {
    let (_, own) = service.client().address().rsplit_once(':').unwrap();
    let ends = [own.parse().unwrap(), port].map(|port: u16| format!(":{port:04X}"));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>()).any(|row| {
        row[1].ends_with(&ends[0]) && row[2].ends_with(&ends[1]) && row[3] == ESTABLISHED
    })
}

const ESTABLISHED: &str = "01";
