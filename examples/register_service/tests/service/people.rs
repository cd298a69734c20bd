//! Who registers. Everything that is theirs has a mark in it, so that it is found wherever it should
//! not be.

use diesel_accounts::NewUser;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password: String,
}

impl Person {
    pub(crate) fn new(name: &str) -> Self {
        Self::named(name, name)
    }

    /// With the username of one and the address of another.
    pub(crate) fn named(username: &str, email: &str) -> Self {
        Self {
            username: format!("{MARK}_{username}"),
            email: format!("{MARK}_{email}@example.org"),
            password: format!("{PASSWORD_MARK} staple {username}"),
        }
    }

    /// The same person, as others write it: the bits of a number say which letters are capitals.
    pub(crate) fn spelt(&self, number: usize) -> Self {
        let respelt = |text: &str| {
            let letters = text.chars().enumerate();
            let is_capital = |place: usize| number >> (place % 6) & 1 == 1;
            letters
                .map(|(place, letter)| match is_capital(place) {
                    true => letter.to_ascii_uppercase(),
                    false => letter,
                })
                .collect()
        };
        Self {
            username: respelt(&self.username),
            email: respelt(&self.email),
            password: self.password.clone(),
        }
    }

    /// The same for the library itself.
    pub(crate) fn new_user(&self) -> NewUser {
        NewUser::new(self.username.as_str(), self.email.as_str(), self.password.as_str())
    }

    pub(crate) fn registration(&self) -> Value {
        json!({ "username": self.username, "email": self.email, "password": self.password })
    }

    pub(crate) fn credentials(&self) -> Value {
        json!({ "login": self.username, "password": self.password })
    }

    /// What an answer tells of the account if it is one's own.
    pub(crate) fn shown(&self, id: &str) -> Value {
        json!({ "user_id": id, "username": self.username, "email": self.email })
    }
}

/// What is in each username, address and `Idempotency-Key`.
pub(crate) const MARK: &str = "canary";

/// What is in each password.
pub(crate) const PASSWORD_MARK: &str = "canary-horse";

/// 32 bytes in Base64.
pub(crate) const SECRET_KEY: &str = "canarySECRETKEYcanarySECRETKEYcanarySECRET0";
pub(crate) const OTHER_SECRET_KEY: &str = "canaryOTHERKEYScanaryOTHERKEYScanaryOTHERK0";
