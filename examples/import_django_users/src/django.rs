//! An account as Django has it, and as it is imported.

use std::fmt;

use diesel_accounts::{ImportUser, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A row of `auth_user`.
pub(crate) struct DjangoUser {
    pub(crate) id: i64,
    pub(crate) username: String,
    /// Django does not require one, nor that it is nobody else's.
    pub(crate) email: String,
    pub(crate) password: String,
    /// `None` if it is neither true nor false.
    pub(crate) is_active: Option<bool>,
    pub(crate) date_joined: Option<String>,
    pub(crate) last_login: Option<String>,
}

impl DjangoUser {
    pub(crate) fn into_import(self, layer: bool) -> Result<ImportUser, Unreadable> {
        let is_active = self.is_active.ok_or(Unreadable("is_active"))?;
        let date_joined = time(self.date_joined.as_deref(), "date_joined")?;
        let last_login = time(self.last_login.as_deref(), "last_login")?;
        let (username, email) = self.names();
        let mut import = ImportUser::new();
        if let Some(username) = username {
            import = import.username(username);
        }
        if let Some(email) = email {
            import = import.email(email);
        }
        import = match layer && !is_argon2(&self.password) {
            true => import.layered_password_hash(self.password),
            false => import.password_hash(self.password),
        };
        if !is_active {
            import = import.disabled();
        }
        if let Some(time) = date_joined {
            import = import.created_at(time);
        }
        if let Some(time) = last_login {
            import = import.last_sign_in_at(time);
        }
        Ok(import)
    }

    /// The username and the email.
    ///
    /// Many sites have people sign in by their address, and write it into `username` (and not
    /// always into `email`). With us an address is no username: it signs in as the email. A
    /// username that is another address than the email stays, and is refused: one of the two would
    /// be lost.
    fn names(&self) -> (Option<&str>, Option<&str>) {
        let present = |text: &'_ str| !text.is_empty();
        let username = Some(self.username.trim()).filter(|text| present(text));
        let email = Some(self.email.trim()).filter(|text| present(text));
        match (username, email) {
            (Some(username), None) if username.contains('@') => (None, Some(username)),
            (Some(username), Some(email)) if is_same_address(username, email) => {
                (None, Some(email))
            }
            names => names,
        }
    }
}

/// A column of a row that says nothing which can be understood. `Display` names the column only.
pub(crate) struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read", self.0)
    }
}

/// Django keeps the case of a username, and makes that of a domain small in an email.
fn is_same_address(username: &str, email: &str) -> bool {
    username.contains('@') && username.to_lowercase() == email.to_lowercase()
}

/// There is nothing to be gained by wrapping Argon2 into Argon2.
fn is_argon2(password: &str) -> bool {
    password.starts_with("argon2$")
}

/// With an offset, or in UTC: Django stores UTC, and only some engines say so.
fn time(text: Option<&str>, column: &'static str) -> Result<Option<Timestamp>, Unreadable> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let in_utc = |time: DateTime| TimeZone::UTC.to_timestamp(time);
    let time = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(in_utc))
        .map_err(|_| Unreadable(column))?;
    Ok(Some(Timestamp::from_micros(time.as_microsecond())))
}
