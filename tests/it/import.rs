//! Accounts of another system: what comes of each, and what arrives.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel_accounts::{
    Argon2Cost, Engine, Error, ForeignHashes, Hashing, Identifiers, ImportOutcome, ImportSummary,
    ImportUser, InvalidImport, NewUser, PolicyBuilder, RealmId, Timestamp, UserId, UserManager,
    UserState,
};

use crate::support::{
    PASSWORD, QueryLog, TestConnection, TestDb, alice, assert_matches, bob, cheap_policy, debug_of,
    on_each_engine,
};

mod hashes;
mod together;
mod trouble;

on_each_engine!(
    each_kind_of_row_has_its_outcome_in_order,
    a_row_with_one_name_is_existing_only_where_the_account_has_no_other,
    duplicates_among_the_rows_are_found_in_any_spelling,
    the_names_of_a_reserved_account_are_taken,
    two_realms_import_the_same_people,
    ids_can_be_given_and_are_never_used_twice,
    times_and_states_arrive,
    five_hundred_rows_are_inserted_together,
    whoever_is_among_many_is_found,
    a_duplicate_in_a_batch_costs_one_insertion_more,
    whoever_is_there_is_found_by_either_name_at_once,
    a_row_that_the_host_swallows_is_not_said_to_be_created,
    no_secret_is_in_a_log_or_in_debug,
    who_was_there_is_not_said_to_be_created_where_the_host_swallows,
    all_of_many_batches_are_told_in_their_order,
    trouble_with_the_pool_ends_the_import,
);

/// The import is no way around the policy of creations.
#[test]
fn a_policy_without_foreign_hashes_imports_none() {
    let policy = cheap_policy().build().unwrap();
    let refused = policy.prepare_import(&row("ann", "ann@example.org")).unwrap().unwrap_err();
    assert_eq!(faults(&refused), "hash NotAccepted");
    assert_eq!(refused.to_string(), "the policy does not accept password hashes of this kind");
    let missing = policy.prepare_import(&ImportUser::new().username("ann")).unwrap().unwrap_err();
    assert_eq!(faults(&missing), "email required");
    assert!(policy.prepare(NewUser::new("ann", "ann@example.org", PASSWORD)).is_ok());
}

fn each_kind_of_row_has_its_outcome_in_order<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    db.create(alice());
    db.create(bob());
    let (heard, summary) = import(
        &users,
        [
            row("carol", "carol@example.org"),
            row("ALICE", "Alice@EXAMPLE.org"),
            row("alice", "other@example.org"),
            row("other", "alice@example.org"),
            row("alice", "bob@example.org"),
            row("a b", "nobody"),
            row("dave", "dave@example.org").password_hash("rot13$salt$hash$more$and$more"),
            row("a b", "dave@example.org").password_hash(CHEAP.replace("$1$", "$101$")),
            row("dave", "dave@example.org").password_hash(MD5),
            row("dave", "dave@example.org").layered_password_hash(ARGON2),
            ImportUser::new(),
            ImportUser::new().email("erin@example.org"),
            ImportUser::new().username("frank").email(" "),
        ],
    );
    assert_eq!(
        heard,
        [
            "created",
            "existing",
            "ByAnother: the username is taken",
            "ByAnother: the email is taken",
            "ByTwoAccounts: the username and the email are taken by two different accounts",
            "invalid: username character_not_allowed, email malformed",
            "invalid: hash Unknown",
            "invalid: username character_not_allowed, hash TooCostly",
            "invalid: hash OnlyLayered",
            "invalid: hash NotLayerable",
            "invalid: username required, email required",
            "created",
            "created",
        ]
    );
    assert_eq!(counts(summary), [3, 1, 3, 6, 0]);
    assert_eq!(db.count(), 5);
}

/// As `ImportOutcome::Existing` says: the same username and the same email. Somebody else's account
/// would be taken for the imported one, whose password and history would be lost without a word.
fn a_row_with_one_name_is_existing_only_where_the_account_has_no_other<C: TestConnection>(
    db: TestDb<C>,
) {
    let users = importing(&db);
    let only_email = || ImportUser::new().email("x@example.org").password_hash(CHEAP);
    let only_username = || ImportUser::new().username("ann").password_hash(CHEAP);
    let rows = || [row("alice", "x@example.org"), row("ann", "ann@example.org")];
    assert_eq!(import(&users, rows()).0, ["created", "created"]);
    let taken = ["ByAnother: the email is taken", "ByAnother: the username is taken"];
    assert_eq!(import(&users, [only_email(), only_username()]).0, taken);
    // And in one batch, whoever comes first.
    let elsewhere = users.in_realm(RealmId::from_bytes([3; 16]));
    let [first, second] = rows();
    let heard = import(&elsewhere, [only_email(), only_username(), first, second]).0;
    assert_eq!(heard, ["created", "created", taken[0], taken[1]]);
    assert_eq!(import(&elsewhere, [only_email(), only_username()]).0, ["existing", "existing"]);
}

fn duplicates_among_the_rows_are_found_in_any_spelling<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let (heard, _) = import(
        &users,
        [
            row("jos\u{e9}", "jose@b\u{fc}cher.example"),
            row("JOSE\u{301}", "JOSE@xn--bcher-kva.example"),
            row("Jos\u{e9}", "other@example.org"),
            row("other", "Jose@B\u{dc}CHER.example"),
            row("other", "other@example.org"),
            row("jos\u{e9}", "other@example.org"),
        ],
    );
    assert_eq!(
        heard,
        [
            "created",
            "existing",
            "ByAnother: the username is taken",
            "ByAnother: the email is taken",
            "created",
            "ByTwoAccounts: the username and the email are taken by two different accounts",
        ]
    );
    assert_eq!(db.count(), 2);
}

fn the_names_of_a_reserved_account_are_taken<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let id = db.create(alice()).id();
    db.users.reserve_user(id).unwrap();
    let (heard, _) = import(
        &users,
        [
            row("alice", "alice@example.org"),
            row("alice", "new@example.org"),
            row("new", "alice@example.org"),
            row("alice", "alice@example.org").id(id),
        ],
    );
    assert_eq!(
        heard,
        [
            "Reserved: the username and the email are taken",
            "Reserved: the username is taken",
            "Reserved: the email is taken",
            "Reserved: the username and the email are taken",
        ]
    );
    assert_eq!(db.count(), 1);
}

fn two_realms_import_the_same_people<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let elsewhere = users.in_realm(RealmId::from_bytes([7; 16]));
    for _ in 0..2 {
        assert_eq!(import(&users, people(0..3)).0.len(), 3);
        assert_eq!(import(&elsewhere, people(0..3)).0.len(), 3);
    }
    assert_eq!(counts(import(&users, people(0..4)).1), [1, 3, 0, 0, 0]);
    assert_eq!(counts(import(&elsewhere, people(0..3)).1), [0, 3, 0, 0, 0]);
    assert_eq!(users.list_users(None, 10).unwrap().len(), 4);
    assert_eq!(elsewhere.list_users(None, 10).unwrap().len(), 3);
    assert!(elsewhere.user_by_username("user3").unwrap().is_none());
    assert!(elsewhere.authenticate("user2", VECTOR_PASSWORD).unwrap().is_accepted());
}

fn ids_can_be_given_and_are_never_used_twice<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let (first, second) = (UserId::new(), UserId::new());
    let rows =
        || [row("ann", "ann@example.org").id(first), row("ben", "ben@example.org").id(second)];
    assert_eq!(import(&users, rows()).0, ["created", "created"]);
    assert_eq!(users.user_by_id(second).unwrap().unwrap().username(), Some("ben"));
    assert_eq!(import(&users, rows()).0, ["existing", "existing"]);
    let third = UserId::new();
    let (heard, summary) = import(
        &users,
        [
            row("new", "new@example.org").id(first),
            row("ben", "ben@example.org").id(first),
            row("cat", "cat@example.org").id(third),
            row("dan", "dan@example.org").id(third),
            row("eve", "eve@example.org"),
        ],
    );
    let reused = "failed: IdReused";
    assert_eq!(heard, [reused, reused, "created", reused, "created"]);
    assert_eq!(counts(summary), [2, 0, 0, 0, 3]);
    // An id of another realm.
    let elsewhere = users.in_realm(RealmId::from_bytes([7; 16]));
    assert_eq!(import(&elsewhere, rows()).0, [reused, reused]);
    assert_eq!(db.count(), 4);
}

fn times_and_states_arrive<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let [created, verified, seen] =
        [-86_400_000_001, 1_400_000_000_123_456, 1_500_000_000_999_999].map(Timestamp::from_micros);
    let old = row("ann", "ann@example.org")
        .created_at(created)
        .email_verified_at(verified)
        .last_sign_in_at(seen)
        .disabled();
    let before = Timestamp::now();
    let cat = row("cat", "cat@example.org").password_hash("!");
    assert_eq!(import(&users, [old, row("ben", "ben@example.org"), cat]).0, ["created"; 3]);
    let [ann, ben, cat] =
        ["ann", "ben", "cat"].map(|name| users.user_by_username(name).unwrap().unwrap());
    assert_eq!(ann.created_at(), created);
    assert_eq!(ann.email_verified_at(), Some(verified));
    assert_eq!(ann.last_sign_in_at(), Some(seen));
    assert_eq!(ann.password_changed_at(), Some(created));
    assert_eq!(ann.state(), UserState::Disabled);
    assert!(!users.authenticate("ann", VECTOR_PASSWORD).unwrap().is_accepted());
    users.enable_user(ann.id()).unwrap();
    assert!(users.authenticate("ann", VECTOR_PASSWORD).unwrap().is_accepted());

    assert!(ben.created_at() >= before && ann.updated_at() >= before);
    assert_eq!((ben.email_verified_at(), ben.last_sign_in_at()), (None, None));
    assert_eq!((ben.state(), cat.state()), (UserState::Active, UserState::Active));
    assert_eq!(cat.password_changed_at(), None);
}

fn five_hundred_rows_are_inserted_together<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let batch: Vec<_> = people(0..500)
        .map(|person| users.policy().prepare_import(&person).unwrap().unwrap())
        .collect();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    // On SQLite with a statement that is kept, in one transaction.
    let (insertions, commits) = if C::ENGINE == Engine::Sqlite { (500, 1) } else { (1, 0) };
    for (kind, look_ups) in [("created", 0), ("existing", 3)] {
        let outcomes = users.on(&mut conn).import_users(&batch).unwrap();
        assert!(outcomes.iter().all(|outcome| told(outcome) == kind));
        assert_eq!((log.count_of("INSERT"), log.count_of("SELECT")), (insertions, look_ups));
        assert_eq!(log.count_of("commit 1"), commits);
        log.take_all();
    }
    // In a transaction of the host's nothing is tried that would be refused.
    conn.transaction::<_, Error, _>(|conn| {
        log.take();
        let outcomes = users.on(conn).import_users(&batch)?;
        assert!(outcomes.iter().all(|outcome| told(outcome) == "existing"));
        assert_eq!((log.count_of("INSERT"), log.take().len()), (0, 3));
        Ok(())
    })
    .unwrap();
    assert!(users.on(&mut conn).import_users(&[]).unwrap().is_empty());
}

/// While one batch is imported the next is validated, by another thread.
fn all_of_many_batches_are_told_in_their_order<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    // One in each batch is invalid, and none is read long before it is needed.
    let read = std::cell::Cell::new(0);
    let rows = people(0..1700).enumerate().map(|(number, person)| {
        read.set(number + 1);
        if number % 500 == 77 { person.username("a b") } else { person }
    });
    let mut told_of = 0;
    let summary = users
        .import_users(rows, |number, outcome| {
            assert_eq!(number, told_of);
            told_of += 1;
            let is_invalid = matches!(outcome, ImportOutcome::Invalid(_));
            assert_eq!(is_invalid, number % 500 == 77, "{number} {outcome:?}");
            assert!(read.get() <= usize::try_from(number).unwrap() + 1500);
        })
        .unwrap();
    assert_eq!((told_of, read.get()), (1700, 1700));
    assert_eq!((summary.created(), summary.invalid()), (1696, 4));
    assert_eq!(db.count(), 1696);
    // Trouble ends it, however many are still to come.
    let read = std::cell::Cell::new(0);
    let endless = people(0..usize::MAX).inspect(|_| read.set(read.get() + 1));
    let trouble = TestDb::<C>::unreachable().import_users(endless, |_, _| ());
    assert_matches!(trouble, Err(Error::Pool(_)));
    assert!(read.get() <= 1001);
}

/// More than were ever inserted at once, and of all sizes that a batch can have on SQLite.
fn whoever_is_among_many_is_found<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let prepare = |person| users.policy().prepare_import(&person).unwrap().unwrap();
    let every_third: Vec<_> = people(0..9_000).step_by(3).map(prepare).collect();
    let all: Vec<_> = people(0..9_000).map(prepare).collect();
    let mut conn = db.connect();
    let outcomes = users.on(&mut conn).import_users(&every_third).unwrap();
    assert!(outcomes.iter().all(|outcome| told(outcome) == "created"));
    let outcomes = users.on(&mut conn).import_users(&all).unwrap();
    assert_eq!(outcomes.len(), all.len());
    for (number, outcome) in outcomes.iter().enumerate() {
        let expected = if number % 3 == 0 { "existing" } else { "created" };
        assert_eq!(told(outcome), expected, "{number}");
    }
    assert_eq!(db.count(), 9_000);
}

/// Those around it are inserted together all the same, by five hundred.
#[test]
fn one_that_is_refused_among_many_costs_few_single_insertions() {
    let db = TestDb::<diesel::SqliteConnection>::new();
    let users = importing(&db);
    let mut conn = db.connect();
    conn.batch_execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON account_users \
         WHEN NEW.username_key = 'user3000' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    let prepare = |person| users.policy().prepare_import(&person).unwrap().unwrap();
    let batch: Vec<_> = people(0..5_000).map(prepare).collect();
    let log = QueryLog::of(&mut conn);
    let outcomes = users.on(&mut conn).import_users(&batch).unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(told(outcome).starts_with("failed"), number == 3_000, "{number}");
    }
    let (mut in_transaction, mut single) = (false, 0);
    for entry in log.take_all() {
        match &*entry {
            "begin 1" => in_transaction = true,
            "commit 1" | "rollback 1" => in_transaction = false,
            entry => single += u32::from(entry.starts_with("INSERT") && !in_transaction),
        }
    }
    assert!((1..=500).contains(&single), "{single}");
}

/// Whatever it has in common with a row before it.
fn a_duplicate_in_a_batch_costs_one_insertion_more<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let id = UserId::new();
    let rows = [
        row("ann", "ann@example.org").id(id),
        row("ben", "ben@example.org"),
        row("cid", "cid@example.org"),
        row("ANN", "other@example.org"),
        row("other", "BEN@example.org"),
        row("dan", "dan@example.org").id(id),
    ];
    let batch: Vec<_> =
        rows.iter().map(|row| users.policy().prepare_import(row).unwrap().unwrap()).collect();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let outcomes = users.on(&mut conn).import_users(&batch).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| told(outcome) == "created").count(), 3);
    // The three that come first together, which on SQLite are a statement each.
    let together = if C::ENGINE == Engine::Sqlite { 3 } else { 1 };
    assert_eq!((log.count_of("INSERT"), db.count()), (together + 3, 3));
}

/// By each of its names: an account that has both is found by either, and is looked for by both.
fn whoever_is_there_is_found_by_either_name_at_once<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(import_policy().identifiers(Identifiers::Either));
    let by_name = ImportUser::new().username("ann").password_hash(CHEAP);
    let by_address = ImportUser::new().email("ben@example.org").password_hash(CHEAP);
    for person in [by_name, by_address] {
        let prepare = || users.policy().prepare_import(&person).unwrap().unwrap();
        let mut conn = db.connect();
        users.on(&mut conn).import_users(&[prepare()]).unwrap();
        let log = QueryLog::of(&mut conn);
        let outcomes = users.on(&mut conn).import_users(&[prepare()]).unwrap();
        assert!(outcomes.iter().all(|outcome| told(outcome) == "existing"));
        // That of the batch, and none of its own.
        assert_eq!(log.count_of("INSERT"), 1);
    }
}

fn a_row_that_the_host_swallows_is_not_said_to_be_created<C: TestConnection>(db: TestDb<C>) {
    db.connect()
        .batch_execute(match C::ENGINE {
            Engine::Sqlite => {
                "CREATE TRIGGER swallow BEFORE INSERT ON account_users \
                 WHEN NEW.username_key = 'ghost' BEGIN SELECT RAISE(IGNORE); END"
            }
            Engine::Postgres => {
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN IF NEW.username_key = 'ghost' THEN RETURN NULL; END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER swallow BEFORE INSERT ON account_users \
                 FOR EACH ROW EXECUTE FUNCTION swallow()"
            }
            // It cannot swallow a row, but it can refuse one.
            _ => {
                "CREATE TRIGGER swallow BEFORE INSERT ON account_users FOR EACH ROW \
                 IF NEW.username_key = 'ghost' THEN SIGNAL SQLSTATE '45000'; END IF"
            }
        })
        .unwrap();
    let mut outcomes = Vec::new();
    let users = importing(&db);
    let rows = [row("alice", "alice@example.org"), row("ghost", "ghost@example.org")];
    let summary = users
        .import_users(rows, |number, outcome| {
            outcomes.push((number, matches!(outcome, ImportOutcome::Failed(_))));
        })
        .unwrap();
    assert_eq!(outcomes, [(0, false), (1, true)]);
    // The other one is not said to have been there before.
    assert_eq!((summary.created(), summary.failed()), (1, 1));
    assert!(users.user_by_username("alice").unwrap().is_some());
    assert_eq!(db.count(), 1);
}

/// A trigger of the host's that swallows whoever is there, before the keys are looked at.
fn who_was_there_is_not_said_to_be_created_where_the_host_swallows<C: TestConnection>(
    db: TestDb<C>,
) {
    let there = "SELECT 1 FROM account_users u WHERE u.username_key = NEW.username_key";
    db.connect()
        .batch_execute(&match C::ENGINE {
            Engine::Sqlite => format!(
                "CREATE TRIGGER swallow BEFORE INSERT ON account_users \
                 WHEN EXISTS ({there}) BEGIN SELECT RAISE(IGNORE); END"
            ),
            Engine::Postgres => format!(
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN IF EXISTS ({there}) THEN RETURN NULL; END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER swallow BEFORE INSERT ON account_users \
                 FOR EACH ROW EXECUTE FUNCTION swallow()"
            ),
            // It has nothing like it.
            _ => "SELECT 1".to_owned(),
        })
        .unwrap();
    let users = importing(&db);
    let (ann, ben) = (UserId::new(), UserId::new());
    let rows = || [row("ann", "ann@example.org").id(ann), row("ben", "ben@example.org").id(ben)];
    assert_eq!(import(&users, rows()).0, ["created", "created"]);
    assert_eq!(import(&users, rows()).0, ["existing", "existing"]);
    let [_, ben] = rows();
    let cid = row("cid", "cid@example.org");
    assert_eq!(import(&users, [cid, ben]).0, ["created", "existing"]);
}

/// A trigger of the host's that stops the statement and keeps what it did before.
#[cfg(feature = "sqlite")]
#[test]
fn who_was_created_before_a_trigger_failed_is_said_to_be_created() {
    use diesel::connection::SimpleConnection;

    let db = TestDb::<diesel::SqliteConnection>::new();
    db.connect()
        .batch_execute(
            "CREATE TRIGGER fail BEFORE INSERT ON account_users \
             WHEN NEW.username_key = 'ghost' BEGIN SELECT RAISE(FAIL, 'no ghosts'); END",
        )
        .unwrap();
    let users = importing(&db);
    let rows = ["ann", "ben", "ghost", "cid"].map(|name| row(name, &format!("{name}@example.org")));
    let (heard, summary) = import(&users, rows);
    assert_eq!((&*heard[0], &*heard[1], &*heard[3]), ("created", "created", "created"));
    assert_eq!((summary.created(), summary.failed()), (3, 1));
    assert_eq!(db.count(), 3);
}

fn no_secret_is_in_a_log_or_in_debug<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let secret = || row("canary", "canary@example.org");
    let layered = secret().username("canary2").email("canary2@example.org");
    let rows = [
        secret(),
        layered.layered_password_hash(CHEAP),
        secret(),
        row("canary 3", "canary3").password_hash("canary$4$5$6"),
    ];
    for row in &rows {
        assert!(!debug_of(row).contains("canary"));
        assert_no_secret(&debug_of(row));
    }
    let prepared: Vec<_> =
        rows.iter().map(|row| users.policy().prepare_import(row).unwrap()).collect();
    assert!(!debug_of(&prepared).contains("canary"));
    assert_no_secret(&debug_of(&prepared));
    let batch: Vec<_> = prepared.into_iter().filter_map(Result::ok).collect();
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let outcomes = users.on(&mut conn).import_users(&batch).unwrap();
    assert!(!debug_of(&outcomes).contains("canary"), "{outcomes:?}");
    assert_no_secret(&debug_of(&outcomes));
    let summary = users.import_users(rows, |_, outcome| assert_no_secret(&debug_of(outcome)));
    assert!(!debug_of(&summary.unwrap()).contains("canary"));
    let log = log.take_all().join("\n");
    // What is searched for can be found: the log does hold the other bound values.
    assert!(log.contains("canary2") && log.contains("INSERT"), "{log}");
    assert_no_secret(&log);
}

fn trouble_with_the_pool_ends_the_import<C: TestConnection>(db: TestDb<C>) {
    let users = TestDb::<C>::unreachable();
    let heard_nothing = |_, outcome: &ImportOutcome| panic!("{outcome:?}");
    let refused = users
        .import_users([ImportUser::new().username("ann").email("a@example.org")], heard_nothing);
    assert_matches!(refused, Err(Error::Pool(_)));
    // Nobody to import: no connection is needed.
    assert_eq!(users.import_users([], heard_nothing).unwrap(), ImportSummary::default());
    assert_eq!(db.count(), 0);
}

/// A manager that takes all cheap hashes.
pub(crate) fn importing<C: TestConnection>(db: &TestDb<C>) -> UserManager<C> {
    db.users_with(import_policy())
}

fn import_policy() -> PolicyBuilder {
    let foreign = ForeignHashes::none()
        .argon2(Argon2Cost::new(1024, 3, 4).unwrap())
        .bcrypt(5)
        .layered()
        // ASP.NET's version 2 cuts two blocks.
        .pbkdf2_sha1(2_000)
        .pbkdf2_sha256(100)
        .pbkdf2_sha512(100)
        .scrypt(8, 8, 5);
    let hashing = Hashing::new()
        .cost(Argon2Cost::new(8, 1, 1).unwrap())
        .longest_wait(Duration::from_secs(60))
        .accept(foreign);
    cheap_policy().identifiers(Identifiers::Either).hashing(hashing)
}

/// What was heard of each row, in order; the numbers must be those of the rows.
pub(crate) fn import<C: TestConnection>(
    users: &UserManager<C>,
    rows: impl IntoIterator<Item = ImportUser>,
) -> (Vec<String>, ImportSummary) {
    let mut heard = Vec::new();
    let summary = users
        .import_users(rows, |number, outcome| {
            assert_eq!(number, heard.len() as u64);
            heard.push(told(outcome));
        })
        .unwrap();
    assert_eq!(counts(summary).iter().sum::<u64>(), heard.len() as u64);
    (heard, summary)
}

pub(crate) fn told(outcome: &ImportOutcome) -> String {
    match outcome {
        ImportOutcome::Created(_) => "created".to_owned(),
        ImportOutcome::Existing(_) => "existing".to_owned(),
        ImportOutcome::Taken(taken) => format!("{:?}: {taken}", taken.reason()),
        ImportOutcome::Invalid(invalid) => format!("invalid: {}", faults(invalid)),
        ImportOutcome::Failed(error) => {
            let text = format!("{error:?}");
            format!("failed: {}", text.split([' ', '(']).next().unwrap())
        }
        other => panic!("{other:?}"),
    }
}

fn faults(invalid: &InvalidImport) -> String {
    let fields = invalid.fields().into_iter().flat_map(|fields| fields.errors());
    let fields = fields.map(|error| format!("{} {}", error.field(), error.code()));
    let hash = invalid.hash().map(|hash| format!("hash {hash:?}"));
    fields.chain(hash).collect::<Vec<_>>().join(", ")
}

/// Created, existing, taken, invalid, failed.
pub(crate) fn counts(summary: ImportSummary) -> [u64; 5] {
    [summary.created(), summary.existing(), summary.taken(), summary.invalid(), summary.failed()]
}

pub(crate) fn row(username: &str, email: &str) -> ImportUser {
    ImportUser::new().username(username).email(email).password_hash(CHEAP)
}

/// Made-up people, each with a number.
pub(crate) fn people(numbers: std::ops::Range<usize>) -> impl Iterator<Item = ImportUser> {
    numbers.map(|number| row(&format!("user{number}"), &format!("user{number}@example.org")))
}

fn assert_no_secret(text: &str) {
    for secret in
        ["oDS2GIx", "argon2id$", "foreign$", "layered$", "pbkdf2", "vAvbOAKErSjePcmcH5sPHY"]
    {
        assert!(!text.contains(secret), "{text}");
    }
}

pub(crate) const VECTOR_PASSWORD: &str = "Correct-horse-42";

/// Of the vectors: `VECTOR_PASSWORD`.
pub(crate) const CHEAP: &str =
    "pbkdf2_sha256$1$vAvbOAKErSjePcmcH5sPHY$oDS2GIx+kzcFDjjb+JJC2tCrn6PHQqQZbROHToOEsOY=";
const MD5: &str = "md5$4XvZybrxa44R75sgsroDLn$3c0942ff71e2e3991db6fffc942a1b9a";
const ARGON2: &str = "argon2$argon2id$v=19$m=64,t=1,p=1$R3hJRFVGZnJCcEw2WHlETmhiaXczTg$\
                      Tq/4qFIbgiEWy6AJoNEJcaAmzOqZG/73T+E92YEjDeI";
