//! Passwords of another system: they sign in, and their hashes are replaced.

use diesel_accounts::{ImportUser, UserManager};

use super::{VECTOR_PASSWORD, import, importing, row};
use crate::support::{PASSWORD, TestConnection, TestDb, on_each_engine};

on_each_engine!(
    hashes_of_other_systems_sign_in_and_are_replaced_at_once,
    layered_hashes_sign_in_and_are_replaced_at_once,
    a_password_that_bcrypt_would_cut_never_verifies,
    an_account_without_a_password_cannot_sign_in,
);

fn hashes_of_other_systems_sign_in_and_are_replaced_at_once<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let vectors = vectors(|vector| !vector.is_digest());
    import_vectors(&users, &vectors, ImportUser::password_hash);
    assert_eq!(hashes_like(&db, "foreign$%"), vectors.len() as i64);
    let replaced = sign_in_all(&users, &vectors);
    assert!(replaced >= 15, "{replaced}");
    assert_eq!(hashes_like(&db, "$argon2id$v=19$m=8,t=1,p=1$%"), replaced);
    assert_eq!(hashes_like(&db, "foreign$%"), vectors.len() as i64 - replaced);
}

fn layered_hashes_sign_in_and_are_replaced_at_once<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let vectors = vectors(|vector| !vector.is_argon2());
    assert!(vectors.iter().any(Vector::is_digest));
    import_vectors(&users, &vectors, ImportUser::layered_password_hash);
    assert_eq!(hashes_like(&db, "layered$%"), vectors.len() as i64);
    let replaced = sign_in_all(&users, &vectors);
    assert!(replaced >= 15, "{replaced}");
    assert_eq!(hashes_like(&db, "$argon2id$v=19$m=8,t=1,p=1$%"), replaced);
    assert_eq!(hashes_like(&db, "layered$%"), vectors.len() as i64 - replaced);
}

fn a_password_that_bcrypt_would_cut_never_verifies<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let of_72_bytes = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567";
    let hash = "$2b$04$VbqCkbxsbuSgw0OqB7G2Ve3pQRjg5Q44wJi1Xn5xygmAFxCzOe6Wq";
    let layered = row("ben", "ben@example.org").layered_password_hash(hash);
    let plain = row("ann", "ann@example.org").password_hash(hash);
    assert_eq!(import(&users, [plain, layered]).0, ["created"; 2]);
    for name in ["ann", "ben"] {
        for cut in [format!("{of_72_bytes}!"), format!("{of_72_bytes}\0"), of_72_bytes.repeat(2)] {
            assert!(!users.authenticate(name, cut).unwrap().is_accepted(), "{name}");
        }
        assert!(users.authenticate(name, of_72_bytes).unwrap().is_accepted(), "{name}");
        // Now it is Argon2id, which cuts nothing.
        let longer = format!("{of_72_bytes}!");
        assert!(!users.authenticate(name, longer).unwrap().is_accepted(), "{name}");
    }
}

fn an_account_without_a_password_cannot_sign_in<C: TestConnection>(db: TestDb<C>) {
    let users = importing(&db);
    let unusable = "!q48n8cXtVGG0oDNNCIfrHYwFzsFB86qVq48n8cXt";
    let absent = ImportUser::new().username("ann");
    let rows = [
        absent.clone(),
        absent.clone().username("ben").password_hash(""),
        absent.clone().username("cat").password_hash(unusable),
        absent.clone().username("dan").layered_password_hash(unusable),
    ];
    assert_eq!(import(&users, rows).0, ["created"; 4]);
    for name in ["ann", "ben", "cat", "dan"] {
        for password in ["", "!", unusable, VECTOR_PASSWORD] {
            assert!(!users.authenticate(name, password).unwrap().is_accepted(), "{name}");
        }
    }
    assert_eq!(hashes_like(&db, "%"), 0);
    let ann = users.user_by_username("ann").unwrap().unwrap();
    users.set_password(ann.id(), PASSWORD).unwrap();
    users.unlock_user(ann.id()).unwrap();
    assert!(users.authenticate("ann", PASSWORD).unwrap().is_accepted());
}

/// A line of `tests/vectors/foreign_hashes.tsv`.
struct Vector {
    format: &'static str,
    password: String,
    encoded: &'static str,
    verifies: bool,
}

impl Vector {
    fn is_digest(&self) -> bool {
        self.format.contains("md5") || self.format.starts_with("plain") || {
            let kind = self.encoded.split('$').next().unwrap();
            kind == "sha1" || kind.bytes().all(|byte| byte.is_ascii_hexdigit()) && !kind.is_empty()
        }
    }

    fn is_argon2(&self) -> bool {
        self.format.contains("argon2")
    }
}

/// Of each format the cheap hashes, one that verifies and all that do not.
fn vectors(wanted: impl Fn(&Vector) -> bool) -> Vec<Vector> {
    let text = include_str!("../../vectors/foreign_hashes.tsv");
    let mut vectors = Vec::<Vector>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<_> = line.split('\t').collect();
        let &[format, cost, password, encoded, verifies] = columns.as_slice() else {
            panic!("{line}");
        };
        let password = serde_json::from_str(password).unwrap();
        let vector = Vector { format, password, encoded, verifies: verifies == "yes" };
        let is_second =
            vectors.iter().any(|other| other.format == format && other.verifies && vector.verifies);
        if cost == "cheap" && !encoded.starts_with('!') && !is_second && wanted(&vector) {
            vectors.push(vector);
        }
    }
    vectors
}

fn import_vectors<C: TestConnection>(
    users: &UserManager<C>,
    vectors: &[Vector],
    with_hash: fn(ImportUser, String) -> ImportUser,
) {
    let rows = vectors.iter().enumerate().map(|(number, vector)| {
        with_hash(ImportUser::new().username(format!("v{number}")), vector.encoded.to_owned())
    });
    let (heard, _) = import(users, rows);
    for (told, vector) in heard.iter().zip(vectors) {
        assert_eq!(told, "created", "{} {}", vector.format, vector.encoded);
    }
}

/// Signs in with each, twice where it verifies; how many do.
fn sign_in_all<C: TestConnection>(users: &UserManager<C>, vectors: &[Vector]) -> i64 {
    let mut accepted = 0;
    for (number, vector) in vectors.iter().enumerate() {
        for _ in 0..if vector.verifies { 2 } else { 1 } {
            let sign_in = users.authenticate(&format!("v{number}"), &vector.password).unwrap();
            let case = format!("{} {:?}", vector.format, vector.password);
            assert_eq!(sign_in.is_accepted(), vector.verifies, "{case}");
        }
        accepted += i64::from(vector.verifies);
    }
    accepted
}

fn hashes_like<C: TestConnection>(db: &TestDb<C>, pattern: &str) -> i64 {
    db.connect().number(&format!(
        "SELECT COUNT(*) AS number FROM account_users WHERE password_hash LIKE '{pattern}'"
    ))
}
