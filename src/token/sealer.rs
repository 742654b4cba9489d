//! What seals and opens: AES-256-GCM under keys that are derived from the operator's secret.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
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
    /// By the time from which they seal; at least one.
    own: Vec<DerivedKey>,
    previous: Option<DerivedKey>,
}

struct DerivedKey {
    id: [u8; ID_LEN],
    key: LessSafeKey,
    seals_from: Option<Timestamp>,
}

/// A secret that seals from a time on, and opens always.
#[derive(Clone, Debug)]
pub struct TimedSecret {
    /// From when it seals; none is from the beginning.
    pub seals_from: Option<Timestamp>,
    /// The secret.
    pub secret: Secret,
}

/// A key that capsules are sealed with, as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealingKey {
    /// Its id in hex, which says nothing about the key.
    pub id: String,
    /// From when it seals; none is from the beginning.
    pub seals_from: Option<Timestamp>,
    /// Its part now.
    pub part: SealingPart,
}

/// What a key does at a given time. All of them open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealingPart {
    /// It seals.
    Seals,
    /// It will seal when its time comes.
    Next,
    /// It has a successor, or is the previous one.
    Opens,
}

impl Sealer {
    /// Seals with `current`; opens with that and `previous`. Each secret needs 32 bytes or more.
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Result<Self, Misconfigured> {
        let current = TimedSecret {
            seals_from: None,
            secret: current.clone(),
        };
        Self::rotating(vec![current], previous)
    }

    /// Seals with the newest secret whose time has come; opens with all of them and `previous`. Which one seals follows from
    /// the secrets and the time alone, so that replicas agree without talking to each other.
    pub fn rotating(mut secrets: Vec<TimedSecret>, previous: Option<&Secret>) -> Result<Self, Misconfigured> {
        secrets.sort_by_key(|timed| timed.seals_from);
        Ok(Self {
            capsules: Keys::derive(&secrets, previous, Purpose::Capsule)?,
            wraps: Keys::derive(&secrets, previous, Purpose::Wrap)?,
            random: SystemRandom::new(),
        })
    }

    /// The keys that capsules are sealed with, newest first.
    pub fn keys_at(&self, now: Timestamp) -> Vec<SealingKey> {
        let sealing = self.capsules.sealing(now).map(|key| key.id);
        let own = self.capsules.own.iter().rev();
        let shown = own.chain(&self.capsules.previous).map(|key| SealingKey {
            id: key.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            seals_from: key.seals_from,
            part: if Some(key.id) == sealing {
                SealingPart::Seals
            } else if key.seals_from.is_some_and(|from| from > now) {
                SealingPart::Next
            } else {
                SealingPart::Opens
            },
        });
        shown.collect()
    }

    /// Seals bytes, bound to `around`: base64url of key id, nonce, ciphertext and tag. `None` only where the machine has no
    /// random numbers.
    pub(super) fn seal_bytes(
        &self,
        purpose: Purpose,
        mut bytes: Vec<u8>,
        around: &[u8],
        now: Timestamp,
    ) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let current = self.keys(purpose).sealing(now)?;
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
        let key = keys
            .own
            .iter()
            .chain(&keys.previous)
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
    fn derive(secrets: &[TimedSecret], previous: Option<&Secret>, purpose: Purpose) -> Result<Self, Misconfigured> {
        let own = secrets.iter().map(|timed| {
            let key = DerivedKey::derive(&timed.secret, "tokens.capsule_secret", purpose)?;
            Ok(DerivedKey {
                seals_from: timed.seals_from,
                ..key
            })
        });
        Ok(Self {
            own: own.collect::<Result<_, _>>()?,
            previous: previous
                .map(|secret| DerivedKey::derive(secret, "tokens.previous_capsule_secret", purpose))
                .transpose()?,
        })
    }

    /// The newest key whose time has come. A first key seals at once, also for a replica whose clock is behind.
    fn sealing(&self, now: Timestamp) -> Option<&DerivedKey> {
        let come = |key: &&DerivedKey| key.seals_from.is_none_or(|from| from <= now);
        self.own.iter().rfind(come).or(self.own.first())
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
            seals_from: None,
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
