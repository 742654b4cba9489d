//! The provider as a relying party of Tollgate's own uses it: the dashboard, to log operators in. No interceptor is asked, so that no
//! rule of theirs can lock its operators out.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};

use crate::{
    form::Form,
    gate::{Gate, issuers::Issuer},
    json,
    route::Captures,
    token::{Expected, Kind, Unverified, verify},
    upstream::UpstreamError,
};

/// One issuer of the upstream.
pub struct Provider {
    gate: Arc<Gate>,
    issuer: Arc<Issuer>,
}

impl Provider {
    /// The provider in this realm, where it has realms.
    ///
    /// # Errors
    /// Why it cannot be used, in a sentence.
    pub(super) async fn find(gate: &Arc<Gate>, realm: Option<&str>) -> Result<Self, String> {
        let preset = gate
            .preset()
            .await
            .map_err(|_| "its discovery document is not there yet".to_owned())?;
        let captures: Captures = realm.map(|realm| ("realm", realm)).into_iter().collect();
        let issuer = gate.issuers.of(&preset, &captures).await.map_err(|error| match error {
            UpstreamError::Status(status) => {
                format!("its discovery document is answered with {status}; is `admin.login.realm` right?")
            }
            other => other.to_string(),
        })?;
        Ok(Self {
            gate: Arc::clone(gate),
            issuer,
        })
    }

    /// The issuer identifier (OIDC Core §1.2).
    pub fn identifier(&self) -> &str {
        self.issuer.identifier()
    }

    /// Where people log in, at the public address.
    pub fn authorization_url(&self) -> Option<String> {
        let path = self.issuer.endpoint("authorization_endpoint")?;
        Some(format!("{}{path}", self.gate.origin))
    }

    /// Sends a token request (RFC 6749 §4.1.3) and gives the answer.
    ///
    /// # Errors
    /// Why there is none, in a sentence that shows no secret.
    pub async fn redeem(&self, form: &Form, authorization: Option<HeaderValue>) -> Result<Map<String, Value>, String> {
        let path = self.issuer.endpoint("token_endpoint");
        let path = path.ok_or("its discovery document names no token_endpoint")?;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        let body = Bytes::from(form.to_urlencoded());
        let answer = self
            .gate
            .send(Method::POST, &path, headers, body)
            .await
            .map_err(|e| e.to_string())?;
        let document = json::parse(answer.body());
        match (answer.status(), document) {
            (StatusCode::OK, Ok(Value::Object(members))) => Ok(members),
            (status, Ok(Value::Object(members))) => {
                let error = members.get("error").and_then(Value::as_str).unwrap_or("no error code");
                Err(format!("its token endpoint answers {status}: {error}"))
            }
            (status, _) => Err(format!("its token endpoint answers {status} without a JSON object")),
        }
    }

    /// The claims of a token of this issuer, verified as a strict relying party does.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn verified(&self, raw: &str, kind: Kind<'_>) -> Result<Map<String, Value>, Unverified> {
        let expected = Expected {
            issuer: self.issuer.identifier(),
            kind,
        };
        let now = self.gate.clock.now();
        let verified = match verify(raw, &self.issuer.keys(), &expected, now) {
            Err(Unverified::UnknownKey { .. }) => verify(raw, &*self.issuer.refetched_keys().await, &expected, now),
            other => other,
        };
        verified.map(|token| token.claims().clone())
    }
}
