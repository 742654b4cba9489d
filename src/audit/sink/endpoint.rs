//! Events by HTTP: one POST each, and the next only when the endpoint has the last one.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{Settings, Undelivered, settings::address};
use crate::{misconfigured::Misconfigured, trust};

/// The client of one sink.
pub(in crate::audit) struct Endpoint {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// Reads the token and the certificates. Connects to nobody yet.
    pub(super) fn new(settings: &Settings, url: &str, base: &Path) -> Result<Self, Misconfigured> {
        let url = address(url)?;
        let https = url.scheme() == Some(&Scheme::HTTPS);
        let tls = trust::towards(https, settings.ca.as_deref(), base, "to.url")?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(connector),
            url,
            authorization: authorization(settings, base)?,
        })
    }

    /// Posts one event. Follows no redirect: whoever it would be sent to was not chosen by the operator.
    pub(super) async fn post(&self, event: String) -> Result<(), Undelivered> {
        let mut request = Request::new(Full::new(Bytes::from(event)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/cloudevents+json; charset=utf-8"),
        );
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(value) = &self.authorization {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        match tokio::time::timeout(TIMEOUT, self.send(request)).await {
            Err(_) => Err(Undelivered::Timeout(TIMEOUT)),
            Ok(Err(undelivered)) => Err(undelivered),
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => Err(Undelivered::Status(status)),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, Undelivered> {
        let answer = self.client.request(request).await.map_err(|e| Undelivered::away(&e))?;
        let status = answer.status();
        // Read to its end, the connection can be used again; a longer answer ends it. The status alone says what became of the event.
        _ = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        Ok(status)
    }
}

fn authorization(settings: &Settings, base: &Path) -> Result<Option<HeaderValue>, Misconfigured> {
    let Some(source) = &settings.bearer else {
        return Ok(None);
    };
    let wrong = |message: String| Misconfigured::new("bearer", message);
    let secret = source.read(base).map_err(|e| wrong(e.to_string()))?;
    let value = [b"Bearer ", secret.expose()].concat();
    let mut value = HeaderValue::from_bytes(&value)
        .map_err(|_| wrong(format!("{source} has something that no header may have")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// How long one POST may take, connecting included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing in an answer is of use.
const MAX_ANSWER: usize = 64 * 1024;
