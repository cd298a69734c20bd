//! What the hasher makes of new, stored and foreign hashes.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon2::{Argon2, PasswordVerifier};

use super::{Hasher, Hashing, ImportFailure, Verdict};
use crate::error::{ConfigurationFailure, Error, HashingFailure};
use crate::password::pace::Paces;
use crate::password::{
    Argon2Cost, Argon2Engine, Argon2Input, ForeignHashes, InvalidHash, Password, PasswordHash,
    Pepper,
};

fn cheap() -> Hashing {
    Hashing::new().cost(Argon2Cost::new(8, 1, 1).unwrap())
}

fn password(text: &str) -> Password {
    Password::from(text)
}

/// `None` if it is wrong; whether it was replaced if it is right.
fn verify(hasher: &Hasher, typed: &str, stored: &PasswordHash) -> Option<bool> {
    match hasher.verify(Some(&password(typed)), Some(stored), true).unwrap() {
        Verdict::Wrong | Verdict::Unusable => None,
        Verdict::Right(new_hash) => Some(new_hash.is_some()),
    }
}

#[test]
fn a_hash_is_a_phc_string_of_argon2id_that_another_implementation_of_it_verifies() {
    let hash = Hasher::new(Hashing::new()).hash(&password("correct horse")).unwrap();
    let phc = hash.as_str();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    let parsed = argon2::PasswordHash::new(phc).unwrap();
    assert_eq!(parsed.salt.unwrap().len(), 16);
    assert_eq!(parsed.hash.unwrap().len(), 32);
    let verifier = Argon2::default();
    assert!(verifier.verify_password(b"correct horse", &parsed).is_ok());
    assert!(verifier.verify_password(b"correct hors", &parsed).is_err());
}

#[test]
fn passwords_are_hashed_in_nfc_and_otherwise_as_they_are() {
    let hasher = Hasher::new(cheap());
    let hash = hasher.hash(&password("caf e\u{301} \0 K ")).unwrap();
    assert_eq!(verify(&hasher, "caf e\u{301} \0 K ", &hash), Some(false));
    assert_eq!(verify(&hasher, "caf \u{e9} \0 K ", &hash), Some(false));
    for wrong in ["caf \u{e9} \0 k ", "caf \u{e9} \0 K", "caf \u{e9} ", ""] {
        assert_eq!(verify(&hasher, wrong, &hash), None, "{wrong:?}");
    }
}

#[test]
fn each_hash_has_its_own_salt() {
    let hasher = Hasher::new(cheap());
    let hashes = [(); 2].map(|()| hasher.hash(&password("same")).unwrap());
    assert_ne!(hashes[0].as_str(), hashes[1].as_str());
}

#[test]
fn a_hash_of_another_cost_verifies_and_is_replaced() {
    let old = Hasher::new(cheap()).hash(&password("correct horse")).unwrap();
    let hasher = Hasher::new(Hashing::new().cost(Argon2Cost::new(16, 2, 1).unwrap()));
    let Verdict::Right(Some(new)) =
        hasher.verify(Some(&password("correct horse")), Some(&old), true).unwrap()
    else {
        panic!("it is right, and obsolete");
    };
    assert!(new.as_str().contains("m=16,t=2,p=1"));
    assert_eq!(verify(&hasher, "correct horse", &new), Some(false));
}

#[test]
fn peppers_are_added_rotated_and_missed() {
    let key = |id: &str, byte| Pepper::new(id, [byte; 32]).unwrap();
    let plain = Hasher::new(cheap());
    let first = Hasher::new(cheap().pepper(key("1", 1)));
    let both = Hasher::new(cheap().pepper(key("1", 1)).pepper(key("2", 2)));
    let second = Hasher::new(cheap().pepper(key("2", 2)));
    let wrong = Hasher::new(cheap().pepper(key("1", 9)));

    let unpeppered = plain.hash(&password("correct horse")).unwrap();
    assert_eq!(verify(&first, "correct horse", &unpeppered), Some(true));
    let of_first = first.hash(&password("correct horse")).unwrap();
    assert!(of_first.as_str().contains(",keyid=MQ$"), "{}", of_first.as_str());
    assert_eq!(verify(&first, "correct horse", &of_first), Some(false));
    assert_eq!(verify(&first, "wrong horse", &of_first), None);
    assert_eq!(verify(&both, "correct horse", &of_first), Some(true));
    // Another key under an old id cannot be told from a wrong password.
    assert_eq!(verify(&wrong, "correct horse", &of_first), None);
    for without in [&second, &plain] {
        let missing = without.verify(Some(&password("correct horse")), Some(&of_first), true);
        let Err(Error::Configuration(ConfigurationFailure::PepperMissing { key_id })) = missing
        else {
            panic!("{missing:?}");
        };
        assert_eq!(key_id, "1");
    }
    let of_both = both.hash(&password("correct horse")).unwrap();
    assert_eq!(verify(&second, "correct horse", &of_both), Some(false));

    assert!(cheap().pepper(key("1", 1)).pepper(key("1", 2)).problem().is_some());
    for (id, bytes) in [("", 32), ("123456789", 32), ("a b", 32), ("a", 15)] {
        assert!(Pepper::new(id, vec![0; bytes]).is_err(), "{id} {bytes}");
    }
    assert_eq!(format!("{:?}", key("a", 1)), "Pepper { id: \"a\", .. }");
}

/// Records the cost of each hash, and computes none of more than 8 MiB passed over.
#[derive(Debug)]
struct Recorder {
    inner: Box<dyn Argon2Engine>,
    work: Arc<Mutex<Vec<u64>>>,
}

impl Argon2Engine for Recorder {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self { inner: self.inner.another(), work: Arc::clone(&self.work) })
    }

    fn compute(&mut self, input: &Argon2Input<'_>, tag: &mut [u8]) -> Result<(), HashingFailure> {
        let work = u64::from(input.memory_kib) * u64::from(input.passes);
        self.work.lock().unwrap().push(work);
        match work {
            0..=8192 => self.inner.compute(input, tag),
            _ => Ok(()),
        }
    }
}

fn recorded(hashing: Hashing) -> (Hasher, Arc<Mutex<Vec<u64>>>) {
    let work = Arc::new(Mutex::new(Vec::new()));
    let inner = Hashing::default_engine();
    let recorder = Recorder { inner, work: Arc::clone(&work) };
    (Hasher::new(hashing.engine(recorder)), work)
}

#[test]
fn every_verification_comes_to_the_work_of_a_new_hash() {
    let cost = |memory, passes| Argon2Cost::new(memory, passes, 1).unwrap();
    let (hasher, work) = recorded(Hashing::new().cost(cost(64, 4)));
    let today = hasher.hash(&password("correct horse")).unwrap();
    let cheaper = Hasher::new(Hashing::new().cost(cost(16, 3)));
    let cheaper = cheaper.hash(&password("correct horse")).unwrap();
    let malformed = PasswordHash::new("$argon2id$v=19$m=64,t=4,p=1$x$y".to_owned());
    let hostile = |parameters: &str| {
        let salt = "AAAAAAAAAAAAAAAAAAAAAA";
        PasswordHash::new(format!("$argon2id$v=19${parameters}${salt}${salt}{salt}"))
    };
    let (memory, passes) = (hostile("m=4194304,t=1,p=1"), hostile("m=64,t=3000000,p=1"));
    let typed = password("wrong horse");
    for (case, typed, stored) in [
        ("wrong", Some(&typed), Some(&today)),
        ("obsolete", Some(&typed), Some(&cheaper)),
        ("nobody", Some(&typed), None),
        ("nothing that could be right", None, Some(&today)),
        ("nothing at all", None, None),
        ("malformed", Some(&typed), Some(&malformed)),
        ("4 GiB", Some(&typed), Some(&memory)),
        ("3,000,000 passes", Some(&typed), Some(&passes)),
    ] {
        work.lock().unwrap().clear();
        assert!(!matches!(hasher.verify(typed, stored, true), Ok(Verdict::Right(_)) | Err(_)));
        let work = work.lock().unwrap();
        assert_eq!(work.iter().sum::<u64>(), 256, "{case}: {work:?}");
        assert!(work.len() <= 2, "{case}: {work:?}");
    }
    work.lock().unwrap().clear();
    assert_eq!(verify(&hasher, "correct horse", &today), Some(false));
    assert_eq!(*work.lock().unwrap(), [256]);
    work.lock().unwrap().clear();
    assert_eq!(verify(&hasher, "correct horse", &cheaper), Some(true));
    assert_eq!(*work.lock().unwrap(), [48, 256, 208], "it is hashed anew, too");
}

/// Passes over a small memory in half the time, as one that fits in a cache: by the clock of the
/// thread, which it sets itself.
#[derive(Debug)]
struct Cached(Arc<Mutex<Vec<u64>>>);

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl Cached {
    /// A hasher with this engine and its clock, and what it computes.
    fn hasher(settings: Hashing) -> (Hasher, Arc<Mutex<Vec<u64>>>) {
        let work = Arc::new(Mutex::new(Vec::new()));
        let mut hasher = Hasher::new(settings.engine(Self(Arc::clone(&work))));
        hasher.floor.paces = Paces::by(|| NOW.get());
        (hasher, work)
    }
}

impl Argon2Engine for Cached {
    fn another(&self) -> Box<dyn Argon2Engine> {
        Box::new(Self(Arc::clone(&self.0)))
    }

    fn compute(&mut self, input: &Argon2Input<'_>, _: &mut [u8]) -> Result<(), HashingFailure> {
        let work = u64::from(input.memory_kib) * u64::from(input.passes);
        let micros = if input.memory_kib < 64 { 100 } else { 200 };
        NOW.set(NOW.get() + Duration::from_micros(work * micros));
        self.0.lock().unwrap().push(work);
        Ok(())
    }
}

#[test]
fn work_that_is_done_faster_counts_for_less() {
    let cost = |memory, passes| Hashing::new().cost(Argon2Cost::new(memory, passes, 1).unwrap());
    for (obsolete, at_first, learnt) in [
        (cost(32, 4), [128, 128], [128, 192]),
        // So much less is missing at first that it is of another pace, too.
        (cost(60, 4), [240, 16], [240, 136]),
        // As fast as it will be.
        (cost(64, 3), [192, 64], [192, 64]),
    ] {
        let (hasher, work) = Cached::hasher(cost(128, 2));
        let obsolete = Hasher::new(obsolete).hash(&password("correct horse")).unwrap();
        let typed = password("wrong horse");
        let verify = |stored| {
            work.lock().unwrap().clear();
            let before = NOW.get();
            assert!(matches!(hasher.verify(Some(&typed), stored, true), Ok(Verdict::Wrong)));
            (work.lock().unwrap().clone(), NOW.get() - before)
        };
        assert_eq!(verify(Some(&obsolete)).0, at_first, "nothing is known yet");
        let (unknown, as_long) = verify(None);
        assert_eq!(unknown, [256]);
        for _ in 0..5 {
            verify(None);
            verify(Some(&obsolete));
        }
        assert_eq!(verify(Some(&obsolete)), (learnt.to_vec(), as_long));
        assert_eq!(verify(None), (vec![256], as_long));
    }
}

/// In a memory that is passed over faster, or slower, than that of a new hash.
#[test]
fn a_dearer_hash_of_another_system_takes_as_long_as_an_unknown_login() {
    let cost = |memory, passes| Argon2Cost::new(memory, passes, 1).unwrap();
    for (own, dearest) in [(cost(32, 2), cost(128, 4)), (cost(128, 1), cost(60, 9))] {
        let settings = Hashing::new().cost(own).accept(ForeignHashes::none().argon2(dearest));
        let (hasher, _) = Cached::hasher(settings);
        let encoded = Hasher::new(Hashing::new().cost(dearest)).hash(&password("correct horse"));
        let Ok(Some(foreign)) = hasher.import(encoded.unwrap().as_str(), false) else {
            panic!("it is accepted");
        };
        let known = hasher.hash(&password("correct horse")).unwrap();
        let typed = password("wrong horse");
        let time = |stored| {
            let before = NOW.get();
            hasher.verify(Some(&typed), stored, true).unwrap();
            NOW.get() - before
        };
        for _ in 0..20 {
            let _ = [None, Some(&foreign), Some(&known)].map(time);
        }
        let [unknown, foreign, known] = [None, Some(&foreign), Some(&known)].map(time);
        for (who, time) in [("foreign", foreign), ("known", known)] {
            let ratio = time.as_secs_f64() / unknown.as_secs_f64();
            assert!((0.97..1.03).contains(&ratio), "{who}: {time:?} for {unknown:?}");
        }
    }
}

#[test]
fn a_dearer_foreign_hash_is_the_floor_for_everybody() {
    let cost = |memory, passes| Argon2Cost::new(memory, passes, 1).unwrap();
    let foreign = ForeignHashes::none().argon2(cost(128, 4));
    let (hasher, work) = recorded(Hashing::new().cost(cost(64, 2)).accept(foreign));
    let own = hasher.hash(&password("correct horse")).unwrap();
    let encoded = Hasher::new(Hashing::new().cost(cost(128, 3)));
    let encoded = encoded.hash(&password("correct horse")).unwrap();
    let Ok(Some(imported)) = hasher.import(encoded.as_str(), false) else {
        panic!("it is accepted");
    };
    for stored in [Some(&own), Some(&imported), None] {
        work.lock().unwrap().clear();
        let verdict = hasher.verify(Some(&password("wrong horse")), stored, true).unwrap();
        assert!(matches!(verdict, Verdict::Wrong));
        assert_eq!(work.lock().unwrap().iter().sum::<u64>(), 512);
    }
    assert_eq!(verify(&hasher, "correct horse", &imported), Some(true));
    assert!(matches!(
        hasher.import(&encoded.as_str().replace("t=3", "t=5"), false),
        Err(ImportFailure::Invalid(InvalidHash::TooCostly))
    ));
}

/// Of another kind than Argon2 it is made up in kind.
#[test]
fn every_verification_does_the_dearest_foreign_hash_of_each_kind_and_one_of_our_own() {
    let foreign = ForeignHashes::none().pbkdf2_sha256(1000).bcrypt(6).scrypt(4, 2, 2);
    let (hasher, work) = recorded(cheap().accept(foreign));
    let own = hasher.hash(&password("correct horse")).unwrap();
    for (format, _, typed, encoded, _) in cheap_vectors() {
        let Ok(Some(stored)) = hasher.import(&encoded, false) else { continue };
        work.lock().unwrap().clear();
        let stored_format = super::Stored::parse(&stored).unwrap();
        let mut permit = hasher.gate.enter(super::Purpose::Verify, 8).unwrap();
        let typed = password(&typed);
        let (_, done) = hasher.compare(&mut permit, &typed, &stored_format, false).unwrap();
        assert_eq!(done.argon2, 0, "{format}");
        if let Some((scheme, units)) = done.foreign {
            let dearest = hasher.floor.others.iter().find(|dearest| dearest.is_of_kind(scheme));
            assert!(units <= dearest.unwrap().units(1), "{format}");
        }
        drop(permit);
        let _ = hasher.verify(Some(&typed), Some(&stored), false).unwrap();
        assert_eq!(*work.lock().unwrap(), [8], "{format}: one of our own on top of it");
    }
    for stored in [Some(&own), None] {
        work.lock().unwrap().clear();
        let verdict = hasher.verify(Some(&password("wrong horse")), stored, true).unwrap();
        assert!(matches!(verdict, Verdict::Wrong));
        assert_eq!(*work.lock().unwrap(), [8]);
    }
}

/// A tag of two blocks takes all iterations twice.
#[test]
fn what_a_foreign_hash_costs_depends_on_the_length_of_its_tag() {
    let hasher = Hasher::new(cheap().accept(ForeignHashes::none().pbkdf2_sha1(1000)));
    let encoded = |iterations: u32, tag: usize| {
        let tag = "A".repeat(tag.div_ceil(3) * 4);
        hasher.import(&format!("pbkdf2_sha1${iterations}$salt${tag}"), false)
    };
    assert!(matches!(encoded(1000, 18), Ok(Some(_))));
    assert!(matches!(encoded(1000, 24), Err(ImportFailure::Invalid(InvalidHash::TooCostly))));
    assert!(matches!(encoded(500, 24), Ok(Some(_))));
}

#[test]
fn a_hash_within_the_table_of_owasp_or_of_a_former_cost_verifies_after_the_cost_was_lowered() {
    let cost = |memory, passes| Argon2Cost::new(memory, passes, 1).unwrap();
    let dear = Hasher::new(Hashing::new().cost(cost(512, 4))).hash(&password("correct horse"));
    let dear = dear.unwrap();
    let lowered = Hashing::new().cost(cost(8, 1)).concurrent_hashes(1);
    assert_eq!(verify(&Hasher::new(lowered.clone()), "correct horse", &dear), Some(true));
    let dearer = PasswordHash::new(dear.as_str().replace("m=512,t=4", "m=60000,t=1"));
    let refusing = Hasher::new(lowered.clone());
    let verdict = refusing.verify(Some(&password("x")), Some(&dearer), true).unwrap();
    assert!(matches!(verdict, Verdict::Unusable));
    let (declared, work) = recorded(lowered.former_cost(cost(60_000, 1)));
    for stored in [Some(&dearer), Some(&dear), None] {
        work.lock().unwrap().clear();
        let verdict = declared.verify(Some(&password("x")), stored, true).unwrap();
        assert!(matches!(verdict, Verdict::Wrong));
        assert_eq!(work.lock().unwrap().iter().sum::<u64>(), 60_000);
    }
}

/// Whatever somebody writes into the table, or into a file to be imported.
#[test]
fn mangled_hashes_are_refused_or_verified_and_never_panic() {
    let hasher = without_floor(cheap().accept(all_foreign()));
    let mut random = fastrand::Rng::with_seed(7);
    let mut accepted = 0;
    let cheap: Vec<_> = cheap_vectors().map(|(.., encoded, _)| encoded).collect();
    for _ in 0..20_000 {
        let mut bytes = random.choice(&cheap).unwrap().clone().into_bytes();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] = random.u8(32..127),
                1 => bytes.insert(at, *b"$,=0123456789".get(random.usize(..13)).unwrap()),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(Some(stored)) = hasher.import(&text, random.bool()) {
            assert!(super::Stored::parse(&stored).is_some(), "{text}");
            accepted += 1;
        }
        // As if it stood in the table: only parsed, and judged.
        for prefix in ["", "foreign$", "layered$"] {
            let stored = PasswordHash::new(format!("{prefix}{text}"));
            let _ = super::Stored::parse(&stored).map(|stored| hasher.accepts(&stored));
        }
    }
    assert!(accepted > 1000, "{accepted}");
    for hostile in ["scrypt,62,8,1,AAAA", "scrypt,255,4294967295,4294967295,AAAA", "bcrypt,64,AAAA"]
    {
        let stored = PasswordHash::new(format!("foreign${hostile}${}", "A".repeat(22)));
        let verdict = hasher.verify(Some(&password("x")), Some(&stored), true).unwrap();
        assert!(matches!(verdict, Verdict::Unusable | Verdict::Wrong), "{hostile}");
    }
}

fn vectors() -> impl Iterator<Item = [String; 5]> {
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/foreign_hashes.tsv"))
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let mut columns: [String; 5] = columns.try_into().unwrap();
            columns[2] = serde_json::from_str(&columns[2]).unwrap();
            columns
        })
}

/// Those whose verification takes next to no time: format, cost, password, hash, whether it
/// verifies.
fn cheap_vectors() -> impl Iterator<Item = (String, String, String, String, String)> {
    vectors().filter(|vector| vector[1] == "cheap").map(|vector| vector.into())
}

fn all_foreign() -> ForeignHashes {
    let django = Argon2Cost::new(102_400, 2, 8).unwrap();
    ForeignHashes::django()
        .argon2(django)
        .bcrypt(12)
        .pbkdf2_sha1(1_200_000)
        .pbkdf2_sha512(1_200_000)
        .scrypt(14, 8, 5)
        .layered()
}

/// A hasher that makes nothing up: what that costs is not what a test is about.
fn without_floor(hashing: Hashing) -> Hasher {
    let mut hasher = Hasher::new(hashing);
    hasher.floor.others.clear();
    hasher.floor.argon2.clear();
    hasher
}

#[test]
fn the_hashes_of_other_systems_verify_and_are_replaced() {
    let hasher = without_floor(cheap().accept(all_foreign()));
    let mut seen = 0;
    for [format, _, typed, encoded, verifies] in vectors() {
        let is_digest =
            ["md5", "_salted_sha1", "_hex_"].iter().any(|digest| format.contains(digest));
        let imported = match hasher.import(&encoded, is_digest) {
            Ok(Some(imported)) => imported,
            Ok(None) => {
                assert_eq!(format, "django_unusable");
                continue;
            }
            Err(ImportFailure::Invalid(invalid)) => panic!("{format} {encoded}: {invalid}"),
            Err(ImportFailure::Hashing(error)) => panic!("{format}: {error}"),
        };
        assert!(imported.as_str().len() <= 255, "{format}: {}", imported.as_str());
        let expected = (verifies == "yes").then_some(true);
        assert_eq!(verify(&hasher, &typed, &imported), expected, "{format} {typed:?}");
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_layered_hash_verifies_and_holds_nothing_of_the_old_one() {
    let pepper = Pepper::new("k", [1; 32]).unwrap();
    let hasher = without_floor(cheap().pepper(pepper).accept(all_foreign()));
    for [format, cost, typed, encoded, verifies] in vectors() {
        if cost != "cheap" {
            continue;
        }
        let layered = match hasher.import(&encoded, true) {
            Ok(Some(layered)) => layered,
            Ok(None) => continue,
            Err(ImportFailure::Invalid(InvalidHash::NotLayerable)) => {
                assert!(format.contains("argon2"), "{format}");
                continue;
            }
            Err(_) => panic!("{format}"),
        };
        let tag = encoded.rsplit('$').next().unwrap();
        assert!(!layered.as_str().contains(&tag[tag.len() / 2..]), "{format}");
        assert!(layered.as_str().len() <= 255);
        let expected = (verifies == "yes").then_some(true);
        assert_eq!(verify(&hasher, &typed, &layered), expected, "{format} {typed:?}");
    }
}

#[test]
fn a_foreign_hash_that_is_unknown_malformed_too_costly_or_not_accepted_is_told_as_such() {
    use InvalidHash::{
        Malformed, NotAccepted, NotLayerable, OnlyLayered, PepperMissing, TooCostly, Unknown,
    };
    let argon2 = Argon2Cost::new(64, 1, 1).unwrap();
    let foreign = ForeignHashes::django().argon2(argon2).bcrypt(5).scrypt(14, 8, 5).layered();
    let hasher = Hasher::new(cheap().accept(foreign));
    let salt = "AAAAAAAAAAAAAAAAAAAAAA";
    let long = format!("pbkdf2_sha256$1$salt${}", "A".repeat(10_000_000));
    for (encoded, layered, expected) in [
        ("plain text", false, Unknown),
        ("$1$salt$tagtagtagtagtagtagtagt", false, Unknown),
        ("$6$rounds=5000$salt$tag", false, Unknown),
        ("crypt$$az", false, Unknown),
        ("sha512$salt$00", false, Unknown),
        ("pbkdf2_sha256$salt", false, Unknown),
        ("pbkdf2_sha256$-1$salt$AAAA", false, Malformed),
        ("pbkdf2_sha256$+1$salt$AAAAAAAAAAAAAAAAAAAAAA", false, Malformed),
        ("pbkdf2_sha256$1$salt$AAAA", false, Malformed),
        ("pbkdf2_sha256$0$salt$AAAAAAAAAAAAAAAAAAAAAA", false, Malformed),
        ("pbkdf2_sha256$1$salt$????????????????????", false, Malformed),
        ("scrypt$15$salt$8$5$AAAAAAAAAAAAAAAAAAAAAA", false, Malformed),
        ("$2b$04$short", false, Malformed),
        (&long, false, Malformed),
        ("pbkdf2_sha256$3000000$salt$AAAAAAAAAAAAAAAAAAAAAA", false, TooCostly),
        ("scrypt$1073741824$salt$8$5$AAAAAAAAAAAAAAAAAAAAAA", false, TooCostly),
        ("scrypt$16384$salt$8$4000000$AAAAAAAAAAAAAAAAAAAAAA", false, TooCostly),
        ("$2b$31$LWJcjtbX.xr8iZrBe9xB3eiG28NCVy8ND54AXyaml.00000000000", false, TooCostly),
        (&format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${salt}"), false, TooCostly),
        (&format!("$argon2id$v=19$m=64,t=3000000,p=1${salt}${salt}"), false, TooCostly),
        (&format!("$argon2id$v=19$m=64,t=1,p=1,keyid=AA${salt}${salt}"), false, PepperMissing),
        (&format!("$argon2id$v=19$m=64,t=1,p=1,data=AA${salt}${salt}"), false, Malformed),
        (&format!("$argon2id$v=18$m=64,t=1,p=1${salt}${salt}"), false, Malformed),
        (&format!("$argon2id$v=19$m=4,t=1,p=1${salt}${salt}"), false, Malformed),
        (&format!("$argon2id$v=19$m=64,t=1,p=1${salt}${salt}"), true, NotLayerable),
        ("md5$salt$00000000000000000000000000000000", false, OnlyLayered),
        ("00000000000000000000000000000000", false, OnlyLayered),
        ("md5$salt$0000", true, Malformed),
        ("pbkdf2:sha512:1$salt$00000000000000000000000000000000", false, NotAccepted),
    ] {
        let start: String = encoded.chars().take(60).collect();
        match hasher.import(encoded, layered) {
            Err(ImportFailure::Invalid(invalid)) => assert_eq!(invalid, expected, "{start}"),
            _ => panic!("{start} is {expected}"),
        }
    }
    for unusable in ["", "!", "!q48n8cXtVGG0oDNNCIfrHYwFzsFB86qVq48n8cXt"] {
        assert!(matches!(hasher.import(unusable, false), Ok(None)), "{unusable}");
    }
    let none = Hasher::new(cheap());
    let refused = none.import("pbkdf2_sha256$1$salt$AAAAAAAAAAAAAAAAAAAAAA", false);
    assert!(matches!(refused, Err(ImportFailure::Invalid(NotAccepted))));
    let refused = none.import("00000000000000000000000000000000", true);
    assert!(matches!(refused, Err(ImportFailure::Invalid(NotAccepted))));
    assert!(ForeignHashes::none().bcrypt(32).problem().is_some());
    assert!(ForeignHashes::none().scrypt(0, 8, 1).problem().is_some());
}

#[test]
fn a_layered_hash_is_accepted_if_both_of_its_layers_are() {
    let accepted = |layered: &Hashing, accepting: Hashing| {
        let layered = Hasher::new(layered.clone());
        let stored = layered.import("md5$salt$35c2b1f0ee2bf1a2d0e1dc3a4a0e0a00", true);
        let Ok(Some(stored)) = stored else { panic!("it is not imported") };
        Hasher::new(accepting).accepts(&super::Stored::parse(&stored).unwrap())
    };
    let cheap = cheap().accept(all_foreign());
    assert!(accepted(&cheap, cheap.clone()));
    assert!(!accepted(&cheap, self::cheap()));
    // More than OWASP names, and than the policy ever made.
    let dear = Hashing::new().cost(Argon2Cost::new(8, 6_000, 1).unwrap());
    assert!(!accepted(&dear.accept(all_foreign()), cheap));
}

#[test]
fn a_hash_is_waited_for_a_day_at_most() {
    let day = Duration::from_secs(86_400);
    assert_eq!(cheap().longest_wait(day).problem(), None);
    assert!(cheap().longest_wait(day + Duration::from_nanos(1)).problem().is_some());
}

#[test]
fn a_stored_hash_that_is_no_longer_accepted_is_unusable() {
    let accepting = Hasher::new(cheap().accept(ForeignHashes::none().pbkdf2_sha256(10)));
    let encoded = "pbkdf2_sha256$5$salt$AAAAAAAAAAAAAAAAAAAAAA";
    let Ok(Some(stored)) = accepting.import(encoded, false) else { panic!("it is accepted") };
    for hashing in [cheap(), cheap().accept(ForeignHashes::none().pbkdf2_sha256(4))] {
        let verdict =
            Hasher::new(hashing).verify(Some(&password("x")), Some(&stored), true).unwrap();
        assert!(matches!(verdict, Verdict::Unusable));
    }
    let verdict = accepting.verify(Some(&password("x")), Some(&stored), true).unwrap();
    assert!(matches!(verdict, Verdict::Wrong));
}

#[test]
fn calibration_proposes_more_passes_for_more_time() {
    use std::time::Duration;
    let hashing = Hashing::new();
    let least = hashing.calibrate(Duration::ZERO).unwrap();
    assert_eq!(least.cost(), Argon2Cost::OWASP_19_MIB);
    let proposal = hashing.calibrate(10 * least.time()).unwrap();
    assert!(proposal.cost().passes() > 2, "{proposal:?}");
    assert!(proposal.hashes_per_second() < least.hashes_per_second());
}
