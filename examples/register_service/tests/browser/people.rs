//! Who registers.

/// What somebody types.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    pub(crate) username: &'static str,
    pub(crate) email: &'static str,
    pub(crate) password: &'static str,
}

pub(crate) const ALICE: Person = Person {
    username: "alice",
    email: "alice@example.org",
    password: "correct horse battery staple",
};

pub(crate) const BOB: Person =
    Person { username: "bob", email: "bob@example.org", password: "a walk beside the river" };
