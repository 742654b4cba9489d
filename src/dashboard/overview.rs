//! The page Overview: what runs.

use askama::Template;
use axum::{Extension, extract::State, response::Response};

use super::{
    access::Visitor,
    console::Shared,
    failure,
    frame::{Frame, Section, moment, show, span},
    row::Row,
};
use crate::audit::Query;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
}

pub(super) async fn page(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    let query = Query {
        limit: Some(10),
        ..Query::default()
    };
    let records = match console.records.list(query).await {
        Ok(records) => records,
        Err(error) => return failure::unreadable(&console, &visitor, &error),
    };
    let what = &console.installation;
    let now = console.clock.now();
    let running = now.as_second() - console.started.as_second();
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Overview, "Overview"),
        facts: vec![
            ("Version", env!("CARGO_PKG_VERSION").to_owned()),
            ("Configuration", format!("{} at revision {}", what.file, what.revision)),
            ("Public address", what.public_url.clone()),
            ("Listens on", what.address.clone()),
            ("Provider", format!("{}, preset {}", what.upstream, what.preset)),
            (
                "Running",
                format!("{}, since {} UTC", span(running), moment(console.started)),
            ),
        ],
        rows: records.iter().map(Row::of).collect(),
    })
}
