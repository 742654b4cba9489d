//! The header in which the upstream finds the certificate of a client that it does not talk to itself.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::misconfigured::Misconfigured;

/// `upstream.client_certificate_header`: how a client's TLS certificate is handed to the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateHeaderSettings {
    /// The header's name, as the upstream is told it. Default: `Client-Cert`.
    pub name: String,
    /// `rfc9440`, or `pem`: PEM, percent-encoded, as nginx has it in `$ssl_client_escaped_cert`. Default: `rfc9440`.
    pub form: CertificateForm,
}

/// How a certificate is written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateForm {
    /// DER in base64 between colons (RFC 9440 §2.1).
    #[default]
    Rfc9440,
    /// PEM, percent-encoded.
    Pem,
}

/// The header, ready to be set. A client's own header of that name never gets through.
#[derive(Clone, Debug)]
pub struct CertificateHeader {
    name: HeaderName,
    form: CertificateForm,
}

impl CertificateHeaderSettings {
    /// Refuses a name that is no header's, has an underscore, or does not speak of a certificate: whatever the header says is
    /// taken out of every request.
    pub fn header(&self) -> Result<CertificateHeader, Misconfigured> {
        let name = HeaderName::try_from(&self.name).ok();
        let name = name.filter(|name| name.as_str().contains("cert") && !name.as_str().contains('_'));
        let name = name.ok_or_else(|| {
            Misconfigured::new(
                "upstream.client_certificate_header.name",
                "this is not the name of a header for certificates",
            )
            .hint("write one like `Client-Cert` or `ssl-client-cert`, with `-` and no `_`")
        })?;
        Ok(CertificateHeader { name, form: self.form })
    }
}

impl CertificateHeader {
    /// Says whose certificate it was that came with a request, if one did, and nothing else.
    pub fn stamp(&self, headers: &mut HeaderMap, certificate: Option<&[u8]>) {
        headers.remove(&self.name);
        let value = certificate.and_then(|der| HeaderValue::try_from(self.form.write(der)).ok());
        if let Some(value) = value {
            headers.insert(self.name.clone(), value);
        }
    }

    /// What a request says in it, for another one of the same client.
    pub fn of(&self, headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
        Some((self.name.clone(), headers.get(&self.name)?.clone()))
    }
}

impl CertificateForm {
    fn write(self, der: &[u8]) -> String {
        let encoded = STANDARD.encode(der);
        if self == Self::Rfc9440 {
            return format!(":{encoded}:");
        }
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for (at, character) in encoded.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        utf8_percent_encode(&pem, NON_ALPHANUMERIC).to_string()
    }
}

impl Default for CertificateHeaderSettings {
    fn default() -> Self {
        Self {
            name: "Client-Cert".into(),
            form: CertificateForm::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    #[test]
    fn a_certificate_is_written_as_the_upstream_reads_it() {
        let der = [7; 100];
        let rfc9440 = CertificateForm::Rfc9440.write(&der);
        assert_eq!(rfc9440, format!(":{}:", STANDARD.encode(der)));
        let escaped = CertificateForm::Pem.write(&der);
        let pem = percent_decode_str(&escaped).decode_utf8().unwrap();
        let lines: Vec<_> = pem.lines().collect();
        assert_eq!(lines[0], "-----BEGIN CERTIFICATE-----");
        assert_eq!((lines[1].len(), lines[2].len(), lines[3].len()), (64, 64, 8));
        assert_eq!(lines[4], "-----END CERTIFICATE-----");
        assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'%'));
    }

    #[test]
    fn only_a_header_for_certificates_can_be_named() {
        for (name, fine) in [
            ("Client-Cert", true),
            ("ssl-client-cert", true),
            ("Authorization", false),
            ("ssl_client_cert", false),
            ("", false),
            ("client cert", false),
        ] {
            let settings = CertificateHeaderSettings {
                name: name.into(),
                ..CertificateHeaderSettings::default()
            };
            assert_eq!(settings.header().is_ok(), fine, "{name}");
        }
    }
}
