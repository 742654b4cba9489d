//! The records of a view, all of them, to take away: NDJSON for machines, CSV for spreadsheets.

use axum::{
    body::{Body, Bytes},
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::mpsc;

use super::Filter;
use crate::{
    audit::{self, Record},
    dashboard::{console::Shared, frame::machine, row},
    escape::is_obeyed,
};

pub(super) async fn ndjson(State(console): State<Shared>, Query(filter): Query<Filter>) -> Response {
    let line = |record: &Record| format!("{}\n", record.to_json());
    stream(console, &filter, "application/x-ndjson", "ndjson", String::new(), line)
}

pub(super) async fn csv(State(console): State<Shared>, Query(filter): Query<Filter>) -> Response {
    let heading = format!("{}\r\n", COLUMNS.join(","));
    stream(console, &filter, "text/csv; charset=utf-8", "csv", heading, csv_line)
}

/// Sends page after page while the client takes them, newest first.
fn stream(
    console: Shared,
    filter: &Filter,
    media_type: &'static str,
    ending: &str,
    heading: String,
    line: fn(&Record) -> String,
) -> Response {
    let query = match filter.query() {
        Ok(query) => query,
        Err(wrong) => return (StatusCode::BAD_REQUEST, wrong.join("\n")).into_response(),
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = send(&console, query, heading, line, &sender).await {
            tracing::warn!(%error, "an export broke off: {error}");
            // The client sees a broken transfer, not a short file that looks whole.
            let _ = sender.send(Err(error)).await;
        }
    });
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let mut answer = Body::from_stream(chunks).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let disposition = format!("attachment; filename=\"tollgate-records.{ending}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    answer
}

async fn send(
    console: &Shared,
    mut query: audit::Query,
    heading: String,
    line: fn(&Record) -> String,
    sender: &mpsc::Sender<Result<Bytes, audit::ReadError>>,
) -> Result<(), audit::ReadError> {
    let mut text = heading;
    query.limit = Some(CHUNK);
    loop {
        let page = console.records.page(query.clone()).await?;
        page.records.iter().for_each(|record| text.push_str(&line(record)));
        // A client that went away needs no more.
        if !text.is_empty() && sender.send(Ok(Bytes::from(std::mem::take(&mut text)))).await.is_err() {
            return Ok(());
        }
        match page.older {
            Some(before) => query.before = Some(before),
            None => return Ok(()),
        }
    }
}

fn csv_line(record: &Record) -> String {
    let entry = &record.entry;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let cells = [
        record.seq.to_string(),
        record.id.to_string(),
        machine(record.time),
        entry.kind.as_str().to_owned(),
        entry.trigger.map(|trigger| trigger.to_string()).unwrap_or_default(),
        entry
            .decision
            .map(|decision| decision.as_str().to_owned())
            .unwrap_or_default(),
        entry.decided_by.as_ref().map(row::by).unwrap_or_default(),
        text(&entry.interceptor),
        text(&entry.user_id),
        text(&entry.user_email),
        text(&entry.client_id),
        text(&entry.realm),
        text(&entry.operation),
        entry.request_id.clone(),
        entry.ip_address.map(|ip| ip.to_string()).unwrap_or_default(),
        number(entry.status.map(u64::from)),
        number(entry.attempts.map(u64::from)),
        number(entry.duration_ms),
        entry
            .failure
            .as_ref()
            .map(|failure| failure.detail.clone())
            .unwrap_or_default(),
        text(&entry.message),
        text(&entry.reason),
        record.hash.to_string(),
    ];
    format!("{}\r\n", cells.map(|cell| csv_cell(&cell)).join(","))
}

/// RFC 4180, §2. What a spreadsheet would take for a formula begins with an apostrophe, and line breaks become spaces.
fn csv_cell(text: &str) -> String {
    let plain: String = text.chars().map(|c| if is_obeyed(c) { ' ' } else { c }).collect();
    let is_formula = plain.trim_start().starts_with(['=', '+', '-', '@']);
    let quoted = plain.replace('"', "\"\"");
    match (is_formula, quoted.contains([',', '"', ';'])) {
        (true, _) => format!("\"'{quoted}\""),
        (false, true) => format!("\"{quoted}\""),
        (false, false) => quoted,
    }
}

const COLUMNS: [&str; 22] = [
    "seq",
    "id",
    "time",
    "kind",
    "trigger",
    "decision",
    "decided_by",
    "interceptor",
    "user_id",
    "user_email",
    "client_id",
    "realm",
    "operation",
    "request_id",
    "ip_address",
    "status",
    "attempts",
    "duration_ms",
    "failure",
    "message",
    "reason",
    "hash",
];

/// Records that are read at once.
const CHUNK: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_a_formula_nor_two_cells() {
        for (text, cell) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            (" @SUM(1)", "\"' @SUM(1)\""),
            ("-1", "\"'-1\""),
            ("a\r\n=1", "a  =1"),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
