//! How long records are kept, and the record that says which ones were taken away.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::{Entry, Head, Kind, Settings, record::time_text};

/// What the store may hold. A limit that is not set does not bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) age: Option<Duration>,
    pub(super) bytes: Option<u64>,
    pub(super) records: Option<u64>,
}

/// Which records were taken away: part of the chain, so that what is left still hangs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) first: u64,
    /// The last one of them.
    pub(super) last: Head,
    pub(super) since_ms: i64,
    pub(super) until_ms: i64,
}

/// An anchor as it stands in its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The number of the first record that was taken away.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// How many there were.
    pub count: u64,
    /// The last one's hash, in hexadecimal digits.
    pub hash: String,
    /// When the first was written.
    pub since: String,
    /// When the last was written.
    pub until: String,
}

impl Limits {
    /// Those of `settings`.
    pub(super) fn of(settings: &Settings) -> Self {
        let (bytes, records) = match settings.max_size {
            None => (None, None),
            Some(MaxSize::Bytes(bytes)) => (Some(bytes), None),
            Some(MaxSize::Records(records)) => (None, Some(records)),
        };
        Self {
            age: settings.retention.limit(),
            bytes,
            records,
        }
    }
}

impl Anchor {
    /// The entry that is recorded.
    pub(super) fn entry(&self) -> Entry {
        let time = |ms| Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), time_text);
        let count = self.last.seq.saturating_sub(self.first) + 1;
        Entry {
            reason: Some(format!("retention: {count} records were taken away")),
            removed: Some(Removed {
                first: self.first,
                last: self.last.seq,
                count,
                hash: self.last.hash.to_string(),
                since: time(self.since_ms),
                until: time(self.until_ms),
            }),
            ..Entry::new(Kind::Anchor)
        }
    }

    /// What a stored record says of the last record that was taken away; `None` when it is no anchor.
    pub(super) fn read(chain: u32, body: &str) -> Option<Head> {
        let body: Value = serde_json::from_str(body).ok()?;
        if body.get("kind")? != "anchor" {
            return None;
        }
        let removed: Removed = serde_json::from_value(body.get("removed")?.clone()).ok()?;
        Some(Head {
            chain,
            seq: removed.last,
            hash: removed.hash.parse().ok()?,
        })
    }
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// At least so long; older ones are taken away.
    For(crate::clock::Period),
    /// For ever.
    Forever,
}

impl Retention {
    fn limit(self) -> Option<Duration> {
        match self {
            Self::For(period) => Some(period.0),
            Self::Forever => None,
        }
    }
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let period: crate::clock::Period = text.parse()?;
        if period.0 < LEAST {
            return Err(format!(
                "records are kept an hour at the least, not `{text}`; `forever` keeps them all"
            ));
        }
        Ok(Self::For(period))
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(period) => period.fmt(f),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// How large the store may grow before its oldest records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxSize {
    /// So many bytes of the file in use.
    Bytes(u64),
    /// So many records.
    Records(u64),
}

impl FromStr for MaxSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no size; write it like `10GiB`, `500MiB` or `5000000 records`");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let size = match unit.trim() {
            "records" => Self::Records(number),
            "KiB" => Self::Bytes(number.checked_mul(1 << 10).ok_or_else(wrong)?),
            "MiB" => Self::Bytes(number.checked_mul(1 << 20).ok_or_else(wrong)?),
            "GiB" => Self::Bytes(number.checked_mul(1 << 30).ok_or_else(wrong)?),
            "TiB" => Self::Bytes(number.checked_mul(1 << 40).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        match size {
            Self::Bytes(bytes) if bytes < LEAST_BYTES => {
                Err("a store of less than `1MiB` holds hardly a record".into())
            }
            Self::Records(records) if records < LEAST_RECORDS => Err("a store holds `100 records` at the least".into()),
            size => Ok(size),
        }
    }
}

impl<'de> Deserialize<'de> for MaxSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Shorter than this, a record may go while its request is still under way.
const LEAST: Duration = Duration::from_secs(3_600);
const LEAST_BYTES: u64 = 1 << 20;
const LEAST_RECORDS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_people_write_them() {
        assert_eq!("10GiB".parse(), Ok(MaxSize::Bytes(10 << 30)));
        assert_eq!("5000000 records".parse(), Ok(MaxSize::Records(5_000_000)));
        for wrong in ["", "10", "10GB", "GiB", "-1GiB", "99999999999TiB", "1KiB", "3 records"] {
            assert!(wrong.parse::<MaxSize>().is_err(), "{wrong}");
        }
        assert_eq!("forever".parse(), Ok(Retention::Forever));
        assert_eq!("30d".parse::<Retention>().unwrap().to_string(), "30d");
        for wrong in ["never", "1m", ""] {
            assert!(wrong.parse::<Retention>().is_err(), "{wrong}");
        }
    }
}
