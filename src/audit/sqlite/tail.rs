//! The last records' search columns and sums, while they are not in their tables. A record's own commit is waited for and writes the record alone;
//! these follow for many records at once, so that a page of every index is written once for all of them. Until then whoever searches
//! makes them from the records' texts.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction};
use serde_json::{Map, Value};

use super::{rollups, schema};
use crate::audit::{
    facets::{self, Columns, Term},
    query::Way,
    rollups::Rollups,
};

/// What stands in no table yet.
#[derive(Debug, Default)]
pub(super) struct Tail {
    rows: BTreeMap<i64, Columns>,
    sums: Rollups,
}

impl Tail {
    /// That of a store, as far as a writer ever leaves one.
    pub(super) fn of(connection: &Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self::behind(connection, indexed(connection)?)?.0)
    }

    /// That of at most [`LONGEST`] records behind the one with this number, and the last one's number; `None` when there are none. A text that
    /// cannot be read is left out; `verify` names it.
    pub(super) fn behind(connection: &Connection, seq: i64) -> Result<(Self, Option<i64>), rusqlite::Error> {
        let mut tail = Self::default();
        let mut last = None;
        let mut select = connection.prepare_cached(BEHIND)?;
        let mut rows = select.query([seq, LONGEST])?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            if let Some((members, time_ms)) = row.get_ref(1)?.as_str().ok().and_then(schema::read) {
                tail.push(seq, &members, time_ms);
            }
            last = Some(seq);
        }
        Ok((tail, last))
    }

    /// Takes in one more record.
    pub(super) fn push(&mut self, seq: i64, members: &Map<String, Value>, time_ms: i64) {
        self.rows.insert(seq, Columns::keep(&facets::of(members, time_ms)));
        self.sums.add(members, seq, time_ms);
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Puts all of it into the tables.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let mut insert = transaction.prepare_cached(&schema::insert_facets())?;
        for (seq, columns) in &self.rows {
            schema::put_facets(&mut insert, *seq, &columns.values())?;
        }
        rollups::write(&self.sums, transaction)
    }

    /// The columns of the record with this number.
    pub(super) fn get(&self, seq: i64) -> Option<&Columns> {
        self.rows.get(&seq)
    }

    /// The sums.
    pub(super) fn sums(&self) -> &Rollups {
        &self.sums
    }

    /// The numbers of the records for which `holds`, in order.
    pub(super) fn matching(&self, holds: impl Fn(&Columns) -> bool) -> impl Iterator<Item = i64> {
        let mut rows = self.rows.iter();
        std::iter::from_fn(move || rows.find(|(_, columns)| holds(columns)).map(|(seq, _)| *seq))
    }

    /// The next record from this number on, itself included, whose value of this name is `term`.
    pub(super) fn next(&self, at: i64, way: Way, name: &str, term: Term<'_>) -> Option<i64> {
        let has = |(_, columns): &(&i64, &Columns)| columns.has(name, term);
        let found = match way {
            Way::Back => self.rows.range(..=at).rev().find(has),
            Way::Forth => self.rows.range(at..).find(has),
        };
        found.map(|(seq, _)| *seq)
    }
}

/// The number of the last record whose columns are in their table.
pub(super) fn indexed(connection: &Connection) -> Result<i64, rusqlite::Error> {
    let mut select = connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM facet")?;
    select.query_row([], |row| row.get(0))
}

const BEHIND: &str = "SELECT seq, body FROM record WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// After no commit are more records without their columns.
pub(super) const LONGEST: i64 = 1_024;
