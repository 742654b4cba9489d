//! The tab Logs: the interceptor's newest records.

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};

use super::{Head, find};
use crate::{
    audit::Query,
    dashboard::{
        access::Visitor,
        console::Shared,
        escape::filters,
        failure,
        frame::{Frame, Section, show},
        row::Row,
    },
};

#[derive(Template)]
#[template(path = "interceptor/log.html")]
struct Page {
    frame: Frame,
    head: Head,
    rows: Vec<Row>,
}

pub(super) async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let applied = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let query = Query {
        interceptor: Some(name),
        ..Query::default()
    };
    let records = match console.records.page(query).await {
        Ok(page) => page.records,
        Err(error) => return failure::unreadable(&console, &visitor, &error),
    };
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Interceptors, applied.first.1.name()),
        head: Head::of(&console, &applied, "log"),
        rows: records.iter().map(Row::of).collect(),
    })
}
