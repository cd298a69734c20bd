//! Clients that die between two statements.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use diesel_accounts::{Creation, UserManager};
use diesel_accounts_proof::acts::{Act, NEW, OLD, PEOPLE_OF_AN_IMPORT, id_of, person};
use diesel_accounts_proof::database::{Database, policy, pool_at};
use diesel_accounts_proof::host::{host_rows, make_host_table};
use diesel_accounts_proof::workload::Connection;

use crate::support::{count_of, number, on_each_engine};

on_each_engine!(
    a_creation_that_dies_anywhere_is_made_once,
    a_change_of_password_that_dies_anywhere_is_made_or_not,
    an_import_that_dies_anywhere_is_made_batch_by_batch,
    a_host_that_dies_anywhere_leaves_both_rows_or_none,
);

fn a_creation_that_dies_anywhere_is_made_once<C: Connection>() {
    let scene = Scene::<C>::new();
    scene.die_everywhere(Act::Create, |name| {
        let was_made = count_of(&scene.database, name) == 1;
        let creation = scene.users.create_user(person(name)).unwrap();
        match creation {
            Creation::Created(_) => assert!(!was_made),
            Creation::Existing(existing) => assert!(was_made && existing.is_same_creation()),
        }
        assert_eq!(count_of(&scene.database, name), 1);
        assert!(scene.users.authenticate(name, OLD).unwrap().is_accepted());
        was_made
    });
}

fn a_change_of_password_that_dies_anywhere_is_made_or_not<C: Connection>() {
    let scene = Scene::<C>::new();
    scene.die_everywhere(Act::ChangePassword, |name| {
        let accepts =
            |password: &str| scene.users.authenticate(name, password).unwrap().is_accepted();
        let generation =
            || scene.users.user_by_id(id_of(name)).unwrap().unwrap().session_generation();
        let was_made = accepts(NEW);
        assert_eq!(accepts(OLD), !was_made);
        assert_eq!(generation(), i64::from(was_made));
        scene.act(Act::ChangePassword, name);
        assert!(accepts(NEW) && !accepts(OLD));
        assert_eq!(generation(), 1);
        was_made
    });
}

fn an_import_that_dies_anywhere_is_made_batch_by_batch<C: Connection>() {
    let scene = Scene::<C>::new();
    let mut was_halfway = false;
    scene.die_everywhere(Act::Import, |name| {
        let people = format!("account_users WHERE username LIKE '{name}!_%' ESCAPE '!'");
        let imported = || number(&mut scene.database.connect(), &people);
        let (before, all) = (imported(), i64::try_from(PEOPLE_OF_AN_IMPORT).unwrap());
        assert!([0, 500, all].contains(&before), "{before}");
        was_halfway |= before == 500;
        scene.act(Act::Import, name);
        assert_eq!(imported(), all);
        before == all
    });
    assert!(was_halfway, "no client died between the batches");
}

fn a_host_that_dies_anywhere_leaves_both_rows_or_none<C: Connection>() {
    let scene = Scene::<C>::new();
    scene.die_everywhere(Act::HostTransaction, |name| {
        let was_made = count_of(&scene.database, name) == 1;
        assert_eq!(host_rows(&scene.database), i64::from(was_made));
        scene.database.connect().batch_execute("DELETE FROM host_rows").unwrap();
        scene.act(Act::HostTransaction, name);
        assert_eq!((count_of(&scene.database, name), host_rows(&scene.database)), (1, 1));
        scene.database.connect().batch_execute("DELETE FROM host_rows").unwrap();
        was_made
    });
}

struct Scene<C: Connection> {
    database: Database<C>,
    users: UserManager<C>,
}

impl<C: Connection> Scene<C> {
    fn new() -> Self {
        let database = Database::new();
        make_host_table(&database);
        let users = database.users(1);
        Self { database, users }
    }

    fn act(&self, act: Act, name: &str) {
        let pool = pool_at::<C>(self.database.url(), 1);
        act.run(&UserManager::with_policy(pool.clone(), policy().build().unwrap()), &pool, name);
    }

    /// Lets a client die before each of the statements of an act and after the last, and looks at
    /// what there is then; the look tells whether the act was made.
    fn die_everywhere(&self, act: Act, mut look: impl FnMut(&str) -> bool) {
        let mut were_made = Vec::new();
        for statement in 0..100 {
            let name = format!("person{statement}");
            if act == Act::ChangePassword {
                assert!(self.users.create_user(person(&name)).unwrap().is_created());
            }
            let has_died = self.die(act, &name, statement);
            were_made.push(look(&name));
            if !has_died {
                println!("{:?} {act:?}: {statement} statements, {were_made:?}", C::ENGINE);
                assert!(statement > 3, "an act has several statements");
                // The last client but one died when all was done, and the last did not.
                assert!(!were_made[0] && were_made.ends_with(&[true, true]));
                return;
            }
        }
        panic!("{act:?} never ends");
    }

    fn die(&self, act: Act, name: &str, statement: u32) -> bool {
        let engine = format!("{:?}", C::ENGINE);
        // Nobody wants to see what was in its memory.
        let status = Command::new("prlimit")
            .args(["--core=0", env!("CARGO_BIN_EXE_abort_before"), &statement.to_string()])
            .args([&engine, self.database.url(), act.name(), name])
            .status()
            .unwrap();
        assert!(status.success() || status.signal() == Some(SIGABRT), "{status}");
        !status.success()
    }
}

const SIGABRT: i32 = 6;
