//! Certificates that clients show in the TLS handshake.

use std::{path::Path, sync::Arc};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime, pem, pem::PemObject};

use super::{ClientCertificates, tls::unusable};
use crate::misconfigured::Misconfigured;

/// The certificate of the client at the other end, as DER: an extension of every request on its connection.
#[derive(Clone, Debug)]
pub struct ClientCertificate(Arc<[u8]>);

impl ClientCertificate {
    pub(super) fn new(certificate: &CertificateDer<'_>) -> Self {
        Self(certificate.as_ref().into())
    }

    /// The end-entity certificate (RFC 5280), DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

impl ClientCertificates {
    /// What judges the certificates of clients in the handshake.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        base: &Path,
    ) -> Result<Arc<dyn ClientCertVerifier>, Misconfigured> {
        let Self::Ca(file) = self else {
            return Ok(Arc::new(Possession(Arc::clone(provider))));
        };
        let path = base.join(file);
        let unusable = |error: &pem::Error| unusable(SETTING, "certificate", &path, error);
        let authorities = CertificateDer::pem_file_iter(&path)
            .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
            .map_err(|error| unusable(&error))?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(authorities);
        if added == 0 {
            return Err(unusable(&pem::Error::NoItemsFound));
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| Misconfigured::new(SETTING, error.to_string()))
    }
}

/// Takes every certificate whose key the client has.
#[derive(Debug)]
struct Possession(Arc<CryptoProvider>);

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const SETTING: &str = "listen.tls.client_certificates.ca";
