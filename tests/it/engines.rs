//! Engines of Argon2: what one has hashed, every other verifies.

use diesel_accounts::{Argon2Cost, Hashing, Pepper, SimdEngine};

use crate::support::{PASSWORD, TestConnection, TestDb, alice, bob, cheap_policy, on_each_engine};

on_each_engine!(
    what_one_engine_has_hashed_the_other_verifies,
    a_change_of_the_engine_makes_no_hash_obsolete,
);

fn what_one_engine_has_hashed_the_other_verifies<C: TestConnection>(db: TestDb<C>) {
    let pepper = || Pepper::new("first", vec![7; 32]).unwrap();
    for (number, cost) in [(8, 1, 1), (64, 3, 2), (19_456, 2, 1)].into_iter().enumerate() {
        let cost = Argon2Cost::new(cost.0, cost.1, cost.2).unwrap();
        let hashing = || Hashing::new().cost(cost).pepper(pepper());
        let default = db.users_with(cheap_policy().hashing(hashing()));
        let simd = SimdEngine::new().unwrap();
        let simd = db.users_with(cheap_policy().hashing(hashing().engine(simd)));
        let realm = diesel_accounts::RealmId::from_bytes([u8::try_from(number).unwrap(); 16]);
        let (default, simd) = (default.in_realm(realm), simd.in_realm(realm));
        assert!(default.create_user(alice()).unwrap().is_created());
        assert!(simd.create_user(bob()).unwrap().is_created());
        for users in [&default, &simd] {
            for name in ["alice", "bob"] {
                assert!(users.authenticate(name, PASSWORD).unwrap().is_accepted(), "{name}");
                assert!(!users.authenticate(name, "wrong horse").unwrap().is_accepted(), "{name}");
            }
        }
    }
}

fn a_change_of_the_engine_makes_no_hash_obsolete<C: TestConnection>(db: TestDb<C>) {
    db.create(alice());
    let mut conn = db.connect();
    conn.batch_execute("CREATE TABLE earlier AS SELECT password_hash FROM account_users").unwrap();
    let cost = Argon2Cost::new(8, 1, 1).unwrap();
    let simd = Hashing::new().cost(cost).engine(SimdEngine::new().unwrap());
    let users = db.users_with(cheap_policy().hashing(simd));
    assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
    let same = "SELECT COUNT(*) AS number FROM account_users a, earlier e \
                WHERE a.password_hash = e.password_hash";
    assert_eq!(conn.number(same), 1);
}
