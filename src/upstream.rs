//! The client to the identity provider: `relay` streams, `call` waits for a bounded answer. And to the relying parties that
//! are told of a logout in its place.

mod answer;
mod certificate_header;
mod connect;
mod error;
mod hops;
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
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header, uri::Authority};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tokio_util::task::TaskTracker;

use self::connect::Towards;
pub use self::{
    certificate_header::{CertificateForm, CertificateHeader, CertificateHeaderSettings},
    error::UpstreamError,
    relying_parties::{LogoutSettings, RelyingParties, RelyingParty, Told, Untold},
    remembered::{Document, Lifetime, Remembered},
    service::{ServiceAccount, ServiceError, Settings as ServiceSettings},
    settings::{Egress, IssuerPolicy, LateSignup, Saml, Settings},
};
use crate::{body::Body, metrics::Metrics, misconfigured::Misconfigured};

/// The one upstream and its connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    inner: Arc<Inner>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Inner {
    url: Uri,
    response_timeout: Duration,
    client: Client<Towards, Body>,
    /// For upgrades: HTTP/1.1 only, never a connection that was used before.
    http1: Client<Towards, Body>,
}

impl Upstream {
    /// Reads the settings; `ca` is looked up below `base`, the folder of `proxy.toml`. Does not connect yet.
    pub fn new(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let url = settings.uri()?;
        let connectors = connect::Connectors::new(&url, settings, base)?;
        let mut builder = Client::builder(TokioExecutor::new());
        // `retry_canceled_requests` stays on: it repeats only what was still queued when its connection closed, so not
        // a byte of it had been written. What may have been sent is never sent again.
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            .http1_max_buf_size(MAX_HEAD)
            .http2_max_header_list_size(MAX_HEAD_H2)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_max_send_buf_size(MAX_HEAD);
        Ok(Self {
            inner: Arc::new(Inner {
                url,
                response_timeout: settings.response_timeout.0,
                client: builder.build(connectors.any),
                http1: builder.pool_max_idle_per_host(0).build(connectors.http1),
            }),
            metrics: Metrics::default(),
        })
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
        let request = self.addressed(request)?;
        let response = self.relayed(&self.inner.client, request).await?;
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

    async fn relayed(
        &self,
        client: &Client<Towards, Body>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let flooded = || UpstreamError::Broken("it sends interim answers without end".into());
        let interim = answer::Interim::count(&mut request);
        let (request, turns) = turns::watch(request);
        let allowed = self.inner.response_timeout;
        let mut response = tokio::select! {
            response = client.request(request) => response.map_err(UpstreamError::from)?,
            () = turns.overdue(allowed) => return Err(UpstreamError::Timeout(allowed)),
            () = interim.flood() => return Err(flooded()),
        };
        if interim.are_too_many() {
            return Err(flooded());
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            hops::clean_response(response.headers_mut());
        }
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    /// Points a request in origin-form at the upstream. Its `Host`, the public one, becomes the URI's authority too, and so
    /// HTTP/2's.
    fn addressed(&self, mut request: Request<Body>) -> Result<Request<Body>, UpstreamError> {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let mut parts = self.inner.url.clone().into_parts();
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
/// An upstream that closes idle connections earlier makes the next request on one fail.
const POOL_IDLE: Duration = Duration::from_secs(15);
const POOL_SIZE: usize = 256;
const MAX_HEAD: usize = 256 * 1024;
const MAX_HEAD_H2: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
