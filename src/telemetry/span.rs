//! A span: something that took time on behalf of a request.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use uuid::Uuid;

/// What a span belongs to: a trace and a span in it, as `traceparent` has them (W3C Trace Context §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    trace_id: String,
    span: u64,
}

/// A span from its start on. It is there once it was recorded.
#[derive(Clone, Debug)]
#[must_use]
pub struct Span {
    trace_id: String,
    id: u64,
    parent: Option<u64>,
    kind: SpanKind,
    name: String,
    start: SystemTime,
    took: Option<Duration>,
    attributes: Vec<KeyValue>,
    error: Option<String>,
}

impl Parent {
    /// Reads a `traceparent` of our own. `None` where its trace is not recorded.
    pub fn of(traceparent: &str) -> Option<Self> {
        let mut fields = traceparent.split('-').skip(1);
        let (trace_id, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
        (flags == "01").then_some(())?;
        Some(Self {
            trace_id: trace_id.to_owned(),
            span: u64::from_str_radix(span, 16).ok()?,
        })
    }

    /// A request of ours on behalf of this one, which begins now.
    pub fn client(&self, name: &str) -> Span {
        let id = Uuid::now_v7().as_u64_pair().1;
        Span::new(&self.trace_id, id, Some(self.span), SpanKind::Client, name)
    }

    /// A consultation. Its `interceptor-id`, a UUID of version 7, says when it began and gives the span its id.
    pub fn consult(&self, name: &str, consultation_id: &str) -> Span {
        let mut span = self.client(name);
        if let Ok(id) = Uuid::parse_str(consultation_id) {
            span.id = id.as_u64_pair().1;
            if let Some(began) = id.get_timestamp() {
                let (seconds, nanos) = began.to_unix();
                span.start = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            }
        }
        span
    }
}

impl Span {
    /// A request of a client, with the span of the client's that it belongs to.
    pub fn server(trace_id: &str, id: u64, parent: Option<u64>, name: &str) -> Self {
        Self::new(trace_id, id, parent, SpanKind::Server, name)
    }

    /// With an attribute more. Never a secret, a query, or what identifies a person.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// It took so long; without this, until it is recorded.
    pub fn took(mut self, duration: Duration) -> Self {
        self.took = Some(duration);
        self
    }

    /// It failed.
    pub fn failed(mut self, why: &str) -> Self {
        self.error = Some(why.to_owned());
        self.with("error.type", why.to_owned())
    }

    /// The `traceparent` for whoever is called within this span.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{:016x}-01", self.trace_id, self.id)
    }

    fn new(trace_id: &str, id: u64, parent: Option<u64>, kind: SpanKind, name: &str) -> Self {
        Self {
            trace_id: trace_id.to_owned(),
            id,
            parent,
            kind,
            name: name.to_owned(),
            start: SystemTime::now(),
            took: None,
            attributes: Vec::new(),
            error: None,
        }
    }

    pub(super) fn into_data(self, scope: InstrumentationScope) -> SpanData {
        let context = SpanContext::new(
            super::trace_id(&self.trace_id),
            SpanId::from(self.id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        SpanData {
            span_context: context,
            parent_span_id: self.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: self.parent.is_some() && self.kind == SpanKind::Server,
            end_time: self.took.map_or_else(SystemTime::now, |took| self.start + took),
            span_kind: self.kind,
            name: self.name.into(),
            start_time: self.start,
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: self.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: scope,
        }
    }
}
