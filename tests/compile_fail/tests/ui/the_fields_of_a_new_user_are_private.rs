use diesel_accounts::{NewUser, PreparedUser};

fn forged(mut new_user: NewUser, prepared: PreparedUser) {
    new_user.email = None;
    let _ = prepared.password_hash;
}

fn main() {}
