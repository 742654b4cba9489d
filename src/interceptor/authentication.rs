//! How Tollgate authenticates to an endpoint, beside the signature.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header};

use super::Authentication;
use crate::{
    misconfigured::Misconfigured,
    secret::{Secret, SecretSource},
};

/// What authenticates a call.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// A header to send, marked as sensitive.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    /// A client certificate to show.
    pub(super) certificate: Option<ClientCertificate>,
}

/// A client certificate as it was read, in PEM.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    pub(super) chain: Vec<u8>,
    pub(super) key: Secret,
}

impl Credentials {
    /// Reads the secrets. Findings are under `authentication.…`.
    pub(super) fn read(settings: &Authentication, base: &Path) -> Result<Self, Misconfigured> {
        let header = match settings {
            Authentication::Bearer(source) => {
                let token = read("authentication.bearer", source, base)?;
                let value = [b"Bearer ", token.expose()].concat();
                (
                    header::AUTHORIZATION,
                    sensitive("authentication.bearer", source, &value)?,
                )
            }
            Authentication::Basic { username, password } => {
                if username.contains(':') || username.contains(char::is_control) {
                    return Err(
                        Misconfigured::new("authentication.basic.username", "the user name has a colon in it")
                            .hint("RFC 7617 has no way to send one"),
                    );
                }
                let secret = read("authentication.basic.password", password, base)?;
                let pair = [username.as_bytes(), b":", secret.expose()].concat();
                let value = format!("Basic {}", STANDARD.encode(pair));
                let value = sensitive("authentication.basic.password", password, value.as_bytes())?;
                (header::AUTHORIZATION, value)
            }
            Authentication::Header { name, value } => {
                let secret = read("authentication.header.value", value, base)?;
                (
                    header_name(name)?,
                    sensitive("authentication.header.value", value, secret.expose())?,
                )
            }
            Authentication::ClientCertificate { certificate, key } => {
                let path = base.join(certificate);
                let chain = std::fs::read(&path).map_err(|error| {
                    let message = format!("the certificate `{}` cannot be read: {error}", path.display());
                    Misconfigured::new("authentication.client_certificate.certificate", message)
                })?;
                let key = read("authentication.client_certificate.key", key, base)?;
                return Ok(Self {
                    header: None,
                    certificate: Some(ClientCertificate { chain, key }),
                });
            }
        };
        Ok(Self {
            header: Some(header),
            certificate: None,
        })
    }
}

fn read(key: &str, source: &SecretSource, base: &Path) -> Result<Secret, Misconfigured> {
    source
        .read(base)
        .map_err(|error| Misconfigured::new(key, error.to_string()))
}

fn header_name(name: &str) -> Result<HeaderName, Misconfigured> {
    let finding = |message: String| {
        Misconfigured::new("authentication.header.name", message).hint("write a name of your own, like `X-Api-Key`")
    };
    let parsed: HeaderName = name
        .parse()
        .map_err(|_| finding(format!("`{name}` cannot be the name of a header")))?;
    let ours = ["interceptor-", "webhook-"]
        .iter()
        .any(|prefix| parsed.as_str().starts_with(prefix));
    if ours || OURS.contains(&parsed) {
        return Err(finding(format!("the header `{name}` is set by Tollgate itself")));
    }
    Ok(parsed)
}

fn sensitive(key: &str, source: &SecretSource, bytes: &[u8]) -> Result<HeaderValue, Misconfigured> {
    let mut value = HeaderValue::from_bytes(bytes).map_err(|_| {
        Misconfigured::new(key, format!("the secret in {source} cannot be sent in a header"))
            .hint("it must be one line of visible characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Headers that carry the call itself; `authorization` has forms of its own and may be given here all the same.
const OURS: [HeaderName; 12] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(dir: &Path, content: &str) -> SecretSource {
        std::fs::write(dir.join("secret"), content).unwrap();
        SecretSource::File { file: "secret".into() }
    }

    #[test]
    fn a_secret_becomes_a_header_that_debug_does_not_show() {
        let dir = tempfile::tempdir().unwrap();
        let source = secret(dir.path(), "s3cret");
        let basic = Authentication::Basic {
            username: "ada".into(),
            password: source.clone(),
        };
        let header = Authentication::Header {
            name: "X-Api-Key".into(),
            value: source.clone(),
        };
        for (authentication, expected) in [
            (Authentication::Bearer(source), "Bearer s3cret"),
            (basic, "Basic YWRhOnMzY3JldA=="),
            (header, "s3cret"),
        ] {
            let credentials = Credentials::read(&authentication, dir.path()).unwrap();
            assert!(!format!("{credentials:?}").contains("s3cret"));
            assert_eq!(credentials.header.unwrap().1, expected);
        }
    }

    #[test]
    fn a_header_that_tollgate_sets_itself_or_a_secret_of_two_lines_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["Interceptor-Id", "webhook-signature", "Content-Length", "a b"] {
            let value = secret(dir.path(), "s3cret");
            let header = Authentication::Header {
                name: name.into(),
                value,
            };
            assert_eq!(
                Credentials::read(&header, dir.path()).unwrap_err().key,
                "authentication.header.name"
            );
        }
        let bearer = Authentication::Bearer(secret(dir.path(), "two\nlines"));
        let finding = Credentials::read(&bearer, dir.path()).unwrap_err();
        assert_eq!(finding.key, "authentication.bearer");
        assert!(!finding.to_string().contains("two"));
    }
}
