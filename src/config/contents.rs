//! What is in the files of a configuration: seen by their contents, since a link that is turned elsewhere changes no time of
//! its own and a rename brings a file with an old one.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ring::{digest, hmac};

use super::{Config, files};

/// A SHA-256 digest. Never shown: it is enough to try out what a short secret is.
type Digest = [u8; 32];

/// The contents of the files that a configuration names, and its own, by their keys. `None` for one that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, Option<Digest>>);

/// Looks at files, and reads only those that may have changed.
#[derive(Debug, Default)]
pub struct Contents(HashMap<PathBuf, (Stamp, Digest)>);

/// What says without reading a file that it is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Contents {
    /// What is in the files now.
    pub fn look(&mut self, config: &Config) -> Snapshot {
        let own = (String::new(), self.digest(Path::new(config.file())));
        let named = config.named_files().into_iter();
        let named = named.map(|named| (named.key, self.digest(&named.path)));
        let found: Vec<_> = named.collect();
        Snapshot(std::iter::once(own).chain(found).collect())
    }

    fn digest(&mut self, path: &Path) -> Option<Digest> {
        let stamp = Stamp::of(path);
        if let (Some(stamp), Some((known, digest))) = (stamp, self.0.get(path))
            && stamp == *known
        {
            return Some(*digest);
        }
        let bytes = fs::read(path).ok();
        let digest = bytes.map(|bytes| sha256(&bytes));
        match (stamp.filter(Stamp::is_settled), digest) {
            (Some(stamp), Some(digest)) => drop(self.0.insert(path.to_owned(), (stamp, digest))),
            _ => drop(self.0.remove(path)),
        }
        digest
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether another write would give it other times: clocks of file systems go by steps.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let changed = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(u64::MAX));
        now.saturating_sub(changed) > SETTLED
    }
}

impl Snapshot {
    /// The contents of the files whose keys begin so, by the rest of the key.
    pub(super) fn below<'s>(&'s self, prefix: &str) -> BTreeMap<&'s str, Option<Digest>> {
        let all = self.0.iter();
        all.filter_map(|(key, digest)| Some((key.strip_prefix(prefix)?, *digest)))
            .collect()
    }

    /// With this text in the configuration's own file: what was read, whatever is there by now.
    pub(super) fn with_own(mut self, text: &str) -> Self {
        self.0.insert(String::new(), Some(sha256(text.as_bytes())));
        self
    }

    /// Every file but the configuration's own.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, Option<Digest>)> {
        let all = self.0.iter();
        all.filter(|(key, _)| !key.is_empty())
            .map(|(key, digest)| (key.as_str(), *digest))
    }
}

impl Config {
    /// What was in the files when this was read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether a section, or an item of a list, says the same as one of another configuration, and the files that it names had
    /// the same contents. Both end in a dot.
    pub fn says_the_same(&self, section: &str, other: &Self, its_section: &str) -> bool {
        let below = |config: &'_ Self, prefix: &str| -> BTreeMap<String, String> {
            let all = config.source.settings.iter();
            all.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
                .collect()
        };
        below(self, section) == below(other, its_section)
            && self.snapshot.below(section) == other.snapshot.below(its_section)
    }

    /// The key of fingerprints: whoever does not have the capsule secret cannot try out what a fingerprint was made from.
    pub(super) fn fingerprint_key(&self) -> hmac::Key {
        let secrets = self.tokens.capsule_secrets(&self.base).unwrap_or_default();
        let secret = secrets.first().map(|timed| timed.secret.expose());
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.unwrap_or_default());
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"tollgate fingerprints").as_ref())
    }

    pub(super) fn fingerprint(&self) -> String {
        let key = self.fingerprint_key();
        let mut context = hmac::Context::with_key(&key);
        context.update(self.source.text.as_bytes());
        for (variable, value) in self.source.variables.iter().zip(&self.source.values) {
            context.update(format!("\0{variable}={value}").as_bytes());
        }
        for (key, digest) in self.snapshot.named().filter(|(key, _)| files::decides(key)) {
            context.update(format!("\0{key}\0").as_bytes());
            context.update(&digest.unwrap_or_default());
        }
        hex(context.sign().as_ref(), 6)
    }
}

/// The first bytes in hex.
pub(super) fn hex(bytes: &[u8], length: usize) -> String {
    bytes.iter().take(length).map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    let hash = digest::digest(&digest::SHA256, bytes);
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.as_ref());
    digest
}

/// Steps of two seconds are the coarsest there are.
const SETTLED: Duration = Duration::from_secs(3);
