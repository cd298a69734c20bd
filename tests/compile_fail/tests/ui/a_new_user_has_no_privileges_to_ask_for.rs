use diesel_accounts::{NewUser, PreparedUser, UserState};

fn privileged(new_user: NewUser, prepared: PreparedUser) {
    new_user.role("admin");
    new_user.email_verified(true);
    new_user.state(UserState::Active);
    prepared.role("admin");
    prepared.email_verified(true);
    prepared.state(UserState::Active);
}

fn main() {}
