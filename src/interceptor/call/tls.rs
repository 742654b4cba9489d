//! Whose certificates are believed, and which one is shown.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::super::authentication::ClientCertificate;
use crate::misconfigured::Misconfigured;

/// The system's root certificates; those that cannot be read are left out.
pub(in crate::interceptor) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// TLS 1.2 and 1.3, with `system` roots and those in the PEM file `ca`. Findings are under `ca` or `authentication.…`.
pub(super) fn config(
    system: &RootCertStore,
    ca: Option<&Path>,
    certificate: Option<&ClientCertificate>,
) -> Result<ClientConfig, Misconfigured> {
    let mut roots = system.clone();
    if let Some(path) = ca {
        for root in read_roots(path)? {
            roots
                .add(root)
                .map_err(|error| unusable_ca(path, format!("has a certificate that cannot be used: {error}")))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Misconfigured::new("endpoint", format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots);
    let Some(certificate) = certificate else {
        return Ok(config.with_no_client_auth());
    };
    let wrong = |key: &str, what: &str| Misconfigured::new(format!("authentication.client_certificate.{key}"), what);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate.chain)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong("certificate", "the file is not PEM"))?;
    if chain.is_empty() {
        return Err(wrong("certificate", "the file has no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose())
        .map_err(|_| wrong("key", "there is no private key in PEM in it"))?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(|error| wrong("key", &format!("the certificate and the key cannot be used: {error}")))
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Misconfigured> {
    let pem = std::fs::read(path).map_err(|error| unusable_ca(path, format!("cannot be read: {error}")))?;
    let roots = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match roots {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        _ => Err(unusable_ca(path, "has no certificate in PEM in it".into())),
    }
}

fn unusable_ca(path: &Path, what: String) -> Misconfigured {
    Misconfigured::new("ca", format!("the file `{}` {what}", path.display()))
        .hint("name a PEM file with the root certificate that the endpoint's certificate leads to")
}
