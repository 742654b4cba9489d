//! A public key as it stands in a JWKS.

use aws_lc_rs::{encoding::AsDer, rsa::PublicKeyComponents, signature::UnparsedPublicKey};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::digest;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};

/// A public key that can verify; read from a JWK or taken from a key pair of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    family: Family,
    /// What the crypto library takes: SPKI for RSA, the uncompressed point, or the 32 bytes of Ed25519.
    encoded: Vec<u8>,
    /// The members of RFC 7638 §3.2, in their lexical order.
    required: Vec<(&'static str, String)>,
}

impl PublicKey {
    /// Reads a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2). `None` for what cannot verify a signature: symmetric and
    /// unknown types, keys that are too short, wrong lengths, points off the curve, private keys.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return None;
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        match text("kty")? {
            "RSA" => Self::rsa(&bytes("n")?, &bytes("e")?),
            "EC" => {
                let curve = text("crv")?;
                let family = CURVES.iter().find(|(name, _)| *name == curve)?.1;
                let (x, y) = (bytes("x")?, bytes("y")?);
                let width = coordinate_width(family);
                if x.len() != width || y.len() != width {
                    return None;
                }
                Self::ec(family, &[&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat())
            }
            "OKP" if text("crv")? == "Ed25519" => Self::ed25519(&bytes("x")?),
            _ => None,
        }
    }

    /// From modulus and exponent, big-endian.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let modulus_bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
        if !(2048..=8192).contains(&modulus_bits) {
            return None;
        }
        let encoded = PublicKeyComponents { n, e }.as_der().ok()?.as_ref().to_vec();
        Self {
            family: Family::Rsa,
            encoded,
            required: vec![
                ("e", URL_SAFE_NO_PAD.encode(e)),
                ("kty", "RSA".into()),
                ("n", URL_SAFE_NO_PAD.encode(n)),
            ],
        }
        .usable()
    }

    /// From an uncompressed point (SEC 1 §2.3.3) on the family's curve.
    pub(super) fn ec(family: Family, point: &[u8]) -> Option<Self> {
        let curve = CURVES.iter().find(|(_, curve)| *curve == family)?.0;
        let (&UNCOMPRESSED, coordinates) = point.split_first()? else {
            return None;
        };
        let (x, y) = coordinates.split_at_checked(coordinate_width(family))?;
        Self {
            family,
            encoded: point.to_vec(),
            required: vec![
                ("crv", curve.into()),
                ("kty", "EC".into()),
                ("x", URL_SAFE_NO_PAD.encode(x)),
                ("y", URL_SAFE_NO_PAD.encode(y)),
            ],
        }
        .usable()
    }

    /// From the 32 bytes of RFC 8032 §5.1.5.
    pub(super) fn ed25519(public: &[u8]) -> Option<Self> {
        if public.len() != 32 {
            return None;
        }
        Self {
            family: Family::Ed25519,
            encoded: public.to_vec(),
            required: vec![
                ("crv", "Ed25519".into()),
                ("kty", "OKP".into()),
                ("x", URL_SAFE_NO_PAD.encode(public)),
            ],
        }
        .usable()
    }

    /// What kind of key it is.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Whether the signature over the message is right. An algorithm of another key type never is; ECDSA signatures
    /// are the fixed-length ones of RFC 7518 §3.4, not DER.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm.family() == self.family
            && UnparsedPublicKey::new(algorithm.verification(), &self.encoded)
                .verify(message, signature)
                .is_ok()
    }

    /// The SHA-256 thumbprint of RFC 7638, in base64url.
    pub(super) fn thumbprint(&self) -> String {
        let members: Map<String, Value> = self.members().collect();
        let text = Value::Object(members).to_string();
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }

    /// The public JWK, its `kid` the thumbprint. An RSA key names no `alg`, since it serves RS* and PS* alike.
    pub(super) fn to_jwk(&self) -> Value {
        let mut jwk: Map<String, Value> = self.members().collect();
        jwk.insert("use".into(), "sig".into());
        jwk.insert("kid".into(), self.thumbprint().into());
        if self.family != Family::Rsa {
            let alg = self.family.algorithms().next().map(|algorithm| algorithm.name().into());
            jwk.extend(alg.map(|alg: Value| ("alg".to_owned(), alg)));
        }
        Value::Object(jwk)
    }

    /// The SubjectPublicKeyInfo of an RSA key in standard base64, as Keycloak prints it.
    pub(super) fn rsa_spki_base64(&self) -> Option<String> {
        (self.family == Family::Rsa).then(|| STANDARD.encode(&self.encoded))
    }

    fn members(&self) -> impl Iterator<Item = (String, Value)> {
        self.required
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
    }

    /// Only a key that the crypto library takes.
    fn usable(self) -> Option<Self> {
        let algorithm = self.family.algorithms().next()?;
        let parsed = UnparsedPublicKey::new(algorithm.verification(), &self.encoded).parse();
        parsed.is_ok().then_some(self)
    }
}

fn coordinate_width(family: Family) -> usize {
    match family {
        Family::P384 => 48,
        Family::P521 => 66,
        Family::Rsa | Family::P256 | Family::Ed25519 => 32,
    }
}

const UNCOMPRESSED: u8 = 4;
const CURVES: [(&str, Family); 3] = [
    ("P-256", Family::P256),
    ("P-384", Family::P384),
    ("P-521", Family::P521),
];

#[cfg(test)]
mod tests {
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
        for wrong in [
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}),
            json!({"kty": "EC", "crv": "P-384", "x": x, "y": y}),
            json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": y}),
            json!({"kty": "EC", "crv": "P-256", "x": x}),
            json!({"kty": "EC", "crv": "P-256", "x": format!("{x}="), "y": y}),
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
