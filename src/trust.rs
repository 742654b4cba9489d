//! Whose certificates hold for the endpoints that Tollgate only tells things: collectors and sinks.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::misconfigured::Misconfigured;

/// TLS 1.2 and 1.3 towards an endpoint: with the authorities in the PEM file `ca`, looked up below `base`, and, where the address is
/// `https`, those of the system, which takes a while to read.
///
/// # Errors
/// A file that cannot be used, under `ca`; what the library refuses, under `address`, the setting that the endpoint's address is in.
pub fn towards(https: bool, ca: Option<&Path>, base: &Path, address: &str) -> Result<ClientConfig, Misconfigured> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        let unusable = |why: String| {
            Misconfigured::new("ca", format!("the file `{}` cannot be used: {why}", ca.display()))
                .hint("a PEM file of certificates, the path relative to the folder of `proxy.toml`")
        };
        let certificates = CertificateDer::pem_file_iter(base.join(ca)).map_err(|e| unusable(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
            roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
        }
    }
    if https {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Misconfigured::new(address, format!("TLS cannot be set up: {e}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
