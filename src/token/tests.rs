//! An upstream with a key of every kind, and a Tollgate behind it; made once a process, since RSA keys take time.

use std::sync::OnceLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::*;
use crate::secret::Secret;

mod accepted;
mod defects;
mod hostile;
mod keys;
mod logout;
mod reissued;
mod round_trip;
mod transplants;
mod wycheproof;

pub(super) const ISSUER: &str = "https://id.example.com/realms/tg";
pub(super) const CLIENT: &str = "web";
pub(super) const NONCE: &str = "n-0S6_WzA2Mj";
pub(super) const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
pub(super) const CODE: &str = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
pub(super) const NOW: i64 = 1_795_000_000;
pub(super) const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

pub(super) struct World {
    /// The upstream's key ring; somebody else's in `stranger`.
    pub(super) upstream: KeyRing,
    pub(super) upstream_keys: UpstreamKeys,
    pub(super) stranger: KeyRing,
    pub(super) tollgate: Reissuer,
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let upstream = ring();
        World {
            upstream_keys: keys_of(&upstream),
            upstream,
            stranger: ring(),
            tollgate: Reissuer::new(ring(), sealer(b'a'), AlgorithmChoice::Match).unwrap(),
        }
    })
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// A ring with a key of each kind.
pub(super) fn ring() -> KeyRing {
    let dir = tempfile::tempdir().unwrap();
    KeyRing::init(dir.path(), now()).unwrap();
    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(p384.as_ref())
    );
    std::fs::write(dir.path().join("p384.pem"), pem).unwrap();
    KeyRing::load(dir.path()).unwrap()
}

pub(super) fn sealer(byte: u8) -> Sealer {
    Sealer::new(&secret(byte), None).unwrap()
}

pub(super) fn secret(byte: u8) -> Secret {
    Secret::new(vec![byte; 32])
}

/// What a relying party, or Tollgate itself, reads from the ring's JWKS.
pub(super) fn keys_of(ring: &KeyRing) -> UpstreamKeys {
    UpstreamKeys::parse(ring.jwks(now()).to_string().as_bytes()).unwrap()
}

pub(super) fn header(ring: &KeyRing, algorithm: Algorithm) -> Map<String, Value> {
    let kid = ring.signing_kid(algorithm, now()).unwrap();
    object(json!({"alg": algorithm.name(), "typ": "JWT", "kid": kid}))
}

pub(super) fn access_claims() -> Map<String, Value> {
    object(json!({
        "exp": NOW + 300, "iat": NOW, "nbf": NOW, "jti": "j-1", "iss": ISSUER, "aud": "account", "sub": "u-1",
        "typ": "Bearer", "azp": CLIENT, "client_id": CLIENT, "sid": "s-1", "scope": "openid email",
        "cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
    }))
}

pub(super) fn id_claims(algorithm: Algorithm) -> Map<String, Value> {
    object(json!({
        "exp": NOW + 300, "iat": NOW, "auth_time": NOW - 5, "jti": "j-2", "iss": ISSUER, "aud": CLIENT, "sub": "u-1",
        "typ": "ID", "azp": CLIENT, "nonce": NONCE, "sid": "s-1", "email": "ada@example.com",
        "at_hash": algorithm.half_hash(ACCESS_TOKEN), "c_hash": algorithm.half_hash(CODE),
    }))
}

pub(super) const EXPECTED_ACCESS: Expected<'static> = Expected {
    issuer: ISSUER,
    kind: Kind::AccessToken {
        client_id: Some(CLIENT),
    },
};

pub(super) const EXPECTED_ID: Expected<'static> = Expected {
    issuer: ISSUER,
    kind: Kind::IdToken {
        client_id: Some(CLIENT),
        nonce: Some(NONCE),
        access_token: Some(ACCESS_TOKEN),
        code: Some(CODE),
        state: None,
    },
};

/// What is expected of an ID token where neither its client nor anything of the request is known.
pub(super) const EXPECTED_ID_OF_ANYBODY: Expected<'static> = Expected {
    issuer: ISSUER,
    kind: Kind::IdToken {
        client_id: None,
        nonce: None,
        access_token: None,
        code: None,
        state: None,
    },
};

/// Signs whatever is given, however wrong, with the ring's key for the algorithm.
pub(super) fn sign(ring: &KeyRing, algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    sign_input(ring, algorithm, jws::signing_input(header, payload))
}

pub(super) fn sign_input(ring: &KeyRing, algorithm: Algorithm, input: String) -> String {
    let kid = ring.signing_kid(algorithm, now()).unwrap();
    let signature = ring.sign(kid, algorithm, input.as_bytes()).unwrap();
    jws::append(input, &signature)
}

pub(super) fn sign_values(
    ring: &KeyRing,
    algorithm: Algorithm,
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
) -> String {
    sign(ring, algorithm, &bytes(header), &bytes(claims))
}

pub(super) fn access_token(algorithm: Algorithm) -> String {
    let ring = &world().upstream;
    sign_values(ring, algorithm, &header(ring, algorithm), &access_claims())
}

pub(super) fn id_token(algorithm: Algorithm) -> String {
    let ring = &world().upstream;
    sign_values(ring, algorithm, &header(ring, algorithm), &id_claims(algorithm))
}

pub(super) fn verified_access(raw: &str) -> Verified {
    verify(raw, &world().upstream_keys, &EXPECTED_ACCESS, now()).unwrap()
}

pub(super) fn verified_id(raw: &str) -> Verified {
    verify(raw, &world().upstream_keys, &EXPECTED_ID, now()).unwrap()
}

pub(super) fn bytes(members: &Map<String, Value>) -> Vec<u8> {
    Value::Object(members.clone()).to_string().into_bytes()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(super) fn payload_of(raw: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(raw.split('.').nth(1).unwrap()).unwrap()).unwrap()
}
