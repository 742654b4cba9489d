//! Records for other programs: one line each, oldest first, whatever their number.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::json;

use super::{Record, entry::word, reader::Found, record::time_text, render};
use crate::escape;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON, one record a line, with everything that a record has.
    Ndjson,
    /// Comma-separated values (RFC 4180) under a line of headings, without events and answers. Text that a spreadsheet would take for a formula
    /// begins with `'`.
    Csv,
    /// CloudEvents 1.0 in JSON, structured mode, one event a line: the record is its `data`, the place in the chain its `sequence`.
    #[value(name = "cloudevents")]
    CloudEvents,
}

impl Format {
    /// Writes what stands before the first record.
    pub fn begin(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Ndjson | Self::CloudEvents => Ok(()),
            Self::Csv => write!(out, "{}\r\n", HEADINGS.join(",")),
        }
    }

    /// Writes one record. One that cannot be read has its number only.
    pub(super) fn write(self, found: &Found, out: &mut impl Write) -> io::Result<()> {
        match (self, found) {
            (Self::Ndjson, _) => writeln!(out, "{}", render::json_line(found)),
            (Self::CloudEvents, _) => writeln!(out, "{}", cloud_event(found)),
            (Self::Csv, Err(seq)) => write!(out, "{seq}{}\r\n", ",".repeat(HEADINGS.len() - 1)),
            (Self::Csv, Ok(record)) => write!(out, "{}\r\n", row(record).join(",")),
        }
    }
}

/// The cells of [`HEADINGS`].
fn row(record: &Record) -> [String; HEADINGS.len()] {
    let entry = &record.entry;
    let text = |text: &Option<String>| text.as_deref().map(cell).unwrap_or_default();
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
    let failure = entry
        .failure
        .as_ref()
        .map(|failure| format!("{}: {}", failure.kind, failure.detail));
    [
        record.seq.to_string(),
        time_text(record.time),
        record.id.to_string(),
        entry.kind.as_str().into(),
        entry
            .trigger
            .map(|trigger| trigger.as_str().to_owned())
            .unwrap_or_default(),
        entry
            .decision
            .map(|decision| decision.as_str().to_owned())
            .unwrap_or_default(),
        entry.decided_by.as_ref().map(|by| cell(&word(by))).unwrap_or_default(),
        text(&entry.interceptor),
        text(&entry.operation),
        text(&entry.realm),
        text(&entry.client_id),
        text(&entry.user_id),
        text(&entry.user_email),
        entry.ip_address.map(|address| address.to_string()).unwrap_or_default(),
        number(entry.status.map(u64::from)),
        number(entry.attempts.map(u64::from)),
        number(entry.duration_ms),
        text(&failure),
        text(&entry.reason),
        text(&entry.message),
        cell(&entry.request_id),
        text(&entry.trace_id),
        text(&entry.consult_id),
        record.hash.to_string(),
    ]
}

/// One record as a CloudEvent in JSON; one that can no longer be read as an event of its number.
pub(super) fn cloud_event(found: &Found) -> String {
    let (seq, id, kind) = match found {
        Ok(record) => (record.seq, record.id.to_string(), record.entry.kind.as_str()),
        Err(seq) => (*seq, format!("unreadable-{seq}"), "unreadable"),
    };
    let mut event = json!({
        "specversion": "1.0",
        "id": id,
        "source": SOURCE,
        "type": format!("tollgate.audit.{kind}"),
        "datacontenttype": "application/json",
        // As wide as any number gets, so that it sorts as text, which the extension wants.
        "sequence": format!("{seq:020}"),
        "data": render::value(found),
    });
    if let (Ok(record), Some(members)) = (found, event.as_object_mut()) {
        members.insert("time".into(), time_text(record.time).into());
    }
    escape::in_json(&event.to_string()).into_owned()
}

/// Text in quotes that stays text: no line break, no character that a terminal obeys, no formula.
fn cell(text: &str) -> String {
    let text = escape::for_terminal(text);
    let formula = text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

const SOURCE: &str = "/tollgate/audit";

const HEADINGS: [&str; 24] = [
    "seq",
    "time",
    "id",
    "kind",
    "trigger",
    "decision",
    "decided_by",
    "interceptor",
    "operation",
    "realm",
    "client_id",
    "user_id",
    "user_email",
    "ip_address",
    "status",
    "attempts",
    "duration_ms",
    "failure",
    "reason",
    "message",
    "request_id",
    "trace_id",
    "consult_id",
    "hash",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_or_ends_its_line() {
        for (text, expected) in [
            ("plain, with comma", "\"plain, with comma\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+49 30 1", "\"'+49 30 1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"'  =1\""),
            ("\t=1", "\"\\u{9}=1\""),
            ("a\r\nb", "\"a\\u{d}\\u{a}b\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
