use diesel_accounts::Password;

fn cloned<T: Clone>() {}

fn printed<T: std::fmt::Display>() {}

fn main() {
    cloned::<Password>();
    printed::<Password>();
}
