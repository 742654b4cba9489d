//! The log: every record, searched, followed, looked into and taken away.

mod details;
mod export;
mod filter;

use askama::Template;
use axum::{
    Extension, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

pub(super) use self::filter::Filter;
use super::{
    access::Visitor,
    console::Shared,
    escape::filters,
    failure,
    frame::{Frame, Section, moment, show},
    row::{Row, kind_word},
};
use crate::{audit::Kind, event::Trigger};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/log", get(page))
        .route("/log/rows", get(rows))
        .route("/log/export.ndjson", get(export::ndjson))
        .route("/log/export.csv", get(export::csv))
        .route("/log/{name}", get(details::page))
}

#[derive(Template)]
#[template(path = "log.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    choices: Choices,
    wrong: Vec<String>,
    rows: Vec<Row>,
    unreadable: usize,
    /// Addresses; empty where there is nothing.
    newer: String,
    older: String,
    looked_to: String,
    live: bool,
    toggle: String,
    ndjson: String,
    csv: String,
}

impl Page {
    /// The values of `decided_by`, with their words.
    fn deciders() -> [(&'static str, &'static str); 8] {
        [
            ("endpoint", "the endpoint"),
            ("remembered", "an earlier answer"),
            ("on_failure", "on_failure"),
            ("on_invalid", "on_invalid"),
            ("breaker", "the breaker"),
            ("concurrency_cap", "max_concurrent"),
            ("fail_open_limit", "fail_open_limit"),
            ("rule", "a rule of Tollgate"),
        ]
    }

    /// The values of `kind`, with their words.
    fn kinds() -> Vec<(&'static str, &'static str)> {
        let all = [
            Kind::Consult,
            Kind::Revocation,
            Kind::Account,
            Kind::Membership,
            Kind::Refused,
            Kind::Failure,
            Kind::Anchor,
        ];
        all.map(|kind| (kind.as_str(), kind_word(kind))).to_vec()
    }
}

/// What can be chosen in the form.
struct Choices {
    triggers: Vec<&'static str>,
    interceptors: Vec<String>,
}

async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(filter): Query<Filter>,
) -> Response {
    let (query, wrong) = match filter.query() {
        Ok(query) => (Some(query), Vec::new()),
        Err(wrong) => (None, wrong),
    };
    let found = match query {
        Some(query) => console.records.page(query).await,
        None => Ok(crate::audit::Page::default()),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return failure::unreadable(&console, &visitor, &error),
    };
    let to = |name: &str, place: Option<crate::audit::Place>| {
        place
            .map(|place| filter.address("/log", &[(name, &place.to_string())]))
            .unwrap_or_default()
    };
    let live = !filter.live.is_empty() && filter.before.is_empty() && filter.after.is_empty() && wrong.is_empty();
    let page = Page {
        frame: Frame::new(&console, &visitor, Section::Log, "Log"),
        choices: Choices {
            triggers: Trigger::ALL.map(Trigger::as_str).to_vec(),
            interceptors: console
                .gate
                .interceptors()
                .iter()
                .map(|one| one.name().to_owned())
                .collect(),
        },
        rows: found.records.iter().map(Row::of).collect(),
        unreadable: found.unreadable.len(),
        newer: to("after", found.newer),
        older: to("before", found.older),
        looked_to: found.looked_to.map(moment).unwrap_or_default(),
        toggle: filter.address("/log", &[("live", if live { "" } else { "1" })]),
        ndjson: filter.address("/log/export.ndjson", &[]),
        csv: filter.address("/log/export.csv", &[]),
        live,
        filter,
        wrong,
    };
    let status = if page.wrong.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    (status, show(&page)).into_response()
}

#[derive(Template)]
#[template(path = "partial/records.html")]
struct Rows {
    rows: Vec<Row>,
}

/// The newest page again, for a list that follows.
async fn rows(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(filter): Query<Filter>,
) -> Response {
    let Ok(query) = filter.query() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match console.records.page(query).await {
        Ok(found) => show(&Rows {
            rows: found.records.iter().map(Row::of).collect(),
        }),
        Err(error) => failure::unreadable(&console, &visitor, &error),
    }
}
