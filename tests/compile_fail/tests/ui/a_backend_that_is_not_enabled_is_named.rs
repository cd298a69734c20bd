use diesel::SqliteConnection;
use diesel_accounts::AccountBackend;

fn needs<B: AccountBackend<SqliteConnection>>() {}

struct NotEnabled;

fn main() {
    needs::<NotEnabled>();
}
