//! The library under test: does what a step says, and tells what came of it in the model's words.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;

use diesel::connection::{Connection, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::result::Error as DieselError;
use diesel_accounts::{
    Context, DeviceToken, PasswordChangeAttempt, PreparedUser, SessionAuthHash, SignInAttempt,
    UserId, UserManager, UserState,
};
use proptest_state_machine::StateMachineTest;

use crate::answer::{Answer, Who};
use crate::operation::{HashingRule, Label, Rules, Scope, Step, Visitor};
use crate::perform::Door;
use crate::reference::{Reference, State};
use crate::stage::{EngineConnection, Stage};
use crate::tables::{assert_equal, realm_of};

/// The library on connections `C`, and what a host keeps of its answers.
pub(crate) struct Library<C: R2D2Connection + 'static> {
    pub(crate) stage: Rc<Stage<C>>,
    pub(crate) labels: BTreeMap<Label, UserId>,
    pub(crate) prepared: BTreeMap<u8, PreparedUser>,
    pub(crate) sign_ins: BTreeMap<u8, SignInAttempt>,
    pub(crate) changes: BTreeMap<u8, PasswordChangeAttempt>,
    pub(crate) devices: BTreeMap<u8, DeviceToken>,
    pub(crate) sessions: BTreeMap<u8, SessionAuthHash>,
    known: BTreeMap<UserId, Who>,
    made: u32,
}

impl<C: EngineConnection> StateMachineTest for Library<C> {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &State) -> Self {
        let stage = C::stage();
        stage.begin();
        Self {
            stage,
            labels: (0..=u8::MAX).map(|number| (Label::Given(number), given(number))).collect(),
            prepared: BTreeMap::new(),
            sign_ins: BTreeMap::new(),
            changes: BTreeMap::new(),
            devices: BTreeMap::new(),
            sessions: BTreeMap::new(),
            known: (0..=u8::MAX).map(|number| (given(number), Who::Given(number))).collect(),
            made: 0,
        }
    }

    fn apply(mut library: Self, model: &State, step: Step) -> Self {
        library.play(model, step);
        library
    }

    fn teardown(library: Self, model: State) {
        library.assert_tables_are_those_of(&model);
        library.assert_passwords_are_those_of(&model);
    }
}

impl<C: EngineConnection> Library<C> {
    /// Does what the step says; the model has done it.
    fn play(&mut self, model: &State, step: Step) {
        let stage = Rc::clone(&self.stage);
        let mut expected = model.answers.iter();
        let mut compare = |library: &Self, answer: Answer, step: &dyn Debug| {
            let expected = expected.next().cloned().expect("the model has an answer to each");
            if let (Answer::Forgotten(now), Answer::Forgotten(old)) = (&answer, &expected) {
                // Sign-ins forget some of what is old by chance, which nobody can notice.
                assert!(now <= old, "{now} of {old} were forgotten");
                return;
            }
            assert_eq!(answer, library.in_order(expected), "the answer to {step:?}");
        };
        match step {
            Step::Pooled(operation) => {
                let answer = self.perform(&mut Door::Pool, operation.clone());
                compare(self, answer, &operation);
            }
            Step::Lent(operation) => {
                let mut conn = stage.pool.get().unwrap();
                let answer = self.perform(&mut Door::Lent(&mut *conn), operation.clone());
                compare(self, answer, &operation);
            }
            Step::InTransaction { commit, operations } => {
                let mut conn = stage.pool.get().unwrap();
                let ended = conn.transaction(|conn| {
                    for operation in operations {
                        let answer = self.perform(&mut Door::Lent(conn), operation.clone());
                        compare(self, answer, &operation);
                    }
                    if commit { Ok(()) } else { Err(DieselError::RollbackTransaction) }
                });
                assert_eq!(ended.is_ok(), commit);
            }
            Step::TimePasses { portion, .. } => {
                stage.clock.set(model.now);
                let answer = self.forget_old_attempts(portion);
                compare(self, answer, &"time");
            }
        }
    }

    /// The manager for an operation.
    pub(crate) fn users(&self, scope: Scope) -> UserManager<C> {
        self.stage.users(scope.rules).in_realm(realm_of(scope.realm))
    }

    /// The same for somebody.
    pub(crate) fn users_for(&self, scope: Scope, visitor: Visitor) -> UserManager<C> {
        let mut context = Context::new();
        if let Some(client) = visitor.client {
            context = context.client(format!("203.0.113.{client}"));
        }
        if let Some(device) = visitor.device.and_then(|slot| self.devices.get(&slot)) {
            context = context.known_device(device.as_str());
        }
        self.users(scope).with(context)
    }

    /// The id of an account; one that nobody has if there was none of this label.
    pub(crate) fn id(&self, label: Label) -> UserId {
        self.labels.get(&label).copied().unwrap_or(UserId::from_bytes([0xff; 16]))
    }

    /// Whose id it is; one that was never seen is that of the next whom the library made.
    pub(crate) fn who(&mut self, id: UserId) -> Who {
        *self.known.entry(id).or_insert_with(|| {
            self.made += 1;
            Who::Made(self.made)
        })
    }

    fn forget_old_attempts(&self, portion: u32) -> Answer {
        let rules = Rules {
            refuses_duplicates: false,
            insists_on_verified_email: false,
            hashing: HashingRule::Cheap,
        };
        let users = self.stage.users(rules);
        let mut forgotten = 0;
        loop {
            let now = users.forget_old_attempts(portion).unwrap();
            assert!(now <= usize::try_from(portion).unwrap());
            forgotten += now;
            if now == 0 {
                return Answer::Forgotten(forgotten);
            }
        }
    }

    /// Puts a page of the model's into order: those who were created at once by their ids.
    fn in_order(&self, expected: Answer) -> Answer {
        let Answer::Page { mut people, after, limit } = expected else {
            return expected;
        };
        let ids: BTreeMap<Who, UserId> = self.known.iter().map(|(id, who)| (*who, *id)).collect();
        let after = after.map(|(created_at, who)| (created_at, ids[&who]));
        people.sort_by_key(|person| (person.created_at, ids[&person.who]));
        people.retain(|person| {
            after.is_none_or(|after| (person.created_at, ids[&person.who]) > after)
        });
        people.truncate(limit);
        Answer::People(people)
    }

    fn assert_tables_are_those_of(&self, model: &State) {
        self.forget_old_attempts(1_000);
        let mut tables = model.tables.clone();
        tables.forget_old_attempts(model.now);
        let mut conn = self.stage.pool.get().unwrap();
        assert_equal(&mut *conn, &tables, |id| self.known.get(&id).copied());
    }

    /// Signs everybody in, after all waits were ended.
    fn assert_passwords_are_those_of(&self, model: &State) {
        self.stage.pool.get().unwrap().batch_execute("DELETE FROM account_attempts").unwrap();
        let rules = Rules {
            refuses_duplicates: false,
            insists_on_verified_email: false,
            hashing: HashingRule::Peppered,
        };
        for (who, account) in &model.tables.accounts.rows {
            let Some(secret) = &account.password else { continue };
            let login = account.username.as_ref().or(account.email.as_ref()).unwrap();
            let users = self.users(Scope { realm: account.realm, rules });
            let sign_in = users.authenticate(login, &secret.text).unwrap();
            let is_active = account.person(*who).state == UserState::Active;
            assert_eq!(sign_in.is_accepted(), is_active, "{who:?} signs in");
        }
    }
}

/// In the order of the bytes, some before and some after the ids that the library makes.
fn given(number: u8) -> UserId {
    let first = if number.is_multiple_of(2) { 0x00 } else { 0xf0 };
    let mut bytes = [number; 16];
    bytes[0] = first;
    UserId::from_bytes(bytes)
}
