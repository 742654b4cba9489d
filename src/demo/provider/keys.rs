//! The provider's signing keys and the JWTs made with them.

use aws_lc_rs::{
    digest,
    error::Unspecified,
    rand::{self, SystemRandom},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::options::Algorithm;

/// Fresh keys, one for each algorithm in use.
pub(super) struct Keys {
    es256: Es256,
    rs256: Option<Rs256>,
}

struct Es256 {
    kid: String,
    pair: EcdsaKeyPair,
}

struct Rs256 {
    kid: String,
    pair: RsaKeyPair,
}

impl Keys {
    /// Generates them. RSA takes a moment, so there is such a key only if `rsa` asks for it.
    pub(super) fn generate(rsa: bool) -> Result<Self, Unspecified> {
        let es256 = Es256 {
            kid: format!("upstream-es256-{}", token(6)?),
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
        };
        let rs256 = match rsa {
            false => None,
            true => Some(Rs256 {
                kid: format!("upstream-rs256-{}", token(6)?),
                pair: RsaKeyPair::generate(KeySize::Rsa2048)?,
            }),
        };
        Ok(Self { es256, rs256 })
    }

    /// Signs the claims as a JWT in compact form (RFC 7515 §3.1).
    pub(super) fn sign(&self, algorithm: Algorithm, claims: &Map<String, Value>) -> Result<String, Unspecified> {
        let (name, kid) = match (algorithm, &self.rs256) {
            (Algorithm::Es256, _) => ("ES256", &self.es256.kid),
            (Algorithm::Rs256, key) => ("RS256", &key.as_ref().ok_or(Unspecified)?.kid),
        };
        let header = json!({"alg": name, "typ": "JWT", "kid": kid}).to_string();
        let payload = Value::Object(claims.clone()).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = match (algorithm, &self.rs256) {
            (Algorithm::Rs256, Some(key)) => {
                let mut signature = vec![0; key.pair.public_modulus_len()];
                key.pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    signed.as_bytes(),
                    &mut signature,
                )?;
                signature
            }
            _ => {
                let signature = self.es256.pair.sign(&SystemRandom::new(), signed.as_bytes())?;
                signature.as_ref().to_vec()
            }
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a JWT that one of these keys signed; `None` for every other text.
    pub(super) fn verify(&self, jwt: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        // The key decides the algorithm; the header only says which key.
        let kid = header.get("kid")?.as_str()?;
        let valid = match &self.rs256 {
            Some(key) if key.kid == kid => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.pair.public_key().as_ref())
                    .verify(signed.as_bytes(), &signature)
            }
            _ if self.es256.kid == kid => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.es256.pair.public_key().as_ref())
                    .verify(signed.as_bytes(), &signature)
            }
            _ => return None,
        };
        valid.ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// The public keys (RFC 7517 §5).
    pub(super) fn jwks(&self) -> Value {
        let mut keys = Vec::new();
        // An uncompressed point: a byte 4, then x and y of 32 bytes each (SEC 1 §2.3.3).
        if let [4, point @ ..] = self.es256.pair.public_key().as_ref()
            && let Some((x, y)) = point.split_at_checked(32)
        {
            keys.push(json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.es256.kid,
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            }));
        }
        if let Some(key) = &self.rs256 {
            let public = key.pair.public_key();
            keys.push(json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.kid,
                "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
                "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
            }));
        }
        json!({"keys": keys})
    }

    /// The names of the algorithms in use.
    pub(super) fn algorithms(&self) -> Vec<&'static str> {
        let rs256 = self.rs256.as_ref().map(|_| "RS256");
        [Some("ES256"), rs256].into_iter().flatten().collect()
    }
}

/// `at_hash` of an access token (OIDC Core §3.1.3.6): the left half of its SHA-256, which both algorithms here use.
pub(super) fn half_hash(token: &str) -> String {
    let hash = sha256(token);
    URL_SAFE_NO_PAD.encode(hash.as_ref().split_at(16).0)
}

/// The S256 transformation of a PKCE verifier (RFC 7636 §4.2).
pub(super) fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier))
}

/// So many random bytes in base64url.
pub(super) fn token(bytes: usize) -> Result<String, Unspecified> {
    let mut random = vec![0; bytes];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

fn sha256(text: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, text.as_bytes())
}
