use std::fs;
use std::path::Path;

use backpropd_identity::{Claims, Secrets};
use tempfile::TempDir;

use super::files::Files;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn token(secret: &str, subject: &str, exp: u64) -> String {
    let claims = Claims {
        sub: subject.into(),
        role: Role::Student,
        exp,
        jti: Some(format!("{subject}-1")),
        nbf: None,
        iat: None,
        aud: Vec::new(),
        iss: None,
    };
    let secrets = Secrets::read(secret.as_bytes()).expect("secrets");
    secrets.mint(&claims).expect("signed")
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn keyring(folder: &Path) -> Result<Keyring, KeyFileError> {
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    Keyring::start(&Config {
        auth_secret_file: path("secrets"),
        auth_revoked_file: path("revoked"),
        ..Config::default()
    })
}

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("secrets"), SECRET).expect("writable");
    fs::write(folder.path().join("revoked"), "").expect("writable");
    folder
}

#[test]
fn a_remembered_token_ends_when_it_expires() {
    let folder = folder();
    let keyring = keyring(folder.path()).expect("it starts");
    let token = token(SECRET, "alice", 100);
    for _ in 0..2 {
        let login = keyring.log_in(&token, at(99)).expect("valid");
        assert_eq!(&*login.identity.subject, "alice");
    }
    assert_eq!(
        keyring.log_in(&token, at(100)).err(),
        Some(Rejection::Expired)
    );
    assert!(
        keyring.log_in(&token, at(99)).is_ok(),
        "the clock went back"
    );
}

#[test]
fn a_person_and_a_token_are_out_as_soon_as_the_list_is_read() {
    let folder = folder();
    let keyring = keyring(folder.path()).expect("it starts");
    let [alice, bob] = ["alice", "bob"].map(|subject| token(SECRET, subject, 100));
    for token in [&alice, &bob] {
        assert!(keyring.log_in(token, at(1)).is_ok());
    }
    for list in ["alice\n", "alice-1\n"] {
        fs::write(folder.path().join("revoked"), list).expect("writable");
        keyring.look_again();
        assert_eq!(
            keyring.log_in(&alice, at(1)).err(),
            Some(Rejection::Revoked),
            "{list}"
        );
        assert!(keyring.log_in(&bob, at(1)).is_ok());
    }
    fs::write(folder.path().join("revoked"), "").expect("writable");
    keyring.look_again();
    assert!(keyring.log_in(&alice, at(1)).is_ok());
    let carol = Certificate {
        subject: "carol".to_owned(),
        ends: at(100),
    };
    for (now, expected) in [
        (1, None),
        (100, None),
        (101, Some(Rejection::CertificateExpired)),
    ] {
        assert_eq!(keyring.certified(&carol, at(now)).err(), expected, "{now}");
    }
    fs::write(folder.path().join("revoked"), "carol").expect("writable");
    keyring.look_again();
    assert_eq!(
        keyring.certified(&carol, at(1)).err(),
        Some(Rejection::Revoked)
    );
}

#[test]
fn a_new_secret_replaces_the_old_one_and_a_bad_file_is_kept_out() {
    let folder = folder();
    let secrets = folder.path().join("secrets");
    let keyring = keyring(folder.path()).expect("it starts");
    let [old, new] = [SECRET, OTHER].map(|secret| token(secret, "alice", 100));
    let works = |token: &str| {
        keyring.look_again();
        keyring.log_in(token, at(1)).is_ok()
    };
    assert!(works(&old) && !works(&new));
    fs::write(&secrets, format!("{OTHER}\n{SECRET}\n")).expect("writable");
    assert!(works(&old) && works(&new));
    for bad in ["", "short", "\u{0}"] {
        fs::write(&secrets, bad).expect("writable");
        assert!(works(&old) && works(&new), "{bad:?}");
    }
    fs::remove_file(&secrets).expect("it is there");
    assert!(works(&old) && works(&new));
    fs::write(&secrets, OTHER).expect("writable");
    assert!(!works(&old), "a remembered token is checked again");
    assert!(works(&new));
}

/// The key of RFC 8037, and one that is no point of its curve.
const SOUND_KEY: &str =
    r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const OFF_CURVE: &str = r#"{"kty": "EC", "crv": "P-256", "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;

#[test]
fn a_key_file_with_one_unusable_key_changes_nothing_and_each_of_its_faults_is_news() {
    let folder = folder();
    let path = folder.path().join("keys");
    let put = |keys: &[&str]| {
        fs::write(&path, format!(r#"{{"keys": [{}]}}"#, keys.join(", "))).expect("writable");
    };
    put(&[SOUND_KEY]);
    let mut files = Files::of(&Config {
        auth_jwks_file: path.to_str().expect("UTF-8").to_owned(),
        ..Config::default()
    });
    assert!(files.load().expect("sound").keys.is_some());
    let mut warnings = || {
        let changed = files.changed();
        assert!(changed.keys.is_none(), "it replaces the sound keys");
        changed.warnings
    };
    assert!(warnings().is_empty());
    let weak = r#"{"kty": "RSA", "kid": "weak", "n": "AQ", "e": "AQ"}"#;
    put(&[OFF_CURVE, SOUND_KEY, weak]);
    let [told] = <[String; 1]>::try_from(warnings()).expect("a warning");
    for part in [
        "auth_jwks_file",
        "key 1: ",
        "P-256; key 3 (kid \"weak\"): ",
        "2048",
        "odd",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(warnings().is_empty(), "it is told once");
    put(&[OFF_CURVE, SOUND_KEY]);
    let [told] = <[String; 1]>::try_from(warnings()).expect("another fault is news");
    assert!(!told.contains("key 3"), "{told}");
    put(&[SOUND_KEY, SOUND_KEY]);
    assert!(files.changed().keys.is_some());
}

#[test]
fn a_start_without_a_usable_file_names_setting_file_and_fault() {
    let folder = folder();
    fs::write(folder.path().join("secrets"), "short").expect("writable");
    let refused = keyring(folder.path())
        .err()
        .expect("it refuses")
        .to_string();
    for part in [
        "auth_secret_file",
        "secrets",
        "5 bytes",
        "at least 32",
        "--new-secret",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    fs::remove_file(folder.path().join("secrets")).expect("it is there");
    let refused = keyring(folder.path())
        .err()
        .expect("it refuses")
        .to_string();
    assert!(refused.contains("No such file"), "{refused}");
}

#[test]
fn the_memory_of_tokens_is_bounded() {
    let folder = folder();
    let keyring = keyring(folder.path()).expect("it starts");
    for number in 0..=REMEMBERED {
        let token = token(SECRET, &format!("s{number}"), 100);
        keyring.log_in(&token, at(1)).expect("valid");
    }
    assert!(keyring.state().known.len() <= REMEMBERED);
}

#[test]
fn the_last_login_of_a_connection_is_no_way_around_a_change() {
    let folder = folder();
    let keyring = keyring(folder.path()).expect("it starts");
    let [alice, bob] = ["alice", "bob"].map(|subject| token(SECRET, subject, 100));
    let last = LastLogin::default();
    let subject = |token: &str, now| {
        let login = keyring.log_in_on(&last, token, at(now));
        login.map(|login| login.identity.subject.to_string())
    };
    for _ in 0..2 {
        assert_eq!(subject(&alice, 99), Ok("alice".to_owned()));
    }
    assert_eq!(subject(&alice, 100), Err(Rejection::Expired));
    assert_eq!(subject(&bob, 1), Ok("bob".to_owned()), "another token");
    let shorter = &alice[..alice.len() - 1];
    assert_eq!(subject(shorter, 1), Err(Rejection::Malformed));
    assert_eq!(subject(&alice, 1), Ok("alice".to_owned()));
    fs::write(folder.path().join("revoked"), "alice").expect("writable");
    keyring.look_again();
    assert_eq!(subject(&alice, 1), Err(Rejection::Revoked));
    assert_eq!(subject(&bob, 1), Ok("bob".to_owned()));
    assert!(!format!("{last:?}").contains(&bob), "no log shows it");
}
