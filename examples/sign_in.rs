//! The life of a password: a sign-in, a lock-out, an unlock, a change, and the end of old sessions.
//!
//!     cargo run --example sign_in

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;

use diesel_accounts::{
    AccountConnection, Context, Creation, NewUser, PasswordChange, Policy, SecretKey, SignIn, User,
    UserId, UserManager, diesel,
};

use diesel::r2d2::R2D2Connection;

mod support;

use support::{Database, arguments, with_pool};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = arguments(&["database-url"], "usage: sign_in [--database-url URL]")?;
    let database = Database::connect(arguments.remove("database-url"), 4)?;
    println!("using {}", database.engine());
    // A service keeps its key where its database is not.
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    let policy = Policy::builder().secret_key(SecretKey::new(key)?).build()?;
    with_pool!(database, |pool| walk_through(&UserManager::with_policy(pool, policy)))
}

fn walk_through<C>(users: &UserManager<C>) -> Result<(), Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    users.migrate()?;
    let user = somebody_new(users)?;
    let login = user.username().unwrap_or_default();

    // What tells one client from another comes from the host: here an address.
    let at_home = users.with(Context::new().client("192.0.2.1"));
    let SignIn::Accepted(accepted) = at_home.authenticate(login, FIRST)? else {
        return Err("the password is right".into());
    };
    println!("signed in: {:?} is still to be asked", accepted.demands());
    let session = users.policy().session_auth_hash(accepted.user())?;
    let device = accepted.device_token().ok_or("the policy has a key")?.as_str().to_owned();

    // Somebody guesses, from wherever. The answer never says why.
    let stranger = users.with(Context::new().client("203.0.113.7"));
    for _ in 0..6 {
        if let SignIn::Refused(refusal) = stranger.authenticate(login, "a guess of theirs")? {
            match refusal.retry_after() {
                Some(wait) => {
                    println!("a stranger: {refusal}; next try in {} s", wait.as_secs() + 1)
                }
                None => println!("a stranger: {refusal}"),
            }
        }
    }
    let known = users.with(Context::new().client("203.0.113.7").known_device(device));
    println!("the owner there, known: {}", told(&known.authenticate(login, FIRST)?));
    println!("the owner there, unknown: {}", told(&stranger.authenticate(login, FIRST)?));
    users.unlock_user(user.id())?;
    println!("after an unlock: {}", told(&stranger.authenticate(login, FIRST)?));

    let PasswordChange::Changed(user) = at_home.change_password(user.id(), FIRST, SECOND)? else {
        return Err("the password is right".into());
    };
    println!("the old password: {}", told(&at_home.authenticate(login, FIRST)?));
    println!("the new password: {}", told(&at_home.authenticate(login, SECOND)?));
    let holds = users.policy().is_session_auth_hash(&user, session.as_str())?;
    println!("the old session {}", if holds { "holds" } else { "has ended" });
    Ok(())
}

/// Under a name that nobody has, so that the program can be run again.
fn somebody_new<C>(users: &UserManager<C>) -> Result<User, Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let name = format!("person-{}", UserId::new());
    match users.create_user(NewUser::new(&*name, format!("{name}@example.org"), FIRST))? {
        Creation::Created(user) => Ok(user),
        Creation::Existing(_) => Err("the name is new".into()),
    }
}

fn told(sign_in: &SignIn) -> &'static str {
    if sign_in.is_accepted() { "accepted" } else { "refused" }
}

const FIRST: &str = "correct horse battery";
const SECOND: &str = "another staple entirely";
