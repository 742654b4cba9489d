//! Sums by minute, hour and day, written with the records that they count.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Histogram, facets};

/// A minute, an hour, a day; in milliseconds.
pub(super) const WIDTHS: [i64; 3] = [60_000, 3_600_000, 86_400_000];

/// What one transaction adds.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    pub(super) sums: BTreeMap<Key, Sum>,
    /// The first and last record's number of each minute. Clocks step back, so numbers do not rise with minutes.
    pub(super) spans: BTreeMap<i64, (i64, i64)>,
}

/// What is summed up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) minute: i64,
    pub(super) kind: String,
    pub(super) interceptor: String,
    pub(super) trigger: String,
    pub(super) decision: String,
    pub(super) decided_by: String,
}

/// A sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) count: i64,
    pub(super) durations: Histogram,
}

impl Rollups {
    /// Counts a record.
    pub(super) fn add(&mut self, members: &Map<String, Value>, seq: i64, time_ms: i64) {
        let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let by = members.get("decided_by").and_then(Value::as_str);
        let minute = time_ms.div_euclid(MINUTE);
        let key = Key {
            minute,
            kind: text("kind"),
            interceptor: text("interceptor"),
            trigger: text("trigger"),
            decision: text("decision"),
            decided_by: facets::decider(by).0.unwrap_or_default().to_owned(),
        };
        let sum = self.sums.entry(key).or_default();
        sum.count += 1;
        if let Some(ms) = members.get("duration_ms").and_then(Value::as_u64) {
            sum.durations.add(ms);
        }
        let span = self.spans.entry(minute).or_insert((seq, seq));
        *span = (span.0.min(seq), span.1.max(seq));
    }
}

impl Sum {
    /// Counts what the other has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.durations.merge(&other.durations);
    }
}

/// A minute, in milliseconds.
pub(super) const MINUTE: i64 = 60_000;
