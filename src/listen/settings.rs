//! `[listen]` in `proxy.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use crate::{clock::Period, misconfigured::Misconfigured};

/// Where clients connect, and what they may cost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address and port to listen on: `0.0.0.0:8443`.
    pub address: SocketAddr,
    /// Scheme and host as clients see them: `https://id.example.com`.
    pub public_url: String,
    /// Other hosts, with their port if it is not the scheme's own, that requests may be for.
    #[serde(default)]
    pub names: Vec<String>,
    /// Certificate and key. Leave out for plain HTTP behind another proxy.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Networks whose `X-Forwarded-For` is believed. Default: none.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// How many connections there may be at once; others wait. Default: 10000.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    /// The largest head of a request, in bytes. Default: 65536.
    #[serde(default = "max_head")]
    pub max_head: usize,
    /// How long a TLS handshake, and the head of a request, may take. Default: `10s`.
    #[serde(default = "header_timeout")]
    pub header_timeout: Period,
    /// How long a connection may wait for its next request. Default: `75s`.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Period,
    /// The longest pause in a body. Default: `30s`.
    #[serde(default = "body_timeout")]
    pub body_timeout: Period,
    /// The least rate of a body that takes longer than `body_timeout`, in bytes a second. Default: 1024.
    #[serde(default = "min_body_rate")]
    pub min_body_rate: u64,
    /// How long requests in flight may take to finish after SIGTERM. Default: `30s`.
    #[serde(default = "drain_timeout")]
    pub drain_timeout: Period,
}

/// The listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM, the listener's own certificate first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Tls {
    /// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 on offer (ALPN, RFC 7301).
    pub fn acceptor(&self, base: &Path) -> Result<TlsAcceptor, Misconfigured> {
        let (chain_path, key_path) = (base.join(&self.certificate), base.join(&self.key));
        let unreadable = |key: &str, path: &Path, why: String| {
            Misconfigured::new(format!("listen.tls.{key}"), format!("`{}` {why}", path.display())).hint(
                "certs/README.md says how a certificate is made; leave `tls` out for plain HTTP behind another proxy",
            )
        };
        let chain = CertificateDer::pem_file_iter(&chain_path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| unreadable("certificate", &chain_path, format!("cannot be read: {e}")))?;
        if chain.is_empty() {
            return Err(unreadable("certificate", &chain_path, "has no certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_file(&key_path)
            .map_err(|e| unreadable("key", &key_path, format!("cannot be read: {e}")))?;
        let provider = rustls::crypto::ring::default_provider();
        let mut config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| unreadable("key", &key_path, format!("does not go with the certificate: {e}")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn max_connections() -> usize {
    10_000
}

fn max_head() -> usize {
    64 * 1024
}

fn header_timeout() -> Period {
    Period::secs(10)
}

fn idle_timeout() -> Period {
    Period::secs(75)
}

fn body_timeout() -> Period {
    Period::secs(30)
}

fn min_body_rate() -> u64 {
    1024
}

fn drain_timeout() -> Period {
    Period::secs(30)
}
