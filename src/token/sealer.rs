//! What seals and opens: AES-256-GCM under keys that are derived from the operator's secret.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom, SystemRandom},
};

use crate::{misconfigured::Misconfigured, secret::Secret};

/// Seals and opens capsules and wraps: AES-256-GCM, a key for each purpose, derived by HKDF-SHA256 (RFC 5869) from the operator's
/// secret. Nonces are random, so a secret is good for 2^32 tokens (NIST SP 800-38D §8.3).
pub struct Sealer {
    capsules: Keys,
    wraps: Keys,
    random: SystemRandom,
}

/// What something is sealed for. Nothing that was sealed for one purpose opens for the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// A claim in a token of ours.
    Capsule,
    /// A token of its own.
    Wrap,
}

/// What did not open. One value for every cause, so that no answer tells a forger how far they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not open")]
pub(super) struct Shut;

struct Keys {
    current: DerivedKey,
    previous: Option<DerivedKey>,
}

struct DerivedKey {
    id: [u8; ID_LEN],
    key: LessSafeKey,
}

impl Sealer {
    /// Seals with `current`; opens with that and `previous`. Each secret needs 32 bytes or more.
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Result<Self, Misconfigured> {
        Ok(Self {
            capsules: Keys::derive(current, previous, Purpose::Capsule)?,
            wraps: Keys::derive(current, previous, Purpose::Wrap)?,
            random: SystemRandom::new(),
        })
    }

    /// The ids of the keys that capsules are sealed with, in hex, the one that seals first. An id says nothing about its key.
    pub(super) fn ids(&self) -> Vec<String> {
        let keys = [Some(&self.capsules.current), self.capsules.previous.as_ref()];
        let keys = keys.into_iter().flatten();
        keys.map(|key| key.id.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect()
    }

    /// Seals bytes, bound to `around`: base64url of key id, nonce, ciphertext and tag. `None` only where the machine has no
    /// random numbers.
    pub(super) fn seal_bytes(&self, purpose: Purpose, mut bytes: Vec<u8>, around: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let current = &self.keys(purpose).current;
        current
            .key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(around), &mut bytes)
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([current.id.as_slice(), &nonce, &bytes].concat()))
    }

    /// Opens what was sealed around the same bytes.
    pub(super) fn open_bytes(&self, purpose: Purpose, sealed: &str, around: &[u8]) -> Result<Vec<u8>, Shut> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Shut)?;
        let (id, sealed) = sealed.split_first_chunk::<ID_LEN>().ok_or(Shut)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Shut)?;
        let keys = self.keys(purpose);
        let key = [Some(&keys.current), keys.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id == *id)
            .ok_or(Shut)?;
        let mut sealed = sealed.to_vec();
        let opened = key
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(around), &mut sealed)
            .map_err(|_| Shut)?;
        Ok(opened.to_vec())
    }

    fn keys(&self, purpose: Purpose) -> &Keys {
        match purpose {
            Purpose::Capsule => &self.capsules,
            Purpose::Wrap => &self.wraps,
        }
    }
}

impl Keys {
    fn derive(current: &Secret, previous: Option<&Secret>, purpose: Purpose) -> Result<Self, Misconfigured> {
        Ok(Self {
            current: DerivedKey::derive(current, "tokens.capsule_secret", purpose)?,
            previous: previous
                .map(|secret| DerivedKey::derive(secret, "tokens.previous_capsule_secret", purpose))
                .transpose()?,
        })
    }
}

impl DerivedKey {
    fn derive(secret: &Secret, setting: &str, purpose: Purpose) -> Result<Self, Misconfigured> {
        if secret.expose().len() < MIN_SECRET {
            return Err(
                Misconfigured::new(setting, format!("the secret is shorter than {MIN_SECRET} bytes"))
                    .hint("`tollgate keys init` makes one; or write one with `openssl rand -base64 32`"),
            );
        }
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollgate").extract(secret.expose());
        let unusable = |_| Misconfigured::new(setting, "no key can be derived from the secret");
        let label: &[u8] = match purpose {
            Purpose::Capsule => b"capsule v1 ",
            Purpose::Wrap => b"wrap v1 ",
        };
        let mut id = [0; ID_LEN];
        extracted
            .expand(&[label, b"id"], Length(ID_LEN))
            .and_then(|okm| okm.fill(&mut id))
            .map_err(unusable)?;
        let key = extracted
            .expand(&[label, b"key"], &AES_256_GCM)
            .map(UnboundKey::from)
            .map_err(unusable)?;
        Ok(Self {
            id,
            key: LessSafeKey::new(key),
        })
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(***)")
    }
}

const ID_LEN: usize = 4;
const MIN_SECRET: usize = 32;
