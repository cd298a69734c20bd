//! How many statements a check sends, and that it is none in a host's transaction.

use diesel_accounts::{Error, LimitAnswer};
use diesel_accounts_proof::database::ProofConnection;

use crate::support::{HOUR, MINUTE, Stage, Statements, client, micros, on_each_engine, quota};

on_each_engine!(
    a_known_key_is_admitted_by_one_statement_and_refused_by_two_and_a_first_one_takes_three,
    a_check_in_a_transaction_of_the_host_is_refused_and_writes_nothing,
);

fn a_known_key_is_admitted_by_one_statement_and_refused_by_two_and_a_first_one_takes_three<
    C: ProofConnection,
>(
    stage: Stage<C>,
) {
    let mut conn = stage.database.connect();
    let statements = Statements::of(&mut conn);
    let quota = quota(2, HOUR);
    // Often enough that some come with a sweep.
    for name in 0..64 {
        let key = client(&stage.users, &format!("{name}"));
        let mut check = || stage.users.on(&mut conn).check_limit(key, quota).unwrap();
        assert_eq!(check(), LimitAnswer::Admitted);
        assert_eq!(statements.take_kinds(), ["UPDATE", "SELECT", "INSERT"]);
        assert_eq!(check(), LimitAnswer::Admitted);
        assert_eq!(statements.take_kinds(), ["UPDATE"]);
        assert_eq!(check().refused(), Some(30 * MINUTE));
        assert_eq!(statements.take_kinds(), ["UPDATE", "SELECT"]);
    }
}

/// Its rollback would erase the count. The transaction is none the worse for it.
fn a_check_in_a_transaction_of_the_host_is_refused_and_writes_nothing<C: ProofConnection>(
    stage: Stage<C>,
) {
    let (known, new) = (client(&stage.users, "known"), client(&stage.users, "new"));
    let quota = quota(2, HOUR);
    assert_eq!(stage.check(known, quota), None);
    stage.execute("CREATE TABLE host_rows (number BIGINT NOT NULL)");
    let mut conn = stage.database.connect();
    conn.transaction(|conn| {
        conn.batch_execute("INSERT INTO host_rows VALUES (1)")?;
        let statements = Statements::of(conn);
        for key in [known, new, known] {
            let answer = stage.users.on(conn).check_limit(key, quota);
            assert!(matches!(answer, Err(Error::TransactionOpen)), "{answer:?}");
        }
        assert_eq!(statements.take(), [""; 0]);
        conn.batch_execute("INSERT INTO host_rows VALUES (2)")?;
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(stage.arrivals(), [stage.clock.micros() + micros(30 * MINUTE)]);
    let host_rows = "SELECT COUNT(*) AS number FROM host_rows";
    assert_eq!(conn.numbers(host_rows).unwrap(), [2]);
    // And outside it the same connection is answered.
    assert_eq!(stage.users.on(&mut conn).check_limit(new, quota).unwrap(), LimitAnswer::Admitted);
}
