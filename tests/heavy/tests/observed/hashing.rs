//! How long hashes take, how many wait for one, and who could not.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diesel_accounts::Error;
use diesel_accounts_proof::wait::wait_until;
use diesel_accounts_proof::workload::Connection;

use crate::on_each_engine;
use crate::stage::{
    Heard, Meanwhile, PASSWORD, Stage, WRONG, counts, event, hashing, person, policy, username,
};

on_each_engine!(
    each_hash_is_measured,
    whoever_finds_the_queue_full_is_told_as_rejected,
    the_queue_is_as_long_as_it_is_and_empty_in_the_end,
);

fn each_hash_is_measured<C: Connection>(stage: &Stage<C>) {
    let (told, users) = (&stage.told, &stage.users);
    let samples = || told.samples("account_hash_seconds").len();
    let user = told.hear(|| users.create_user(person("alice"))).unwrap().created().unwrap();
    assert_eq!(samples(), 1);
    assert!(!told.hear(|| users.create_user(person("alice"))).unwrap().is_created());
    assert_eq!(samples(), 1, "whoever is found is not hashed for");
    assert!(told.hear(|| users.authenticate(&username("alice"), PASSWORD)).unwrap().is_accepted());
    assert_eq!(samples(), 2);
    let stranger = told.hear(|| users.authenticate(&username("nobody"), PASSWORD));
    assert!(!stranger.unwrap().is_accepted());
    assert_eq!(samples(), 3, "for a stranger there is as much work");
    let changed = told.hear(|| users.change_password(user.id(), PASSWORD, WRONG));
    assert!(changed.unwrap().is_changed());
    assert_eq!(samples(), 5, "one is compared and one is made");
    told.hear(|| users.user_by_id(user.id())).unwrap();
    assert_eq!(samples(), 5);
    let all = told.samples("account_hash_seconds");
    assert!(all.iter().all(|seconds| seconds.is_finite() && *seconds > 0.0), "{all:?}");
    assert_eq!(told.gauge("account_hash_queue"), None, "nobody had to wait");
}

fn whoever_finds_the_queue_full_is_told_as_rejected<C: Connection>(stage: &Stage<C>) {
    let (engine, hold) = held();
    let one = hashing().engine(engine).concurrent_hashes(1).queue_length(0);
    let users = &stage.users_with(policy().hashing(one));
    // The hold is dropped with the closure, so that nobody is held for ever if this one fails.
    thread::scope(move |scope| {
        let first = scope.spawn(|| users.create_user(person("alice")));
        hold.wait_until_begun();
        let Heard { answer, events } =
            stage.is_told("create_user", "hashing_busy", None, || users.create_user(person("bob")));
        assert!(matches!(answer, Err(Error::HashingBusy { .. })));
        let message = "too many passwords are being hashed";
        assert_eq!(events, [event("WARN", "create_user", message, [])]);
        assert_eq!(
            stage.told.counters(),
            counts([
                ("account_create_total{outcome=hashing_busy}", 1),
                ("account_hash_rejected_total", 1),
            ])
        );
        stage.is_told("authenticate", "hashing_busy", None, || {
            users.authenticate(&username("alice"), PASSWORD)
        });
        assert_eq!(stage.told.counter("account_hash_rejected_total"), 2);
        assert_eq!(stage.told.counter("account_sign_in_total{outcome=hashing_busy}"), 1);
        assert!(stage.told.samples("account_hash_seconds").is_empty(), "nothing was hashed");
        drop(hold);
        assert!(first.join().unwrap().unwrap().is_created());
    });
}

fn the_queue_is_as_long_as_it_is_and_empty_in_the_end<C: Connection>(stage: &Stage<C>) {
    let (engine, hold) = held();
    let one = hashing().engine(engine).concurrent_hashes(1).queue_length(WAITING);
    let users = &stage.users_with(policy().hashing(one));
    let sign_in = |number| {
        let login = username(&format!("nobody{number}"));
        stage.told.hear(|| users.authenticate(&login, PASSWORD)).unwrap()
    };
    let queue = || stage.told.gauge("account_hash_queue");
    thread::scope(move |scope| {
        let mut callers = vec![scope.spawn(move || sign_in(0))];
        hold.wait_until_begun();
        assert_eq!(queue(), None);
        callers.extend((1..=WAITING).map(|number| scope.spawn(move || sign_in(number))));
        let all = Some(WAITING as f64);
        wait_until("all others wait", || queue() == all);
        drop(hold);
        for caller in callers {
            assert!(!caller.join().unwrap().is_accepted());
        }
        assert_eq!(queue(), Some(0.0));
    });
    assert_eq!(stage.told.samples("account_hash_seconds").len(), WAITING + 1);
    assert_eq!(stage.told.counter("account_sign_in_total{outcome=refused}"), WAITING as u64 + 1);
    assert_eq!(stage.told.counter("account_hash_rejected_total"), 0);
}

/// An engine whose first hash goes on when the hold is dropped.
fn held() -> (Meanwhile, Hold) {
    let (begin, begun) = mpsc::channel();
    let (let_go, released) = mpsc::channel::<()>();
    let engine = Meanwhile::doing(move || {
        begin.send(()).unwrap();
        // It fails when there is nobody left to send.
        let _ = released.recv();
    });
    (engine, Hold { begun, _let_go: let_go })
}

struct Hold {
    begun: mpsc::Receiver<()>,
    _let_go: mpsc::Sender<()>,
}

impl Hold {
    fn wait_until_begun(&self) {
        self.begun.recv_timeout(Duration::from_secs(60)).expect("a hash begins");
    }
}

const WAITING: usize = 12;
