//! The records of a view, all of them, to take away: NDJSON for machines, CSV for spreadsheets, as `tollgate audit export` writes them.

use axum::{
    body::{Body, Bytes},
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::mpsc;

use super::Filter;
use crate::{
    audit::{self, Format},
    dashboard::console::Shared,
};

pub(super) async fn ndjson(State(console): State<Shared>, Query(filter): Query<Filter>) -> Response {
    stream(console, &filter, Format::Ndjson, "application/x-ndjson", "ndjson")
}

pub(super) async fn csv(State(console): State<Shared>, Query(filter): Query<Filter>) -> Response {
    stream(console, &filter, Format::Csv, "text/csv; charset=utf-8", "csv")
}

/// Sends part after part while the client takes them.
fn stream(console: Shared, filter: &Filter, format: Format, media_type: &'static str, ending: &str) -> Response {
    let query = match filter.query() {
        Ok(query) => query,
        Err(wrong) => return (StatusCode::BAD_REQUEST, wrong.join("\n")).into_response(),
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = send(&console, query, format, &sender).await {
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
    format: Format,
    sender: &mpsc::Sender<Result<Bytes, audit::ReadError>>,
) -> Result<(), audit::ReadError> {
    let mut text = Vec::new();
    format.begin(&mut text)?;
    query.limit = Some(CHUNK);
    loop {
        let (part, next) = console.records.export_part(query.clone(), format).await?;
        text.extend(part);
        // A client that went away needs no more.
        if !text.is_empty() && sender.send(Ok(Bytes::from(std::mem::take(&mut text)))).await.is_err() {
            return Ok(());
        }
        match next {
            Some(after) => query.after = Some(after),
            None => return Ok(()),
        }
    }
}

/// Records that are read at once.
const CHUNK: u32 = 500;
