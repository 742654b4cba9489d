//! The way to the collector: our HTTP client, with our TLS, under OpenTelemetry's exporter.

use std::{
    fmt,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::ClientConfig;
use tokio::runtime::Handle;

use super::{Otlp, TIMEOUT};
use crate::{metrics::Metrics, misconfigured::Misconfigured, trust};

/// Posts batches. The exporter's thread belongs to no runtime, so each request runs in a task of ours.
#[derive(Clone)]
pub(super) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
    runtime: Handle,
    metrics: Metrics,
    failing: Arc<AtomicBool>,
}

impl Collector {
    pub(super) fn new(otlp: &Otlp, base: &Path, metrics: Metrics) -> Result<Self, Misconfigured> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(otlp, base)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let runtime = Handle::try_current()
            .map_err(|_| Misconfigured::new("telemetry.otlp", "spans can only be sent by a running proxy"))?;
        Ok(Self {
            client,
            headers: headers(otlp, base)?,
            runtime,
            metrics,
            failing: Arc::default(),
        })
    }

    async fn post(self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let answered = tokio::time::timeout(TIMEOUT, self.send(request)).await;
        let answer = answered.unwrap_or_else(|_| Err("the collector did not answer in time".into()));
        let status = answer.as_ref().map(Response::status);
        let well = status.as_ref().is_ok_and(http::StatusCode::is_success);
        self.metrics.exported(well);
        // Said once, and once more when it is over.
        let failed_before = self.failing.swap(!well, Ordering::Relaxed);
        match &status {
            Ok(_) if well && failed_before => tracing::info!("the collector takes spans again"),
            Ok(status) if !well && !failed_before => {
                tracing::warn!(
                    status = status.as_u16(),
                    "the collector refuses spans with {status}: they are dropped"
                );
            }
            Err(e) if !failed_before => {
                tracing::warn!(error = %e, "the collector cannot be reached: spans are dropped");
            }
            _ => {}
        }
        answer
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let posted = self.runtime.spawn(self.clone().post(request));
        Box::pin(async move { posted.await? })
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

pub(super) fn headers(otlp: &Otlp, base: &Path) -> Result<HeaderMap, Misconfigured> {
    let mut headers = HeaderMap::new();
    for (name, source) in &otlp.headers {
        let wrong = |message: String| Misconfigured::new(format!("telemetry.otlp.headers.{name}"), message);
        let secret = source.read(base).map_err(|e| wrong(e.to_string()))?;
        let known = HeaderName::try_from(name).map_err(|_| wrong("this is no name of a header".into()))?;
        let mut value = HeaderValue::from_bytes(secret.expose())
            .map_err(|_| wrong(format!("{source} has something that no header may have")))?;
        value.set_sensitive(true);
        headers.insert(known, value);
    }
    Ok(headers)
}

pub(super) fn tls(otlp: &Otlp, base: &Path) -> Result<ClientConfig, Misconfigured> {
    let https = otlp.url()?.scheme() == Some(&Scheme::HTTPS);
    trust::towards(https, otlp.ca.as_deref(), base, "endpoint").map_err(|wrong| wrong.below("telemetry.otlp"))
}

/// An answer says how many spans were refused, and no more.
const MAX_ANSWER: usize = 64 * 1024;
