//! TLS 1.2 and 1.3 with rustls and ring, ALPN h2 and http/1.1.

use std::{collections::HashMap, path::Path, sync::Arc};

use rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Tls,
    by_name::{ByName, Named},
};
use crate::misconfigured::Misconfigured;

impl Tls {
    /// TLS 1.2 and 1.3 with this certificate, HTTP/2 and HTTP/1.1 on offer (ALPN, RFC 7301).
    pub fn acceptor(&self, base: &Path) -> Result<TlsAcceptor, Misconfigured> {
        self.acceptor_beside(&[], base)
    }

    /// The same with further certificates for names of their own.
    pub(super) fn acceptor_beside(&self, others: &[Named], base: &Path) -> Result<TlsAcceptor, Misconfigured> {
        let mut by_name = HashMap::new();
        for Named { names, tls } in others {
            let certified = tls.certified(base)?;
            by_name.extend(
                names
                    .iter()
                    .map(|name| (name.to_ascii_lowercase(), Arc::clone(&certified))),
            );
        }
        let certificates = ByName {
            by_name,
            otherwise: self.certified(base)?,
        };
        let provider = Arc::new(ring::default_provider());
        let clients = match &self.client_certificates {
            Some(taken) => taken.verifier(&provider, base)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Misconfigured::new("listen.tls", error.to_string()))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn certified(&self, base: &Path) -> Result<Arc<CertifiedKey>, Misconfigured> {
        let (chain, key) = read(self, base)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
            Misconfigured::new(
                "listen.tls.key",
                format!("certificate and key cannot be used together: {error}"),
            )
            .hint("the key must belong to the first certificate of the chain")
        })?;
        Ok(Arc::new(certified))
    }
}

fn read(settings: &Tls, base: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Misconfigured> {
    let path = base.join(&settings.certificate);
    let chain = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(|error| unusable("listen.tls.certificate", "certificate", &path, &error))?;
    if chain.is_empty() {
        return Err(unusable(
            "listen.tls.certificate",
            "certificate",
            &path,
            &pem::Error::NoItemsFound,
        ));
    }
    let path = base.join(&settings.key);
    let key = PrivateKeyDer::from_pem_file(&path)
        .map_err(|error| unusable("listen.tls.key", "private key", &path, &error))?;
    Ok((chain, key))
}

pub(super) fn unusable(key: &str, what: &str, path: &Path, error: &pem::Error) -> Misconfigured {
    let cause = match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("has no {what} in PEM"),
        // Its details could quote the file.
        _ => "is not valid PEM".into(),
    };
    Misconfigured::new(key, format!("the file `{}` {cause}", path.display()))
        .hint("PEM files, the path relative to the folder of `proxy.toml`; the key must not be encrypted")
}

pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
