//! A public key as it stands in a JWKS.

mod roca;

use aws_lc_rs::{
    encoding::AsDer,
    rsa::PublicKeyComponents,
    signature::{self as lc, ParsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, PublicKeyUse, ThumbprintHash},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};

/// A public key that can verify; read from a JWK or taken from a key pair of our own.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    family: Family,
    key: DecodingKey,
    /// The same, ready to verify: reading it takes as long as a good part of a verification.
    parsed: Vec<(Algorithm, ParsedPublicKey)>,
    jwk: Jwk,
    thumbprint: String,
}

impl PublicKey {
    /// Reads a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2). `None` for what cannot verify a signature: symmetric and
    /// unknown types, keys that are too short, wrong lengths, points off the curve, private keys.
    pub(super) fn from_jwk(members: &Map<String, Value>) -> Option<Self> {
        if members.contains_key("d") || members.contains_key("k") {
            return None;
        }
        // Certificates and the like beside the key are never used, so how they are written is nobody's concern.
        let common = CommonParameters::default();
        let algorithm = AlgorithmParameters::deserialize(members).ok()?;
        let jwk = Jwk { common, algorithm };
        let read = Self::new(DecodingKey::from_jwk(&jwk).ok()?)?;
        // The library joins coordinates of any width, on whatever curve: only what it writes as it was read is taken.
        (read.jwk.algorithm == jwk.algorithm).then_some(read)
    }

    /// From an RSA modulus and exponent, an uncompressed point (SEC 1 §2.3.3), or the 32 bytes of RFC 8032 §5.1.5.
    pub(super) fn new(key: DecodingKey) -> Option<Self> {
        let mut jwk = Jwk::from_decoding_key(&key, None).ok()?;
        let family = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Family::Rsa,
            AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => Family::P256,
            AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P384 => Family::P384,
            AlgorithmParameters::OctetKeyPair(_) => Family::Ed25519,
            _ => return None,
        };
        let parsed = parse(family, &key)?;
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(thumbprint.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        if family != Family::Rsa {
            jwk.common.key_algorithm = family.algorithms().next().map(|only| only.in_library().into());
        }
        Some(Self {
            family,
            key,
            parsed,
            jwk,
            thumbprint,
        })
    }

    /// What kind of key it is.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Whether the signature over the message is right. An algorithm of another key type never is; ECDSA signatures
    /// are the fixed-length ones of RFC 7518 §3.4, not DER.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let mut fitting = self.parsed.iter().filter(|(own, _)| *own == algorithm);
        fitting.any(|(_, key)| key.verify_sig(message, signature).is_ok())
    }

    /// The SHA-256 thumbprint of RFC 7638, in base64url.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The public JWK, its `kid` the thumbprint. An RSA key names no `alg`, since it serves RS* and PS* alike.
    pub(super) fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The SubjectPublicKeyInfo of an RSA key in standard base64.
    pub(super) fn rsa_spki_base64(&self) -> Option<String> {
        match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => spki(n, e).map(|der| STANDARD.encode(der)),
            DecodingKeyKind::SecretOrDer(_) => None,
        }
    }
}

/// The key as the crypto library verifies with it, for each algorithm; `None` where it takes none. RSA from 2048 to 8192 bits, made
/// by a generator that is not known to be broken.
fn parse(family: Family, key: &DecodingKey) -> Option<Vec<(Algorithm, ParsedPublicKey)>> {
    let of_one = |algorithm, verification: &'static dyn lc::VerificationAlgorithm, encoded: &[u8]| {
        Some(vec![(algorithm, ParsedPublicKey::new(verification, encoded).ok()?)])
    };
    match (family, key.kind()) {
        (Family::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            let zeros = n.first().map_or(0, |first| first.leading_zeros() as usize);
            let is_sound = (2048..=8192).contains(&(n.len() * 8 - zeros))
                && !roca::has_the_pattern(n)
                && spki(n, e).is_some_and(|der| ParsedPublicKey::new(&lc::RSA_PKCS1_2048_8192_SHA256, der).is_ok());
            let components = PublicKeyComponents { n, e };
            let parsed = RSA.into_iter().map(|(algorithm, verification)| {
                let key = components.to_parsed_public_key(verification).ok()?;
                Some((algorithm, key))
            });
            is_sound.then(|| parsed.collect()).flatten()
        }
        (Family::P256, DecodingKeyKind::SecretOrDer(point)) => {
            of_one(Algorithm::ES256, &lc::ECDSA_P256_SHA256_FIXED, point)
        }
        (Family::P384, DecodingKeyKind::SecretOrDer(point)) => {
            of_one(Algorithm::ES384, &lc::ECDSA_P384_SHA384_FIXED, point)
        }
        (Family::Ed25519, DecodingKeyKind::SecretOrDer(public)) => of_one(Algorithm::EdDSA, &lc::ED25519, public),
        _ => None,
    }
}

fn spki(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    Some(PublicKeyComponents { n, e }.as_der().ok()?.as_ref().to_vec())
}

static RSA: [(Algorithm, &lc::RsaParameters); 6] = [
    (Algorithm::RS256, &lc::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &lc::RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &lc::RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &lc::RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &lc::RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &lc::RSA_PSS_2048_8192_SHA512),
];

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn read(jwk: Value) -> Option<PublicKey> {
        PublicKey::from_jwk(jwk.as_object().unwrap())
    }

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        let key = read(json!({
            "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        }))
        .unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn keys_that_cannot_verify_are_not_read() {
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
        assert!(read(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).is_some());
        // The same point, its bytes shared out to the coordinates in another way.
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let point = [bytes(x), bytes(y)].concat();
        let moved = (
            URL_SAFE_NO_PAD.encode(&point[..31]),
            URL_SAFE_NO_PAD.encode(&point[31..]),
        );
        for wrong in [
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}),
            json!({"kty": "EC", "crv": "P-384", "x": x, "y": y}),
            json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": y}),
            json!({"kty": "EC", "crv": "P-256", "x": x}),
            json!({"kty": "EC", "crv": "P-256", "x": format!("{x}="), "y": y}),
            json!({"kty": "EC", "crv": "P-256", "x": moved.0, "y": moved.1}),
            json!({"kty": "EC", "crv": "Ed25519", "x": x, "y": y}),
            json!({"kty": "OKP", "crv": "P-256", "x": x}),
            json!({"kty": "OKP", "crv": "Ed448", "x": x}),
            json!({"kty": "OKP", "crv": "X25519", "x": x}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            json!({"kty": "RSA", "n": "", "e": "AQAB"}),
            json!({"kty": "RSA", "n": x, "e": "AQAB"}),
            json!({"kty": "rsa", "n": x, "e": "AQAB"}),
            json!({"kty": 7}),
            json!({}),
        ] {
            assert!(read(wrong.clone()).is_none(), "{wrong}");
        }
    }
}
