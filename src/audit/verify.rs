//! Checks the chain from the first record to the last.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, Row, types::ValueRef};
use serde_json::{Map, Value, json};

use super::{
    Hash, Head, Heads,
    facets::{self, Term},
    retention::Anchor,
    sqlite::newest_anchor,
};
use crate::escape;

/// What the check came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How many records hold.
    pub records: u64,
    /// How many before them were taken away by retention.
    pub removed: u64,
    /// The last record that holds. Keep it elsewhere and hand it in next time.
    pub head: Head,
    /// When the first record was written.
    pub first: Option<String>,
    /// When the last one that holds was.
    pub last: Option<String>,
    /// The first flaw; nothing behind it was looked at.
    pub flaw: Option<Flaw>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The record's number, or that of the first one missing.
    pub seq: u64,
    /// Its id, where the store has one.
    pub id: Option<String>,
    /// What is wrong with it.
    pub kind: FlawKind,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// Its text does not fit its hash.
    Changed,
    /// Records up to the one with this number are not there.
    Missing {
        /// The next number that is.
        next: u64,
    },
    /// It is not the record that was written in this place.
    Misplaced {
        /// The number that its text has.
        text: Option<u64>,
    },
    /// Its text fits its hash, but it does not follow the record before: one of the two was replaced.
    BrokenLink,
    /// A column that is searched says something else than the text.
    Column(&'static str),
    /// The head that was expected is not in the store: the end was cut off, or everything was rewritten.
    HeadGone,
    /// It says that records were taken away, and no signed head vouches for it.
    UnsignedAnchor,
    /// This line of the heads is not signed with the key, or contradicts another.
    ForgedHead {
        /// The line's number.
        line: usize,
    },
    /// SQLite cannot read the file from here on, or its indexes are wrong.
    Damaged(String),
}

/// Checks all records, then SQLite's own structures.
pub(super) fn verify(connection: &Connection, heads: &Heads) -> Result<Report, rusqlite::Error> {
    // One snapshot: what a server writes meanwhile does not matter.
    let snapshot = connection.unchecked_transaction()?;
    let mut report = Report {
        records: 0,
        removed: 0,
        head: Head::genesis(),
        first: None,
        last: None,
        flaw: None,
    };
    if let Some((line, seq)) = heads.forged {
        report.flaw = Some(bare(seq, FlawKind::ForgedHead { line }));
        return Ok(report);
    }
    let anchor = newest_anchor(&snapshot)?.map(|(_, last)| last);
    let mut select = snapshot.prepare(&format!(
        "SELECT record.seq, id, body, prev_hash, hash, {} FROM record NOT INDEXED LEFT JOIN facet USING (seq) ORDER BY record.seq",
        facets::NAMES.join(", ")
    ))?;
    let mut rows = select.query([])?;
    let mut begun = false;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) => {
                report.flaw = Some(damaged(&report, &error.to_string()));
                return Ok(report);
            }
        };
        if !begun {
            begun = true;
            match begin(row, anchor) {
                Ok(head) => (report.head, report.removed) = (head, head.seq),
                Err(flaw) => {
                    report.flaw = Some(flaw);
                    return Ok(report);
                }
            }
        }
        let followed = follow(report.head, row).and_then(|(head, time)| {
            // What the anchor says of a record on its way out, it says of all before.
            let anchored = anchor.is_none_or(|anchor| anchor.seq != head.seq || anchor.hash == head.hash);
            let expected = heads.expected.get(&head.seq).is_none_or(|hash| *hash == head.hash);
            let sworn = heads.signed.is_none_or(|signed| head.seq <= signed) || !is_anchor(row);
            match (anchored, expected, sworn) {
                (false, _, _) => Err(bare(head.seq, FlawKind::BrokenLink)),
                (_, false, _) => Err(bare(head.seq, FlawKind::HeadGone)),
                (_, _, false) => Err(bare(head.seq, FlawKind::UnsignedAnchor)),
                (true, true, true) => Ok((head, time)),
            }
        });
        match followed {
            Ok((head, time)) => {
                report.records += 1;
                report.head = head;
                report.first.get_or_insert_with(|| time.clone());
                report.last = Some(time);
            }
            Err(flaw) => {
                report.flaw = Some(flaw);
                return Ok(report);
            }
        }
    }
    if let Some((seq, _)) = heads.expected.range(report.head.seq + 1..).next() {
        report.flaw = Some(bare(*seq, FlawKind::HeadGone));
        return Ok(report);
    }
    // A search looks only there, so what is missing there is hidden, and what is too much was a record once.
    let beside: (i64, Option<i64>) = snapshot.query_row("SELECT count(*), max(seq) FROM facet", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let last = u64::try_from(beside.1.unwrap_or(0)).unwrap_or(0);
    if last > report.head.seq {
        report.flaw = Some(bare(report.head.seq + 1, FlawKind::Missing { next: last + 1 }));
        return Ok(report);
    }
    if u64::try_from(beside.0).ok() != Some(report.records) {
        report.flaw = Some(damaged(&report, "the search columns of records that are not there"));
        return Ok(report);
    }
    // A record that an index leaves out is there and cannot be found.
    let sound = snapshot.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    report.flaw = match sound {
        Ok(word) if word == "ok" => None,
        Ok(finding) => Some(damaged(&report, &finding)),
        Err(error) => Some(damaged(&report, &error.to_string())),
    };
    Ok(report)
}

/// What stands before the first record that is there: nothing, or what an anchor says was taken away.
fn begin(row: &Row<'_>, anchor: Option<Head>) -> Result<Head, Flaw> {
    let seq = row.get_ref(0).ok().and_then(|seq| seq.as_i64().ok()).unwrap_or(0);
    let seq = u64::try_from(seq).unwrap_or(0);
    if seq <= 1 {
        return Ok(Head::genesis());
    }
    let due = anchor.map_or(1, |anchor| anchor.seq + 1);
    if seq > due {
        return Err(bare(due, FlawKind::Missing { next: seq }));
    }
    let before = row
        .get_ref(PREV_HASH)
        .ok()
        .and_then(|hash| hash.as_blob().ok())
        .and_then(Hash::from_bytes);
    match (before, anchor) {
        (Some(hash), Some(anchor)) if seq < due || hash == anchor.hash => Ok(Head { seq: seq - 1, hash }),
        _ => Err(bare(seq, FlawKind::BrokenLink)),
    }
}

fn is_anchor(row: &Row<'_>) -> bool {
    let body = row.get_ref(BODY).ok().and_then(|body| body.as_str().ok());
    body.and_then(Anchor::read).is_some()
}

fn bare(seq: u64, kind: FlawKind) -> Flaw {
    Flaw { seq, id: None, kind }
}

/// The head after `row`, and its time, when it is what must follow `before`.
fn follow(before: Head, row: &Row<'_>) -> Result<(Head, String), Flaw> {
    let column = |index: usize| row.get_ref(index).unwrap_or(ValueRef::Null);
    let due = before.seq + 1;
    let seq = u64::try_from(column(0).as_i64().unwrap_or(-1)).unwrap_or(0);
    let id = column(1).as_str().ok().map(str::to_owned);
    let flaw = |kind| Flaw {
        seq,
        id: id.clone(),
        kind,
    };
    if seq > due {
        return Err(bare(due, FlawKind::Missing { next: seq }));
    }
    let Ok(body) = column(BODY).as_str() else {
        return Err(flaw(FlawKind::Changed));
    };
    let members: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let text = members.get("seq").and_then(Value::as_u64);
    let prev_hash = column(PREV_HASH).as_blob().ok().and_then(Hash::from_bytes);
    let hash = column(HASH).as_blob().ok().and_then(Hash::from_bytes);
    let whole = prev_hash.is_some_and(|prev| hash == Some(prev.link(body)));
    if seq < due || (whole && text != Some(seq)) {
        return Err(flaw(FlawKind::Misplaced { text }));
    }
    let linked = before.hash.link(body);
    if hash != Some(linked) {
        return Err(flaw(if whole { FlawKind::BrokenLink } else { FlawKind::Changed }));
    }
    if prev_hash != Some(before.hash) {
        return Err(flaw(FlawKind::Column("prev_hash")));
    }
    if text != Some(seq) {
        return Err(flaw(FlawKind::Misplaced { text }));
    }
    if column(ID).as_str().ok() != members.get("id").and_then(Value::as_str) {
        return Err(flaw(FlawKind::Column("id")));
    }
    let time = members.get("time").and_then(Value::as_str).unwrap_or_default();
    let Ok(written) = time.parse::<Timestamp>() else {
        return Err(flaw(FlawKind::Changed));
    };
    let facets = facets::of(&members, written.as_millisecond());
    for (index, (due, name)) in facets.iter().zip(facets::NAMES).enumerate() {
        let same = match (column(FACETS + index), due) {
            (ValueRef::Null, None) => true,
            (ValueRef::Text(stored), Some(Term::Text(due))) => stored == due.as_bytes(),
            (ValueRef::Integer(stored), Some(Term::Number(due))) => stored == *due,
            _ => false,
        };
        if !same {
            return Err(flaw(FlawKind::Column(name)));
        }
    }
    Ok((Head { seq, hash: linked }, time.to_owned()))
}

fn damaged(report: &Report, finding: &str) -> Flaw {
    Flaw {
        seq: report.head.seq,
        id: None,
        kind: FlawKind::Damaged(finding.to_owned()),
    }
}

impl Report {
    /// Whether every record is what was written.
    pub fn holds(&self) -> bool {
        self.flaw.is_none()
    }

    /// The report for programs, on one line.
    pub fn to_json(&self) -> String {
        let flaw = self.flaw.as_ref().map(|flaw| {
            let finding = flaw.to_string();
            json!({"seq": flaw.seq, "id": flaw.id, "finding": finding})
        });
        let report = json!({
            "holds": self.holds(), "records": self.records, "first": self.first, "last": self.last,
            "removed": self.removed, "head": self.head.to_string(), "flaw": flaw,
        });
        escape::in_json(&report.to_string()).into_owned()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        match &self.flaw {
            None => write!(f, "the chain holds: {} record{plural}", self.records)?,
            Some(flaw) => write!(
                f,
                "the chain is BROKEN: {flaw}\n{} record{plural} before it hold",
                self.records
            )?,
        }
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            write!(f, ", {first} to {last}")?;
        }
        if self.removed > 0 {
            write!(f, "\nretention took the {} before them away", self.removed)?;
        }
        write!(f, "\nhead: {}", self.head)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match &self.kind {
            FlawKind::Damaged(finding) => {
                return write!(
                    f,
                    "the file is damaged, found after record {seq}: {}",
                    escape::for_terminal(finding)
                );
            }
            FlawKind::HeadGone => {
                return write!(
                    f,
                    "record {seq} with the expected hash is not there: the end was cut off, or the records were rewritten"
                );
            }
            FlawKind::ForgedHead { line } => {
                return write!(
                    f,
                    "line {line} of the heads, for record {seq}, is not signed with this key or contradicts another line"
                );
            }
            FlawKind::UnsignedAnchor => {
                return write!(
                    f,
                    "record {seq} says that records were taken away, and no signed head comes after it"
                );
            }
            FlawKind::Missing { next } if *next == seq + 1 => return write!(f, "record {seq} is missing"),
            FlawKind::Missing { next } => return write!(f, "records {seq} to {} are missing", next - 1),
            _ => write!(f, "record {seq}")?,
        }
        if let Some(id) = &self.id {
            write!(f, " ({})", escape::for_terminal(id))?;
        }
        match &self.kind {
            FlawKind::Changed => write!(f, " was changed: its text does not fit its hash"),
            FlawKind::Misplaced { text: Some(text) } => {
                write!(f, " does not belong there: it was written as record {text}")
            }
            FlawKind::Misplaced { text: None } => write!(f, " does not belong there: its text has no number"),
            FlawKind::BrokenLink => write!(f, " does not follow the one before: one of the two was replaced"),
            FlawKind::Column(name) => write!(f, " was changed: its column `{name}` differs from its text"),
            FlawKind::Missing { .. }
            | FlawKind::HeadGone
            | FlawKind::UnsignedAnchor
            | FlawKind::ForgedHead { .. }
            | FlawKind::Damaged(_) => Ok(()),
        }
    }
}

/// The columns of what is selected; the facets come last.
const ID: usize = 1;
const BODY: usize = 2;
const PREV_HASH: usize = 3;
const HASH: usize = 4;
const FACETS: usize = 5;
