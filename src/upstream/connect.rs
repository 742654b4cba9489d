//! Connections to an address of the upstream, whatever host a request names.

use std::{
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{
    Uri,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName,
    pem::{self, PemObject},
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{HttpVersion, Settings};
use crate::{body::BoxError, misconfigured::Misconfigured};

/// Connects to one address of the upstream. A request's URI names the public host, so that HTTP/2's `:authority` has it too;
/// where the connection goes, and whose certificate it asks for, is fixed here.
#[derive(Clone, Debug)]
pub(super) struct Towards {
    inner: HttpsConnector<HttpConnector>,
    target: Uri,
    timeout: Duration,
}

/// What connections to any address have in common.
pub(super) struct Connectors {
    tls: ClientConfig,
    tcp: HttpConnector,
    scheme: Scheme,
    /// The name in the certificate.
    server: Option<ServerName<'static>>,
    http: HttpVersion,
    timeout: Duration,
}

/// A connection that knows whether an answer ever came over it.
pub(super) struct Line {
    inner: MaybeHttpsStream<TokioIo<TcpStream>>,
    used: Used,
}

/// Whether an answer came over a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Used(Arc<AtomicBool>);

/// The upstream took no connection in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct ConnectTimedOut(pub(super) Duration);

/// A certificate chain and its key, to be shown to a server.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Connectors {
    pub(super) fn new(url: &Uri, settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let scheme = url.scheme().cloned().unwrap_or(Scheme::HTTP);
        let https = scheme == Scheme::HTTPS;
        let identity = identity(https, settings, base)?;
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let server = match ServerName::try_from(host.to_owned()) {
            Ok(name) => Some(name),
            Err(_) if !https => None,
            Err(error) => {
                return Err(Misconfigured::new(
                    "upstream.url",
                    format!("no certificate can be for `{host}`: {error}"),
                ));
            }
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        Ok(Self {
            tls: tls(https, settings.ca.as_deref(), identity, base)?,
            tcp,
            scheme,
            server,
            http: settings.http,
            timeout: settings.connect_timeout.0,
        })
    }

    /// For requests: HTTP/2 where the upstream's TLS offers it, HTTP/1.1 otherwise, unless the configuration wants one of them.
    pub(super) fn towards(&self, address: &Authority) -> Result<Towards, Misconfigured> {
        self.speaking(self.http, address)
    }

    /// For upgrades: HTTP/1.1.
    pub(super) fn http1_towards(&self, address: &Authority) -> Result<Towards, Misconfigured> {
        self.speaking(HttpVersion::Http1, address)
    }

    fn speaking(&self, http: HttpVersion, address: &Authority) -> Result<Towards, Misconfigured> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(address.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let target = Uri::from_parts(parts)
            .map_err(|error| Misconfigured::new("upstream.addresses", format!("`{address}` is no address: {error}")))?;
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http();
        let builder = match &self.server {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone())),
            None => builder,
        };
        let tcp = self.tcp.clone();
        let inner = match http {
            HttpVersion::Auto => builder.enable_http1().enable_http2().wrap_connector(tcp),
            HttpVersion::Http1 => builder.enable_http1().wrap_connector(tcp),
            HttpVersion::Http2 => builder.enable_http2().wrap_connector(tcp),
        };
        Ok(Towards {
            inner,
            target,
            timeout: self.timeout,
        })
    }
}

impl Service<Uri> for Towards {
    type Response = Line;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _public: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.inner.call(self.target.clone()));
        let timed_out = ConnectTimedOut(self.timeout);
        Box::pin(async move {
            let inner = connecting.await.unwrap_or_else(|_| Err(timed_out.into()))?;
            let used = Used::default();
            Ok(Line { inner, used })
        })
    }
}

impl Used {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.used.clone())
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

/// The certificate of ours that the upstream is shown, if there is one.
fn identity(https: bool, settings: &Settings, base: &Path) -> Result<Option<Identity>, Misconfigured> {
    let (certificate, key) = match (&settings.client_certificate, &settings.client_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (base.join(certificate), base.join(key)),
        (certificate, _) => {
            let (there, missing) = match certificate {
                Some(_) => ("client_certificate", "client_key"),
                None => ("client_key", "client_certificate"),
            };
            return Err(Misconfigured::new(
                format!("upstream.{there}"),
                format!("there is no `{missing}` beside it"),
            )
            .hint("a certificate is shown together with the proof that one has its key: name both files"));
        }
    };
    if !https {
        return Err(
            Misconfigured::new("upstream.client_certificate", "`url` is not `https://`")
                .hint("a client certificate is shown in TLS only"),
        );
    }
    let unusable = |name: &str, what: &str, path: &Path, error: &pem::Error| {
        let cause = match error {
            pem::Error::Io(error) => format!("cannot be read: {error}"),
            pem::Error::NoItemsFound => format!("has no {what} in PEM"),
            // Its details could quote the file.
            _ => "is not valid PEM".into(),
        };
        Misconfigured::new(
            format!("upstream.{name}"),
            format!("the file `{}` {cause}", path.display()),
        )
        .hint("PEM files, the path relative to the folder of `proxy.toml`; the key must not be encrypted")
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .and_then(|chain| {
            if chain.is_empty() {
                Err(pem::Error::NoItemsFound)
            } else {
                Ok(chain)
            }
        })
        .map_err(|error| unusable("client_certificate", "certificate", &certificate, &error))?;
    let key =
        PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable("client_key", "private key", &key, &error))?;
    Ok(Some((chain, key)))
}

/// TLS 1.2 and 1.3 towards the upstream, or a relying party: certificates are always checked.
pub(super) fn tls(
    https: bool,
    ca: Option<&Path>,
    identity: Option<Identity>,
    base: &Path,
) -> Result<ClientConfig, Misconfigured> {
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
        .with_root_certificates(roots);
    let Some((chain, key)) = identity else {
        return Ok(config.with_no_client_auth());
    };
    config.with_client_auth_cert(chain, key).map_err(|error| {
        Misconfigured::new(
            "upstream.client_key",
            format!("certificate and key cannot be used together: {error}"),
        )
        .hint("the key must belong to the first certificate of the chain")
    })
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
