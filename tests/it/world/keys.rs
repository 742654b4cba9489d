//! Keys: Tollgate's own, made once, and those of an upstream that signs what a test wants. And what a relying party
//! does with them.

use std::{path::Path, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tollgate::token::{KeyRing, init_capsule_secret};

/// The folder with Tollgate's keys and capsule secret; replicas share it.
pub(crate) fn shared() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            KeyRing::init(&folder.path().join("signing"), jiff::Timestamp::UNIX_EPOCH).unwrap();
            init_capsule_secret(&folder.path().join("capsule.key")).unwrap();
            folder
        })
        .path()
}

/// A P-256 key that signs anything.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    pub(crate) kid: String,
}

impl Key {
    pub(crate) fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap(),
            kid: kid.to_owned(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..]);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": b64(x), "y": b64(y)})
    }

    /// A token with this key's usual header.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(
            &json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}),
            &claims.to_string(),
        )
    }

    /// A token with another header, or with a payload that no library would write.
    pub(crate) fn sign_as(&self, header: &Value, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header.to_string().as_bytes()), b64(payload.as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature.as_ref()))
    }
}

/// The claims of a token as a relying party reads them: the key by `kid` from the key set, signature, times.
pub(crate) fn verified(token: &str, jwks: &Value) -> Map<String, Value> {
    let header = decode_header(token).unwrap();
    let kid = header.kid.expect("a relying party needs a kid");
    let key = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == *kid)
        .unwrap_or_else(|| panic!("no key {kid} in {jwks}"));
    let jwk: Jwk = serde_json::from_value(key.clone()).unwrap();
    let mut rules = Validation::new(header.alg);
    rules.validate_aud = false;
    decode::<Map<String, Value>>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &rules)
        .unwrap_or_else(|e| panic!("{e}"))
        .claims
}

/// The algorithm in a token's header.
pub(crate) fn algorithm(token: &str) -> Algorithm {
    decode_header(token).unwrap().alg
}

/// The claims, with nothing verified.
pub(crate) fn claims(token: &str) -> Map<String, Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// `at_hash` and `c_hash` of the algorithms with SHA-256 (OIDC Core §3.1.3.6).
pub(crate) fn half_hash(text: &str) -> String {
    b64(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
