//! One client request on its way: read in one canonical way, or refused.

mod arrival;
mod content;
mod device;
mod framing;
mod headers;
mod outside;
mod target;

use std::net::IpAddr;

use http::{Extensions, HeaderMap, Method, Request, StatusCode, Version, header, request::Parts};

pub use self::{
    arrival::{Arrival, Trace},
    content::{ContentType, read_content_type},
    outside::{Outside, named_host},
    target::Target,
};

/// A request whose head was read, checked and made canonical.
///
/// Its headers are those that go upstream: what only concerned the connection to the client or could forge what we say
/// about it is gone, and `Host` and `X-Forwarded-*` are ours.
#[derive(Debug)]
pub struct Exchange {
    /// Id, trace and times.
    pub arrival: Arrival,
    /// The method, exactly as sent.
    pub method: Method,
    /// The canonical path and query.
    pub target: Target,
    /// The headers for the upstream; also what recognition reads.
    pub headers: HeaderMap,
    /// The version the client spoke.
    pub version: Version,
    /// Where the request came from, seen past the trusted proxies.
    pub client_ip: IpAddr,
    extensions: Extensions,
}

/// Why a request was refused before anybody looked at what it wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// The status for the client; 400 unless the specification has a better one.
    pub status: StatusCode,
    /// A clause for the client: `the path has an encoded slash (%2F)`.
    pub reason: String,
}

impl Unreadable {
    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: reason.into(),
        }
    }
}

impl Exchange {
    /// Reads a request's head. What could be read in two ways is refused.
    pub fn read(arrival: Arrival, parts: Parts, outside: &Outside) -> Result<Self, Unreadable> {
        let Parts {
            method,
            uri,
            version,
            mut headers,
            extensions,
            ..
        } = parts;
        framing::check_method(&method)?;
        let target = Target::read(&uri)?;
        framing::check(version, &headers)?;
        outside.check_host(version, &uri, &headers)?;
        headers::check_connection(&headers)?;
        let client_ip = outside.client_ip(arrival.peer.ip(), &headers);
        headers::clean(&mut headers, outside.trusts(arrival.peer.ip()));
        outside.stamp(&mut headers, Some(client_ip));
        arrival.trace.stamp(&mut headers);
        Ok(Self {
            arrival,
            method,
            target,
            headers,
            version,
            client_ip,
            extensions,
        })
    }

    /// Puts what follows into a span of ours, or into none if the trace is not recorded.
    pub fn enter_span(&mut self, span: Option<u64>) {
        self.arrival.trace = self.arrival.trace.within(span);
        self.arrival.trace.stamp(&mut self.headers);
    }

    /// The request for the upstream: canonical target, cleaned headers, this body.
    pub fn to_upstream<B>(&self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.to_uri();
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }

    /// The stricter rules for a request that we act upon: at most one `Content-Type` and `Authorization`, no content
    /// coding, UTF-8. Returns the content type, if there is one.
    pub fn content(&self) -> Result<Option<ContentType>, Unreadable> {
        if self.headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Unreadable::bad("there is more than one `Authorization` header"));
        }
        read_content_type(&self.headers)
    }

    /// Whether a browser is navigating, so that an answer of ours should be a page.
    pub fn wants_html(&self) -> bool {
        headers::wants_html(&self.headers)
    }

    /// The `Origin` header: the site whose script or form sent this, if a browser said so.
    pub fn origin(&self) -> Option<&str> {
        self.header(&header::ORIGIN)
    }

    /// The `User-Agent` header.
    pub fn user_agent(&self) -> Option<&str> {
        self.header(&header::USER_AGENT)
    }

    /// `Desktop`, `Mobile`, `Tablet` or `Unknown`, as far as `User-Agent` says.
    pub fn device_type(&self) -> &'static str {
        device::device_type(self.user_agent().unwrap_or_default())
    }

    /// Whether the client asks for a WebSocket (RFC 6455 §4.1).
    pub fn wants_websocket(&self) -> bool {
        self.method == Method::GET && headers::names_websocket(&self.headers)
    }

    fn header(&self, name: &header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
