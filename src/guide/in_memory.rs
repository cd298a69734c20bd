// The manager that the examples in the documentation work with: `include!` makes it an expression.
{
    use diesel_accounts::diesel::SqliteConnection;
    use diesel_accounts::diesel::r2d2::{ConnectionManager, Pool};

    let database = ConnectionManager::<SqliteConnection>::new(":memory:");
    let pool = Pool::builder().max_size(1).build(database).expect("a database in memory");
    let users = diesel_accounts::UserManager::new(pool);
    users.migrate().expect("an empty database");
    users
}
