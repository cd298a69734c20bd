//! What is compared with: insertions by hand, the drivers alone, and hashes without a library.

pub mod by_hand;
pub mod drivers;
pub mod load;
