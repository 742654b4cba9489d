//! Checking the file's one chain, and SQLite's own structures.

use std::borrow::Cow;

use rusqlite::{Connection, Row, types::ValueRef};

use super::newest_anchor;
use crate::audit::{
    Heads, Report,
    facets::{self, Term},
    verify::{self, Walk},
};

/// Checks all records.
pub(in crate::audit) fn verify(connection: &Connection, heads: &Heads) -> Result<Report, rusqlite::Error> {
    // One snapshot: what a server writes meanwhile does not matter.
    let snapshot = connection.unchecked_transaction()?;
    let anchor = newest_anchor(&snapshot)?.map(|(_, last)| last);
    let mut walk = Walk::new(0, heads, anchor);
    if walk.is_over() {
        return Ok(walk.report());
    }
    let mut select = snapshot.prepare(&format!(
        "SELECT record.seq, id, body, prev_hash, hash, {} FROM record NOT INDEXED LEFT JOIN facet USING (seq) ORDER BY record.seq",
        facets::NAMES.join(", ")
    ))?;
    let mut rows = select.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) if walk.take(row) => {}
            Ok(Some(_)) => return Ok(walk.report()),
            Ok(None) => break,
            Err(error) => {
                walk.damaged(&error.to_string());
                return Ok(walk.report());
            }
        }
    }
    walk.end();
    if walk.is_over() {
        return Ok(walk.report());
    }
    // A search looks only there, so what is missing there is hidden, and what is too much was a record once.
    let beside: (i64, Option<i64>) = snapshot.query_row("SELECT count(*), max(seq) FROM facet", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    walk.must_reach(u64::try_from(beside.1.unwrap_or(0)).unwrap_or(0));
    if !walk.is_over() && u64::try_from(beside.0).ok() != Some(walk.records()) {
        walk.damaged("the search columns of records that are not there");
    }
    if walk.is_over() {
        return Ok(walk.report());
    }
    // A record that an index leaves out is there and cannot be found.
    match snapshot.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(word) if word == "ok" => {}
        Ok(finding) => walk.damaged(&finding),
        Err(error) => walk.damaged(&error.to_string()),
    }
    Ok(walk.report())
}

impl verify::Row for Row<'_> {
    fn seq(&self) -> Option<i64> {
        self.get_ref(0).ok()?.as_i64().ok()
    }

    fn id(&self) -> Option<Cow<'_, str>> {
        self.get_ref(1).ok()?.as_str().ok().map(Cow::Borrowed)
    }

    fn body(&self) -> Option<&str> {
        self.get_ref(2).ok()?.as_str().ok()
    }

    fn prev_hash(&self) -> Option<&[u8]> {
        self.get_ref(3).ok()?.as_blob().ok()
    }

    fn hash(&self) -> Option<&[u8]> {
        self.get_ref(4).ok()?.as_blob().ok()
    }

    fn has_facet(&self, index: usize, due: Option<Term<'_>>) -> bool {
        match (self.get_ref(FACETS + index).unwrap_or(ValueRef::Null), due) {
            (ValueRef::Null, None) => true,
            (ValueRef::Text(stored), Some(Term::Text(due))) => stored == due.as_bytes(),
            (ValueRef::Integer(stored), Some(Term::Number(due))) => stored == due,
            _ => false,
        }
    }
}

/// The first column of the facets.
const FACETS: usize = 5;
