//! Reading the sums.

use rusqlite::{Connection, params};

use crate::audit::{
    Histogram,
    statistics::{self, Range, Sum},
};

/// Hands the sums within the range to `take`.
pub(in crate::audit) fn statistics(
    connection: &Connection,
    range: Range,
    mut take: impl FnMut(Sum<'_>),
) -> Result<(), rusqlite::Error> {
    let mut select = connection.prepare_cached(SELECT)?;
    let oldest = |width| connection.query_row(OLDEST, [width], |row| row.get(0));
    statistics::read(&range, oldest, |width, from, until| {
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
        Ok(())
    })
}

const OLDEST: &str = "SELECT min(start) FROM rollup WHERE width = ?1";

const SELECT: &str = "
    SELECT start, kind, interceptor, trigger, decision, decided_by, count, durations FROM rollup
    WHERE width = ?1 AND start >= ?2 AND start < ?3 ORDER BY start
";
