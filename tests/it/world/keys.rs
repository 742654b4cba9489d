//! Keys: Tollgate's own, made once, and those of an upstream that signs what a test wants. And what a relying party
//! does with them.

use std::{path::Path, sync::OnceLock};

use aws_lc_rs::{
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use ring::{
    digest::{SHA256, SHA512, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tollgate::token::{KeyRing, init_capsule_secret};

/// The folder with Tollgate's keys and capsule secret; replicas share it.
pub(crate) fn shared() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(folder).path()
}

/// Another one, for a second upstream.
pub(crate) fn second() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(folder).path()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    KeyRing::init(&folder.path().join("signing"), jiff::Timestamp::UNIX_EPOCH).unwrap();
    init_capsule_secret(&folder.path().join("capsule.key")).unwrap();
    folder
}

/// A key that signs anything.
pub(crate) struct Key {
    pair: Pair,
    pub(crate) alg: Algorithm,
    pub(crate) kid: String,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    /// On P-256, for ES256.
    pub(crate) fn new(kid: &str) -> Self {
        Self::of(Algorithm::ES256, kid)
    }

    /// For RS256, PS256, ES256 or EdDSA.
    pub(crate) fn of(alg: Algorithm, kid: &str) -> Self {
        let random = SystemRandom::new();
        let pair = match alg {
            Algorithm::ES256 => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
                Pair::P256(pair.unwrap())
            }
            Algorithm::EdDSA => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
            }
            Algorithm::RS256 | Algorithm::PS256 => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            other => panic!("no test needs a key for {other:?}"),
        };
        Self {
            pair,
            alg,
            kid: kid.to_owned(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = json!({"use": "sig", "alg": self.alg, "kid": self.kid});
        let members = match &self.pair {
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Pair::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())}),
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA",
                    "n": b64(n.big_endian_without_leading_zero()),
                    "e": b64(e.big_endian_without_leading_zero()),
                })
            }
        };
        jwk.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        jwk
    }

    /// This key's usual header.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.alg, "typ": "JWT", "kid": self.kid})
    }

    /// A token with this key's usual header.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), &claims.to_string())
    }

    /// A token with another header, or with a payload that no library would write.
    pub(crate) fn sign_as(&self, header: &Value, payload: &str) -> String {
        self.sign_input(&input(header.to_string().as_bytes(), payload.as_bytes()))
    }

    /// A token of this signing input, whatever it is.
    pub(crate) fn sign_input(&self, signed: &str) -> String {
        format!("{signed}.{}", b64(&self.signature(signed.as_bytes())))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.alg {
                    Algorithm::PS256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = aws_lc_rs::rand::SystemRandom::new();
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// `at_hash` and `c_hash` under this key's algorithm (OIDC Core §3.1.3.6).
    pub(crate) fn half_hash(&self, text: &str) -> String {
        match self.alg {
            Algorithm::EdDSA => b64(&digest(&SHA512, text.as_bytes()).as_ref()[..32]),
            _ => half_hash(text),
        }
    }
}

/// What a signature covers: header and payload in base64url, a dot between.
pub(crate) fn input(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", b64(header), b64(payload))
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
