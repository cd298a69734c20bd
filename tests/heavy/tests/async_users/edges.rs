//! Settings at their ends, and hosts at theirs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use diesel::SqliteConnection;
use diesel_accounts::{Argon2Cost, AsyncUserManager, Error, Hashing, ImportUser, UserManager};
use diesel_accounts_proof::database::policy;
use tokio::runtime::Builder;
use tracing::{Instrument, info_span};

use crate::capture::Told;
use crate::stage::{Flavour, Settings, Stage, code_of, person};
use crate::turnstile::Turnstile;

/// The places are as many as the pool's connections and those hashes together.
#[test]
fn a_host_that_does_not_bound_its_hashes_is_served() {
    let stage = stage();
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    let hashing = Hashing::new().cost(cost).concurrent_hashes(usize::MAX);
    let policy = policy().hashing(hashing).build().unwrap();
    let users = UserManager::with_policy(stage.database.pool(2), policy);
    assert!(users.create_user(person("alice")).unwrap().is_created());
    let users = AsyncUserManager::new(users);
    assert!(stage.run(users.create_user(person("bobby"))).unwrap().is_created());
}

/// A semaphore of tokio's cannot count as far as a queue may be long.
#[test]
fn behind_an_empty_queue_of_any_length_it_is_worth_to_come_back_soon() {
    let stage = stage();
    let patience = Duration::from_millis(30);
    for queue_length in [1024, usize::MAX] {
        let users = stage.users(Settings { queue_length, patience });
        users.blocking().prepare(person("alice")).unwrap();
        let host = stage.occupy_threads();
        let answer = stage.run(users.create_user(person("bobby")));
        host.open();
        let Err(Error::HashingBusy { retry_after, .. }) = answer else { panic!("{answer:?}") };
        assert!(retry_after < Duration::from_secs(1), "{queue_length}: {retry_after:?}");
    }
}

/// As the blocking twin warns.
#[test]
fn whoever_cannot_hash_is_warned_of_within_the_operation() {
    let stage = stage();
    let patience = Duration::from_millis(30);
    let users = stage.users(Settings { patience, ..Settings::default() });
    let (told, host) = (Told::new(), stage.occupy_threads());
    told.hear(|| {
        let creation = users.create_user(person("bobby")).instrument(info_span!("request"));
        assert_eq!(code_of(stage.runtime.block_on(creation)), Some("hashing_busy"));
    });
    host.open();
    assert_eq!(told.take().events[0].within, Some("create_user"));
}

/// The panic comes before the thread.
#[test]
fn what_panics_for_want_of_a_timer_is_never_done() {
    let stage = stage();
    let users = stage.users(Settings::default());
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for number in 0..200 {
        let creation = users.create_user(person(&format!("nobody{number}")));
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(creation))).unwrap_err();
    }
    drop(runtime);
    assert_eq!(stage.count(), 0);
}

/// A thread takes its time to begin, and that is no wait for a hash.
#[test]
fn whoever_need_not_wait_is_served_without_patience() {
    let stage = stage();
    let users = stage.users(Settings { patience: Duration::ZERO, ..Settings::default() });
    let busy = (0..5000)
        .filter(|_| {
            users.blocking().prepare(person("alice")).unwrap();
            stage.run(users.prepare(person("alice"))).is_err()
        })
        .count();
    assert_eq!(busy, 0);
}

/// As the blocking twin lets its connection go while the host's iterator or a hash takes its time.
#[test]
fn an_import_does_not_keep_look_ups_out_of_a_small_pool() {
    let stage = stage();
    let policy = stage.policy(Settings { patience: Duration::from_secs(1), ..Settings::default() });
    let users = UserManager::with_policy(stage.database.pool(1), policy.build().unwrap());
    let users = AsyncUserManager::new(users);
    let host = Turnstile::new_shut();
    let reading = host.clone();
    let imports = (0..2).map(move |number| {
        let name = format!("import{number}");
        reading.pass("", || ImportUser::new().username(&name).email(format!("{name}@example.org")))
    });
    let import = stage.begin(users.import_users(imports, |_, _| {}));
    host.wait_until_inside(1);
    assert_eq!(code_of(users.blocking().user_by_username("alice")), None);
    let answer = stage.run(users.user_by_username("alice"));
    host.open();
    let _ = stage.run(import).unwrap();
    assert_eq!(code_of(answer), None);
}

fn stage() -> Stage<SqliteConnection> {
    Stage::new(Flavour::MultiThread)
}
