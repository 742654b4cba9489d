//! Sums by minute, hour and day, written with the records that they count.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Map, Value};

use crate::audit::{Histogram, facets};

/// A minute, an hour, a day; in milliseconds.
pub(in crate::audit) const WIDTHS: [i64; 3] = [60_000, 3_600_000, 86_400_000];

/// What one transaction adds.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    sums: BTreeMap<Key, Sum>,
    /// The first and last record's number of each minute. Clocks step back, so numbers do not rise with minutes.
    spans: BTreeMap<i64, (i64, i64)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    minute: i64,
    kind: String,
    interceptor: String,
    trigger: String,
    decision: String,
    decided_by: String,
}

#[derive(Debug, Default)]
struct Sum {
    count: i64,
    durations: Histogram,
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

    /// Adds the sums to those that are stored.
    pub(super) fn write(self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let mut select = transaction.prepare_cached(SELECT)?;
        let mut upsert = transaction.prepare_cached(UPSERT)?;
        for width in WIDTHS {
            // Several minutes of one hour are one row, so each sees what the one before has written.
            for (key, sum) in &self.sums {
                let start = (key.minute * MINUTE).div_euclid(width) * width;
                let (kind, interceptor, trigger) = (&key.kind, &key.interceptor, &key.trigger);
                let (decision, decided_by) = (&key.decision, &key.decided_by);
                let stored: Option<Vec<u8>> = select
                    .query_row(
                        params![width, start, kind, interceptor, trigger, decision, decided_by],
                        |row| row.get(0),
                    )
                    .optional()?;
                let mut durations = sum.durations.clone();
                if let Some(stored) = stored.as_deref().and_then(Histogram::from_bytes) {
                    durations.merge(&stored);
                }
                upsert.execute(params![
                    width,
                    start,
                    kind,
                    interceptor,
                    trigger,
                    decision,
                    decided_by,
                    sum.count,
                    durations.to_bytes(),
                ])?;
            }
        }
        let mut span = transaction.prepare_cached(SPAN)?;
        for (minute, (first, last)) in &self.spans {
            span.execute([minute, first, last])?;
        }
        Ok(())
    }
}

/// A minute, in milliseconds.
pub(super) const MINUTE: i64 = 60_000;

const SELECT: &str = "
    SELECT durations FROM rollup
    WHERE width = ?1 AND start = ?2 AND kind = ?3 AND interceptor = ?4 AND trigger = ?5 AND decision = ?6 AND decided_by = ?7
";

const UPSERT: &str = "
    INSERT INTO rollup (width, start, kind, interceptor, trigger, decision, decided_by, count, durations)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET count = count + excluded.count, durations = excluded.durations
";

const SPAN: &str = "
    INSERT INTO span (minute, first, last) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
";
