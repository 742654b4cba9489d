//! The client to the identity provider: `relay` streams, `call` waits for a bounded answer. And to the relying parties that
//! are told of a logout in its place.

mod address;
mod answer;
mod certificate_header;
mod connect;
mod error;
mod health;
mod hops;
mod lent;
mod relying_parties;
mod remembered;
mod service;
mod settings;
mod turns;
mod websocket;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri::Authority,
};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use tokio_util::task::TaskTracker;

pub use self::{
    address::AddressState,
    certificate_header::{CertificateForm, CertificateHeader, CertificateHeaderSettings},
    error::UpstreamError,
    health::{HealthCheckSettings, State},
    relying_parties::{LogoutSettings, RelyingParties, RelyingParty, Told, Untold},
    remembered::{Document, Lifetime, Remembered},
    service::{ServiceAccount, ServiceError, Settings as ServiceSettings},
    settings::{Egress, HttpVersion, IssuerPolicy, LateSignup, Saml, Settings},
};
use self::{
    address::{Address, Addresses, Visit},
    connect::{Towards, Used},
    health::Health,
    lent::Lender,
};
use crate::{
    body::{self, Body, BoxError},
    metrics::Metrics,
    misconfigured::Misconfigured,
};

/// The one upstream, at all its addresses, and its connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    inner: Arc<Inner>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Inner {
    url: Uri,
    response_timeout: Duration,
    addresses: Addresses,
    health_check: Option<HealthCheckSettings>,
}

impl Upstream {
    /// Reads the settings; `ca` is looked up below `base`, the folder of `proxy.toml`. Does not connect yet.
    pub fn new(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let url = settings.uri()?;
        let connectors = connect::Connectors::new(&url, settings, base)?;
        let mut builder = Client::builder(TokioExecutor::new());
        // `retry_canceled_requests` stays on: it repeats only what was still queued when its connection closed, so not
        // a byte of it had been written.
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout.0)
            .http1_max_buf_size(MAX_HEAD)
            .http2_max_header_list_size(MAX_HEAD_H2)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_max_send_buf_size(MAX_HEAD);
        let mut addresses = Vec::new();
        for place in settings.places(&url)? {
            let client = builder
                .http2_only(settings.http == HttpVersion::Http2)
                .pool_max_idle_per_host(settings.max_idle_connections)
                .build(connectors.towards(&place)?);
            let http1 = builder
                .http2_only(false)
                .pool_max_idle_per_host(0)
                .build(connectors.http1_towards(&place)?);
            addresses.push(Address::new(place.to_string(), client, http1, Health::default()));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                url,
                response_timeout: settings.response_timeout.0,
                addresses: Addresses::new(addresses),
                health_check: settings.health_check.clone(),
            }),
            metrics: Metrics::default(),
        })
    }

    /// Begins to ask each address from time to time whether it is well, if the configuration wants that: for `path` where it
    /// names none, with these headers. Goes on until the last clone of this upstream is dropped. Needs a runtime.
    pub fn watch_health(&self, path: &str, headers: &HeaderMap) {
        if let Some(settings) = &self.inner.health_check {
            health::watch(&self.inner, settings, path, headers);
        }
    }

    /// How each address is, in the order of the configuration.
    pub fn addresses(&self) -> Vec<AddressState> {
        self.inner.addresses.iter().map(|address| address.state()).collect()
    }

    /// The same upstream, counting its answers and failures there.
    pub fn counted(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The path below which the upstream has its own, such as `/auth`; empty where it has none. Public paths have it as well.
    pub fn base_path(&self) -> &str {
        self.inner.url.path().trim_end_matches('/')
    }

    /// Forwards a request in origin-form and streams both ways: bodies, trailers, and no more in memory than a few buffers.
    ///
    /// Fails when the upstream has not begun to answer `response_timeout` after it had all it needed. Dropping the future, or the
    /// answer's body, cancels the request.
    pub async fn relay(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let started = Instant::now();
        let answer = self.forward(request).await;
        self.count(started, &answer);
        answer
    }

    async fn forward(&self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        hops::clean_request(request.headers_mut());
        let request = self.inner.addressed(request)?;
        let response = self.relayed(request, |address| &address.client).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::Broken(
                "it switches to a protocol that nobody asked for".into(),
            ));
        }
        Ok(response)
    }

    /// Forwards a WebSocket handshake; only if the upstream agrees with 101 are the two connections joined, in one
    /// of `tasks`. Any other answer is an answer like any other.
    pub async fn upgrade(&self, request: Request<Body>, tasks: &TaskTracker) -> Result<Response<Body>, UpstreamError> {
        let started = Instant::now();
        let answer = websocket::upgrade(self, request, tasks).await;
        self.count(started, &answer);
        answer
    }

    /// Sends a request once and waits for the whole answer, at most [`MAX_ANSWER`] bytes, not compressed, without trailers.
    ///
    /// The answer comes without `Content-Length`: whoever sends it on knows the length of what it then is.
    pub async fn call(&self, request: Request<Body>) -> Result<Response<Bytes>, UpstreamError> {
        self.call_within(request, MAX_ANSWER).await
    }

    async fn call_within(&self, mut request: Request<Body>, limit: usize) -> Result<Response<Bytes>, UpstreamError> {
        request
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let whole = async {
            let response = self.forward(request).await?;
            answer::read(response, limit).await
        };
        let allowed = self.inner.response_timeout;
        let started = Instant::now();
        let answer = tokio::time::timeout(allowed, whole)
            .await
            .unwrap_or(Err(UpstreamError::Timeout(allowed)));
        self.count(started, &answer);
        answer
    }

    fn count<T>(&self, started: Instant, answer: &Result<T, UpstreamError>) {
        let error = answer.as_ref().err().map(UpstreamError::as_str);
        self.metrics.upstream(started.elapsed(), error);
    }

    /// Sends a request, again only where nothing can have come of it: to another address when no connection could be made, so
    /// that not a byte was sent; and once more if it is a GET or HEAD without a body whose connection, used before, ended without
    /// an answer (RFC 9110 §9.2.2, RFC 9112 §9.3.1). What may have been sent is never sent again otherwise.
    async fn relayed(
        &self,
        request: Request<Body>,
        client: fn(&Address) -> &Client<Towards, Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let (head, body) = request.into_parts();
        let mut repeatable = matches!(head.method, Method::GET | Method::HEAD) && body.is_end_stream();
        let lender = Lender::new(body);
        let mut body = lender.lend();
        let mut tried = Vec::new();
        let mut last = UpstreamError::Unreachable("it has no address".into());
        while let Some(content) = body
            && let Some(visit) = self.inner.addresses.choose(&tried)
        {
            let address = Arc::clone(&visit.address);
            let attempt = Request::from_parts(head.clone(), content);
            last = match self.attempt(visit, client(&address), attempt).await {
                Ok(answer) => {
                    address.answered();
                    return Ok(answer);
                }
                Err(Miss::Unsent(error)) => {
                    address.unreachable(&error.to_string(), &self.metrics);
                    tried.push(address.name.clone());
                    body = lender.lend();
                    error
                }
                Err(Miss::Stale(_)) if repeatable => {
                    repeatable = false;
                    body = Some(body::empty());
                    self.metrics.repeated();
                    continue;
                }
                Err(Miss::Stale(error) | Miss::Final(error)) => return Err(error),
            };
        }
        Err(last)
    }

    async fn attempt(
        &self,
        visit: Visit,
        client: &Client<Towards, Body>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Miss> {
        let flooded = || Miss::Final(UpstreamError::Broken("it sends interim answers without end".into()));
        let interim = answer::Interim::count(&mut request);
        let (request, turns) = turns::watch(request);
        let allowed = self.inner.response_timeout;
        let mut response = tokio::select! {
            response = client.request(request) => response.map_err(Miss::of)?,
            () = turns.overdue(allowed) => return Err(Miss::Final(UpstreamError::Timeout(allowed))),
            () = interim.flood() => return Err(flooded()),
        };
        if let Some(used) = response.extensions_mut().remove::<Used>() {
            used.note();
        }
        if interim.are_too_many() {
            return Err(flooded());
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            hops::clean_response(response.headers_mut());
        }
        let until_the_end = move |error| {
            let _held: &Visit = &visit;
            BoxError::from(error)
        };
        Ok(response.map(|body| body.map_err(until_the_end).boxed_unsync()))
    }
}

/// Why an attempt came to nothing, and what may be done about it.
enum Miss {
    /// There was no connection, so nothing was sent.
    Unsent(UpstreamError),
    /// A connection that had been used before ended without an answer: most likely the upstream was closing it.
    Stale(UpstreamError),
    /// It may have been acted upon.
    Final(UpstreamError),
}

impl Miss {
    fn of(error: legacy::Error) -> Self {
        let mut extras = Extensions::new();
        if let Some(connection) = error.connect_info() {
            connection.get_extras(&mut extras);
        }
        let used = extras.get::<Used>().is_some_and(Used::is_so);
        let connecting = error.is_connect();
        match UpstreamError::from(error) {
            error @ (UpstreamError::Unreachable(_) | UpstreamError::Timeout(_)) if connecting => Self::Unsent(error),
            error @ UpstreamError::Broken(_) if used => Self::Stale(error),
            error => Self::Final(error),
        }
    }
}

impl Inner {
    /// Points a request in origin-form at the upstream. Its `Host`, the public one, becomes the URI's authority too, and so
    /// HTTP/2's.
    fn addressed(&self, mut request: Request<Body>) -> Result<Request<Body>, UpstreamError> {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let mut parts = self.url.clone().into_parts();
        parts.authority = host.or(parts.authority);
        parts.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from_parts(parts)
            .map_err(|error| UpstreamError::Broken(format!("the request cannot be addressed to it: {error}")))?;
        *request.version_mut() = Version::HTTP_11;
        request.extensions_mut().clear();
        // hyper would believe the client's figure for a body that is no longer the client's.
        if let Some(length) = request.body().size_hint().exact()
            && let Some(said) = request.headers_mut().get_mut(header::CONTENT_LENGTH)
        {
            *said = HeaderValue::from(length);
        }
        Ok(request)
    }
}

/// The longest answer that [`Upstream::call`] reads, in bytes.
pub const MAX_ANSWER: usize = 1024 * 1024;
const MAX_HEAD: usize = 256 * 1024;
const MAX_HEAD_H2: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
