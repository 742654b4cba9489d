//! The client to the identity provider: relays what streams, calls what is held, and remembers what it publishes.

mod headers;
mod remembered;
mod settings;
mod upgrade;

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::ACCEPT_ENCODING, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

pub use self::{
    remembered::{Lifetime, Remembered},
    settings::{IssuerPolicy, Settings},
};
use crate::{
    body::{self, Body, Unread},
    misconfigured::Misconfigured,
};

/// The longest answer that is held, in bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// The identity provider behind the proxy. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    base: Uri,
    response_timeout: Duration,
}

/// Why the upstream gave no usable answer. Shows no header and no body.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It could not be reached, or broke off.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("the upstream did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Its answer broke off or is longer than what is held.
    #[error("the upstream's answer cannot be used: {0}")]
    Broken(String),
    /// It does not have the document that was asked for.
    #[error("the upstream answered {0} where a document was expected")]
    Status(StatusCode),
}

impl UpstreamError {
    /// What a client is answered: 504 for a timeout, else 502.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

impl Upstream {
    /// Prepares the client; connects to nothing yet.
    pub fn new(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let uri = settings.uri()?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect_timeout.0));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(settings.tls(base)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        // A request that was not written to a connection that had gone idle is sent on another one; one that may have been
        // seen is never sent twice: codes and assertions count once.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(connector);
        Ok(Self {
            client,
            base: uri,
            response_timeout: settings.response_timeout.0,
        })
    }

    /// The base path of the upstream, such as `/auth`; empty where it has none.
    pub fn base_path(&self) -> &str {
        self.base.path().trim_end_matches('/')
    }

    /// Sends a request whose target is a path and query, and gives the answer as it streams in.
    pub async fn relay(&self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        *request.uri_mut() = self.target(request.uri())?;
        *request.version_mut() = http::Version::HTTP_11;
        headers::strip_hop_by_hop(request.headers_mut());
        let mut response = self.send(request).await?;
        headers::strip_hop_by_hop(response.headers_mut());
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    /// Sends a request and holds the whole answer, which is asked for uncompressed and may have at most 1 MiB.
    pub async fn call(&self, mut request: Request<Body>) -> Result<Response<Bytes>, UpstreamError> {
        request.headers_mut().remove(ACCEPT_ENCODING);
        let deadline = tokio::time::Instant::now() + self.response_timeout;
        let (parts, body) = self.relay(request).await?.into_parts();
        if parts.headers.contains_key(http::header::CONTENT_ENCODING) {
            return Err(UpstreamError::Broken(
                "it is compressed although that was not asked for".into(),
            ));
        }
        match tokio::time::timeout_at(deadline, body::read_all(body, ANSWER_LIMIT)).await {
            Err(_) => Err(UpstreamError::Timeout(self.response_timeout)),
            Ok(Err(Unread::TooLarge(limit))) => Err(UpstreamError::Broken(format!("it is longer than {limit} bytes"))),
            Ok(Err(Unread::Broken(_) | Unread::TooSlow(_))) => Err(UpstreamError::Broken("it broke off".into())),
            Ok(Ok(bytes)) => Ok(Response::from_parts(parts, bytes)),
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<hyper::body::Incoming>, UpstreamError> {
        match tokio::time::timeout(self.response_timeout, self.client.request(request)).await {
            Err(_) => Err(UpstreamError::Timeout(self.response_timeout)),
            Ok(Err(e)) => Err(UpstreamError::Unreachable(describe(&e))),
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// The address of a target. The path of a target is the public one, so a base path is already part of it.
    fn target(&self, uri: &Uri) -> Result<Uri, UpstreamError> {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(
            uri.path_and_query()
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
        );
        Uri::from_parts(parts).map_err(|e| UpstreamError::Unreachable(e.to_string()))
    }
}

/// The error with its causes, without the request that it was about.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Removes what concerns one connection alone (RFC 9110 §7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    headers::strip_hop_by_hop(headers);
}
