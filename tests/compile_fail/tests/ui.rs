//! What must not compile, and what the compiler says then.
//!
//! `TRYBUILD=overwrite cargo test -p diesel-accounts-compile-fail` writes the texts anew.

#[test]
fn what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
