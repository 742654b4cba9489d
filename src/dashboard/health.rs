//! What machines ask: is it alive, does it serve, how is it.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::console::Shared;
use crate::metrics;

/// Liveness: the process answers.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Readiness: connections are taken and decisions can be recorded. Says which is not, and nothing else.
pub(super) async fn ready(State(console): State<Shared>) -> Response {
    let audit = console.first.gate.audit();
    let (status, text) = if console.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if audit.failing.is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "the audit cannot be written\n")
    } else {
        (StatusCode::OK, "ready\n")
    };
    (status, text).into_response()
}

/// Everything that is counted, in Prometheus' text format.
pub(super) async fn metrics(State(console): State<Shared>) -> Response {
    let media_type = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    console.others.iter().for_each(|behind| behind.gate.measure());
    (media_type, console.first.gate.metrics()).into_response()
}
