//! What MariaDB does with statements that a time-out or `KILL QUERY` stops, and what we make of it.

use diesel::MysqlConnection;
use diesel::connection::SimpleConnection;
use diesel_accounts::{Error, NewUser};
use diesel_accounts_proof::database::Database;

/// MariaDB answers a `DELETE` that a time-out or `KILL QUERY` stops with success and no rows, about
/// once in three times: only a look at the row tells.
#[test]
fn a_deletion_that_mariadb_stops_does_not_say_that_nobody_is_there() {
    let database = Database::<MysqlConnection>::new();
    let users = database.users(1);
    let limited = || {
        let mut conn = database.connect();
        // A statement that was stopped may never be answered.
        conn.batch_execute("SET max_statement_time = 0.0001, wait_timeout = 1").unwrap();
        conn
    };
    let mut conn = limited();
    let alice = || NewUser::new("alice", "alice@example.org", "correct horse");
    let (mut id, mut stopped) = (users.create_user(alice()).unwrap().created().unwrap().id(), 0);
    for _ in 0..300 {
        match users.on(&mut conn).delete_user(id) {
            Ok(()) => id = users.create_user(alice()).unwrap().created().unwrap().id(),
            Err(Error::UserNotFound) => {
                let there = users.user_by_id(id).unwrap();
                assert!(there.is_none(), "after {stopped} others that were stopped");
                id = users.create_user(alice()).unwrap().created().unwrap().id();
            }
            Err(_) => {
                stopped += 1;
                conn = limited();
            }
        }
    }
    assert!(stopped > 0, "none was stopped: there is nothing to be seen");
}
