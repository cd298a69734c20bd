//! What a registration service reads from strangers, before the library sees any of it.

mod body;

pub use self::body::{MOST_BYTES, Registration, UnreadableBody};
