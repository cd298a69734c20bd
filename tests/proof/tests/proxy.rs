//! The proxy does to connections what the proofs rely on.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection};
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::proxy::{Fault, Place, Proxy};

#[test]
fn each_message_is_counted_once() {
    // Query; Parse, Bind, Describe, Execute, Sync.
    are_counted_once::<PgConnection>(1, 5);
    // Several statements at once are allowed, sent, forbidden; prepare, execute, close.
    are_counted_once::<MysqlConnection>(3, 3);
}

fn are_counted_once<C: ProofConnection>(of_plain_sql: u64, of_a_statement: u64) {
    let scene = Scene::<C>::new();
    let mut conn = scene.connect();
    scene.proxy.set_fault(Fault::None);
    conn.batch_execute("SELECT 1").unwrap();
    assert_eq!(scene.proxy.messages(), of_plain_sql);
    let rows = "SELECT COUNT(*) AS number FROM things";
    assert_eq!(conn.numbers(rows), Ok(vec![0]));
    // The last one is not answered.
    let all = of_plain_sql + of_a_statement;
    scene.proxy.wait_until(|proxy| proxy.messages() >= all);
    conn.batch_execute("SELECT 1").unwrap();
    assert_eq!(scene.proxy.messages(), all + of_plain_sql);
    assert_eq!(scene.proxy.strikes(), 0);
}

#[test]
fn a_statement_is_executed_only_if_it_was_cut_after() {
    is_executed_only_if_cut_after::<PgConnection>(2);
    is_executed_only_if_cut_after::<MysqlConnection>(5);
}

fn is_executed_only_if_cut_after<C: ProofConnection>(at: u64) {
    let scene = Scene::<C>::new();
    for place in Place::IN_ORDER {
        let mut conn = scene.connect();
        scene.proxy.set_fault(Fault::Cut { at, place });
        conn.batch_execute("INSERT INTO things VALUES (1)").unwrap();
        conn.batch_execute("DELETE FROM things").unwrap_err();
        assert_eq!(scene.proxy.strikes(), 1);
        let left = i64::from(place != Place::After);
        assert_eq!(scene.things(), left, "{place:?} on {:?}", C::ENGINE);
        scene.server.connect().batch_execute("DELETE FROM things").unwrap();
        // Only one connection was cut, and only once.
        scene.connect();
    }
}

#[test]
fn every_statement_of_a_message_that_was_cut_after_is_executed() {
    let scene = Scene::<MysqlConnection>::new();
    let mut conn = scene.connect();
    scene.proxy.set_fault(Fault::Cut { at: 2, place: Place::After });
    let inserts = "INSERT INTO things VALUES (1); DO SLEEP(0.05); INSERT INTO things VALUES (2)";
    conn.batch_execute(inserts).unwrap_err();
    assert_eq!(scene.things(), 2);
}

#[test]
fn a_statement_that_is_cut_unheard_is_executed_later() {
    let scene = Scene::<PgConnection>::new();
    let mut conn = scene.connect();
    let mut other = scene.server.connect();
    other.batch_execute("BEGIN; LOCK TABLE things").unwrap();
    scene.proxy.set_fault(Fault::Cut { at: 1, place: Place::AfterUnheard });
    conn.batch_execute("INSERT INTO things VALUES (1)").unwrap_err();
    assert_eq!(scene.proxy.connections(), 1);
    other.batch_execute("COMMIT").unwrap();
    scene.proxy.wait_until(|proxy| proxy.connections() == 0);
    assert_eq!(scene.things(), 1);
}

#[test]
fn a_client_can_be_cut_while_it_connects() {
    can_be_cut_while_it_connects::<PgConnection>();
    can_be_cut_while_it_connects::<MysqlConnection>();
}

fn can_be_cut_while_it_connects<C: ProofConnection>() {
    let scene = Scene::<C>::new();
    for place in Place::IN_ORDER {
        scene.proxy.set_fault(Fault::Cut { at: 1, place });
        assert!(C::establish(&scene.url).is_err(), "{place:?}");
        assert_eq!(scene.proxy.strikes(), 1);
    }
    scene.connect();
}

#[test]
fn a_cut_for_good_lets_nobody_connect_again() {
    let scene = Scene::<MysqlConnection>::new();
    let mut conn = scene.connect();
    scene.proxy.set_fault(Fault::CutForGood { at: 1, place: Place::After });
    conn.batch_execute("SELECT 1").unwrap_err();
    assert!(MysqlConnection::establish(&scene.url).is_err());
    scene.proxy.set_fault(Fault::None);
    scene.connect();
}

#[test]
fn a_reset_is_no_end_in_order() {
    let scene = Scene::<PgConnection>::new();
    for fault in [Fault::Reset, Fault::Cut { at: 1, place: Place::BeforeByReset }] {
        scene.proxy.set_fault(fault);
        let error = scene.answer_to(POSTGRES_START).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    scene.proxy.set_fault(Fault::Cut { at: 1, place: Place::Before });
    assert!(scene.answer_to(POSTGRES_START).unwrap().is_empty());

    scene.proxy.set_fault(Fault::None);
    scene.proxy.wait_until(|proxy| proxy.connections() == 0);
    let mut client = TcpStream::connect(scene.proxy.port()).unwrap();
    scene.proxy.wait_until(|proxy| proxy.connections() == 1);
    scene.proxy.reset_all();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_black_hole_is_silent_until_it_is_told_to_end() {
    let scene = Scene::<PgConnection>::new();
    let end_the_fault = |proxy: &Proxy| {
        proxy.set_fault(Fault::None);
    };
    for ends in [end_the_fault, Proxy::cut_all] {
        scene.proxy.set_fault(Fault::BlackHole);
        let mut client = TcpStream::connect(scene.proxy.port()).unwrap();
        client.write_all(POSTGRES_START).unwrap();
        scene.proxy.wait_until(|proxy| proxy.messages() == 1);
        client.set_nonblocking(true).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.set_nonblocking(false).unwrap();
        ends(&scene.proxy);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        scene.proxy.wait_until(|proxy| proxy.connections() == 0);
    }
}

#[test]
fn a_black_hole_can_begin_at_a_message() {
    let scene = Scene::<PgConnection>::new();
    let mut conn = scene.connect();
    scene.proxy.set_fault(Fault::From { at: 2, fault: Box::new(Fault::BlackHole) });
    conn.batch_execute("SELECT 1").unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(|| conn.batch_execute("INSERT INTO things VALUES (1)"));
        scene.proxy.wait_until(|proxy| proxy.strikes() == 1);
        assert!(!call.is_finished());
        scene.proxy.set_fault(Fault::None);
        call.join().unwrap().unwrap_err();
    });
    assert_eq!(scene.things(), 0);
}

#[test]
fn bytes_can_be_handed_on_one_by_one() {
    are_handed_on_one_by_one::<PgConnection>();
    are_handed_on_one_by_one::<MysqlConnection>();
}

fn are_handed_on_one_by_one<C: ProofConnection>() {
    let scene = Scene::<C>::new();
    scene.proxy.set_fault(Fault::Slow { pause: Duration::from_micros(50) });
    scene.connect().batch_execute("INSERT INTO things VALUES (1)").unwrap();
    assert_eq!(scene.things(), 1);
}

#[test]
fn connections_can_be_refused_and_hung_up_and_come_again() {
    let scene = Scene::<PgConnection>::new();
    let mut conn = scene.connect();
    scene.proxy.set_fault(Fault::HangUp);
    assert!(scene.answer_to(&[]).unwrap().is_empty());
    conn.batch_execute("SELECT 1").unwrap();

    scene.proxy.set_fault(Fault::Refuse);
    let error = TcpStream::connect(scene.proxy.port()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    conn.batch_execute("SELECT 1").unwrap_err();

    scene.proxy.set_fault(Fault::None);
    scene.connect();
}

#[test]
fn chance_repeats_itself_with_the_same_seed() {
    let scene = Scene::<MysqlConnection>::new();
    let places = vec![Place::Before, Place::BeforeByReset, Place::Middle, Place::After];
    let run = |seed, per_mille| {
        scene.proxy.set_fault(Fault::Random { seed, per_mille, places: places.clone() });
        let connects = |_| {
            let is_connected = MysqlConnection::establish(&scene.url).is_ok();
            // Its last words are not answered: they are not to come after the first of the next.
            scene.proxy.wait_until(|proxy| proxy.connections() == 0);
            is_connected
        };
        ((0..50).map(connects).collect::<Vec<_>>(), scene.proxy.strikes())
    };
    let first = run(1, 100);
    assert_eq!(first, run(1, 100));
    assert_ne!(first, run(2, 100));
    assert!((1..50).contains(&first.1), "{first:?}");
    assert_eq!(run(1, 0).1, 0);
    assert_eq!(run(1, 1000), (vec![false; 50], 50));
}

#[test]
fn all_connections_can_be_cut_and_end_with_the_proxy() {
    let scene = Scene::<MysqlConnection>::new();
    let mut connections = [scene.connect(), scene.connect()];
    assert_eq!(scene.proxy.connections(), 2);
    scene.proxy.cut_all();
    scene.proxy.wait_until(|proxy| proxy.connections() == 0);
    for conn in &mut connections {
        conn.batch_execute("SELECT 1").unwrap_err();
    }
    let mut conn = scene.connect();
    drop(scene.proxy);
    conn.batch_execute("SELECT 1").unwrap_err();
}

/// A database with a table, and a proxy in front of its server.
struct Scene<C: ProofConnection> {
    server: Database<C>,
    proxy: Proxy,
    url: String,
}

impl<C: ProofConnection> Scene<C> {
    fn new() -> Self {
        let server = Database::<C>::new();
        server.connect().batch_execute("CREATE TABLE things (id INTEGER)").unwrap();
        let proxy = Proxy::in_front_of(C::ENGINE, server.url());
        let url = proxy.url(server.url());
        Self { server, proxy, url }
    }

    /// A connection whose messages have all been counted: every message of plain SQL is answered.
    fn connect(&self) -> C {
        let mut conn = C::establish(&self.url).unwrap();
        conn.batch_execute("SELECT 1").unwrap();
        conn
    }

    /// How many rows there are, asked of the server itself.
    fn things(&self) -> i64 {
        let rows = "SELECT COUNT(*) AS number FROM things";
        self.server.connect().numbers(rows).unwrap()[0]
    }

    /// Everything that comes until the connection ends.
    fn answer_to(&self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut client = TcpStream::connect(self.proxy.port())?;
        client.write_all(bytes)?;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

const POSTGRES_START: &[u8] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
