//! Taking the oldest records of a chain away, behind an anchor that is written first.

use super::{Failure, Store, append::BESIDE, number, place, session::DEADLINE};
use crate::audit::{
    Hash, Head,
    retention::{Anchor, Limits},
    rollups::WIDTHS,
};

/// How full a chain and the whole store are.
struct Fill {
    first: i64,
    head: i64,
    records: i64,
    bytes: i64,
}

impl Store {
    /// What has to go of this chain. Its share of a limit for the whole store is its share of the records.
    pub(in crate::audit) fn surplus(&self, limits: Limits, now_ms: i64) -> Result<Option<Anchor>, Failure> {
        self.surplus_of(self.head.chain, limits, now_ms)
    }

    /// A chain that nobody writes and of which something has to go.
    pub(in crate::audit) fn orphan(&self, limits: Limits, now_ms: i64) -> Result<Option<Self>, Failure> {
        let own = number(self.head.chain);
        let free: Vec<i32> = self.session.ask(DEADLINE, move |client| async move {
            let rows = client.query(UNWRITTEN, &[&own]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })?;
        for chain in free.into_iter().filter_map(|chain| u32::try_from(chain).ok()) {
            if self.surplus_of(chain, limits, now_ms)?.is_some()
                && let Some(store) = Self::adopt(&self.address, &format!("{}-tidy", self.name), chain)?
            {
                return Ok(Some(store));
            }
        }
        Ok(None)
    }

    fn surplus_of(&self, chain: u32, limits: Limits, now_ms: i64) -> Result<Option<Anchor>, Failure> {
        let number = number(chain);
        let age = limits.age.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let cut = age.map(|age| now_ms.saturating_sub(age));
        let found = self.session.ask(DEADLINE, move |client| async move {
            let Some(oldest) = client.query_opt(OLDEST, &[&number]).await? else {
                return Ok(None);
            };
            let (first, since_ms): (i64, i64) = (oldest.get(0), oldest.get(1));
            let row = client.query_one(FILL, &[&number]).await?;
            let fill = Fill {
                first,
                head: row.get(0),
                records: row.get(1),
                bytes: row.get(2),
            };
            let mut last = last_by_size(&fill, limits);
            if let Some(cut) = cut.filter(|cut| since_ms < *cut) {
                // Up to the first young one, so nothing young goes with what is old when a clock stepped back.
                let border = client.query_opt(BORDER, &[&number, &cut]).await?;
                last = last.max(border.map_or(fill.head, |row| row.get::<_, i64>(0) - 1));
            }
            if last < first {
                return Ok(None);
            }
            let gone = client.query_opt(LAST, &[&number, &last]).await?;
            let gone = gone.map(|row| (row.get::<_, i64>(0), row.get::<_, Vec<u8>>(1), row.get::<_, i64>(2)));
            Ok(gone.map(|gone| (first, since_ms, gone)))
        })?;
        Ok(found.and_then(|(first, since_ms, (last, hash, until_ms))| {
            Some(Anchor {
                first: first.unsigned_abs(),
                last: Head {
                    chain,
                    seq: last.unsigned_abs(),
                    hash: Hash::from_bytes(&hash)?,
                },
                since_ms,
                until_ms,
            })
        }))
    }

    /// Up to which number records are to go that are still there, by the newest anchor.
    pub(in crate::audit) fn unfinished(&self) -> Result<Option<u64>, Failure> {
        let chain = self.head.chain;
        let (anchor, first) = self.session.ask(DEADLINE, move |client| async move {
            let anchor = client.query_opt(ANCHOR, &[&number(chain)]).await?;
            let first = client.query_opt(OLDEST, &[&number(chain)]).await?;
            Ok((
                anchor.map(|row| row.get::<_, String>(0)),
                first.map(|row| row.get::<_, i64>(0)),
            ))
        })?;
        let last = anchor
            .and_then(|body| Anchor::read(chain, &body))
            .map_or(0, |last| last.seq);
        Ok(first.is_some_and(|first| first.unsigned_abs() <= last).then_some(last))
    }

    /// Takes some of the oldest records up to this number away; whether there are more of them.
    pub(in crate::audit) fn take_away(&mut self, last: u64) -> Result<bool, Failure> {
        let (chain, last) = (number(self.head.chain), place(last));
        self.session.ask(DEADLINE, move |client| async move {
            let Some(oldest) = client.query_opt(OLDEST, &[&chain]).await? else {
                return Ok(false);
            };
            let upto = last.min(oldest.get::<_, i64>(0).saturating_add(BATCH - 1));
            client.execute(TAKE_AWAY, &[&chain, &upto, &BESIDE]).await?;
            Ok(upto < last)
        })
    }

    /// Of all chains: it does not matter who does it.
    pub(in crate::audit) fn thin_figures(&self, now_ms: i64) -> Result<(), Failure> {
        let [minute, hour, day] = WIDTHS;
        for (width, next, age) in [(minute, hour, 2 * day), (hour, day, 90 * day)] {
            // Whole rows of the next width, which is where a reader goes over to it.
            let cut = now_ms.saturating_sub(age).div_euclid(next) * next;
            self.session.ask(DEADLINE, move |client| async move {
                client
                    .execute(
                        "DELETE FROM tollgate_audit_rollup WHERE width = $1 AND start < $2",
                        &[&width, &cut],
                    )
                    .await
            })?;
        }
        Ok(())
    }
}

/// Up to which number a chain's records go for the store to keep within its size.
fn last_by_size(fill: &Fill, limits: Limits) -> i64 {
    let own = i128::from(fill.head - fill.first + 1);
    let kept = |most: u64, all: i64| {
        let most = i128::from(most);
        let all = i128::from(all);
        // A limit that is reached is undercut by its twentieth, so that it is not reached again with the next record.
        (all > most).then(|| own * (most - most / SLACK) / all.max(1))
    };
    let by_records = limits.records.and_then(|most| kept(most, fill.records));
    let by_bytes = limits.bytes.and_then(|most| kept(most, fill.bytes));
    [by_records, by_bytes]
        .into_iter()
        .flatten()
        .map(|keep| fill.head - i64::try_from(keep).unwrap_or(i64::MAX))
        .max()
        .unwrap_or(0)
}

const OLDEST: &str = "SELECT seq, time_ms FROM tollgate_audit_record WHERE chain = $1 ORDER BY seq LIMIT 1";

const FILL: &str = "
    SELECT (SELECT seq FROM tollgate_audit_chain WHERE chain = $1), sum(seq - first + 1)::bigint, sum(bytes)::bigint
    FROM tollgate_audit_chain
";

const BORDER: &str = "SELECT seq FROM tollgate_audit_record WHERE chain = $1 AND time_ms >= $2 ORDER BY seq LIMIT 1";

const LAST: &str =
    "SELECT seq, hash, time_ms FROM tollgate_audit_record WHERE chain = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1";

// The fence makes the few anchors be found by their kind, and not by going through the chain.
pub(super) const ANCHOR: &str = "
    SELECT body FROM (
        SELECT seq, body FROM tollgate_audit_record WHERE kind = 'anchor' AND chain = $1 OFFSET 0
    ) AS anchors ORDER BY seq DESC LIMIT 1
";

const TAKE_AWAY: &str = "
    WITH gone AS (
        DELETE FROM tollgate_audit_record WHERE chain = $1 AND seq <= $2 RETURNING octet_length(body) + $3::bigint AS bytes
    )
    UPDATE tollgate_audit_chain SET first = $2 + 1, bytes = greatest(0, bytes - (SELECT coalesce(sum(bytes), 0)::bigint FROM gone))
    WHERE chain = $1
";

const UNWRITTEN: &str = "
    SELECT chain FROM tollgate_audit_chain
    WHERE chain <> $1 AND seq >= first AND NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND classid = 'tollgate_audit_chain'::regclass::oid AND objid = chain::oid
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    ORDER BY chain
";

/// So many records go in one transaction: few enough that a record that waits meanwhile hardly notices.
const BATCH: i64 = 500;

const SLACK: i128 = 20;
