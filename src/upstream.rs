//! The client to the identity provider: `relay` streams, `call` waits for a bounded answer.

mod answer;
mod connect;
mod error;
mod hops;
mod remembered;
mod turns;
mod websocket;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;

use self::connect::Towards;
pub use self::{
    error::UpstreamError,
    remembered::{Remembered, Stale},
};
use crate::{
    body::{self, Body},
    clock::Period,
    misconfigured::Misconfigured,
};

/// `[upstream]`: the identity provider behind Tollgate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens: `http://127.0.0.1:8080`. A path is put before every request's own.
    pub url: String,
    /// What it is: the name of a preset, `keycloak` or `generic`.
    pub preset: String,
    /// Whether the tokens' `iss` stays as the upstream wrote it: `preserve`.
    #[serde(default)]
    pub issuer: Issuer,
    /// A PEM file of certificates to trust besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether requests keep the public `Host`, or get the one of `url`.
    #[serde(default = "defaults::preserve_host")]
    pub preserve_host: bool,
    /// How long connecting may take, TLS included.
    #[serde(default = "defaults::connect_timeout")]
    pub connect_timeout: Period,
    /// How long the upstream may take to begin its answer once it has the request; for requests that Tollgate acts upon, to finish it.
    #[serde(default = "defaults::response_timeout")]
    pub response_timeout: Period,
    /// Form fields of a registration that go into a signup event as the user's attributes.
    #[serde(default)]
    pub signup_attributes: Vec<String>,
}

/// `upstream.issuer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Issuer {
    /// The upstream already calls itself by the public URL.
    #[default]
    Preserve,
    /// Tollgate replaces the issuer.
    Rewrite,
}

/// The one upstream and its connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    scheme: Scheme,
    authority: Authority,
    base: String,
    preserve_host: bool,
    response_timeout: Duration,
    client: Client<Towards, Body>,
    /// For upgrades: HTTP/1.1 only, never a connection that was used before.
    http1: Client<Towards, Body>,
}

impl Upstream {
    /// Reads the settings; `ca` is looked up below `base`, the folder of `proxy.toml`. Does not connect yet.
    pub fn new(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        if settings.issuer == Issuer::Rewrite {
            return Err(Misconfigured::new("upstream.issuer", "this version cannot rewrite the issuer")
                .hint("write `preserve` and let the upstream use the public URL, as with Keycloak's `--proxy-headers=xforwarded`"));
        }
        let wrong = |message: &str| {
            Misconfigured::new("upstream.url", message)
                .hint("write the upstream's address, like `http://127.0.0.1:8080`")
        };
        let url: Uri = settings.url.parse().map_err(|_| wrong("this is no URL"))?;
        let scheme = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
            _ => return Err(wrong("the URL starts with neither `http://` nor `https://`")),
        };
        let authority = url.authority().cloned().ok_or_else(|| wrong("the URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("the URL has a user name or password in it"));
        }
        if url.query().is_some() {
            return Err(wrong("the URL has a query"));
        }
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
                base: url.path().trim_end_matches('/').to_owned(),
                scheme,
                authority,
                preserve_host: settings.preserve_host,
                response_timeout: settings.response_timeout.0,
                client: builder.build(connectors.any),
                http1: builder.pool_max_idle_per_host(0).build(connectors.http1),
            }),
        })
    }

    /// Forwards a request in origin-form and streams both ways: bodies, trailers, and no more in memory than a few buffers.
    ///
    /// Fails when the upstream has not begun to answer `response_timeout` after it had all it needed. Dropping the future, or the
    /// answer's body, cancels the request.
    pub async fn relay(&self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        hops::clean_request(request.headers_mut());
        let request = self.addressed(request)?;
        self.relayed(&self.inner.client, request).await
    }

    /// Forwards a WebSocket handshake; only if the upstream agrees with 101 are the two connections joined, in a task of their
    /// own. Any other answer is an answer like any other.
    pub async fn upgrade(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        websocket::upgrade(self, request).await
    }

    /// Sends a request once and waits for the whole answer, at most [`MAX_ANSWER`] bytes, not compressed, without trailers.
    ///
    /// The answer comes without `Content-Length`: whoever sends it on knows the length of what it then is.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, UpstreamError> {
        self.call_within(request, MAX_ANSWER).await
    }

    async fn call_within(&self, mut request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>, UpstreamError> {
        hops::clean_request(request.headers_mut());
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(header::CONTENT_LENGTH);
        let request = self.addressed(request.map(body::full))?;
        let whole = async {
            let response = self.relayed(&self.inner.client, request).await?;
            answer::read(response, limit).await
        };
        let allowed = self.inner.response_timeout;
        tokio::time::timeout(allowed, whole)
            .await
            .unwrap_or(Err(UpstreamError::TimedOut {
                doing: "answering",
                allowed,
            }))
    }

    async fn relayed(
        &self,
        client: &Client<Towards, Body>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let interim = answer::Interim::count(&mut request);
        let (request, turns) = turns::watch(request);
        let allowed = self.inner.response_timeout;
        let mut response = tokio::select! {
            response = client.request(request) => response.map_err(UpstreamError::from)?,
            () = turns.overdue(allowed) => return Err(UpstreamError::TimedOut { doing: "answering", allowed }),
            () = interim.too_many() => return Err(UpstreamError::Broken("it sends interim answers without end".into())),
        };
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            hops::clean_response(response.headers_mut());
        }
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    /// Points a request in origin-form at the upstream, and drops what only concerned the client's connection.
    fn addressed(&self, request: Request<Body>) -> Result<Request<Body>, UpstreamError> {
        let (mut parts, body) = request.into_parts();
        let inner = &self.inner;
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let authority = host
            .filter(|_| inner.preserve_host)
            .unwrap_or_else(|| inner.authority.clone());
        let unusable = |error: &dyn std::fmt::Display| {
            UpstreamError::Broken(format!("the request cannot be addressed to it: {error}"))
        };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| unusable(&error))?;
        parts.headers.insert(header::HOST, host);
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        parts.uri = Uri::builder()
            .scheme(inner.scheme.clone())
            .authority(authority)
            .path_and_query(format!("{}{target}", inner.base))
            .build()
            .map_err(|error| unusable(&error))?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        Ok(Request::from_parts(parts, body))
    }
}

mod defaults {
    use crate::clock::Period;

    pub(super) fn preserve_host() -> bool {
        true
    }

    pub(super) fn connect_timeout() -> Period {
        Period::secs(5)
    }

    pub(super) fn response_timeout() -> Period {
        Period::secs(30)
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
