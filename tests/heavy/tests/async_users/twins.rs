//! Every operation, beside its blocking twin.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use diesel_accounts::{
    AsyncUserManager, AuditEvent, Clock, ImportOutcome, ImportUser, NewUser, PasswordChange,
    Result, SignIn, ThrottleRules, Timestamp, User, UserId, UserManager,
};
use diesel_accounts_proof::database::Database;
use diesel_accounts_proof::workload::Connection;

use crate::on_each_engine;
use crate::stage::{Settings, Stage, password_of, person};
use crate::turnstile::PATIENCE;

on_each_engine!(every_operation_answers_as_its_blocking_twin);

/// Asks both for the same, and gives what both answered.
macro_rules! both {
    ($sides:ident.$method:ident($($argument:expr),* $(,)?)) => {
        both!($sides.$method($($argument),*) => |answer| answer)
    };
    ($sides:ident.$method:ident($($argument:expr),* $(,)?) => $shape:expr) => {{
        let future = sendable($sides.users.$method($($argument),*));
        let here = $sides.stage.run(future).map($shape);
        let there = $sides.twin.$method($($argument),*).map($shape);
        $sides.same(stringify!($method), here, there)
    }};
}

fn every_operation_answers_as_its_blocking_twin<C: Connection>(stage: Stage<C>) {
    let sides = &mut Sides::new(&stage);
    let [alice, bob, nobody] = [UserId::new(), UserId::new(), UserId::new()];
    assert!(!both!(sides.check()).unwrap().is_sound());
    both!(sides.migrate()).unwrap();
    assert!(both!(sides.check()).unwrap().is_sound());

    assert!(both!(sides.create_user(person("alice").with_id(alice))).unwrap().is_created());
    let again = both!(sides.create_user(person("ALICE").with_id(bob)));
    assert!(!again.unwrap().is_created());
    let bad = both!(sides.create_user(NewUser::new("carol", "no address", "correct horse")));
    assert_eq!(bad, Err("invalid"));
    creations_in_two_steps(sides, bob);
    let mixed = || NewUser::new("alice", "bob@example.org", "correct horse").with_id(nobody);
    assert_eq!(both!(sides.prepare(mixed()) => |prepared| prepared.id()), Ok(nobody));
    assert_eq!(both!(sides.create_user(mixed())), Err("taken"));
    imports(sides);

    look_ups(sides, alice, nobody);
    passwords(sides, alice, nobody);
    events(sides, alice);
    states(sides, alice, bob, nobody);
    let left = both!(sides.list_users(None, 10)).unwrap();
    assert_eq!(left.len(), 2);
    let id = left[0].id();
    let ran = stage.run(sendable(sides.users.run(move |users| users.user_by_id(id)))).unwrap();
    assert_eq!(ran.as_ref(), Some(&left[0]));
    assert_eq!(sides.asked, operations());
}

fn creations_in_two_steps<C: Connection>(sides: &mut Sides<'_, C>, bob: UserId) {
    let new_user = || person("bob").with_id(bob);
    let prepared = Arc::new(sides.stage.run(sides.users.prepare(new_user())).unwrap());
    let twin = sides.twin.prepare(new_user()).unwrap();
    for is_created in [true, false] {
        let here =
            sides.stage.run(sendable(sides.users.create_prepared_user(Arc::clone(&prepared))));
        let there = sides.twin.create_prepared_user(&twin);
        let answer = sides.same("create_prepared_user", here, there).unwrap();
        assert_eq!(answer.is_created(), is_created);
    }
}

fn imports<C: Connection>(sides: &mut Sides<'_, C>) {
    let [carol, dan] = [UserId::new(), UserId::new()];
    let users = move || {
        [(carol, "carol"), (dan, "dan"), (carol, "no name")].map(|(id, name)| {
            ImportUser::new().id(id).username(name).email(format!("{name}@example.org"))
        })
    };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = || {
        let heard = Arc::clone(&heard);
        move |number: u64, outcome: &ImportOutcome| {
            let id = match outcome {
                ImportOutcome::Created(id) => Some(*id),
                _ => None,
            };
            heard.lock().unwrap().push((number, id));
        }
    };
    let summary = both!(sides.import_users(users(), hear())).unwrap();
    assert_eq!((summary.created(), summary.invalid()), (2, 1));
    let once = [(0, Some(carol)), (1, Some(dan)), (2, None)];
    assert_eq!(*heard.lock().unwrap(), [once, once].concat());
}

fn look_ups<C: Connection>(sides: &mut Sides<'_, C>, alice: UserId, nobody: UserId) {
    let found = both!(sides.user_by_id(alice)).unwrap();
    assert_eq!(found.as_ref().and_then(User::username), Some("alice"));
    assert_eq!(both!(sides.user_by_username("Alice")), Ok(found.clone()));
    assert_eq!(both!(sides.user_by_email("ALICE@example.org")), Ok(found.clone()));
    assert_eq!(both!(sides.user_by_login("alice@example.org")), Ok(found.clone()));
    assert_eq!(both!(sides.user_by_login("alice")), Ok(found.clone()));
    assert_eq!(both!(sides.user_by_id(nobody)), Ok(None));
    assert_eq!(both!(sides.user_by_username("nobody")), Ok(None));
    assert_eq!(both!(sides.user_by_email("nobody@example.org")), Ok(None));
    assert_eq!(both!(sides.user_by_login("nobody")), Ok(None));
    let page = both!(sides.list_users(None, 2)).unwrap();
    assert_eq!(page.len(), 2);
    let rest = both!(sides.list_users(Some(page[1].cursor()), 10)).unwrap();
    assert_eq!(rest.len(), 2);
    // The twin borrows what it is to be behind.
    for (after, count) in [(None, 1), (Some("alice"), 0)] {
        let (owned, stage) = (|| after.map(str::to_owned), sides.stage);
        let here = stage.run(sendable(sides.users.users_by_username_prefix("al", owned(), 9)));
        let there = sides.twin.users_by_username_prefix("al", after, 9);
        let answer = sides.same("users_by_username_prefix", here, there);
        assert_eq!(answer.unwrap().len(), count);
    }
    for (after, count) in [(None, 1), (Some("alice@example.org"), 0)] {
        let (owned, stage) = (|| after.map(str::to_owned), sides.stage);
        let here = stage.run(sendable(sides.users.users_by_email_prefix("al", owned(), 9)));
        let there = sides.twin.users_by_email_prefix("al", after, 9);
        let answer = sides.same("users_by_email_prefix", here, there);
        assert_eq!(answer.unwrap().len(), count);
    }
}

fn passwords<C: Connection>(sides: &mut Sides<'_, C>, alice: UserId, nobody: UserId) {
    let (first, second, third) = (&*password_of("alice"), "battery staple", "staple battery");
    let accepted = |answer: SignIn| answer.accepted().map(|accepted| accepted.into_user());
    let changed = |answer: PasswordChange| match answer {
        PasswordChange::Changed(user) => Some(user),
        _ => None,
    };
    let signed_in = both!(sides.authenticate("alice", first) => accepted).unwrap();
    assert_eq!(signed_in.map(|user| user.id()), Some(alice));
    assert_eq!(both!(sides.authenticate("alice", second) => accepted), Ok(None));
    assert_eq!(both!(sides.failed_attempts(alice)).unwrap().count(), 1);
    assert!(both!(sides.failed_attempts(alice)).unwrap().waits_until().is_some());
    both!(sides.unlock_user(alice)).unwrap();
    assert!(both!(sides.failed_attempts(alice)).unwrap().waits_until().is_none());
    assert_eq!(both!(sides.forget_old_attempts(10)), Ok(0));
    assert_eq!(both!(sides.change_password(alice, second, third) => changed), Ok(None));
    both!(sides.unlock_user(alice)).unwrap();
    assert!(both!(sides.change_password(alice, first, second) => changed).unwrap().is_some());
    let gone = both!(sides.change_password(nobody, first, second) => changed);
    assert_eq!(gone, Err("user_not_found"));
    assert_eq!(both!(sides.set_password(alice, third)), Ok(()));
    assert!(both!(sides.authenticate("alice", third) => accepted).unwrap().is_some());
    assert_eq!(both!(sides.set_password(nobody, third)), Err("user_not_found"));
    assert_eq!(both!(sides.set_password(alice, "")), Err("invalid"));
    both!(sides.require_password_change(alice)).unwrap();
    let user = both!(sides.user_by_id(alice)).unwrap();
    assert!(user.unwrap().must_change_password());
    both!(sides.set_unusable_password(alice)).unwrap();
    assert_eq!(both!(sides.authenticate("alice", third) => accepted), Ok(None));
    assert_eq!(both!(sides.set_unusable_password(nobody)), Err("user_not_found"));
    assert_eq!(both!(sides.require_password_change(nobody)), Err("user_not_found"));
    assert_eq!(both!(sides.failed_attempts(nobody)), Err("user_not_found"));
    assert_eq!(both!(sides.unlock_user(nobody)), Err("user_not_found"));
}

fn events<C: Connection>(sides: &mut Sides<'_, C>, alice: UserId) {
    let events = both!(sides.events_of_user(alice, None, 100) => actions).unwrap();
    assert!(events.contains(&("sign_in".to_owned(), "wrong_password".to_owned())), "{events:?}");
    assert_eq!(both!(sides.events_of_user(alice, None, 1) => |events| events.len()), Ok(1));
    // Each side has its own.
    let oldest = sides.stage.run(sides.users.events_of_user(alice, None, 100)).unwrap().pop();
    let before = sides.stage.run(sendable(sides.users.events_of_user(alice, oldest, 100)));
    let oldest = sides.twin.events_of_user(alice, None, 100).unwrap().pop();
    let twin = sides.twin.events_of_user(alice, oldest.as_ref(), 100);
    assert_eq!(sides.same("events_of_user", before, twin), Ok(Vec::new()));
    assert_eq!(both!(sides.forget_old_events(Noon.now(), 100)), Ok(0));
    let afternoon = Timestamp::from_micros(Noon.now().as_micros() + 1);
    assert!(both!(sides.forget_old_events(afternoon, 100)).unwrap() > events.len());
    assert_eq!(both!(sides.events_of_user(alice, None, 100)), Ok(Vec::new()));
}

/// In any order, for all of them are of one moment.
fn actions(events: Vec<AuditEvent>) -> Vec<(String, String)> {
    let actions = events.iter().map(|event| (event.action(), event.outcome()));
    let mut actions: Vec<_> =
        actions.map(|(action, outcome)| (action.to_owned(), outcome.to_owned())).collect();
    actions.sort();
    actions
}

fn states<C: Connection>(sides: &mut Sides<'_, C>, alice: UserId, bob: UserId, nobody: UserId) {
    both!(sides.disable_user(alice)).unwrap();
    assert!(!both!(sides.user_by_id(alice)).unwrap().unwrap().is_active());
    both!(sides.enable_user(alice)).unwrap();
    assert!(both!(sides.user_by_id(alice)).unwrap().unwrap().is_active());
    both!(sides.delete_user(alice)).unwrap();
    assert_eq!(both!(sides.user_by_id(alice)), Ok(None));
    both!(sides.reserve_user(bob)).unwrap();
    assert_eq!(both!(sides.create_user(person("bob"))), Err("taken"));
    assert_eq!(both!(sides.disable_user(nobody)), Err("user_not_found"));
    assert_eq!(both!(sides.enable_user(nobody)), Err("user_not_found"));
    assert_eq!(both!(sides.reserve_user(nobody)), Err("user_not_found"));
    assert_eq!(both!(sides.delete_user(nobody)), Err("user_not_found"));
}

/// A manager and its twin, each on a database of its own, where the time is the same.
struct Sides<'a, C: Connection> {
    stage: &'a Stage<C>,
    users: AsyncUserManager<C>,
    twin: UserManager<C>,
    asked: BTreeSet<&'static str>,
    _databases: [Database<C>; 2],
}

impl<'a, C: Connection> Sides<'a, C> {
    fn new(stage: &'a Stage<C>) -> Self {
        let databases = [Database::empty(), Database::empty()];
        // One failure makes everybody wait.
        let throttle = ThrottleRules::new().account(1, PATIENCE, PATIENCE);
        let policy =
            stage.policy(Settings::default()).clock(Noon).throttle(throttle).audit_table(true);
        let policy = policy.build().unwrap();
        let [users, twin] = databases
            .each_ref()
            .map(|database| UserManager::with_policy(database.pool(2), policy.clone()));
        let users = AsyncUserManager::new(users);
        Self { stage, users, twin, asked: BTreeSet::new(), _databases: databases }
    }

    fn same<T: Debug + PartialEq>(
        &mut self,
        name: &'static str,
        here: Result<T>,
        there: Result<T>,
    ) -> Result<T, &'static str> {
        let [here, there] = [here, there].map(|answer| answer.map_err(|error| error.code()));
        assert_eq!(here, there, "{name}");
        self.asked.insert(name);
        here
    }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000)
    }
}

/// A future that a host may spawn.
fn sendable<T, F: Future<Output = T> + Send>(future: F) -> F {
    future
}

/// What both can do, by their sources: whoever adds an operation adds it to both, and has both
/// asked above.
fn operations() -> BTreeSet<&'static str> {
    let here = include_str!("../../../../src/manager/asynchronous.rs");
    let there = [
        include_str!("../../../../src/manager/mod.rs"),
        include_str!("../../../../src/manager/create.rs"),
        include_str!("../../../../src/manager/import.rs"),
        include_str!("../../../../src/manager/sign_in.rs"),
    ];
    let here = methods(here, "\n    pub async fn ").filter(|name| *name != "run").collect();
    let there: BTreeSet<_> =
        there.into_iter().flat_map(|source| methods(source, "\n    pub fn ")).collect();
    assert_eq!(here, there);
    here
}

/// Those that can fail.
fn methods(source: &'static str, start: &str) -> impl Iterator<Item = &'static str> {
    let methods: Vec<_> = source.split(start).skip(1).collect();
    methods.into_iter().filter_map(|method| {
        let signature = method.split(" {\n").next()?;
        signature.contains("-> Result<").then(|| signature.split(['(', '<']).next())?
    })
}
