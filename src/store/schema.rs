//! The tables, as Diesel sees them, for hosts' joins and foreign keys.

#![expect(clippy::exhaustive_structs, reason = "Diesel's macro makes a unit struct of each column")]

/// The SQL types of our own.
pub mod sql_types {
    use diesel::query_builder::QueryId;
    use diesel::sql_types::SqlType;

    /// 16 bytes in the engine's own form: `uuid`, `BINARY(16)` or `BLOB`.
    ///
    /// A host gives this type to a column that refers to `account_users.id`.
    #[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
    #[diesel(mysql_type(name = "Blob"))]
    #[diesel(postgres_type(oid = 2950, array_oid = 2951))]
    #[diesel(sqlite_type(name = "Binary"))]
    #[non_exhaustive]
    pub struct AccountId;
}

diesel::table! {
/// One row for each account. Columns are only ever added.
///
/// Read it, join it and refer to it; leave the writing to this crate. `password_hash` is a
/// secret: select the columns that you need by name.
account_users (id) {
    /// Identifies the account for as long as it lives.
    id -> crate::store::schema::sql_types::AccountId,
    /// The space in which both keys are unique.
    realm -> crate::store::schema::sql_types::AccountId,
    /// As the person typed it.
    username -> Nullable<Text>,
    /// What decides who is equal to whom.
    username_key -> Nullable<Text>,
    /// Which version of the key function made the key.
    username_key_version -> SmallInt,
    /// As the person typed it.
    email -> Nullable<Text>,
    /// What decides who is equal to whom.
    email_key -> Nullable<Text>,
    /// Which version of the key function made the key.
    email_key_version -> SmallInt,
    /// When mail to the address was proved to arrive, in microseconds since 1970.
    email_verified_at -> Nullable<BigInt>,
    /// A PHC string; NULL if the account has no password.
    password_hash -> Nullable<Text>,
    /// 0 active, 1 disabled, 2 reserved.
    state -> SmallInt,
    /// Rises whenever open sessions have to end.
    session_generation -> BigInt,
    /// In microseconds since 1970.
    created_at -> BigInt,
    /// In microseconds since 1970.
    updated_at -> BigInt,
    /// In microseconds since 1970; NULL if the account has no password.
    password_changed_at -> Nullable<BigInt>,
    /// In microseconds since 1970; NULL if the person never signed in.
    last_sign_in_at -> Nullable<BigInt>,
    /// 1 if the person must change the password, else 0.
    password_change_required -> SmallInt,
}
}

diesel::table! {
/// How many wrong passwords were submitted: for an account or a login that no account has, by one
/// client or by all. For this crate alone.
account_attempts (subject, client) {
    /// The id of an account, or 16 bytes of a digest.
    subject -> crate::store::schema::sql_types::AccountId,
    /// 16 bytes of a digest; all zero for all clients together.
    client -> crate::store::schema::sql_types::AccountId,
    /// Since the last success, or the last long pause: what brings waits.
    failures -> BigInt,
    /// Since the last success, at whatever pace: what disables the password.
    in_a_row -> BigInt,
    /// In microseconds since 1970.
    blocked_until -> BigInt,
    /// In microseconds since 1970.
    last_at -> BigInt,
}
}

diesel::table! {
/// What was done of late under a limit that instances share. For this crate alone.
account_limits (id) {
    /// 16 bytes of a digest.
    id -> crate::store::schema::sql_types::AccountId,
    /// When the next one would come if all kept to the pace, in microseconds since 1970.
    theoretical_arrival -> BigInt,
}
}

diesel::table! {
/// What was done to accounts, if the policy keeps a record. Rows are only inserted, and deleted when
/// they are old; columns are only ever added.
account_events (id) {
    /// Identifies the event.
    id -> crate::store::schema::sql_types::AccountId,
    /// The realm in which it was done.
    realm -> crate::store::schema::sql_types::AccountId,
    /// In microseconds since 1970.
    occurred_at -> BigInt,
    /// What was done: the code of an action.
    action -> Text,
    /// What came of it: the code of an outcome.
    outcome -> Text,
    /// To whose account; NULL if to nobody's. The account may be gone.
    user_id -> Nullable<crate::store::schema::sql_types::AccountId>,
    /// By whom, if not by the person whom the account belongs to.
    actor -> Nullable<crate::store::schema::sql_types::AccountId>,
    /// Where it came from, as the host said.
    client -> Nullable<Text>,
    /// What the host calls the request.
    request_id -> Nullable<Text>,
}
}

diesel::allow_tables_to_appear_in_same_query!(account_attempts, account_users);

/// Lets a table of the host's be joined with `account_users`, through the column that refers to it.
///
/// In place of Diesel's `joinable!` and `allow_tables_to_appear_in_same_query!`: the latter cannot
/// name a table of another crate where Diesel has PostgreSQL enabled. `account_users` must be in
/// scope as in the example.
///
/// ```
/// use diesel_accounts::diesel::{self, prelude::*};
/// use diesel_accounts::schema::account_users;
///
/// diesel::table! {
///     profiles (user_id) {
///         user_id -> diesel_accounts::schema::sql_types::AccountId,
///         display_name -> Text,
///     }
/// }
/// diesel_accounts::joinable_with_account_users!(profiles (user_id));
///
/// let query = profiles::table.inner_join(account_users::table).select(account_users::username);
/// # let sql = diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string();
/// # assert!(sql.contains("INNER JOIN `account_users`"), "{sql}");
/// ```
#[macro_export]
macro_rules! joinable_with_account_users {
    ($table:ident ($column:ident)) => {
        $crate::diesel::joinable!($table -> account_users ($column));
        impl $crate::diesel::query_source::TableNotEqual<$crate::schema::account_users::table>
            for $table::table
        {
        }
        impl $crate::diesel::query_source::TableNotEqual<$table::table>
            for $crate::schema::account_users::table
        {
        }
    };
}
