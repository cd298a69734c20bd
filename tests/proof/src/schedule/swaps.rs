//! Which statements of two actors come to the same in either order.

/// Whether a statement cannot be noticed by another session, nor notice one, so that nobody is
/// parked before it.
///
/// `BEGIN` alone takes no snapshot on any engine; `ROLLBACK TO SAVEPOINT` sets locks free. `SELECT 1`
/// is asked where no snapshot can be taken any more. Before the second row of a host its transaction
/// has written, and has its snapshot, already; and nobody else reads or writes that row. Counts of
/// wrong passwords are touched by whoever deletes, who is one only.
pub(super) fn is_private(statement: &str) -> bool {
    const AFTER: &str = "INSERT INTO host_rows VALUES (, 'after')";
    let begins = ["BEGIN ISOLATION", "GET DIAGNOSTICS", "RELEASE SAVEPOINT", "SAVEPOINT", "SET "];
    statement == "BEGIN"
        || statement == "SELECT "
        || statement == AFTER
        || statement == "BEGIN DEFERRED"
        || statement.contains("@diesel_accounts_errno")
        || statement.contains("account_attempts")
        || begins.iter().any(|begin| statement.starts_with(begin))
}

/// A statement before which an actor is parked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) statement: &'a str,
    /// Whether the actor is in a transaction of a host's, which ends with a statement of its own.
    pub(super) in_transaction: bool,
    /// Whether its readings lock.
    pub(super) reads_lock: bool,
    /// Whether it is the first that others could notice.
    pub(super) is_first: bool,
}

/// Whether the order of two steps makes no difference to anybody, and none to which call was over
/// before which: on servers, and as far as it is plain to see.
pub(super) fn can_be_swapped(one: Step<'_>, other: Step<'_>) -> bool {
    one.is_only_reading()
        && other.is_only_reading()
        && !one.may_follow(other)
        && !other.may_follow(one)
        || one.takes_a_snapshot_beside(other)
        || other.takes_a_snapshot_beside(one)
}

impl Step<'_> {
    fn is_only_reading(self) -> bool {
        let text = self.statement.trim_start_matches('(');
        text.starts_with("SELECT") && !text.contains("LOCK IN SHARE MODE") && !self.reads_lock
    }

    /// Whether its call may begin when that of the other is over.
    fn may_follow(self, other: Self) -> bool {
        self.is_first && !other.in_transaction
    }

    /// The first row of a host is read by nobody, and at most fixes the snapshot of its transaction:
    /// which is the same as long as nobody commits.
    fn takes_a_snapshot_beside(self, other: Self) -> bool {
        self.in_transaction
            && self.statement == "INSERT INTO host_rows VALUES (, 'before')"
            && other.in_transaction
            && !is_end(other.statement)
    }
}

/// Whether a statement locks the database of SQLite. One outside a transaction sets the lock free
/// before anybody else moves.
pub(super) fn is_writing(statement: &str) -> bool {
    let words = ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE", "DELETE", "INSERT", "UPDATE"];
    words.iter().any(|word| statement.starts_with(word))
}

pub(super) fn is_end(statement: &str) -> bool {
    statement.starts_with("COMMIT") || statement == "ROLLBACK"
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: &str = "(SELECT id FROM account_users WHERE realm = $) UNION ALL (SELECT id ..)";
    const FIRST_ROW: &str = "INSERT INTO host_rows VALUES (, 'before')";
    const INSERTS: &str = "INSERT INTO account_users (id) VALUES ($)";

    fn host(statement: &str) -> Step<'_> {
        Step { statement, in_transaction: true, reads_lock: false, is_first: false }
    }

    fn alone(statement: &str) -> Step<'_> {
        Step { in_transaction: false, ..host(statement) }
    }

    #[track_caller]
    fn assert_swaps(one: Step<'_>, other: Step<'_>, expected: bool) {
        assert_eq!((can_be_swapped(one, other), can_be_swapped(other, one)), (expected, expected));
    }

    #[test]
    fn readings_swap_unless_they_lock_or_part_two_calls() {
        assert_swaps(alone(READS), alone(READS), true);
        assert_swaps(host(READS), alone(READS), true);
        assert_swaps(host(READS), Step { reads_lock: true, ..host(READS) }, false);
        assert_swaps(host(READS), host("SELECT id FROM x LOCK IN SHARE MODE"), false);
        assert_swaps(alone(READS), Step { is_first: true, ..alone(READS) }, false);
        assert_swaps(host(READS), Step { is_first: true, ..host(READS) }, true);
        assert_swaps(host(READS), Step { is_first: true, ..alone(READS) }, true);
    }

    #[test]
    fn a_snapshot_swaps_with_what_commits_nothing() {
        let snapshot = Step { is_first: true, ..host(FIRST_ROW) };
        assert_swaps(snapshot, host(INSERTS), true);
        assert_swaps(snapshot, snapshot, true);
        assert_swaps(snapshot, host(READS), true);
        for end in ["COMMIT", "ROLLBACK"] {
            assert_swaps(snapshot, host(end), false);
        }
        // It commits by itself.
        assert_swaps(snapshot, alone(INSERTS), false);
    }

    #[test]
    fn writings_swap_with_nothing() {
        for other in [READS, INSERTS, "COMMIT", "DELETE FROM account_users WHERE id = $"] {
            assert_swaps(host(INSERTS), host(other), false);
            assert_swaps(alone(INSERTS), alone(other), false);
        }
    }
}
