//! The secrets themselves, as types that cannot be printed.

use std::fmt;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use zeroize::Zeroizing;

/// A password in clear text: never printed, and overwritten when it is dropped.
///
/// ```
/// use diesel_accounts::Password;
///
/// let password = Password::from("correct horse battery");
/// assert_eq!(format!("{password:?}"), "Password(..)");
/// ```
pub struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    /// Takes the text over without copying it.
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Password {
    /// Copies the text; the original stays where it is.
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<&String> for Password {
    /// Copies the text; the original stays where it is.
    fn from(text: &String) -> Self {
        Self::from(text.clone())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password hash as it is stored.
///
/// It is bound to queries as this type, because Diesel prints bound values with `Debug` wherever a
/// host logs its queries.
#[derive(Clone, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub(crate) struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    pub(crate) fn new(phc: String) -> Self {
        Self(Zeroizing::new(phc))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl<DB: Backend> ToSql<Text, DB> for PasswordHash
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.as_str().to_sql(out)
    }
}

impl<DB: Backend> FromSql<Text, DB> for PasswordHash
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        String::from_sql(bytes).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::{Password, PasswordHash};

    #[test]
    fn no_secret_is_printed() {
        assert_eq!(format!("{:?}", Password::from("canary")), "Password(..)");
        assert_eq!(format!("{:?}", PasswordHash::new("canary".to_owned())), "PasswordHash(..)");
    }
}
