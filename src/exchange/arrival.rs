//! What is known of a request before its head is read: id, trace, times, peer.

use std::{net::SocketAddr, time::Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use uuid::Uuid;

/// A request's arrival; made first, so that a refusal has an id to quote as well.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Identifies the request in logs, audit and events: a UUID, version 7 from the listener.
    pub request_id: String,
    /// The trace it belongs to.
    pub trace: Trace,
    /// When it came, by the wall clock.
    pub received: Timestamp,
    /// When it came, for deadlines and durations.
    pub started: Instant,
    /// The other end of the connection; a proxy's address where one stands before us.
    pub peer: SocketAddr,
}

impl Arrival {
    /// Notes an arrival. The client's `traceparent` goes on where it is valid; otherwise a trace starts, named after the id.
    pub fn new(id: Uuid, received: Timestamp, started: Instant, peer: SocketAddr, headers: &HeaderMap) -> Self {
        Self {
            request_id: id.to_string(),
            trace: Trace::of(headers).unwrap_or_else(|| Trace::start(id)),
            received,
            started,
            peer,
        }
    }
}

/// A trace's context (W3C Trace Context §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    parent: String,
    taken_over: bool,
    /// The client's span, where ours belongs to it.
    client: Option<u64>,
}

impl Trace {
    /// The `traceparent` header for the upstream and the interceptors.
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    /// The trace id: 32 lower-case hexadecimal digits.
    pub fn id(&self) -> &str {
        self.parent.split('-').nth(1).unwrap_or_default()
    }

    /// Whether whoever began the trace records it; `None` where it begins here.
    pub fn recorded_by_client(&self) -> Option<bool> {
        self.taken_over.then(|| self.parent.ends_with("-01"))
    }

    /// The client's span that ours belongs to, once there is one.
    pub fn client_span(&self) -> Option<u64> {
        self.client
    }

    /// The same trace, from here on in a span of ours; without one, a trace that is not recorded.
    pub(super) fn within(&self, span: Option<u64>) -> Self {
        let theirs = self.parent.split('-').nth(2).unwrap_or_default();
        let theirs = u64::from_str_radix(theirs, 16).unwrap_or_default();
        let flags = if span.is_some() { "01" } else { "00" };
        Self {
            parent: format!("00-{}-{:016x}-{flags}", self.id(), span.unwrap_or(theirs)),
            taken_over: self.taken_over,
            client: self.taken_over.then_some(theirs),
        }
    }

    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        if !self.taken_over {
            headers.remove(TRACESTATE);
        }
        if let Ok(value) = HeaderValue::from_str(&self.parent) {
            headers.insert(TRACEPARENT, value);
        }
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let parent = value.to_str().ok()?;
        let fields: Vec<&str> = parent.split('-').collect();
        let [version, trace, span, flags] = fields.as_slice() else {
            return None;
        };
        let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let named = |text: &str| text.bytes().any(|b| b != b'0');
        let valid = *version == "00" && hex(trace, 32) && named(trace) && hex(span, 16) && named(span) && hex(flags, 2);
        valid.then(|| Self {
            parent: parent.to_owned(),
            taken_over: true,
            client: None,
        })
    }

    fn start(id: Uuid) -> Self {
        let trace = id.simple().to_string();
        let span = id.as_u64_pair().1;
        Self {
            parent: format!("00-{trace}-{span:016x}-01"),
            taken_over: false,
            client: None,
        }
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(traceparents: &[&str]) -> Arrival {
        let mut headers = HeaderMap::new();
        for value in traceparents {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        let id = Uuid::parse_str("0190a5c4-7b1e-7def-8123-456789abcdef").unwrap();
        Arrival::new(
            id,
            Timestamp::UNIX_EPOCH,
            Instant::now(),
            ([192, 0, 2, 1], 9).into(),
            &headers,
        )
    }

    #[test]
    fn a_valid_traceparent_goes_on() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = arrival(&[given]).trace;
        assert_eq!(trace.traceparent(), given);
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn an_invalid_or_doubled_traceparent_is_replaced() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for bad in [
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"][..],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["x"],
            &[good, good],
            &[],
        ] {
            let trace = arrival(bad).trace;
            assert_eq!(
                trace.traceparent(),
                "00-0190a5c47b1e7def8123456789abcdef-8123456789abcdef-01"
            );
        }
    }
}
