use diesel_accounts::User;

fn leaked(user: &User) {
    user.password_hash();
}

fn main() {}
