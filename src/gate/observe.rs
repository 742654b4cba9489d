//! What is told of requests to whoever watches the proxy.

use std::future::Future;

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use uuid::Uuid;

use super::{Gate, recognise::Recognised};
use crate::{
    body::Body,
    event::Event,
    exchange::{Arrival, Exchange},
    interceptor::BreakerState,
    metrics::{decider, decision},
    telemetry::{Parent, Span},
    token::State,
    upstream::{State as AddressHealth, UpstreamError},
    verdict::{Consultation, FailureKind, Verdict},
};

impl Gate {
    /// All metrics in Prometheus' text format, with what is looked up only when somebody asks.
    pub fn scrape(&self) -> String {
        for interceptor in self.interceptors.iter() {
            let state = match interceptor.breaker() {
                BreakerState::Closed => 0,
                BreakerState::Probing => 1,
                BreakerState::Open { .. } => 2,
            };
            self.metrics.breaker(interceptor.name(), state);
        }
        for one in self.upstream.addresses() {
            self.metrics
                .address_healthy(&one.address, one.state == AddressHealth::Healthy);
        }
        let keys = self.reissuer.ring().list(self.clock.now());
        for key in keys.iter().filter(|key| key.state == State::Signing) {
            let next = keys
                .iter()
                .filter(|other| other.family == key.family && other.state == State::Next)
                .filter_map(|other| other.signs_from)
                .min();
            let since = key.signs_from.unwrap_or(key.created);
            self.metrics
                .signing_key(key.family.name(), since.as_second(), next.map(|next| next.as_second()));
        }
        self.metrics.render()
    }

    /// The same answer, counted.
    pub(super) fn counted(&self, arrival: &Arrival, operation: &str, answer: Response<Body>) -> Response<Body> {
        let status = answer.status().as_u16();
        self.metrics.answered(operation, status, arrival.started.elapsed());
        answer
    }

    /// The span of a recognised request, if its trace is recorded; what follows belongs to it.
    pub(super) fn begin_span(&self, exchange: &mut Exchange, recognised: &Recognised) -> Option<Span> {
        if !self.telemetry.is_on() {
            return None;
        }
        let trace = &exchange.arrival.trace;
        // Anybody can send a `traceparent`; only a proxy of the operator's decides with it what is recorded.
        let decided = trace
            .recorded_by_client()
            .filter(|_| self.outside.trusts(exchange.arrival.peer.ip()));
        let recorded = decided.unwrap_or_else(|| self.telemetry.samples(trace.id()));
        let id = Uuid::parse_str(&exchange.arrival.request_id).map(|id| id.as_u64_pair().1);
        let id = id.ok().filter(|_| recorded);
        exchange.enter_span(id);
        let trace = &exchange.arrival.trace;
        let route = &recognised.route;
        let name = format!("{} {}", method(exchange), route.path.as_str());
        let span = Span::server(trace.id(), id?, trace.client_span(), &name)
            .with("http.request.method", method(exchange))
            .with("http.route", route.path.as_str().to_owned())
            .with("tollgate.operation", route.name.clone())
            .with("tollgate.request_id", exchange.arrival.request_id.clone());
        Some(span)
    }

    /// The answer's head goes to the client.
    pub(super) fn end_span(&self, span: Span, status: StatusCode) {
        let span = span.with("http.response.status_code", i64::from(status.as_u16()));
        self.telemetry.record(if status.is_server_error() {
            span.failed(status.as_str())
        } else {
            span
        });
    }

    /// A request to the upstream, in a span of its own within the one of `traceparent`.
    pub(super) async fn spanned<B, F>(
        &self,
        traceparent: &str,
        mut request: Request<Body>,
        send: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Response<B>, UpstreamError>
    where
        F: Future<Output = Result<Response<B>, UpstreamError>>,
    {
        let parent = self.telemetry.is_on().then(|| Parent::of(traceparent)).flatten();
        let Some(parent) = parent else {
            return send(request).await;
        };
        let span = parent
            .client("upstream")
            .with("http.request.method", known(request.method()));
        if let Ok(value) = HeaderValue::from_str(&span.traceparent()) {
            request
                .headers_mut()
                .insert(HeaderName::from_static("traceparent"), value);
        }
        let answer = send(request).await;
        self.telemetry.record(match &answer {
            Ok(answer) => span.with("http.response.status_code", i64::from(answer.status().as_u16())),
            Err(error) => span.failed(error.as_str()),
        });
        answer
    }

    /// The spans of a verdict's consultations.
    pub(super) fn record_consults(&self, event: &Event, verdict: &Verdict) {
        let parent = event.context.traceparent.as_deref().and_then(Parent::of);
        let Some(parent) = parent.filter(|_| self.telemetry.is_on()) else {
            return;
        };
        for consultation in &verdict.consultations {
            self.telemetry.record(consult_span(&parent, event, consultation));
        }
    }
}

fn consult_span(parent: &Parent, event: &Event, consultation: &Consultation) -> Span {
    let mut span = parent
        .consult(&format!("consult {}", event.trigger), &consultation.id)
        .took(consultation.duration)
        .with("tollgate.interceptor.name", consultation.interceptor.clone())
        .with("tollgate.interceptor.id", consultation.id.clone())
        .with("tollgate.trigger", event.trigger.as_str())
        .with("tollgate.decision", decision(consultation.effect))
        .with("tollgate.decided_by", decider(consultation.decided_by))
        .with("tollgate.attempts", i64::from(consultation.calls()));
    if let Some(status) = consultation.status {
        span = span.with("http.response.status_code", i64::from(status));
    }
    match &consultation.failure {
        Some(failure) => span.failed(match failure.kind {
            FailureKind::Down => "down",
            FailureKind::Invalid => "invalid",
        }),
        None => span,
    }
}

fn method(exchange: &Exchange) -> &'static str {
    known(&exchange.method)
}

/// A method's name as attributes may have it: any other is a client's invention.
fn known(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|name| method == name)
        .unwrap_or("_OTHER")
}
