//! What holds for every input, not only for those that somebody thought of.
//!
//! `PROPTEST_CASES=10000` looks longer.

mod ids;
mod input;
mod lists;
mod spellings;
mod support;
mod texts;
