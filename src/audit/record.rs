//! A record: an entry with its place, id and time, as one canonical text.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Hash, entry::Entry, escape, redaction};

/// An entry without its secrets, on its way to the store.
#[derive(Clone, Debug)]
pub(super) struct Draft(Map<String, Value>);

/// A record as it was stored.
#[derive(Clone, Debug)]
pub struct Record {
    /// The place in the chain; the first record is 1.
    pub seq: u64,
    /// The record's id.
    pub id: Uuid,
    /// When it was written.
    pub time: Timestamp,
    /// What was recorded, secrets masked.
    pub entry: Entry,
    /// The hash of the record before.
    pub prev_hash: Hash,
    /// This record's hash.
    pub hash: Hash,
    pub(super) members: Map<String, Value>,
}

impl Draft {
    /// Masks the secrets of `entry`.
    pub(super) fn of(entry: &Entry) -> Self {
        let members = match serde_json::to_value(entry) {
            Ok(Value::Object(members)) => members,
            // An entry has text keys only, so it is always an object; should that change, its record says that it is empty.
            _ => Map::new(),
        };
        let masked = members.into_iter().map(|(name, value)| {
            let value = match name.as_str() {
                "event" | "answer" | "annotations" => redaction::redact(value),
                _ => redaction::mask_texts(value),
            };
            (name, value)
        });
        Self(masked.collect())
    }

    /// A member that is text, for the column of the same name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The canonical text that is stored and hashed: JSON without white space, members sorted by name at every depth, numbers as they were
    /// written, unknown values absent, control characters and bidirectional marks escaped.
    pub(super) fn body(&self, seq: u64, id: Uuid, time: Timestamp) -> String {
        let mut members = self.0.clone();
        members.insert("seq".into(), seq.into());
        members.insert("id".into(), id.to_string().into());
        members.insert("time".into(), time_text(time).into());
        canonical(Value::Object(members))
    }
}

impl Record {
    /// Reads a stored record; `None` when the text is not one of ours, which `verify` explains.
    pub(super) fn read(body: &str, prev_hash: &[u8], hash: &[u8]) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_str(body).ok()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        Some(Self {
            seq: members.get("seq")?.as_u64()?,
            id: text("id")?.parse().ok()?,
            time: text("time")?.parse().ok()?,
            entry: serde_json::from_value(Value::Object(members.clone())).ok()?,
            prev_hash: Hash::from_bytes(prev_hash)?,
            hash: Hash::from_bytes(hash)?,
            members,
        })
    }

    /// The record with its hashes, on one line, safe to print.
    pub fn to_json(&self) -> String {
        escape::in_json(&Value::Object(self.with_hashes()).to_string()).into_owned()
    }

    pub(super) fn with_hashes(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        members.insert("prev_hash".into(), self.prev_hash.to_string().into());
        members.insert("hash".into(), self.hash.to_string().into());
        members
    }
}

/// RFC 3339 in UTC, always to the millisecond.
pub(super) fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

pub(super) fn canonical(mut value: Value) -> String {
    value.sort_all_objects();
    escape::in_json(&value.to_string()).into_owned()
}
