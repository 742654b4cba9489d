//! The vectors of Project Wycheproof for JSON Web Signatures and Keys, each with its key as the upstream's key set.

use std::{collections::BTreeMap, fs, path::Path};

use super::*;
use crate::token::{
    jws::{Compact, NotCompact},
    verify::check_signed,
};

/// One vector: a token, the keys that it is to be verified with, and whether it may be.
struct Vector {
    name: String,
    raw: String,
    keys: UpstreamKeys,
    valid: bool,
}

#[test]
fn every_vector_that_must_be_refused_is_refused() {
    let vectors = vectors();
    let invalid: Vec<_> = vectors.iter().filter(|vector| !vector.valid).collect();
    let accepted: Vec<_> = invalid
        .iter()
        .filter(|vector| vector.judge().is_ok())
        .map(|vector| &vector.name)
        .collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert_eq!(invalid.len(), 453);
}

#[test]
fn a_vector_that_may_be_accepted_is_refused_only_for_reasons_of_ours() {
    let mut outcomes = BTreeMap::<String, usize>::new();
    for vector in vectors().iter().filter(|vector| vector.valid) {
        let outcome = match vector.judge() {
            Ok(_) => "accepted".to_owned(),
            Err(Unverified::Symmetric(_)) => "symmetric: upstream and client share the key".to_owned(),
            Err(Unverified::Encrypted) => "encrypted: nobody but the client can read it".to_owned(),
            Err(Unverified::Header(why)) => format!("header: {why}"),
            Err(Unverified::Malformed(why)) => format!("malformed: {why}"),
            Err(Unverified::Algorithm) => "algorithm: the key is published for another one".to_owned(),
            Err(other) => format!("{}: {other}", vector.name),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let expected = [
        ("accepted", 29),
        ("symmetric: upstream and client share the key", 14),
        ("encrypted: nobody but the client can read it", 2),
        // ES512, on a curve that no provider signs with by default and that we have no keys for.
        ("header: `alg` is none of the asymmetric algorithms we know", 2),
        // PS384 under a key that says `PS256` (RFC 7517 §4.4): a mistake of RFC 7520's example.
        ("algorithm: the key is published for another one", 2),
        // Claims are JSON, and JSON is UTF-8 (RFC 7519 §7.2).
        ("malformed: its payload is not UTF-8", 6),
        // Characters outside the alphabet, which lenient readers skip.
        ("malformed: its header is not canonical base64url", 1),
        ("malformed: its payload is not canonical base64url", 1),
    ];
    let expected = expected.map(|(outcome, count)| (outcome.to_owned(), count));
    assert_eq!(outcomes, BTreeMap::from(expected));
}

#[test]
fn no_vector_is_taken_for_a_token() {
    // None has claims: whatever its signature is worth, it is never signed anew.
    for vector in vectors() {
        for expected in [EXPECTED_ACCESS, EXPECTED_ID] {
            assert!(
                verify(&vector.raw, &vector.keys, &expected, now()).is_err(),
                "{}",
                vector.name
            );
        }
    }
}

impl Vector {
    /// What [`verify`] says of header, type and signature. The payloads of the vectors are no claims, so they are read as if
    /// they were `{}`; what is signed is what stands there.
    fn judge(&self) -> Result<Algorithm, Unverified> {
        let compact = Compact::read_with(&self.raw, |_| Some("{}".to_owned())).map_err(|error| match error {
            NotCompact::Parts(5) => Unverified::Encrypted,
            NotCompact::Parts(_) => Unverified::NotAJwt,
            NotCompact::Unreadable(why) => Unverified::Malformed(why),
        })?;
        check_signed(&compact, &EXPECTED_ACCESS.kind, &self.keys)
    }
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wycheproof");
    let files = ["crypto", "key", "signature"].map(|kind| format!("json_web_{kind}_test.json"));
    let mut vectors = Vec::new();
    for file in files {
        let text = fs::read_to_string(folder.join(&file)).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let before = vectors.len();
        for group in document["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let token = &test[if test.get("jws").is_some() { "jws" } else { "jwe" }];
                vectors.push(Vector {
                    name: format!("{file} {} {}: {}", test["tcId"], group["comment"], test["comment"]),
                    raw: token.as_str().map_or_else(|| token.to_string(), str::to_owned),
                    keys: key_set(group),
                    valid: test["result"] == "valid",
                });
            }
        }
        assert_eq!(json!(vectors.len() - before), document["numberOfTests"]);
    }
    vectors
}

/// The group's public key or key set; a symmetric one has only what is secret.
fn key_set(group: &Value) -> UpstreamKeys {
    let published = group.get("public").unwrap_or(&group["private"]);
    let document = match published.get("keys") {
        Some(_) => published.clone(),
        None => json!({"keys": [published]}),
    };
    UpstreamKeys::parse(document.to_string().as_bytes()).unwrap_or_default()
}
