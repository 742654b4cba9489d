//! The upstream's JWKS, reduced to what may verify its tokens.

use serde_json::{Map, Value};

use crate::json;

use super::{algorithm::Algorithm, public_key::PublicKey};

/// The upstream's public keys (RFC 7517 §5). Nothing but the configured JWKS address is their source.
#[derive(Clone, Debug, Default)]
pub struct UpstreamKeys {
    keys: Vec<UpstreamKey>,
    encryption: Vec<Value>,
}

/// Why a document is not taken as the upstream's keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// More bytes than any key set needs.
    #[error("the upstream's key set is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// More keys than any provider has.
    #[error("the upstream's key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// Not an object with a list under `keys`.
    #[error("the upstream's key set is not strict JSON with a list under `keys`: {0}")]
    Malformed(String),
}

#[derive(Clone, Debug)]
pub(super) struct UpstreamKey {
    kid: Option<String>,
    /// The one algorithm the key is published for, if it says so.
    algorithm: Option<Algorithm>,
    public: PublicKey,
    published: Value,
}

impl UpstreamKeys {
    /// Reads a JWKS of at most 256 KiB and 100 keys. Keys that cannot verify a signature are skipped: symmetric,
    /// private and unknown ones, those for encryption, and a second key under a `kid` that another type has.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadKeySet> {
        if bytes.len() > MAX_BYTES {
            return Err(BadKeySet::TooLong);
        }
        let document = json::parse(bytes).map_err(|malformed| BadKeySet::Malformed(malformed.to_string()))?;
        let listed = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or_else(|| BadKeySet::Malformed("no such list".into()))?;
        if listed.len() > MAX_KEYS {
            return Err(BadKeySet::TooMany);
        }
        let mut read = Self::default();
        for jwk in listed {
            let Some(members) = jwk.as_object() else { continue };
            if members.get("use").and_then(Value::as_str) == Some("enc") {
                read.encryption.push(jwk.clone());
            } else if let Some(key) = UpstreamKey::read(members) {
                read.keep(key);
            }
        }
        Ok(read)
    }

    /// Whether a key under this `kid` can verify.
    pub fn holds(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Whether no key can verify anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys with `use: enc` as the upstream wrote them: clients need them to encrypt for the upstream, and they
    /// verify nothing.
    pub fn encryption_keys(&self) -> &[Value] {
        &self.encryption
    }

    /// The keys that can verify, as the upstream wrote them.
    pub fn verification_keys(&self) -> impl Iterator<Item = &Value> {
        self.keys.iter().map(|key| &key.published)
    }

    /// The keys a token may have been signed with: those of its `kid`, or where it names none, the only one there is.
    pub(super) fn candidates(&self, kid: Option<&str>) -> Vec<&UpstreamKey> {
        match (kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect(),
            (None, [only]) => vec![only],
            (None, _) => Vec::new(),
        }
    }

    fn keep(&mut self, key: UpstreamKey) {
        let taken_by_another_type = key.kid.is_some()
            && self
                .keys
                .iter()
                .any(|held| held.kid == key.kid && held.public.family() != key.public.family());
        if !taken_by_another_type {
            self.keys.push(key);
        }
    }
}

impl UpstreamKey {
    /// Whether the key's type, and its own `alg` if it has one, allow this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        algorithm.family() == self.public.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.fits(algorithm) && self.public.verifies(algorithm, message, signature)
    }

    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let public = PublicKey::from_jwk(jwk)?;
        let algorithm = match jwk.get("alg") {
            Some(name) => Some(Algorithm::named(name.as_str()?).filter(|own| own.family() == public.family())?),
            None => None,
        };
        let kid = match jwk.get("kid") {
            Some(kid) => Some(kid.as_str()?.to_owned()),
            None => None,
        };
        Some(Self {
            kid,
            algorithm,
            public,
            published: Value::Object(jwk.clone()),
        })
    }
}

const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;
