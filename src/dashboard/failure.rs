//! Pages that say why there is no page.

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    access::Visitor,
    console::{Console, Shared},
    frame::{Frame, Section, show},
};
use crate::audit::ReadError;

#[derive(Template)]
#[template(path = "failure.html")]
struct Failure {
    frame: Frame,
    message: String,
    hint: String,
}

/// A page with one sentence on what is wrong and one on what to do.
pub(super) fn page(
    console: &Console,
    visitor: &Visitor,
    status: StatusCode,
    title: &str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Response {
    let page = Failure {
        frame: Frame::new(console, visitor, Section::Other, title),
        message: message.into(),
        hint: hint.into(),
    };
    (status, show(&page)).into_response()
}

pub(super) async fn no_such_page(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    not_found(&console, &visitor, "There is no page at this address.")
}

pub(super) fn not_found(console: &Console, visitor: &Visitor, message: impl Into<String>) -> Response {
    let hint = "It may have been renamed in the configuration; the navigation has everything there is.";
    page(console, visitor, StatusCode::NOT_FOUND, "Not found", message, hint)
}

/// The records cannot be read.
pub(super) fn unreadable(console: &Console, visitor: &Visitor, error: &ReadError) -> Response {
    let hint = "Decisions go on being recorded or refused as the proxy sees fit; this page alone cannot be shown. \
                `tollgate audit list` reads the same file.";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    page(
        console,
        visitor,
        status,
        "Records cannot be read",
        error.to_string(),
        hint,
    )
}
