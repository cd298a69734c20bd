//! How the engines answer look-ups.

use diesel_accounts::{Engine, Error, NewUser, Timestamp, User};

use super::fill;
use crate::support::{PASSWORD, QueryLog, TestConnection, TestDb, assert_matches, on_each_engine};

on_each_engine!(every_look_up_is_answered_from_an_index,);

fn every_look_up_is_answered_from_an_index<C: TestConnection>(db: TestDb<C>) {
    fill(&db);
    let mut conn = db.connect();
    let log = QueryLog::of(&mut conn);
    let prepared =
        db.users.prepare(NewUser::new("USER42", "user4711@example.org", PASSWORD)).unwrap();
    let mut statements = Vec::new();
    let mut note = |act: &str, count: usize| {
        let sent: Vec<_> = log.take().into_iter().filter(|sent| sent.contains("SELECT")).collect();
        assert_eq!(sent.len(), count, "{act}: {sent:?}");
        statements.extend(sent.into_iter().map(|sent| (act.to_owned(), sent)));
    };
    let mut users = db.users.on(&mut conn);

    let user = users.user_by_username("user42").unwrap().unwrap();
    note("by username", 1);
    assert!(users.user_by_email("user42@example.org").unwrap().is_some());
    note("by email", 1);
    assert!(users.user_by_id(user.id()).unwrap().is_some());
    note("by id", 1);
    assert_matches!(users.create_user(&prepared), Err(Error::Taken(_)));
    note("conflict", 1);
    let page = users.list_users(None, 50).unwrap();
    assert_eq!(page.len(), 50);
    note("first page", 1);
    let next = users.list_users(page.last().map(User::cursor), 50).unwrap();
    assert_eq!(next.len(), 50);
    note("next page", 1);
    let middle = Timestamp::from_micros(2_500);
    let cursor = format!("{}.{}", middle.as_micros(), user.id()).parse().unwrap();
    assert_eq!(users.list_users(Some(cursor), 50).unwrap().len(), 50);
    note("page in the middle", 1);
    for (prefix, after) in [
        ("user1", None),
        ("user1", Some("user1500")),
        ("user123", None),
        ("", None),
        ("", Some("user2500")),
    ] {
        assert!(!users.users_by_username_prefix(prefix, after, 20).unwrap().is_empty());
        note(&format!("username prefix {prefix:?} after {after:?}"), 1);
        let after = after.map(|name| format!("{name}@example.org"));
        let found = users.users_by_email_prefix(prefix, after.as_deref(), 20);
        assert!(!found.unwrap().is_empty());
        note(&format!("email prefix {prefix:?} after {after:?}"), 1);
    }
    let in_transaction = conn.transaction(|conn| db.users.on(conn).create_user(&prepared));
    assert_matches!(in_transaction, Err(Error::Taken(_)));
    note("conflict in a transaction", if C::ENGINE == Engine::Mysql { 3 } else { 1 });

    // What has no index is told.
    let unindexed = conn.plan("SELECT id FROM account_users WHERE updated_at = 42");
    assert!(unindexed.iter().any(|step| is_scan(C::ENGINE, step)));

    let mut faults = Vec::new();
    for (act, statement) in statements {
        let query = with_binds(&statement, C::ENGINE);
        let plan = conn.plan(&query);
        assert!(!plan.is_empty(), "{query}");
        let begins_late = ["next", "middle", "after Some"].iter().any(|word| act.contains(word));
        let is_fault = |step: &&String| {
            is_scan(C::ENGINE, step) || begins_late && begins_at_the_first(C::ENGINE, step)
        };
        if let Some(fault) = plan.iter().find(is_fault) {
            faults.push(format!("{act}: {fault:?} of {plan:?}: {query}"));
        }
    }
    assert_eq!(faults, [""; 0]);
}

/// Whether a step of a plan reads all accounts of the realm up to those that are wanted.
fn begins_at_the_first(engine: Engine, step: &str) -> bool {
    // Nothing of the index is used but the 16 bytes of the realm.
    engine == Engine::Mysql && step.split(' ').nth(2) == Some("16")
}

/// Whether a step of a plan reads the whole table.
fn is_scan(engine: Engine, step: &str) -> bool {
    match engine {
        Engine::Mysql => step.starts_with("ALL "),
        Engine::Postgres => step.contains("Seq Scan"),
        _ => step.contains("SCAN") || (step.contains("SEARCH") && !step.contains("USING INDEX")),
    }
}

/// Puts the bound values of a logged statement into its text.
fn with_binds(statement: &str, engine: Engine) -> String {
    let (sql, binds) = statement.split_once(" -- binds: ").unwrap();
    let binds = binds.trim().trim_start_matches('[').trim_end_matches(']');
    let literals: Vec<_> = match binds {
        "" => Vec::new(),
        _ => binds.split(", ").map(|bind| literal(bind, engine)).collect(),
    };
    let mut query = sql.to_owned();
    match engine {
        Engine::Postgres => {
            for (index, literal) in literals.iter().enumerate().rev() {
                query = query.replace(&format!("${}", index + 1), literal);
            }
        }
        _ => {
            assert_eq!(query.matches('?').count(), literals.len(), "{statement}");
            for literal in &literals {
                query = query.replacen('?', literal, 1);
            }
        }
    }
    query
}

fn literal(bind: &str, engine: Engine) -> String {
    let inner = |name: &str| {
        let rest = bind.strip_prefix(name)?.strip_prefix('(')?;
        rest.strip_suffix(')').map(str::to_owned)
    };
    if let Some(present) = inner("Some") {
        literal(&present, engine)
    } else if let Some(id) = inner("UserId").or_else(|| inner("RealmId")) {
        match engine {
            Engine::Postgres => format!("'{id}'::uuid"),
            _ => format!("X'{}'", id.replace('-', "")),
        }
    } else if let Some(micros) = inner("Timestamp") {
        micros
    } else if let Some(text) = bind.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        format!("'{text}'")
    } else if bind == "Reserved" {
        "2".to_owned()
    } else if bind == "None" {
        "NULL".to_owned()
    } else {
        bind.parse::<i64>()
            .unwrap_or_else(|_| panic!("{bind} is a value of a new kind"))
            .to_string()
    }
}
