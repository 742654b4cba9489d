//! A record: an entry with its place, id and time, as one canonical text.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::{NoContext, Uuid};

use super::{Hash, chain, entry::Entry, redaction};
use crate::{clock::Clock, escape, fields::Rules};

/// An entry without its secrets, on its way to the store; objects in it are sorted already.
#[derive(Clone, Debug)]
pub(super) struct Draft(Map<String, Value>);

/// A draft with its id and time: from here on it is the same record wherever it is written, and whether it was is found by its id.
#[derive(Clone, Debug)]
pub(super) struct Stamped {
    pub(super) id: Uuid,
    pub(super) time: Timestamp,
    pub(super) draft: Draft,
}

/// Gives out ids and times.
#[derive(Debug)]
pub(super) struct Stamp {
    clock: Clock,
    /// The last millisecond, and how many ids were given out in it.
    last: (i64, u32),
}

/// A record as it was stored.
#[derive(Clone, Debug)]
pub struct Record {
    /// The chain's number; 0 in a store that has only one.
    pub chain: u32,
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

impl Stamp {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, last: (0, 0) }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The draft as a record of now. Ids of one millisecond rise in the order in which they are given out, so that a chain's records
    /// are in its order when they are sorted by id.
    pub(super) fn on(&mut self, draft: Draft) -> Stamped {
        let time = self.clock.now();
        let ms = time.as_millisecond();
        self.last = match self.last {
            (last, count) if last == ms => (last, count + 1),
            _ => (ms, 0),
        };
        let id = new_id(ms, self.last.1);
        Stamped { id, time, draft }
    }
}

impl Draft {
    /// What [`Draft::members`] gave.
    pub(super) fn from_members(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Masks the secrets of `entry`.
    pub(super) fn of(entry: Entry) -> Self {
        Self::redacted(entry, &Rules::default())
    }

    /// Masks the secrets of `entry` and does with its fields what the operator wishes.
    pub(super) fn redacted(mut entry: Entry, rules: &Rules) -> Self {
        // What is JSON already is not written once more.
        let written = [
            ("event", entry.event.take()),
            ("answer", entry.answer.take()),
            (
                "annotations",
                Some(std::mem::take(&mut entry.annotations))
                    .filter(|annotations| !annotations.is_empty())
                    .map(Value::Object),
            ),
        ];
        let mut members = match serde_json::to_value(&entry) {
            Ok(Value::Object(members)) => members,
            // An entry is always an object; should that change, the store refuses the record, since it has no kind.
            _ => Map::new(),
        };
        members.values_mut().for_each(redaction::mask_texts);
        for (name, value) in written {
            if let Some(value) = value {
                members.insert(name.into(), redaction::redact(value));
            }
        }
        rules.apply(&mut members);
        members.values_mut().for_each(Value::sort_all_objects);
        members.sort_keys();
        Self(members)
    }

    /// The members, without the number, the id and the time.
    pub(super) fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The canonical text that is stored and hashed: JSON without white space, members sorted by name at every depth, numbers unrounded,
    /// unknown values absent, control characters and bidirectional marks escaped.
    pub(super) fn body(&self, seq: u64, id: Uuid, time: Timestamp) -> String {
        let own: [(&str, Value); 3] = [
            ("id", id.to_string().into()),
            ("seq", seq.into()),
            ("time", time_text(time).into()),
        ];
        let mut own = own.iter().peekable();
        let mut text = String::with_capacity(2 * 1024);
        let mut put = |name: &str, value: &Value| {
            text.push(if text.is_empty() { '{' } else { ',' });
            // Writing to a String cannot fail.
            let _ = write!(text, "{}:{value}", Value::from(name));
        };
        for (name, value) in &self.0 {
            while let Some((before, value)) = own.next_if(|(own, _)| *own < name.as_str()) {
                put(before, value);
            }
            put(name, value);
        }
        own.for_each(|(name, value)| put(name, value));
        text.push('}');
        escape::in_json(&text).into_owned()
    }
}

impl Record {
    /// Reads a stored record; `None` when the text is not one of ours, which `verify` explains.
    pub(super) fn read(chain: u32, body: &str, prev_hash: &[u8], hash: &[u8]) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_str(body).ok()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        Some(Self {
            chain,
            seq: members.get("seq")?.as_u64()?,
            id: text("id")?.parse().ok()?,
            time: text("time")?.parse().ok()?,
            entry: serde_json::from_value(Value::Object(members.clone())).ok()?,
            prev_hash: Hash::from_bytes(prev_hash)?,
            hash: Hash::from_bytes(hash)?,
            members,
        })
    }

    /// How its place is written: `17`, or `2.17` in the second of several chains.
    pub fn place(&self) -> String {
        chain::place(self.chain, self.seq)
    }

    /// The record with its hashes, on one line, safe to print.
    pub fn to_json(&self) -> String {
        escape::in_json(&Value::Object(self.with_hashes()).to_string()).into_owned()
    }

    pub(super) fn with_hashes(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        if self.chain > 0 {
            members.insert("chain".into(), self.chain.into());
        }
        members.insert("prev_hash".into(), self.prev_hash.to_string().into());
        members.insert("hash".into(), self.hash.to_string().into());
        members
    }
}

/// A UUID of version 7 (RFC 9562 §5.7) of this millisecond, with the counter in the 24 bits behind the time (§6.2, method 1).
fn new_id(ms: i64, counter: u32) -> Uuid {
    let ms = u64::try_from(ms).unwrap_or(0);
    let nanos = u32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000;
    let random = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, ms / 1_000, nanos)).as_u128();
    let counter = u128::from(counter & 0x00ff_ffff);
    let (high, low) = (counter >> 12, counter & 0xfff);
    // 12 bits stand before the two of the variant, and 12 behind them.
    Uuid::from_u128(random & !(0xfff << 64) & !(0xfff << 50) | high << 64 | low << 50)
}

/// RFC 3339 in UTC, always to the millisecond.
pub(super) fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::Kind;

    #[test]
    fn the_stored_text_is_canonical() {
        let entry = Entry {
            request_id: "r\u{202e}".into(),
            answer: serde_json::from_str(
                r#"{"b": 1.50, "a": {"z": 123456789012345678901234567890.10, "y": [{"d": null, "c": true}]}}"#,
            )
            .unwrap(),
            ..Entry::new(Kind::Consult)
        };
        let body = Draft::of(entry).body(7, Uuid::from_u128(1), Timestamp::UNIX_EPOCH);
        assert_eq!(
            body,
            r#"{"answer":{"a":{"y":[{"c":true,"d":null}],"z":123456789012345678901234567890.10},"b":1.50},"id":"00000000-0000-0000-0000-000000000001","kind":"consult","request_id":"r\u202e","seq":7,"time":"1970-01-01T00:00:00.000Z"}"#
        );
        let genesis = Hash::genesis();
        let record = Record::read(0, &body, genesis.bytes(), genesis.bytes()).unwrap();
        assert_eq!(
            Draft::of(record.entry.clone()).body(record.seq, record.id, record.time),
            body
        );
    }

    #[test]
    fn hostile_members_can_be_read_again() {
        let answer = json!({"$serde_json::private::Number": "x", "list": [{"$serde_json::private::RawValue": "{"}]});
        let entry = Entry {
            answer: Some(answer),
            ..Entry::new(Kind::Consult)
        };
        let body = Draft::of(entry.clone()).body(1, Uuid::from_u128(1), Timestamp::UNIX_EPOCH);
        assert!(Record::read(0, &body, &[0; 32], &[0; 32]).is_some());
        assert!(Record::read(0, &body, &[0; 31], &[0; 32]).is_none());
    }

    #[test]
    fn ids_rise_within_a_millisecond() {
        let mut stamp = Stamp::new(Clock::fixed("2026-11-23T10:15:00.123Z".parse().unwrap()));
        let draft = Draft::of(Entry::new(Kind::Refused));
        let ids: Vec<Uuid> = (0..10_000).map(|_| stamp.on(draft.clone()).id).collect();
        assert!(ids.is_sorted());
        let first = ids.first().unwrap();
        assert_eq!(first.get_version_num(), 7);
        assert_eq!(first.get_variant(), uuid::Variant::RFC4122);
        assert_eq!((first.as_u128() >> 80) as i64, stamp.clock().now().as_millisecond());
    }
}
