//! Connections to the one upstream, whatever host a request names.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::Settings;
use crate::{body::BoxError, misconfigured::Misconfigured};

/// Connects to the upstream. A request's URI names the public host, so that HTTP/2's `:authority` has it too; where the
/// connection goes, and whose certificate it asks for, is fixed here.
#[derive(Clone, Debug)]
pub(super) struct Towards {
    inner: HttpsConnector<HttpConnector>,
    upstream: Uri,
    timeout: Duration,
}

/// The connectors for the two clients.
pub(super) struct Connectors {
    /// HTTP/2 where the upstream's TLS offers it, HTTP/1.1 otherwise.
    pub(super) any: Towards,
    /// HTTP/1.1.
    pub(super) http1: Towards,
}

/// The upstream took no connection in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct ConnectTimedOut(pub(super) Duration);

impl Connectors {
    pub(super) fn new(url: &Uri, settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let config = tls(url.scheme() == Some(&Scheme::HTTPS), settings.ca.as_deref(), base)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let towards = |inner| Towards {
            inner,
            upstream: url.clone(),
            timeout: settings.connect_timeout.0,
        };
        let http1 = HttpsConnectorBuilder::new()
            .with_tls_config(config.clone())
            .https_or_http()
            .enable_http1();
        let any = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .enable_http2();
        Ok(Self {
            any: towards(any.wrap_connector(tcp.clone())),
            http1: towards(http1.wrap_connector(tcp)),
        })
    }
}

impl Service<Uri> for Towards {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _public: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.inner.call(self.upstream.clone()));
        let timed_out = ConnectTimedOut(self.timeout);
        Box::pin(async move { connecting.await.unwrap_or_else(|_| Err(timed_out.into())) })
    }
}

pub(super) fn tls(https: bool, ca: Option<&Path>, base: &Path) -> Result<ClientConfig, Misconfigured> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in extra_roots(&base.join(ca))? {
            roots.add(certificate).map_err(|error| {
                Misconfigured::new(
                    "upstream.ca",
                    format!("a certificate in `{}` cannot be used: {error}", ca.display()),
                )
            })?;
        }
    }
    if https {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(Misconfigured::new(
                "upstream.ca",
                "this system has no certificate authorities, so nobody's certificate would hold",
            )
            .hint("install the package `ca-certificates`, or name a PEM file here"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Misconfigured::new("upstream.url", error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn extra_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Misconfigured> {
    let unusable = |error: pem::Error| {
        Misconfigured::new(
            "upstream.ca",
            format!("the file `{}` cannot be used: {error}", path.display()),
        )
        .hint("a PEM file of certificates, the path relative to the folder of `proxy.toml`")
    };
    let roots = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(unusable)?;
    if roots.is_empty() {
        return Err(unusable(pem::Error::NoItemsFound));
    }
    Ok(roots)
}

const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
