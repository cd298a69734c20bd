//! The people of the load: few names that many want, and the accounts that are known of.

use std::collections::BTreeMap;

use diesel_accounts::UserId;
use fastrand::Rng;

use crate::history::{AccountId, Name, Password};

/// All that threads share.
#[derive(Debug)]
pub(super) struct People {
    next_password: u32,
    /// Creations that were invoked in this phase, the latest last.
    known: Vec<Person>,
    anchors: Vec<Person>,
    undetermined: Vec<Person>,
    /// Every password that an account was ever given.
    passwords: BTreeMap<AccountId, Vec<Password>>,
    hot: u32,
    cell: Cell,
    /// How many calls are still to be about the cell.
    left: u32,
    next_cell: u32,
}

/// A creation, and what its caller keeps of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    pub(super) id: UserId,
    pub(super) username: Name,
    pub(super) email: Name,
    /// The first password.
    pub(super) password: Password,
}

impl People {
    pub(super) fn new() -> Self {
        Self {
            next_password: 0,
            known: Vec::new(),
            anchors: Vec::new(),
            undetermined: Vec::new(),
            passwords: BTreeMap::new(),
            hot: 0,
            cell: Cell { first: 0, names: 1 },
            left: 0,
            next_cell: 0,
        }
    }

    /// Nobody of an earlier phase is met again.
    pub(super) fn begin_phase(&mut self, number: u32) {
        self.known.clear();
        self.anchors.clear();
        self.hot = number * CLASSES_OF_A_PHASE;
        self.next_cell = self.hot + HOT_NAMES;
        self.left = 0;
    }

    /// The names that everybody wants, in this phase.
    pub(super) fn hot(&self) -> Cell {
        Cell { first: self.hot, names: HOT_NAMES }
    }

    /// Names that only few calls are about, and soon others.
    pub(super) fn cell(&mut self) -> Cell {
        if self.left == 0 {
            self.cell = self.new_cell();
            self.left = CALLS_OF_A_CELL;
        }
        self.left -= 1;
        self.cell
    }

    /// Names that nobody has been about.
    pub(super) fn new_cell(&mut self) -> Cell {
        let first = self.next_cell;
        self.next_cell += NAMES_OF_A_CELL;
        Cell { first, names: NAMES_OF_A_CELL }
    }

    pub(super) fn new_person(&mut self, cell: Cell, chance: &mut Rng) -> Person {
        let password = self.new_password();
        let (username, email) = (cell.username(chance), cell.email(chance));
        let person = Person { id: UserId::new(), username, email, password };
        self.give(person.id, password);
        person
    }

    pub(super) fn new_password(&mut self) -> Password {
        self.next_password += 1;
        Password(self.next_password)
    }

    /// Another person under the id of somebody who is there for good.
    pub(super) fn impostor(&mut self, cell: Cell, chance: &mut Rng) -> Option<Person> {
        let anchor = *chance.choice(&self.anchors)?;
        let person = self.new_person(cell, chance);
        self.give(anchor.id, person.password);
        Some(Person { id: anchor.id, ..person })
    }

    pub(super) fn remember(&mut self, person: Person) {
        self.known.push(person);
    }

    pub(super) fn remember_anchor(&mut self, person: Person) {
        self.anchors.push(person);
    }

    /// Somebody known of, the latest more often.
    pub(super) fn somebody(&self, cell: Cell, chance: &mut Rng) -> Option<Person> {
        let of_cell = self.known.iter().rev().filter(|person| cell.has(person.username));
        let latest: Vec<&Person> = of_cell.take(MOST_KNOWN).collect();
        let index = chance.usize(0..latest.len().max(1));
        latest.get(chance.usize(0..=index)).map(|person| **person)
    }

    /// A password that an account may have.
    pub(super) fn password_of(&self, id: UserId, chance: &mut Rng) -> Password {
        let given = &self.passwords[&account_id(id)];
        // The latest is likely the one of the time.
        match chance.u8(0..3) {
            0 => chance.choice(given).copied().unwrap_or(Password::STRANGE),
            _ => given.last().copied().unwrap_or(Password::STRANGE),
        }
    }

    pub(super) fn give(&mut self, id: UserId, password: Password) {
        self.passwords.entry(account_id(id)).or_default().push(password);
    }

    pub(super) fn given_to(&self, id: AccountId) -> &[Password] {
        self.passwords.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn remember_undetermined(&mut self, person: Person) {
        self.undetermined.push(person);
    }

    pub(super) fn take_undetermined(&mut self) -> Vec<Person> {
        std::mem::take(&mut self.undetermined)
    }
}

/// Some classes of names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    first: u32,
    names: u32,
}

impl Cell {
    pub(super) fn username(self, chance: &mut Rng) -> Name {
        Name { class: self.first + chance.u32(0..self.names), spelling: 0 }.spelled_anew(chance)
    }

    pub(super) fn email(self, chance: &mut Rng) -> Name {
        let class = self.first + chance.u32(0..self.names);
        Name { class, spelling: chance.u8(0..Name::email_spellings(class)) }
    }

    fn has(self, username: Name) -> bool {
        (self.first..self.first + self.names).contains(&username.class)
    }
}

impl Person {
    /// The same person, who types both names differently.
    pub(super) fn spelled_anew(self, chance: &mut Rng) -> Self {
        let email = self.email.class;
        let email = Name { class: email, spelling: chance.u8(0..Name::email_spellings(email)) };
        Self { username: self.username.spelled_anew(chance), email, ..self }
    }
}

impl Name {
    fn spelled_anew(self, chance: &mut Rng) -> Self {
        let spelling = chance.u8(0..Self::username_spellings(self.class));
        Self { class: self.class, spelling }
    }
}

pub(super) fn account_id(id: UserId) -> AccountId {
    AccountId(u128::from_be_bytes(*id.as_bytes()))
}

pub(super) fn user_id(id: AccountId) -> UserId {
    UserId::from_bytes(id.0.to_be_bytes())
}

const CLASSES_OF_A_PHASE: u32 = 4096;
const HOT_NAMES: u32 = 5;
const NAMES_OF_A_CELL: u32 = 2;
const CALLS_OF_A_CELL: u32 = 9;
const MOST_KNOWN: usize = 24;
