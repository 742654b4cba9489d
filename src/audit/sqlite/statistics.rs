//! Reading the sums.

use rusqlite::{Connection, params};

use crate::audit::{
    Histogram,
    rollups::WIDTHS,
    statistics::{Range, Sum},
};

/// Hands the sums within the range to `take`: those of the widest rows that fit its step, and narrower ones at its edges.
pub(in crate::audit) fn statistics(
    connection: &Connection,
    range: Range,
    mut take: impl FnMut(Sum<'_>),
) -> Result<(), rusqlite::Error> {
    let mut select = connection.prepare_cached(SELECT)?;
    let Some(width) = WIDTHS.iter().rev().find(|width| range.step_ms % **width == 0) else {
        return Ok(());
    };
    // Narrow rows are given up after a while; then the next width is as fine as it gets.
    let mut until = range.until_ms;
    for width in WIDTHS.into_iter().filter(|w| w >= width) {
        let oldest: Option<i64> =
            connection.query_row("SELECT min(start) FROM rollup WHERE width = ?1", [width], |row| {
                row.get(0)
            })?;
        let Some(oldest) = oldest else { break };
        // Rows are given up at a border of the next width, so behind that border none is missing.
        let from = match WIDTHS.into_iter().find(|next| *next > width) {
            Some(next) => (oldest.div_euclid(next) * next).max(range.since_ms),
            None => range.since_ms,
        };
        let mut rows = select.query(params![width, from, until])?;
        while let Some(row) = rows.next()? {
            let text = |index| row.get_ref(index).map(|value| value.as_str().unwrap_or_default());
            take(Sum {
                start_ms: row.get(0)?,
                kind: text(1)?,
                interceptor: text(2)?,
                trigger: text(3)?,
                decision: text(4)?,
                decided_by: text(5)?,
                count: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
                durations: row
                    .get_ref(7)?
                    .as_blob()
                    .ok()
                    .and_then(Histogram::from_bytes)
                    .unwrap_or_default(),
            });
        }
        until = until.min(from);
        if until <= range.since_ms {
            break;
        }
    }
    Ok(())
}

const SELECT: &str = "
    SELECT start, kind, interceptor, trigger, decision, decided_by, count, durations FROM rollup
    WHERE width = ?1 AND start >= ?2 AND start < ?3 ORDER BY start
";
