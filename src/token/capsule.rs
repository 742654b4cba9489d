//! The capsule: what it takes to restore the upstream's token, sealed so that only Tollgate opens it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom, SystemRandom},
};

use crate::{misconfigured::Misconfigured, secret::Secret};

pub(super) use contents::Contents;

mod contents;

/// The claim that holds the capsule.
pub const CLAIM: &str = "tgc";

/// Seals and opens capsules: AES-256-GCM, the key derived by HKDF-SHA256 (RFC 5869) from the operator's secret. Nonces
/// are random, so a secret is good for 2^32 tokens (NIST SP 800-38D §8.3).
pub struct Sealer {
    current: DerivedKey,
    previous: Option<DerivedKey>,
    random: SystemRandom,
}

/// A capsule that did not open. One value for every cause, so that no answer tells a forger how far they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the capsule does not open")]
pub(super) struct Shut;

struct DerivedKey {
    id: [u8; ID_LEN],
    key: LessSafeKey,
}

impl Sealer {
    /// Seals with `current`; opens with that and `previous`. Each secret needs 32 bytes or more.
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Result<Self, Misconfigured> {
        Ok(Self {
            current: DerivedKey::derive(current, "tokens.capsule_secret")?,
            previous: previous
                .map(|secret| DerivedKey::derive(secret, "tokens.previous_capsule_secret"))
                .transpose()?,
            random: SystemRandom::new(),
        })
    }

    /// The ids of the keys, in hex, the one that seals first. An id says nothing about its key.
    pub(super) fn ids(&self) -> Vec<String> {
        let keys = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        keys.map(|key| key.id.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect()
    }

    /// Seals the contents for one outer token: base64url of key id, nonce, ciphertext and tag. `None` only where the
    /// machine has no random numbers.
    pub(super) fn seal(&self, contents: &Contents, outer: &Outer<'_>) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = contents.encode();
        self.current
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(outer.bytes()),
                &mut sealed,
            )
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([self.current.id.as_slice(), &nonce, &sealed].concat()))
    }

    /// Opens the capsule of this outer token.
    pub(super) fn open(&self, sealed: &str, outer: &Outer<'_>) -> Result<Contents, Shut> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Shut)?;
        let (id, sealed) = sealed.split_first_chunk::<ID_LEN>().ok_or(Shut)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Shut)?;
        let key = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id == *id)
            .ok_or(Shut)?;
        let mut sealed = sealed.to_vec();
        let opened = key
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(outer.bytes()),
                &mut sealed,
            )
            .map_err(|_| Shut)?;
        Contents::decode(opened).ok_or(Shut)
    }
}

/// The token around a capsule. All of it is bound: our `kid`, and the whole payload without the capsule, so every
/// claim, absent or empty, and with it `iss`, `jti`, `sub`, `aud` and `exp`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer<'a> {
    pub(super) kid: &'a str,
    pub(super) payload: &'a str,
}

impl Outer<'_> {
    fn bytes(&self) -> Vec<u8> {
        // A thumbprint holds no NUL, so the two cannot run into each other.
        [self.kid.as_bytes(), b"\0", self.payload.as_bytes()].concat()
    }
}

impl DerivedKey {
    fn derive(secret: &Secret, setting: &str) -> Result<Self, Misconfigured> {
        if secret.expose().len() < MIN_SECRET {
            return Err(
                Misconfigured::new(setting, format!("the secret is shorter than {MIN_SECRET} bytes"))
                    .hint("`tollgate keys init` makes one; or write one with `openssl rand -base64 32`"),
            );
        }
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollgate").extract(secret.expose());
        let unusable = |_| Misconfigured::new(setting, "no key can be derived from the secret");
        let mut id = [0; ID_LEN];
        extracted
            .expand(&[b"capsule v1 id"], Length(ID_LEN))
            .and_then(|okm| okm.fill(&mut id))
            .map_err(unusable)?;
        let key = extracted
            .expand(&[b"capsule v1 key"], &AES_256_GCM)
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
