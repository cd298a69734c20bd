//! The harness does what the proofs rely on.

use std::fs;
use std::net::TcpListener;
use std::thread;

use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::NewUser;
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::servers::Server;
use diesel_accounts_proof::wait::wait_until;

#[test]
fn a_database_is_empty_and_has_our_schema() {
    is_empty_and_has_our_schema::<SqliteConnection>();
    is_empty_and_has_our_schema::<PgConnection>();
    is_empty_and_has_our_schema::<MysqlConnection>();
}

fn is_empty_and_has_our_schema<C: ProofConnection>() {
    let database = Database::<C>::new();
    let rows = "SELECT COUNT(*) AS number FROM account_users";
    assert_eq!(database.connect().numbers(rows), Ok(vec![0]));
}

#[test]
fn a_server_that_was_killed_has_kept_its_accounts() {
    keeps_its_accounts::<PgConnection>(Server::postgres(&[]));
    keeps_its_accounts::<MysqlConnection>(Server::mariadb(&[]));
}

fn keeps_its_accounts<C: ProofConnection>(mut server: Server) {
    let database = Database::<C>::on(&server.url());
    let users = database.users(1);
    let alice = NewUser::new("alice", "alice@example.org", "correct horse");
    assert!(users.create_user(alice).unwrap().is_created());
    server.kill();
    server.start_again();
    assert!(users.user_by_username("alice").unwrap().is_some());
}

#[test]
fn a_server_whose_port_is_taken_is_started_once_more() {
    is_started_once_more(Server::postgres(&[]), "Address already in use");
    is_started_once_more(Server::mariadb(&[]), "Address already in use");
}

fn is_started_once_more(mut server: Server, words: &str) {
    server.kill();
    let log = server.data().with_file_name("log");
    let other = TcpListener::bind(server.port()).unwrap();
    let is_told = || fs::read_to_string(&log).unwrap().contains(words);
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the port was taken", is_told);
            drop(other);
        });
        // Not in that thread: the kernel ends a server with the thread that started it.
        server.start_again();
    });
    assert!(is_told());
    match server.url().starts_with("mysql") {
        true => drop(MysqlConnection::establish(&server.url()).unwrap()),
        false => drop(PgConnection::establish(&server.url()).unwrap()),
    }
}
