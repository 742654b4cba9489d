//! Taking the oldest records away, a few at a time, behind an anchor that is written first.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::Store;
use crate::audit::{
    Hash, Head,
    retention::{Anchor, Limits},
    rollups::{MINUTE, WIDTHS},
};

impl Store {
    /// What has to go now by these limits, if anything: everything up to one record, which the anchor that is to be written names.
    pub(in crate::audit) fn surplus(&self, limits: Limits, now_ms: i64) -> Result<Option<Anchor>, rusqlite::Error> {
        let Some((first, since_ms)) = first(&self.connection)? else {
            return Ok(None);
        };
        let head = i64::try_from(self.head.seq).unwrap_or(i64::MAX);
        let mut last = 0;
        if let Some(age) = limits.age {
            let cut = now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            // A clock that stepped back makes the lowest number of all later minutes the border, so nothing young goes with what is old.
            let border: Option<i64> = self.connection.query_row(
                "SELECT min(first) FROM span WHERE minute >= ?1",
                [cut.div_euclid(MINUTE)],
                |row| row.get(0),
            )?;
            last = border.map_or(head, |border| border - 1);
        }
        let records = head - first + 1;
        if let Some(most) = limits.records {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            if records > most {
                last = last.max(head - most + most / SLACK);
            }
        }
        if let Some(bytes) = limits.bytes {
            let used = self.bytes_used()?;
            if used > bytes {
                let keep = u128::from(bytes - bytes / u64::try_from(SLACK).unwrap_or(1));
                let keep = u128::from(records.unsigned_abs()) * keep / u128::from(used.max(1));
                last = last.max(head - i64::try_from(keep).unwrap_or(i64::MAX));
            }
        }
        if last < first {
            return Ok(None);
        }
        let gone: Option<(i64, [u8; 32], Option<i64>)> = self
            .connection
            .query_row(
                "SELECT record.seq, hash, time_ms FROM record LEFT JOIN facet USING (seq) WHERE record.seq <= ?1 ORDER BY record.seq DESC LIMIT 1",
                [last],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        Ok(gone.map(|(last, hash, until_ms)| Anchor {
            first: first.unsigned_abs(),
            last: Head {
                chain: 0,
                seq: last.unsigned_abs(),
                hash: Hash::from(hash),
            },
            since_ms,
            until_ms: until_ms.unwrap_or(since_ms),
        }))
    }

    /// Up to which number records are to go that are still there, by the newest anchor.
    pub(in crate::audit) fn unfinished(&self) -> Result<Option<u64>, rusqlite::Error> {
        let last = newest_anchor(&self.connection)?.map_or(0, |(_, last)| last.seq);
        let left = first(&self.connection)?.is_some_and(|(first, _)| first.unsigned_abs() <= last);
        Ok(left.then_some(last))
    }

    /// Takes some of the oldest records up to this number away; whether there are more of them.
    pub(in crate::audit) fn take_away(&mut self, last: u64) -> Result<bool, rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some((first, _)) = first(&transaction)? else {
            return Ok(false);
        };
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        let upto = last.min(first.saturating_add(BATCH - 1));
        for sql in [
            "DELETE FROM record WHERE seq <= ?1",
            "DELETE FROM facet WHERE seq <= ?1",
            "DELETE FROM span WHERE last <= ?1",
        ] {
            transaction.prepare_cached(sql)?.execute([upto])?;
        }
        transaction.commit()?;
        Ok(upto < last)
    }

    /// Gives some of the file's free pages back to the disk, when there are many; whether it did.
    pub(in crate::audit) fn shrink(&self) -> Result<bool, rusqlite::Error> {
        let (pages, free) = (
            pragma(&self.connection, "page_count")?,
            pragma(&self.connection, "freelist_count")?,
        );
        if free < FREE_PAGES.max(pages / SLACK) || pragma(&self.connection, "auto_vacuum")? == 0 {
            return Ok(false);
        }
        // Each step of the statement frees one page.
        let mut vacuum = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(true)
    }

    /// Gives up figures by the minute after two days and by the hour after ninety; those by the day stay.
    pub(in crate::audit) fn thin_figures(&self, now_ms: i64) -> Result<(), rusqlite::Error> {
        let [minute, hour, day] = WIDTHS;
        for (width, next, age) in [(minute, hour, 2 * day), (hour, day, 90 * day)] {
            // Whole rows of the next width, which is where a reader goes over to it.
            let cut = now_ms.saturating_sub(age).div_euclid(next) * next;
            let oldest: Option<i64> =
                self.connection
                    .query_row("SELECT min(start) FROM rollup WHERE width = ?1", [width], |row| {
                        row.get(0)
                    })?;
            if let Some(oldest) = oldest.filter(|oldest| *oldest < cut) {
                let upto = cut.min((oldest.div_euclid(next) + 1) * next);
                self.connection
                    .prepare_cached("DELETE FROM rollup WHERE width = ?1 AND start < ?2")?
                    .execute([width, upto])?;
            }
        }
        Ok(())
    }

    /// How many bytes of the file are in use.
    fn bytes_used(&self) -> Result<u64, rusqlite::Error> {
        let pages = pragma(&self.connection, "page_count")? - pragma(&self.connection, "freelist_count")?;
        Ok(pages.unsigned_abs() * pragma(&self.connection, "page_size")?.unsigned_abs())
    }
}

/// The newest anchor's number and what it says of the last record that it took away. A hint only: whoever relies on it reads the record.
pub(in crate::audit) fn newest_anchor(connection: &Connection) -> Result<Option<(u64, Head)>, rusqlite::Error> {
    let body: Option<(i64, String)> = connection
        .query_row(
            "SELECT record.seq, body FROM record WHERE record.seq = (SELECT max(seq) FROM facet INDEXED BY facet_kind WHERE kind = 'anchor')",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(body.and_then(|(seq, body)| Some((seq.unsigned_abs(), Anchor::read(0, &body)?))))
}

/// The first record's number and time.
fn first(connection: &Connection) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    connection
        .query_row(
            "SELECT record.seq, coalesce(time_ms, 0) FROM record LEFT JOIN facet USING (seq) ORDER BY record.seq LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// So many records go in one transaction: few enough that a record that waits meanwhile hardly notices.
const BATCH: i64 = 200;

/// A limit that is reached is undercut by its twentieth, so that it is not reached again with the next record.
const SLACK: i64 = 20;

/// Fewer free pages than that are kept for the next records.
const FREE_PAGES: i64 = 256;

const VACUUM_PAGES: i64 = 64;
