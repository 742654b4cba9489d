use std::os::unix::fs::PermissionsExt;

use jiff::ToSpan;

use super::*;
use crate::clock::Clock;

const BEFORE: Duration = Duration::from_secs(600);

fn start() -> Timestamp {
    "2026-11-23T10:15:00Z".parse().unwrap()
}

fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn states(ring: &KeyRing, now: Timestamp) -> Vec<(Family, State)> {
    ring.list(now).into_iter().map(|key| (key.family, key.state)).collect()
}

#[test]
fn the_first_keys_sign_at_once_and_are_private() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("certs/signing");
    let ring = KeyRing::init(&dir, start()).unwrap();
    assert_eq!(
        states(&ring, start()),
        [
            (Family::Rsa, State::Signing),
            (Family::P256, State::Signing),
            (Family::Ed25519, State::Signing)
        ]
    );
    assert_eq!(
        ring.algorithms(),
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"]
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for key in ring.list(start()) {
        assert_eq!(mode(&key.file), 0o600);
        assert_eq!(key.signs_from, Some(start()));
    }
    assert!(dir.join("rsa-20261123T101500Z.pem").exists());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3);
}

#[test]
fn nothing_is_overwritten() {
    let base = tempfile::tempdir().unwrap();
    KeyRing::init(base.path(), start()).unwrap();
    let again = KeyRing::init(base.path(), start() + 1.hour()).unwrap_err();
    assert!(again.hint.unwrap().contains("tollgate keys rotate"));

    KeyRing::rotate(base.path(), &Clock::fixed(start() + 1.hour()), BEFORE).unwrap();
    let before = KeyRing::load(base.path()).unwrap().jwks(start());
    KeyRing::rotate(base.path(), &Clock::fixed(start() + 1.hour()), BEFORE).unwrap_err();
    assert_eq!(KeyRing::load(base.path()).unwrap().jwks(start()), before);

    let secret = base.path().join("new/capsule.key");
    init_capsule_secret(&secret).unwrap();
    let text = std::fs::read_to_string(&secret).unwrap();
    assert_eq!(text.trim_end().len(), 43);
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = init_capsule_secret(&secret).unwrap_err();
    assert!(!refused.to_string().contains(text.trim_end()));
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), text);
}

#[test]
fn a_new_key_is_published_at_once_and_signs_when_its_time_comes() {
    let base = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(start());
    let first = KeyRing::init(base.path(), clock.now()).unwrap();
    let old = first.signing_kid(Algorithm::RS256, clock.now()).unwrap().to_owned();

    clock.set(start() + 24.hours());
    let ring = KeyRing::rotate(base.path(), &clock, BEFORE).unwrap();
    let published = kids(&ring.jwks(clock.now()));
    assert_eq!(published.len(), 6);
    assert!(kids(&first.jwks(clock.now())).iter().all(|kid| published.contains(kid)));
    assert_eq!(ring.signing_kid(Algorithm::RS256, clock.now()), Some(old.as_str()));
    assert_eq!(
        states(&ring, clock.now())[..2],
        [(Family::Rsa, State::Signing), (Family::Rsa, State::Next)]
    );

    clock.set(start() + 24.hours() + 599.seconds());
    assert_eq!(ring.signing_kid(Algorithm::PS384, clock.now()), Some(old.as_str()));
    clock.set(start() + 24.hours() + 600.seconds());
    let new = ring.signing_kid(Algorithm::PS384, clock.now()).unwrap();
    assert_ne!(new, old);
    assert_eq!(
        states(&ring, clock.now())[..2],
        [(Family::Rsa, State::Old), (Family::Rsa, State::Signing)]
    );
    assert_eq!(kids(&ring.jwks(clock.now())).len(), 6);
    // The old key's tokens are still ours.
    let signature = first.sign(&old, Algorithm::RS256, b"m").unwrap();
    assert!(ring.holds(&old) && ring.verifies(&old, Algorithm::RS256, b"m", &signature));
}

#[test]
fn replicas_with_copies_of_the_directory_agree_at_every_time() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    KeyRing::init(one.path(), start()).unwrap();
    KeyRing::rotate(one.path(), &Clock::fixed(start() + 1.hour()), BEFORE).unwrap();
    KeyRing::rotate(one.path(), &Clock::fixed(start() + 2.hours()), BEFORE).unwrap();
    // Copied in another order, so that no time of a file is the same.
    for file in files::key_files(one.path()).unwrap().into_iter().rev() {
        std::fs::copy(&file, other.path().join(file.file_name().unwrap())).unwrap();
    }
    let (one, other) = (KeyRing::load(one.path()).unwrap(), KeyRing::load(other.path()).unwrap());
    for minutes in [-10, 0, 59, 69, 70, 71, 129, 130, 1000] {
        let now = start() + minutes.minutes();
        assert_eq!(one.jwks(now), other.jwks(now));
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let kid = one.signing_kid(algorithm, now);
            assert!(kid.is_some() && kid == other.signing_kid(algorithm, now));
        }
    }
}

#[test]
fn only_public_members_are_published() {
    let base = tempfile::tempdir().unwrap();
    let ring = KeyRing::init(base.path(), start()).unwrap();
    let jwks = ring.jwks(start());
    let members: Vec<Vec<&str>> = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_object().unwrap().keys().map(String::as_str).collect())
        .collect();
    assert_eq!(
        members,
        [
            vec!["use", "kid", "kty", "n", "e"],
            vec!["use", "alg", "kid", "kty", "crv", "x", "y"],
            vec!["use", "alg", "kid", "kty", "crv", "x"]
        ]
    );
    let spki = ring.rsa_public_key_spki_base64(start()).unwrap();
    assert!(spki.starts_with("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"), "{spki}");
}

#[test]
fn private_keys_do_not_print() {
    let base = tempfile::tempdir().unwrap();
    let ring = KeyRing::init(base.path(), start()).unwrap();
    let printed = format!("{ring:?}");
    for file in files::key_files(base.path()).unwrap() {
        let pem = std::fs::read_to_string(file).unwrap();
        let inner = pem.lines().nth(2).unwrap();
        assert!(!printed.contains(inner));
    }
    assert!(!printed.contains("PRIVATE"));
}

#[test]
fn files_that_hold_no_usable_key_are_named() {
    let base = tempfile::tempdir().unwrap();
    let missing = KeyRing::load(&base.path().join("nowhere")).unwrap_err();
    assert!(missing.message.contains("nowhere") && missing.hint.unwrap().contains("tollgate keys init"));
    let none = KeyRing::load(base.path()).unwrap_err();
    assert!(none.hint.unwrap().contains("tollgate keys init"));

    for wrong in [
        "",
        "hello",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        std::fs::write(base.path().join("mine.pem"), wrong).unwrap();
        let unusable = KeyRing::load(base.path()).unwrap_err();
        assert_eq!(unusable.key, "tokens.keys");
        assert!(unusable.message.contains("mine.pem"), "{}", unusable.message);
    }
}

#[test]
fn a_key_in_two_files_is_refused_and_other_files_are_ignored() {
    let base = tempfile::tempdir().unwrap();
    KeyRing::init(base.path(), start()).unwrap();
    std::fs::write(base.path().join("README.md"), "keys").unwrap();
    assert!(KeyRing::load(base.path()).is_ok());
    let file = files::key_files(base.path()).unwrap().remove(0);
    std::fs::copy(file, base.path().join("copy.pem")).unwrap();
    assert!(KeyRing::load(base.path()).unwrap_err().message.contains("copy.pem"));
}

#[test]
fn a_key_whose_name_says_no_time_signs_until_a_dated_one_takes_over() {
    let base = tempfile::tempdir().unwrap();
    let first = KeyRing::init(base.path(), start()).unwrap();
    let kid = first.signing_kid(Algorithm::ES256, start()).unwrap().to_owned();
    // Its name comes last, and its time first.
    let dated = base.path().join("p256-20261123T101500Z.pem");
    std::fs::rename(dated, base.path().join("zz-own.pem")).unwrap();
    let ring = KeyRing::rotate(base.path(), &Clock::fixed(start()), BEFORE).unwrap();
    for early in [-3650 * 24, -1, 0] {
        assert_eq!(
            ring.signing_kid(Algorithm::ES256, start() + early.hours()),
            Some(kid.as_str())
        );
    }
    assert_ne!(
        ring.signing_kid(Algorithm::ES256, start() + 1.hour()),
        Some(kid.as_str())
    );
}
