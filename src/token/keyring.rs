//! Tollgate's own signing keys: a directory of private keys, and which of them signs when.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{clock::Clock, misconfigured::Misconfigured};

use super::{
    algorithm::{Algorithm, Family},
    public_key::PublicKey,
};
use pair::Pair;

mod files;
mod pair;

pub(super) use files::capsule_files;
pub use files::{init_capsule_secret, rotate_capsule_secret};

/// How long a key stays published after its successor signs, where nothing else is said: longer than tokens live.
pub(super) const PUBLISHED_AFTER_SIGNING: Duration = Duration::from_secs(7 * 86_400);

/// The private keys of one directory, parsed once. Which key signs follows from the file names and the time alone,
/// so that replicas with the same directory agree without talking to each other.
#[derive(Debug)]
pub struct KeyRing {
    /// By the time from which they sign, then by file name.
    keys: Vec<OwnKey>,
    published_after: Duration,
}

/// A key as `tollgate keys list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its RFC 7638 thumbprint.
    pub kid: String,
    /// What kind of key it is.
    pub family: Family,
    /// When its file was written.
    pub created: Timestamp,
    /// From when it may sign; none where the file's name says no time, which means from the beginning.
    pub signs_from: Option<Timestamp>,
    /// Its part now.
    pub state: State,
    /// Until when it is published; none while it has no successor.
    pub published_until: Option<Timestamp>,
    /// Where it is kept.
    pub file: PathBuf,
}

/// What a key does at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It signs what needs its kind of key.
    Signing,
    /// Published for the caches of relying parties; it will sign when its time comes.
    Next,
    /// It has a successor and stays published for the tokens it signed.
    Old,
    /// It is not published any more, since what it signed has expired. Tokens of it are still known as ours, for an
    /// `id_token_hint`, until its file is deleted.
    Retired,
}

#[derive(Debug)]
struct OwnKey {
    kid: String,
    public: PublicKey,
    pair: Pair,
    signs_from: Option<Timestamp>,
    created: Timestamp,
    file: PathBuf,
}

impl KeyRing {
    /// Reads every `*.pem` of the directory: PKCS#8 private keys, RSA (2048 bits or more), P-256, P-384 or
    /// Ed25519. A key whose file name ends in a time, as in `rsa-20261123T101500Z.pem`, signs from then on.
    pub fn load(dir: &Path) -> Result<Self, Misconfigured> {
        let mut keys: Vec<OwnKey> = Vec::new();
        for file in files::key_files(dir)? {
            let pair = files::read(&file)?;
            let public = pair.public().ok_or_else(|| files::unusable(&file))?;
            let kid = public.thumbprint().to_owned();
            if let Some(twin) = keys.iter().find(|key| key.kid == kid) {
                let (one, other) = (twin.file.display(), file.display());
                return Err(
                    Misconfigured::new(KEYS, format!("`{one}` and `{other}` hold the same key"))
                        .hint("delete one of them"),
                );
            }
            keys.push(OwnKey {
                kid,
                public,
                pair,
                signs_from: files::signs_from(&file),
                created: files::created(&file),
                file,
            });
        }
        if keys.is_empty() {
            return Err(
                Misconfigured::new(KEYS, format!("no signing key in `{}`", dir.display()))
                    .hint("`tollgate keys init` makes them"),
            );
        }
        keys.sort_by(|a, b| (a.signs_from, &a.file).cmp(&(b.signs_from, &b.file)));
        Ok(Self {
            keys,
            published_after: PUBLISHED_AFTER_SIGNING,
        })
    }

    /// The same keys, each published for so long after its successor signs.
    pub fn published_after(self, published_after: Duration) -> Self {
        Self {
            published_after,
            ..self
        }
    }

    /// Makes the first keys, RSA-2048, P-256 and Ed25519, which sign at once. The files get mode 0600, a new directory
    /// 0700. Refuses a directory that holds keys already.
    pub fn init(dir: &Path, now: Timestamp) -> Result<Self, Misconfigured> {
        files::create_dir(dir)?;
        if !files::key_files(dir)?.is_empty() {
            return Err(
                Misconfigured::new(KEYS, format!("`{}` already holds signing keys", dir.display()))
                    .hint("`tollgate keys rotate` adds new ones and keeps those published"),
            );
        }
        for family in [Family::Rsa, Family::P256, Family::Ed25519] {
            files::write(dir, family, now, &Pair::generate(family, None)?)?;
        }
        Self::load(dir)
    }

    /// Adds a new key beside the newest of each kind. It is published as soon as the directory is loaded again and
    /// signs once `published_before` has passed; the others stay published. RSA keys keep the newest one's size.
    pub fn rotate(dir: &Path, clock: &Clock, published_before: Duration) -> Result<Self, Misconfigured> {
        let ring = Self::load(dir)?;
        let families: BTreeSet<Family> = ring.keys.iter().map(|key| key.public.family()).collect();
        let mut fresh = Vec::new();
        for family in families {
            let newest = ring.keys.iter().rfind(|key| key.public.family() == family);
            fresh.push((family, Pair::generate(family, newest.map(|key| &key.pair))?));
        }
        // Making RSA keys takes seconds on a busy machine, and they are not published meanwhile.
        let signs_from = clock.now() + published_before;
        for (family, pair) in fresh {
            files::write(dir, family, signs_from, &pair)?;
        }
        Self::load(dir)
    }

    /// Deletes the files of keys that are not published any more, and says which.
    pub fn prune(self, now: Timestamp) -> Result<Vec<PathBuf>, Misconfigured> {
        let retired = self.keys.iter().filter(|key| self.state(key, now) == State::Retired);
        let retired: Vec<_> = retired.map(|key| key.file.clone()).collect();
        for file in &retired {
            files::delete(file)?;
        }
        Ok(retired)
    }

    /// Every key with its part at this time, by kind and age.
    pub fn list(&self, now: Timestamp) -> Vec<Listed> {
        let mut list: Vec<Listed> = self
            .keys
            .iter()
            .map(|key| Listed {
                kid: key.kid.clone(),
                family: key.public.family(),
                created: key.created,
                signs_from: key.signs_from,
                state: self.state(key, now),
                published_until: self.published_until(key),
                file: key.file.clone(),
            })
            .collect();
        list.sort_by_key(|listed| listed.family);
        list
    }

    /// The public keys as a JWK set: all but the retired ones, those that sign now first.
    pub fn jwks(&self, now: Timestamp) -> Value {
        let published = |key: &&OwnKey| self.state(key, now) != State::Retired;
        let mut keys: Vec<&OwnKey> = self.keys.iter().filter(published).collect();
        keys.sort_by_key(|key| (self.state(key, now) != State::Signing, key.public.family()));
        json!({"keys": keys.into_iter().map(|key| key.public.jwk()).collect::<Vec<_>>()})
    }

    /// Whether a token with this `kid` is one of ours.
    pub fn holds(&self, kid: &str) -> bool {
        self.key(kid).is_some()
    }

    /// The names of the algorithms it can sign with, for discovery.
    pub fn algorithms(&self) -> Vec<&'static str> {
        Algorithm::ALL
            .into_iter()
            .filter(|algorithm| self.can_sign(*algorithm))
            .map(Algorithm::name)
            .collect()
    }

    /// Whether there is a key for this algorithm.
    pub fn can_sign(&self, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.public.family() == algorithm.family())
    }

    /// The SubjectPublicKeyInfo of the RSA key that signs now, in standard base64: what some providers
    /// publish as `public_key`.
    pub fn rsa_public_key_spki_base64(&self, now: Timestamp) -> Option<String> {
        self.signing(Family::Rsa, now)?.public.rsa_spki_base64()
    }

    /// The `kid` that a token of this algorithm gets at this time.
    pub(super) fn signing_kid(&self, algorithm: Algorithm, now: Timestamp) -> Option<&str> {
        self.signing(algorithm.family(), now).map(|key| key.kid.as_str())
    }

    /// Signs with the key of this `kid`; `None` where there is none that fits.
    pub(super) fn sign(&self, kid: &str, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        self.key(kid)?.pair.sign(algorithm, message)
    }

    /// Whether the signature is one of ours under this `kid`.
    pub(super) fn verifies(&self, kid: &str, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.key(kid)
            .is_some_and(|key| key.public.verifies(algorithm, message, signature))
    }

    fn key(&self, kid: &str) -> Option<&OwnKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The newest key whose time has come. A first key signs at once, also for a replica whose clock is behind.
    fn signing(&self, family: Family, now: Timestamp) -> Option<&OwnKey> {
        let mut fitting = self.keys.iter().filter(|key| key.public.family() == family);
        let first = fitting.clone().next();
        fitting
            .rfind(|key| key.signs_from.is_none_or(|from| from <= now))
            .or(first)
    }

    fn state(&self, key: &OwnKey, now: Timestamp) -> State {
        match self.signing(key.public.family(), now) {
            Some(signing) if signing.kid == key.kid => State::Signing,
            _ if key.signs_from.is_some_and(|from| from > now) => State::Next,
            _ if self.published_until(key).is_some_and(|until| until <= now) => State::Retired,
            _ => State::Old,
        }
    }

    /// The end of a key's publication: a while after the next one of its kind signs.
    fn published_until(&self, key: &OwnKey) -> Option<Timestamp> {
        let of_kind = self
            .keys
            .iter()
            .filter(|other| other.public.family() == key.public.family());
        // The keys are in the order in which they sign.
        let successor = of_kind.skip_while(|other| other.kid != key.kid).nth(1)?;
        let from = successor.signs_from.unwrap_or(successor.created);
        Some(from.checked_add(self.published_after).unwrap_or(Timestamp::MAX))
    }
}

const KEYS: &str = "tokens.keys";

#[cfg(test)]
mod tests;
