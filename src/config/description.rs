//! A configuration as it may be shown, and what is different in another one.

use std::collections::BTreeMap;

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Config, contents::hex, mask};

/// Every setting that is written somewhere, with secrets masked, and fingerprints of what is masked and of the files it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`Config::revision`].
    pub revision: String,
    /// Values as TOML has them, by their keys. Items of a list are called by their names.
    settings: BTreeMap<String, String>,
    /// Fingerprints by the keys of files and of what is masked. Keyed: they say nothing about a secret to who does not have the
    /// capsule secret.
    fingerprints: BTreeMap<String, String>,
    /// Says whether two descriptions were made with the same key, so that their fingerprints can be compared.
    key: String,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, as in `interceptor."Plan and seats".timeout`.
    pub key: String,
    /// What is different.
    pub how: How,
    /// Whether it counts only from the next start on.
    pub needs_restart: bool,
}

/// What is different about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It is written there, and was not.
    Added(String),
    /// It was written there, and is not.
    Removed(String),
    /// It has another value: from, to.
    Changed(String, String),
    /// It is the same, and the file that it names, or the secret in its place, is another.
    Contents,
}

impl Config {
    /// How this configuration may be shown, with the key of its own capsule secret.
    pub fn description(&self) -> Description {
        self.described(&self.fingerprint_key())
    }

    /// What is different here from an earlier one.
    pub fn changes_since(&self, earlier: &Self) -> Vec<Change> {
        let key = earlier.fingerprint_key();
        self.described(&key).changes_since(&earlier.described(&key))
    }

    /// The key of a change as it stands in the file, list items by index, for [`Config::errors`].
    pub fn place_of(&self, change: &Change) -> String {
        let settings = self.source.settings.keys();
        let mut places = settings.filter(|key| self.readable(key) == change.key);
        places.next().cloned().unwrap_or_else(|| change.key.clone())
    }

    fn described(&self, key: &hmac::Key) -> Description {
        let fingerprint = |bytes: &[u8]| hex(hmac::sign(key, bytes).as_ref(), 8);
        let mut settings = BTreeMap::new();
        let mut fingerprints = BTreeMap::new();
        for (name, value) in &self.source.settings {
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            let shown = shown(&path, value);
            if shown != *value {
                fingerprints.insert(self.readable(name), fingerprint(value.as_bytes()));
            }
            settings.insert(self.readable(name), shown);
        }
        for (name, digest) in self.snapshot.named() {
            let mark = digest.map_or_else(|| "missing".to_owned(), |digest| fingerprint(&digest));
            fingerprints.insert(self.readable(name), mark);
        }
        Description {
            revision: self.revision.clone(),
            settings,
            fingerprints,
            key: fingerprint(b"which key this is"),
        }
    }

    /// The key with the name of a list item in the place of its index, so that an item that moved is still the same.
    fn readable(&self, key: &str) -> String {
        let mut steps: Vec<String> = Vec::new();
        let mut raw: Vec<&str> = Vec::new();
        for step in key.split('.') {
            raw.push(step);
            let name = step
                .parse::<usize>()
                .ok()
                .and_then(|_| self.source.settings.get(&format!("{}.name", raw.join("."))));
            steps.push(name.map_or_else(|| step.to_owned(), String::clone));
        }
        steps.join(".")
    }
}

impl Description {
    /// What is different here from an earlier one, by key.
    pub fn changes_since(&self, earlier: &Self) -> Vec<Change> {
        let mut found = BTreeMap::new();
        for (key, value) in &self.settings {
            match earlier.settings.get(key) {
                None => drop(found.insert(key, How::Added(value.clone()))),
                Some(before) if before != value => {
                    drop(found.insert(key, How::Changed(before.clone(), value.clone())));
                }
                Some(_) => {}
            }
        }
        for (key, value) in &earlier.settings {
            if !self.settings.contains_key(key) {
                found.insert(key, How::Removed(value.clone()));
            }
        }
        if self.is_comparable_with(earlier) {
            let keys = self.fingerprints.keys().chain(earlier.fingerprints.keys());
            for key in keys.filter(|key| self.fingerprints.get(*key) != earlier.fingerprints.get(*key)) {
                found.entry(key).or_insert(How::Contents);
            }
        }
        let changes = found.into_iter().map(|(key, how)| Change {
            key: key.clone(),
            how,
            needs_restart: needs_restart(key),
        });
        changes.collect()
    }

    /// Whether the contents of files can be compared: both capsule secrets are the same.
    pub fn is_comparable_with(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// Whether a change of this key counts only from the next start on.
fn needs_restart(key: &str) -> bool {
    AT_THE_START
        .iter()
        .any(|start| key == *start || key.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')))
}

/// A value with what must not be shown masked.
fn shown(path: &[String], value: &str) -> String {
    let is_store =
        path.first().is_some_and(|section| section == "audit") && path.get(1).is_some_and(|key| key == "store");
    if mask::holds_secret(path) && !is_number_or_path(path, value) {
        return "***".to_owned();
    }
    if is_store && !value.starts_with("\"sqlite:") {
        return "***".to_owned();
    }
    mask::without_passwords(value)
}

/// Keys that sound secret and name no secret: where one is kept, or how many.
fn is_number_or_path(path: &[String], value: &str) -> bool {
    let is_tls = path.iter().any(|step| step == "tls");
    is_tls || !value.starts_with(['"', '[', '\''])
}

/// What is set up once, when the process starts.
const AT_THE_START: [&str; 9] = [
    "audit.store",
    "audit.store_password",
    "audit.on_failure",
    "audit.spool",
    "audit.retention",
    "audit.max_size",
    "audit.heads",
    "audit.sink",
    "log",
];
