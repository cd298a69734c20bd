//! The pages as people meet them: the program runs on SQLite, and a Chromium without a window is
//! led through it, with JavaScript and without.
//!
//! `cargo test --workspace --all-features --test browser`
//!
//! Each step leaves a picture in `target/screenshots`.

#![cfg(all(feature = "service", feature = "sqlite"))]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod admin;
mod again;
mod browser;
mod driver;
mod keyboard;
mod looks;
mod people;
mod refused;
mod registering;
mod service;
#[path = "../service/settings.rs"]
mod settings;
mod stage;
mod strength;

/// One test with JavaScript, and one without.
macro_rules! in_each_browser {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn with_javascript() {
                $crate::stage::run($crate::browser::Javascript::On, super::$test);
            }

            #[test]
            fn without_javascript() {
                $crate::stage::run($crate::browser::Javascript::Off, super::$test);
            }
        }
    )+};
}
pub(crate) use in_each_browser;
