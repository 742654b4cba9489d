//! A token request (RFC 6749 §3.2), read for what the gate has to know of it.

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Gate, recognise::Recognised};
use crate::{event::AuthRequest, exchange::Exchange, form::Form, json, listen::ClientCertificate, refusal::Refusal};

/// Who asks for which tokens.
pub(super) struct TokenRequest {
    /// RFC 6749 §4; empty if the request names none, which is the upstream's to refuse.
    pub(super) grant_type: String,
    /// The client that says it is asking. The upstream's tokens confirm or belie it.
    pub(super) client_id: Option<String>,
    /// The authorization code, for `c_hash`.
    pub(super) code: Option<String>,
    /// How the client authenticates, as far as it can be repeated.
    pub(super) authentication: ClientAuthentication,
    /// The resource server that the token is for (RFC 8707 §2), or its name (RFC 8693 §2.1).
    pub(super) resource: Option<String>,
    scope: Option<String>,
    redirect_uri: Option<String>,
    acr_values: Option<String>,
}

/// How a client authenticates (RFC 6749 §2.3), as far as a second request can do the same.
#[derive(Clone)]
pub(super) enum ClientAuthentication {
    /// `Authorization: Basic`.
    Basic(HeaderValue),
    /// `client_id` in the form, with the `client_secret` of a confidential client.
    Form {
        client_id: String,
        client_secret: Option<String>,
    },
    /// Beside that, a TLS certificate, in the header that tells the upstream of it.
    Certified(Box<Self>, (HeaderName, HeaderValue)),
    /// An assertion, which counts once (RFC 7523 §3), or nothing that we know.
    Unrepeatable,
}

impl TokenRequest {
    /// Reads the form and the `Authorization` header.
    ///
    /// # Errors
    /// Two client identifiers that differ: the upstream might take either.
    pub(super) fn read(exchange: &Exchange, recognised: &Recognised) -> Result<Self, Refusal> {
        let form = recognised.form();
        let parameter = |name: &str| form.and_then(|form| form.get(name)).map(str::to_owned);
        let basic = basic_client(&exchange.headers);
        let assertion = parameter("client_assertion").and_then(|assertion| subject(&assertion));
        let named = parameter("client_id");
        let mut identifiers = [&named, &basic, &assertion].into_iter().flatten();
        let client_id = identifiers.next().cloned();
        if identifiers.any(|other| Some(other) != client_id.as_ref()) {
            return Err(Refusal::client(
                StatusCode::BAD_REQUEST,
                "the request names two different clients",
            ));
        }
        let authentication = match (
            &named,
            exchange.headers.get(AUTHORIZATION),
            parameter("client_assertion"),
        ) {
            (_, Some(header), _) if basic.is_some() => ClientAuthentication::Basic(header.clone()),
            (Some(client_id), _, None) => ClientAuthentication::Form {
                client_id: client_id.clone(),
                client_secret: parameter("client_secret"),
            },
            _ => ClientAuthentication::Unrepeatable,
        };
        Ok(Self {
            grant_type: parameter("grant_type").unwrap_or_default(),
            client_id,
            code: parameter("code"),
            authentication,
            resource: parameter("resource").or_else(|| parameter("audience")),
            scope: parameter("scope"),
            redirect_uri: parameter("redirect_uri"),
            acr_values: parameter("acr_values"),
        })
    }

    /// What an interceptor is told of the request: never a code, a password or an assertion.
    pub(super) fn asked_for(&self) -> AuthRequest {
        AuthRequest {
            grant_type: Some(self.grant_type.clone()),
            scope: self.scope.clone(),
            redirect_uri: self.redirect_uri.clone(),
            acr_values: self.acr_values.clone(),
        }
    }
}

impl Gate {
    /// Tells the upstream whose certificate came with the connection. A trusted proxy says so itself: the one on its own
    /// connection is the proxy's.
    pub(super) fn tell_certificate(&self, exchange: &mut Exchange, certificate: Option<&ClientCertificate>) {
        if !self.outside.trusts(exchange.arrival.peer.ip()) {
            let certificate = certificate.map(ClientCertificate::der);
            self.certificate_header.stamp(&mut exchange.headers, certificate);
        }
    }
}

impl ClientAuthentication {
    /// Puts the authentication into another request of the same client; false where it cannot be repeated.
    pub(super) fn repeat(&self, headers: &mut HeaderMap, form: &mut Form) -> bool {
        match self {
            Self::Basic(header) => _ = headers.insert(AUTHORIZATION, header.clone()),
            Self::Form {
                client_id,
                client_secret,
            } => {
                form.set("client_id", client_id.as_str());
                if let Some(secret) = client_secret {
                    form.set("client_secret", secret.as_str());
                }
            }
            Self::Certified(also, (name, value)) => {
                headers.insert(name, value.clone());
                return also.repeat(headers, form);
            }
            Self::Unrepeatable => return false,
        }
        true
    }
}

/// The client identifier of HTTP Basic, which is form-encoded inside (RFC 6749 §2.3.1).
fn basic_client(headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = STANDARD.decode(credentials.trim()).ok()?;
    let (client, _) = std::str::from_utf8(&credentials).ok()?.split_once(':')?;
    Some(
        percent_decode_str(&client.replace('+', " "))
            .decode_utf8()
            .ok()?
            .into_owned(),
    )
}

/// The `sub` of a client assertion (RFC 7523 §3). The upstream verifies it.
fn subject(assertion: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims = json::parse(&payload).ok()?;
    claims.get("sub").and_then(Value::as_str).map(str::to_owned)
}
