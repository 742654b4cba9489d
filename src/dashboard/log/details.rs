//! One record: what was sent, what came back, what was done about it, and what else happened then.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use serde_json::Value;

use crate::{
    audit::{ClaimNames, Entry, Record, Refused},
    dashboard::{
        access::Visitor,
        console::Shared,
        escape::filters,
        failure,
        frame::{Frame, Section, moment, show},
        row::{self, Outcome, Row},
    },
    escape,
};

#[derive(Template)]
#[template(path = "record.html")]
struct Page {
    frame: Frame,
    seq: String,
    what: String,
    outcome: Outcome,
    time: String,
    decision: Vec<(&'static str, String)>,
    circumstances: Vec<(&'static str, String)>,
    chain: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    calls: Vec<ShownCall>,
    claims: Vec<Claim>,
    refused: String,
    event: Vec<String>,
    answer: Vec<String>,
    annotations: Vec<String>,
    /// The other records of the request.
    others: Vec<Row>,
    user: String,
    request_id: String,
    interceptor: String,
}

/// A claim that an ALLOW changed, or that was refused.
struct Claim {
    token: &'static str,
    name: String,
    /// `added`, `replaced` or `refused`.
    change: &'static str,
    before: String,
    after: String,
    why: String,
}

/// One call of the endpoint.
struct ShownCall {
    number: usize,
    time: String,
    status: String,
    duration: String,
    /// `ok` or `fail`.
    icon: &'static str,
    /// `answered`, or how it failed in one word.
    outcome: String,
    detail: String,
}

pub(super) async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let found = match console.records.record(name).await {
        Ok(found) => found,
        Err(error) => return failure::unreadable(&console, &visitor, &error),
    };
    let Some((record, others)) = found else {
        return failure::not_found(
            &console,
            &visitor,
            "No record has this number or id, or it can no longer be read.",
        );
    };
    let entry = &record.entry;
    let outcome = Outcome::of(entry);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let refused = entry
        .failure
        .as_ref()
        .filter(|failure| failure.kind == "invalid" && entry.answer.is_some());
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Log, format!("Record {}", record.place())),
        seq: record.place(),
        what: row::what(entry),
        outcome,
        time: moment(record.time),
        decision: decision(entry),
        circumstances: circumstances(entry),
        chain: chain(&record),
        warnings: entry.warnings.clone(),
        calls: calls(entry),
        claims: claims(entry),
        refused: refused.map(|failure| failure.detail.clone()).unwrap_or_default(),
        event: entry.event.as_ref().map(pretty).unwrap_or_default(),
        answer: entry.answer.as_ref().map(pretty).unwrap_or_default(),
        annotations: if entry.annotations.is_empty() {
            Vec::new()
        } else {
            pretty(&Value::Object(entry.annotations.clone()))
        },
        others: others
            .iter()
            .filter(|other| other.id != record.id)
            .map(Row::of)
            .collect(),
        user: entry.user_email.clone().or(entry.user_id.clone()).unwrap_or_default(),
        request_id: entry.request_id.clone(),
        interceptor: text(&entry.interceptor),
    })
}

fn decision(entry: &Entry) -> Vec<(&'static str, String)> {
    let failure = entry
        .failure
        .as_ref()
        .map(|failure| format!("{}: {}", failure.kind, failure.detail));
    known([
        ("Decided by", entry.decided_by.as_ref().map(row::by)),
        ("What went wrong", failure),
        ("Message to the user", entry.message.clone()),
        ("Reason for the operator", entry.reason.clone()),
        ("Status of the answer", entry.status.map(|status| status.to_string())),
        ("Attempts", entry.attempts.map(|attempts| attempts.to_string())),
        ("Duration", entry.duration_ms.map(|ms| format!("{ms} ms"))),
    ])
}

fn circumstances(entry: &Entry) -> Vec<(&'static str, String)> {
    known([
        ("Operation", entry.operation.clone()),
        ("Realm", entry.realm.clone()),
        ("Client", entry.client_id.clone()),
        ("User id", entry.user_id.clone()),
        ("E-mail", entry.user_email.clone()),
        ("IP address", entry.ip_address.map(|ip| ip.to_string())),
        ("Request id", Some(entry.request_id.clone())),
        ("Trace id", entry.trace_id.clone()),
        ("Consult id", entry.consult_id.clone()),
        ("Configuration", entry.revision.clone()),
    ])
}

fn chain(record: &Record) -> Vec<(&'static str, String)> {
    known([
        ("Id", Some(record.id.to_string())),
        ("Hash", Some(record.hash.to_string())),
        ("Hash of the record before", Some(record.prev_hash.to_string())),
    ])
}

fn known<const N: usize>(facts: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    facts.filter(|(_, value)| !value.is_empty()).collect()
}

fn calls(entry: &Entry) -> Vec<ShownCall> {
    let calls = entry.calls.iter().enumerate().map(|(index, call)| ShownCall {
        number: index + 1,
        time: moment(call.time),
        status: call.status.map(|status| status.to_string()).unwrap_or_default(),
        duration: format!("{} ms", call.duration_ms),
        icon: if call.failure.is_none() { "ok" } else { "fail" },
        outcome: call
            .failure
            .as_ref()
            .map_or_else(|| "answered".to_owned(), |failure| failure.kind.clone()),
        detail: call
            .failure
            .as_ref()
            .map(|failure| failure.detail.clone())
            .unwrap_or_default(),
    });
    calls.collect()
}

/// The changed claims of both tokens, with what they were and what they became, as far as the record says.
fn claims(entry: &Entry) -> Vec<Claim> {
    let tokens: [(&str, &str, &ClaimNames); 2] = [
        ("access token", "access_token", &entry.claims.access_token),
        ("ID token", "id_token", &entry.claims.id_token),
    ];
    let mut found = Vec::new();
    for (token, member, names) in tokens {
        for (change, names) in [("added", &names.added), ("replaced", &names.replaced)] {
            for name in names {
                found.push(Claim {
                    token,
                    change,
                    before: before(entry, member, name).unwrap_or_default(),
                    after: after(entry, member, name).unwrap_or_default(),
                    why: String::new(),
                    name: name.clone(),
                });
            }
        }
        let refused = names.refused.iter();
        found.extend(refused.map(|Refused { name, why }| refusal(entry, (token, member), name, why)));
        found.extend(dragged(entry, member, names).map(|name| refusal(entry, (token, member), name, WHOLE)));
    }
    found
}

fn refusal(entry: &Entry, (token, member): (&'static str, &str), name: &str, why: &str) -> Claim {
    Claim {
        token,
        change: "refused",
        before: before(entry, member, name).unwrap_or_default(),
        after: after(entry, member, name).unwrap_or_default(),
        why: why.to_owned(),
        name: name.to_owned(),
    }
}

/// The claims that are not to blame for a refusal and went with it; none where the record does not say who is.
fn dragged<'a>(entry: &'a Entry, token: &'a str, names: &'a ClaimNames) -> impl Iterator<Item = &'a String> {
    let response = entry.answer.as_ref().and_then(|answer| answer.get("response"));
    let response = response.filter(|_| !names.refused.is_empty());
    let of_both = response.and_then(|response| response.get("claims")?.as_object());
    let of_token = response.and_then(|response| response.get(token)?.get("claims")?.as_object());
    let wanted: BTreeSet<&String> = [of_both, of_token]
        .into_iter()
        .flatten()
        .flat_map(|c| c.keys())
        .collect();
    let blamed = |name: &&String| names.refused.iter().any(|refused| refused.name == **name);
    wanted.into_iter().filter(move |name| !blamed(name))
}

fn before(entry: &Entry, token: &str, name: &str) -> Option<String> {
    let data = entry.event.as_ref()?.get("data")?;
    let claims = data.get("claims").and_then(|claims| claims.get(token));
    let claims = claims.or_else(|| data.get("m2m_token_claims")?.get("claims"));
    Some(short(claims?.get(name)?))
}

/// What the endpoint wrote: for one token, or for both.
fn after(entry: &Entry, token: &str, name: &str) -> Option<String> {
    let response = entry.answer.as_ref()?.get("response")?;
    let of_token = response.get(token).and_then(|part| part.get("claims")?.get(name));
    Some(short(of_token.or_else(|| response.get("claims")?.get(name))?))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= CELL {
        return text;
    }
    text.chars().take(CELL).chain(['…']).collect()
}

/// JSON over lines. Only serde_json's own line breaks are in it; what is inside a string becomes an escape of JSON.
fn pretty(value: &Value) -> Vec<String> {
    let text = format!("{value:#}");
    text.lines().map(|line| escape::in_json(line).into_owned()).collect()
}

const CELL: usize = 160;

const WHOLE: &str = "nothing is taken of an answer that cannot be taken as a whole";
