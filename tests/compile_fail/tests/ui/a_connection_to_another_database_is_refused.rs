use diesel::{PgConnection, SqliteConnection};
use diesel_accounts::UserManager;

fn on(users: &UserManager<SqliteConnection>, conn: &mut PgConnection) {
    let _ = users.on(conn);
}

fn main() {}
