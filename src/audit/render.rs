//! Records as people and programs read them.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{entry::word, reader::Found, record::time_text};
use crate::escape;

/// One line of the table: the cells of [`HEADINGS`].
pub(super) type Cells = [String; 10];

/// A record's line.
pub(super) fn row(found: &Found) -> Cells {
    let record = match found {
        Ok(record) => record,
        Err(seq) => {
            let mut cells = Cells::default();
            let [first, .., last] = &mut cells;
            *first = seq.to_string();
            *last = UNREADABLE.into();
            return cells;
        }
    };
    let entry = &record.entry;
    let note = entry
        .failure
        .as_ref()
        .map(|failure| format!("{}: {}", failure.kind, failure.detail))
        .or_else(|| entry.reason.clone())
        .or_else(|| entry.message.clone());
    [
        record.seq.to_string(),
        time_text(record.time),
        entry.trigger.map_or_else(
            || word(&entry.kind),
            |t| match entry.kind {
                super::Kind::Consult => t.to_string(),
                kind => format!("{} {t}", word(&kind)),
            },
        ),
        entry.decision.map_or_else(String::new, |d| word(&d).to_uppercase()),
        entry.decided_by.as_ref().map_or_else(String::new, word),
        cell(entry.interceptor.as_deref()),
        cell(entry.user_email.as_deref().or(entry.user_id.as_deref())),
        cell(entry.client_id.as_deref()),
        entry.duration_ms.map_or_else(String::new, |ms| ms.to_string()),
        cell(note.as_deref()),
    ]
}

/// Writes the lines in columns under their headings.
pub(super) fn table(rows: &[Cells], out: &mut impl Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no records");
    }
    let headings = HEADINGS.map(str::to_owned);
    let mut widths = [0; HEADINGS.len()];
    for cells in rows.iter().chain([&headings]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    for cells in [&headings].into_iter().chain(rows) {
        let mut line = String::new();
        for ((cell, width), heading) in cells.iter().zip(widths).zip(HEADINGS) {
            let padded = match heading {
                "SEQ" | "MS" => format!("{cell:>width$}  "),
                _ => format!("{cell:<width$}  "),
            };
            line.push_str(&padded);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes one record in sections.
pub(super) fn details(found: &Found, out: &mut impl Write) -> io::Result<()> {
    let record = match found {
        Ok(record) => record,
        Err(seq) => return writeln!(out, "Record {seq}: {UNREADABLE}"),
    };
    let members = record.with_hashes();
    writeln!(out, "Record {}", record.seq)?;
    for (title, names) in SECTIONS {
        let there: Vec<_> = names
            .iter()
            .filter_map(|name| Some((*name, members.get(*name)?)))
            .collect();
        if there.is_empty() {
            continue;
        }
        if !title.is_empty() {
            writeln!(out, "\n{title}")?;
        }
        for (name, value) in there {
            line(name, value, out)?;
        }
    }
    for (title, name) in [("Event", "event"), ("Answer", "answer"), ("Annotations", "annotations")] {
        if let Some(value) = members.get(name) {
            writeln!(out, "\n{title}")?;
            for line in pretty(value).lines() {
                writeln!(out, "  {line}")?;
            }
        }
    }
    Ok(())
}

/// One record as one line of JSON.
pub(super) fn json_line(found: &Found) -> String {
    match found {
        Ok(record) => record.to_json(),
        Err(seq) => unreadable(*seq).to_string(),
    }
}

/// One record as a value.
pub(super) fn value(found: &Found) -> Value {
    match found {
        Ok(record) => Value::Object(record.with_hashes()),
        Err(seq) => unreadable(*seq),
    }
}

/// One record as an object over many lines, or several as an array.
pub(super) fn json_pretty(found: &[Found], out: &mut impl Write) -> io::Result<()> {
    let mut values = found.iter().map(value);
    let value = match (values.next(), found.len()) {
        (Some(only), 1) => only,
        (first, _) => first.into_iter().chain(values).collect(),
    };
    writeln!(out, "{}", pretty(&value))
}

fn line(name: &str, value: &Value, out: &mut impl Write) -> io::Result<()> {
    let name = name.replace('_', " ");
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join("; "),
        Value::Object(members) => fold(members),
        other => other.to_string(),
    };
    writeln!(out, "  {name:<13} {}", escape::for_terminal(&text))
}

/// A failure as `down: no answer`; claims as `access_token: +plan ~scope`, added and replaced, or as `!sub (may not be set by an interceptor)`.
fn fold(members: &Map<String, Value>) -> String {
    if let (Some(kind), Some(detail)) = (members.get("kind"), members.get("detail")) {
        return format!("{}: {}", plain(kind), plain(detail));
    }
    let parts = members.iter().map(|(name, value)| {
        let inner = match value {
            Value::Object(lists) => lists
                .iter()
                .flat_map(|(list, names)| {
                    let sign = match list.as_str() {
                        "added" => '+',
                        "replaced" => '~',
                        _ => '!',
                    };
                    names
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(move |n| format!("{sign}{}", item(n)))
                })
                .collect::<Vec<_>>()
                .join(" "),
            other => plain(other),
        };
        format!("{name}: {inner}")
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// One of a list: text as it is, a call and a refused claim in words.
fn item(value: &Value) -> String {
    let text = |name: &str| value.get(name).map(plain);
    if let (Some(name), Some(why)) = (text("name"), text("why")) {
        return format!("{name} ({why})");
    }
    let (Some(time), Some(duration)) = (text("time"), text("duration_ms")) else {
        return plain(value);
    };
    let status = text("status").unwrap_or_else(|| "no status".to_owned());
    let outcome = match value.get("failure") {
        Some(Value::Object(failure)) => fold(failure),
        _ => "ok".to_owned(),
    };
    format!("{time} {status} in {duration} ms, {outcome}")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn pretty(value: &Value) -> String {
    // Only serde_json's own line breaks are in here; those inside strings are escaped.
    let text = format!("{value:#}");
    let lines: Vec<_> = text.lines().map(escape::in_json).collect();
    lines.join("\n")
}

fn unreadable(seq: u64) -> Value {
    json!({"seq": seq, "unreadable": UNREADABLE})
}

/// Escaped first, so that no escape is cut in two.
fn cell(text: Option<&str>) -> String {
    let text = escape::for_terminal(text.unwrap_or_default());
    if text.chars().count() <= CELL {
        return text.into_owned();
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

const UNREADABLE: &str = "cannot be read; `tollgate audit verify` says why";

/// How wide a column of free text may be.
const CELL: usize = 40;

const HEADINGS: [&str; 10] = [
    "SEQ",
    "TIME",
    "TRIGGER",
    "DECISION",
    "BY",
    "INTERCEPTOR",
    "USER",
    "CLIENT",
    "MS",
    "NOTE",
];

const SECTIONS: [(&str, &[&str]); 4] = [
    ("", &["id", "time", "kind", "request_id", "trace_id", "revision"]),
    (
        "Decision",
        &[
            "decision",
            "decided_by",
            "failure",
            "message",
            "reason",
            "claims",
            "warnings",
        ],
    ),
    (
        "Circumstances",
        &[
            "trigger",
            "operation",
            "realm",
            "client_id",
            "user_id",
            "user_email",
            "ip_address",
            "interceptor",
            "consult_id",
            "status",
            "attempts",
            "calls",
            "duration_ms",
        ],
    ),
    ("Chain", &["prev_hash", "hash"]),
];
