//! A registration service: what strangers send to it, and the service itself.
//!
//! `cargo run -p register_service -- --help` tells what it can be told. The reading of bodies stands
//! apart, for whoever wants nothing else of it.

mod body;

#[cfg(feature = "service")]
pub mod service;

#[cfg(feature = "service")]
#[path = "../../support/mod.rs"]
#[expect(
    dead_code,
    clippy::print_stdout,
    reason = "the arguments of the other examples are parsed there as well, and their help printed"
)]
mod support;

#[cfg(feature = "service")]
use self::body::is_json;
pub use self::body::{MOST_BYTES, Registration, UnreadableBody};
