//! What went over the wire, for people to look at.

use std::time::Duration;

use bytes::Bytes;

use crate::verdict::Consultation;

/// One interceptor tried on its own: what it came to and what went over the wire.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What the interceptor's part in a verdict would have been.
    pub consultation: Consultation,
    /// One entry for each attempt.
    pub exchanges: Vec<Exchange>,
}

/// One attempt to call an endpoint.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was sent.
    pub request: Prepared,
    /// What came back, as far as it was received.
    pub answer: Option<RawAnswer>,
    /// From the attempt's start to its end.
    pub duration: Duration,
}

/// A request as it goes to the endpoint.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Where it goes.
    pub url: String,
    /// The headers in the order in which they are sent; the values of authentication are `***`.
    pub headers: Vec<(String, String)>,
    /// The exact bytes of the body.
    pub body: Bytes,
    /// The string that is signed: `id.timestamp.body` (Standard Webhooks).
    pub signed: String,
}

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers; bytes that are no UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body, up to the cap.
    pub body: Bytes,
}
