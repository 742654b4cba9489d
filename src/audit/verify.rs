//! Checks a chain from the first record to the last.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Hash, Head, Heads,
    facets::{self, Term},
    retention::Anchor,
};
use crate::escape;

/// What the check of a chain came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The chain's number; 0 for the only one of a file.
    pub chain: u32,
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
    /// The store cannot be read from here on, or its indexes are wrong.
    Damaged(String),
}

/// A stored row, as it is: nothing in it is believed.
pub(super) trait Row {
    /// The number under which it is found.
    fn seq(&self) -> Option<i64>;
    /// Its id.
    fn id(&self) -> Option<Cow<'_, str>>;
    /// Its text.
    fn body(&self) -> Option<&str>;
    /// What should be the hash before it.
    fn prev_hash(&self) -> Option<&[u8]>;
    /// What should be its hash.
    fn hash(&self) -> Option<&[u8]>;
    /// Whether the facet with this index of [`facets::NAMES`] is this one.
    fn has_facet(&self, index: usize, due: Option<Term<'_>>) -> bool;
}

/// Goes along one chain.
pub(super) struct Walk<'h> {
    chain: u32,
    heads: &'h Heads,
    anchor: Option<Head>,
    begun: bool,
    report: Report,
}

impl<'h> Walk<'h> {
    /// Begins with the newest anchor of the chain.
    pub(super) fn new(chain: u32, heads: &'h Heads, anchor: Option<Head>) -> Self {
        let forged = heads.forged.filter(|(_, of, _)| *of == chain);
        Self {
            chain,
            heads,
            anchor,
            begun: false,
            report: Report {
                chain,
                records: 0,
                removed: 0,
                head: Head::genesis_of(chain),
                first: None,
                last: None,
                flaw: forged.map(|(line, _, seq)| bare(seq, FlawKind::ForgedHead { line })),
            },
        }
    }

    /// Whether nothing more has to be looked at.
    pub(super) fn is_over(&self) -> bool {
        self.report.flaw.is_some()
    }

    /// Where the walk is.
    pub(super) fn head(&self) -> Head {
        self.report.head
    }

    /// How many records hold so far.
    pub(super) fn records(&self) -> u64 {
        self.report.records
    }

    /// Looks at the next row. Whether it holds.
    pub(super) fn take(&mut self, row: &impl Row) -> bool {
        if !self.begun {
            self.begun = true;
            match begin(self.chain, row, self.anchor) {
                Ok(head) => (self.report.head, self.report.removed) = (head, head.seq),
                Err(flaw) => {
                    self.report.flaw = Some(flaw);
                    return false;
                }
            }
        }
        let (anchor, heads) = (self.anchor, self.heads);
        let followed = follow(self.report.head, row).and_then(|(head, time)| {
            // What the anchor says of a record on its way out, it says of all before.
            let anchored = anchor.is_none_or(|anchor| anchor.seq != head.seq || anchor.hash == head.hash);
            let expected = heads.expected.get(&(head.chain, head.seq));
            let expected = expected.is_none_or(|hash| *hash == head.hash);
            let signed = heads.signed.get(&head.chain);
            let sworn = signed.is_none_or(|signed| head.seq <= *signed) || !is_anchor(row);
            match (anchored, expected, sworn) {
                (false, _, _) => Err(bare(head.seq, FlawKind::BrokenLink)),
                (_, false, _) => Err(bare(head.seq, FlawKind::HeadGone)),
                (_, _, false) => Err(bare(head.seq, FlawKind::UnsignedAnchor)),
                (true, true, true) => Ok((head, time)),
            }
        });
        match followed {
            Ok((head, time)) => {
                self.report.records += 1;
                self.report.head = head;
                self.report.first.get_or_insert_with(|| time.clone());
                self.report.last = Some(time);
                true
            }
            Err(flaw) => {
                self.report.flaw = Some(flaw);
                false
            }
        }
    }

    /// The store says this of itself.
    pub(super) fn damaged(&mut self, finding: &str) {
        let seq = self.report.head.seq;
        self.report
            .flaw
            .get_or_insert_with(|| bare(seq, FlawKind::Damaged(finding.to_owned())));
    }

    /// Something says that there was a record with this number.
    pub(super) fn must_reach(&mut self, last: u64) {
        let seq = self.report.head.seq;
        if last > seq {
            let missing = FlawKind::Missing { next: last + 1 };
            self.report.flaw.get_or_insert_with(|| bare(seq + 1, missing));
        }
    }

    /// All rows were looked at: what is expected behind them is not there.
    pub(super) fn end(&mut self) {
        let behind = (self.chain, self.report.head.seq + 1)..=(self.chain, u64::MAX);
        if let Some(((_, seq), _)) = self.heads.expected.range(behind).next() {
            self.report.flaw.get_or_insert_with(|| bare(*seq, FlawKind::HeadGone));
        }
    }

    pub(super) fn report(self) -> Report {
        self.report
    }
}

/// What stands before the first record that is there: nothing, or what an anchor says was taken away.
fn begin(chain: u32, row: &impl Row, anchor: Option<Head>) -> Result<Head, Flaw> {
    let seq = u64::try_from(row.seq().unwrap_or(0)).unwrap_or(0);
    if seq <= 1 {
        return Ok(Head::genesis_of(chain));
    }
    let due = anchor.map_or(1, |anchor| anchor.seq + 1);
    if seq > due {
        return Err(bare(due, FlawKind::Missing { next: seq }));
    }
    match (row.prev_hash().and_then(Hash::from_bytes), anchor) {
        (Some(hash), Some(anchor)) if seq < due || hash == anchor.hash => Ok(Head {
            chain,
            seq: seq - 1,
            hash,
        }),
        _ => Err(bare(seq, FlawKind::BrokenLink)),
    }
}

fn is_anchor(row: &impl Row) -> bool {
    row.body().and_then(|body| Anchor::read(0, body)).is_some()
}

fn bare(seq: u64, kind: FlawKind) -> Flaw {
    Flaw { seq, id: None, kind }
}

/// The head after `row`, and its time, when it is what must follow `before`.
fn follow(before: Head, row: &impl Row) -> Result<(Head, String), Flaw> {
    let due = before.seq + 1;
    let seq = u64::try_from(row.seq().unwrap_or(-1)).unwrap_or(0);
    let id = row.id().map(Cow::into_owned);
    let flaw = |kind| Flaw {
        seq,
        id: id.clone(),
        kind,
    };
    if seq > due {
        return Err(bare(due, FlawKind::Missing { next: seq }));
    }
    let Some(body) = row.body() else {
        return Err(flaw(FlawKind::Changed));
    };
    let members: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let text = members.get("seq").and_then(Value::as_u64);
    let prev_hash = row.prev_hash().and_then(Hash::from_bytes);
    let hash = row.hash().and_then(Hash::from_bytes);
    let whole = prev_hash.is_some_and(|prev| hash == Some(prev.link(body)));
    if seq < due || (whole && text != Some(seq)) {
        return Err(flaw(FlawKind::Misplaced { text }));
    }
    let after = before.follow(body);
    if hash != Some(after.hash) {
        return Err(flaw(if whole { FlawKind::BrokenLink } else { FlawKind::Changed }));
    }
    if prev_hash != Some(before.hash) {
        return Err(flaw(FlawKind::Column("prev_hash")));
    }
    if text != Some(seq) {
        return Err(flaw(FlawKind::Misplaced { text }));
    }
    if id.as_deref() != members.get("id").and_then(Value::as_str) {
        return Err(flaw(FlawKind::Column("id")));
    }
    let time = members.get("time").and_then(Value::as_str).unwrap_or_default();
    let Ok(written) = time.parse::<Timestamp>() else {
        return Err(flaw(FlawKind::Changed));
    };
    let facets = facets::of(&members, written.as_millisecond());
    for (index, (due, name)) in facets.iter().zip(facets::NAMES).enumerate() {
        if !row.has_facet(index, *due) {
            return Err(flaw(FlawKind::Column(name)));
        }
    }
    Ok((after, time.to_owned()))
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
            "chain": self.chain, "holds": self.holds(), "records": self.records, "first": self.first, "last": self.last,
            "removed": self.removed, "head": self.head.to_string(), "flaw": flaw,
        });
        escape::in_json(&report.to_string()).into_owned()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        let chain = match self.chain {
            0 => "the chain".to_owned(),
            chain => format!("chain {chain}"),
        };
        match &self.flaw {
            None => write!(f, "{chain} holds: {} record{plural}", self.records)?,
            Some(flaw) => write!(
                f,
                "{chain} is BROKEN: {flaw}\n{} record{plural} before it hold",
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
                    "the store is damaged, found after record {seq}: {}",
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
