//! What machines ask: is it alive, does it serve, how is it.

use std::fmt::Write;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::console::Shared;
use crate::interceptor::BreakerState;

/// Liveness: the process answers.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Readiness: connections are taken and decisions can be recorded. Says which is not, and nothing else.
pub(super) async fn ready(State(console): State<Shared>) -> Response {
    let audit = console.gate.audit();
    let (status, text) = if console.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if audit.failing.is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "the audit cannot be written\n")
    } else {
        (StatusCode::OK, "ready\n")
    };
    (status, text).into_response()
}

/// The state of what can fail, in the text format of Prometheus 0.0.4. What is counted comes from elsewhere.
pub(super) async fn metrics(State(console): State<Shared>) -> Response {
    let mut text = String::new();
    let audit = console.gate.audit();
    let mut gauge = |name: &str, help: &str, samples: &[(String, u64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let version = format!(
        "{{version=\"{}\",revision=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        console.installation.revision
    );
    gauge("tollgate_info", "What runs.", &[(version, 1)]);
    let failing = u64::from(audit.failing.is_some());
    gauge(
        "tollgate_audit_failing",
        "Whether the last record could not be written.",
        &[(String::new(), failing)],
    );
    let queued = u64::try_from(audit.queued).unwrap_or(u64::MAX);
    gauge(
        "tollgate_audit_queued",
        "Callers that wait for their records to be on disk.",
        &[(String::new(), queued)],
    );
    let breakers: Vec<_> = console
        .gate
        .interceptors()
        .iter()
        .map(|interceptor| {
            let open = !matches!(interceptor.breaker(), BreakerState::Closed);
            (
                format!("{{interceptor=\"{}\"}}", label(interceptor.name())),
                u64::from(open),
            )
        })
        .collect();
    gauge(
        "tollgate_breaker_open",
        "Whether the endpoint of an interceptor is not called since it was down.",
        &breakers,
    );
    let media_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (media_type, text).into_response()
}

fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
