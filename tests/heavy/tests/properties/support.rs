//! Policies, and a database for each case.

use diesel::SqliteConnection;
use diesel::prelude::*;
use diesel_accounts::{
    Accounts, Argon2Cost, Creation, EmailRules, Error, Hashing, Identifiers, NewUser, Policy,
    PolicyBuilder, PreparedUser, Scripts, UserId, UsernameRules,
};
use proptest::prelude::*;

pub(crate) fn policies() -> impl Strategy<Value = Policy> {
    prop::sample::select(vec![
        cheap_policy(),
        cheap_policy().identifiers(Identifiers::Either),
        cheap_policy().emails(EmailRules::new().utf8_local_part(true)),
        cheap_policy().usernames(UsernameRules::new().ascii_only(true).min_length(3)),
        cheap_policy().usernames(UsernameRules::new().scripts(Scripts::HighlyRestrictive)),
        cheap_policy().usernames(UsernameRules::new().scripts(Scripts::Single).max_length(100)),
    ])
    .prop_map(|builder| builder.build().unwrap())
}

/// A policy whose hashes cost next to nothing.
pub(crate) fn cheap_policy() -> PolicyBuilder {
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    Policy::builder().hashing(Hashing::new().cost(cost))
}

pub(crate) fn username_policy(rules: UsernameRules) -> Policy {
    cheap_policy().identifiers(Identifiers::UsernameRequired).usernames(rules).build().unwrap()
}

/// An empty database with our schema in it.
pub(crate) fn database() -> SqliteConnection {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    Accounts::new(&Policy::default(), &mut conn).migrate().unwrap();
    conn
}

/// What the creation of a user of this name comes to; `None` if it is no username.
pub(crate) fn create_named(
    policy: &Policy,
    accounts: &mut Accounts<'_, SqliteConnection>,
    name: &str,
) -> Option<Creation> {
    let prepared = prepare_name(policy, name).ok()?;
    Some(accounts.create_user(&prepared).unwrap())
}

pub(crate) fn prepare_name(policy: &Policy, name: &str) -> Result<PreparedUser, Error> {
    policy.prepare(NewUser::with_username(name, "").without_password())
}

/// The account that an answer tells of, whoever made it.
pub(crate) fn id_of(creation: &Creation) -> UserId {
    match creation {
        Creation::Created(user) => user.id(),
        Creation::Existing(existing) => existing.user_id(),
    }
}
