//! The tab Test.

use askama::Template;
use axum::{
    Extension, Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};

use super::{Head, find};
use crate::dashboard::{
    access::Visitor,
    console::Shared,
    frame::{Frame, Section, show},
};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/interceptors/{name}/test", get(page))
}

#[derive(Template)]
#[template(path = "interceptor/test.html")]
struct Page {
    frame: Frame,
    head: Head,
}

async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let interceptor = match find(&console, &visitor, &name) {
        Ok((_, interceptor)) => interceptor,
        Err(page) => return *page,
    };
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Interceptors, interceptor.name()),
        head: Head::of(interceptor, "test"),
    })
}
