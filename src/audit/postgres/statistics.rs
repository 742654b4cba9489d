//! Reading the sums of all chains.

use super::{Failure, Readable, session::DEADLINE};
use crate::audit::{
    Histogram,
    statistics::{self, Range, Sum},
};

impl Readable {
    /// Hands the sums within the range to `take`.
    pub(in crate::audit) fn statistics(&self, range: Range, mut take: impl FnMut(Sum<'_>)) -> Result<(), Failure> {
        let oldest = |width: i64| {
            self.session.ask(DEADLINE, move |client| async move {
                let row = client.query_one(OLDEST, &[&width]).await?;
                Ok(row.get(0))
            })
        };
        statistics::read(&range, oldest, |width, from, until| {
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
            Ok(())
        })
    }
}

const OLDEST: &str = "SELECT min(start) FROM tollgate_audit_rollup WHERE width = $1";

const SELECT: &str = "
    SELECT start, kind, interceptor, trigger, decision, decided_by, count, durations FROM tollgate_audit_rollup
    WHERE width = $1 AND start >= $2 AND start < $3 ORDER BY start
";
