//! Writing the sums with the records that they count.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::audit::{
    Histogram,
    rollups::{MINUTE, Rollups, WIDTHS},
};

/// Adds the sums to those that are stored.
pub(super) fn write(rollups: &Rollups, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    let mut select = transaction.prepare_cached(SELECT)?;
    let mut upsert = transaction.prepare_cached(UPSERT)?;
    for width in WIDTHS {
        // Several minutes of one hour are one row, so each sees what the one before has written.
        for (key, sum) in &rollups.sums {
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
    for (minute, (first, last)) in &rollups.spans {
        span.execute([minute, first, last])?;
    }
    Ok(())
}

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
