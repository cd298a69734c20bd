//! Who is limited is not to be found in the table, nor in what is printed.

use diesel_accounts::{
    Accounts, DatabaseLimiter, Engine, LimitKey, LimitedBy, ProcessLimiter, RateLimiter, SecretKey,
};
use diesel_accounts_proof::database::{ProofConnection, policy};

use crate::support::{HOUR, Stage, Statements, on_each_engine, quota};

on_each_engine!(
    no_name_is_in_the_table,
    no_name_is_printed,
    keys_of_another_secret_are_others,
    the_statements_of_a_check_show_no_name,
);

fn no_name_is_in_the_table<C: ProofConnection>(stage: Stage<C>) {
    let users = stage.instance_with(policy().clock(stage.clock.clone()).secret_key(secret(1)));
    for (number, by) in SUBJECTS.into_iter().enumerate() {
        let keys = [stage.users.limit_key("register", by), users.limit_key("register", by)];
        for key in keys {
            assert_eq!(stage.check(key, quota(1, HOUR)), None);
        }
        assert_eq!(stage.arrivals().len(), 2 * (number + 1));
    }
    let columns = match C::ENGINE {
        Engine::Sqlite => "pragma_table_info('account_limits')",
        Engine::Postgres => {
            "information_schema.columns \
             WHERE table_name = 'account_limits' AND table_schema = current_schema()"
        }
        _ => {
            "information_schema.columns \
             WHERE table_name = 'account_limits' AND table_schema = DATABASE()"
        }
    };
    let columns = format!("SELECT COUNT(*) AS number FROM {columns}");
    assert_eq!(stage.database.connect().numbers(&columns).unwrap(), [2], "an id and a time");
    for name in NAMES {
        assert_eq!(rows_with_a_part_of(&stage, name), 0, "{name}");
    }

    // And it would be found.
    let id = "616C696365406578616D706C652E6F72";
    let id = match C::ENGINE {
        Engine::Postgres => format!("'{id}'"),
        _ => format!("X'{id}'"),
    };
    stage.execute(&format!("INSERT INTO account_limits VALUES ({id}, 0)"));
    assert_eq!(rows_with_a_part_of(&stage, "alice@example.org"), 1);
}

/// How many rows have any four bytes in a row of this name in their ids.
fn rows_with_a_part_of<C: ProofConnection>(stage: &Stage<C>, name: &str) -> i64 {
    let id = match C::ENGINE {
        Engine::Postgres => "UPPER(REPLACE(id::text, '-', ''))",
        _ => "HEX(id)",
    };
    let has_part = |part: &[u8]| {
        let part: String = part.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("{id} LIKE '%{part}%'")
    };
    let has_any = name.as_bytes().windows(4).map(has_part).collect::<Vec<_>>().join(" OR ");
    let query = format!("SELECT COUNT(*) AS number FROM account_limits WHERE {has_any}");
    stage.database.connect().numbers(&query).unwrap()[0]
}

fn no_name_is_printed<C: ProofConnection>(stage: Stage<C>) {
    let users = stage.instance_with(policy().clock(stage.clock.clone()).secret_key(secret(1)));
    let quota = quota(1, HOUR);
    let limiters: [Box<dyn RateLimiter>; 2] =
        [Box::new(DatabaseLimiter::new(&users)), Box::new(ProcessLimiter::new())];
    for by in SUBJECTS {
        let key = users.limit_key("register", by);
        let mut printed = format!("{by:?} {by:#?} {key:?} {key:#?} {limiters:?} {limiters:#?}");
        for limiter in &limiters {
            let answers = [limiter.check(key, quota), limiter.check(key, quota)];
            printed.push_str(&format!("{answers:?} {answers:#?} {limiter:?}"));
        }
        assert_no_name(&printed);
        let bytes = format!("{:?}", key.as_bytes());
        assert!(!printed.contains(bytes.trim_matches(['[', ']'])), "{printed}");
    }
    let key = users.limit_key("register", SUBJECTS[0]);
    stage.execute("DROP TABLE account_limits");
    let error = limiters[0].check(key, quota).unwrap_err();
    assert_no_name(&format!("{error} {error:?} {error:#?}"));
}

fn keys_of_another_secret_are_others<C: ProofConnection>(stage: Stage<C>) {
    let policies = [policy(), policy().secret_key(secret(1)), policy().secret_key(secret(2))];
    let managers = policies.map(|policy| stage.instance_with(policy.clock(stage.clock.clone())));
    let keys = SUBJECTS.map(|by| managers.each_ref().map(|users| users.limit_key("reset", by)));
    for (number, key) in keys.as_flattened().iter().enumerate() {
        assert_eq!(stage.check(*key, quota(1, HOUR)), None);
        assert_eq!(stage.arrivals().len(), number + 1);
    }
    let again: [LimitKey; 3] =
        managers.each_ref().map(|users| users.limit_key("reset", SUBJECTS[0]));
    assert_eq!(again, keys[0]);
}

/// As a host's log of queries prints them, bound values included.
fn the_statements_of_a_check_show_no_name<C: ProofConnection>(stage: Stage<C>) {
    let mut conn = stage.database.connect();
    let statements = Statements::of(&mut conn);
    for by in SUBJECTS {
        let key = stage.users.limit_key("register", by);
        for _ in 0..2 {
            let mut accounts: Accounts<'_, C> = stage.users.on(&mut conn);
            let _ = accounts.check_limit(key, quota(1, HOUR)).unwrap();
            assert_no_name(&format!("{accounts:?}"));
        }
    }
    let printed = statements.take().concat();
    assert!(printed.contains("account_limits"));
    assert_no_name(&printed);
}

fn assert_no_name(printed: &str) {
    for name in NAMES {
        assert!(!printed.to_lowercase().contains(name), "{name} in {printed}");
    }
}

fn secret(byte: u8) -> SecretKey {
    SecretKey::new([byte; 32]).unwrap()
}

const NAMES: [&str; 4] = ["alice@example.org", "alice", "203.0.113.7", "bob@example.com"];

const SUBJECTS: [LimitedBy<'static>; 4] = [
    LimitedBy::Email("Alice@Example.org"),
    LimitedBy::Username("alice"),
    LimitedBy::Client("203.0.113.7"),
    LimitedBy::Client("bob@example.com"),
];
