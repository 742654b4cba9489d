//! Reading the sums of all chains.

use super::{Failure, Readable, session::DEADLINE};
use crate::audit::{
    Histogram,
    rollups::WIDTHS,
    statistics::{Range, Sum},
};

impl Readable {
    /// Hands the sums within the range to `take`: those of the widest rows that fit its step, and narrower ones at its edges.
    pub(in crate::audit) fn statistics(&self, range: Range, mut take: impl FnMut(Sum<'_>)) -> Result<(), Failure> {
        let Some(least) = WIDTHS.iter().rev().find(|width| range.step_ms % **width == 0) else {
            return Ok(());
        };
        // Narrow rows are given up after a while; then the next width is as fine as it gets.
        let mut until = range.until_ms;
        for width in WIDTHS.into_iter().filter(|width| width >= least) {
            let oldest: Option<i64> = self.session.ask(DEADLINE, move |client| async move {
                let row = client
                    .query_one(
                        "SELECT min(start) FROM tollgate_audit_rollup WHERE width = $1",
                        &[&width],
                    )
                    .await?;
                Ok(row.get(0))
            })?;
            let Some(oldest) = oldest else { break };
            // Rows are given up at a border of the next width, so behind that border none is missing.
            let from = match WIDTHS.into_iter().find(|next| *next > width) {
                Some(next) => (oldest.div_euclid(next) * next).max(range.since_ms),
                None => range.since_ms,
            };
            let rows = self.session.ask(DEADLINE, move |client| async move {
                client.query(SELECT, &[&width, &from, &until]).await
            })?;
            for row in &rows {
                take(Sum {
                    start_ms: row.get(0),
                    kind: row.get(1),
                    interceptor: row.get(2),
                    trigger: row.get(3),
                    decision: row.get(4),
                    decided_by: row.get(5),
                    count: u64::try_from(row.get::<_, i64>(6)).unwrap_or(0),
                    durations: Histogram::from_bytes(row.get(7)).unwrap_or_default(),
                });
            }
            until = until.min(from);
            if until <= range.since_ms {
                break;
            }
        }
        Ok(())
    }
}

const SELECT: &str = "
    SELECT start, kind, interceptor, trigger, decision, decided_by, count, durations FROM tollgate_audit_rollup
    WHERE width = $1 AND start >= $2 AND start < $3 ORDER BY start
";
