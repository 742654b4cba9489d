//! What the provider publishes of itself: keys are ours, and nothing is announced that is refused.

use http::{
    HeaderName, HeaderValue, Response,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

use super::{Gate, recognise::Recognised};
use crate::{
    body::{self, Body},
    exchange::Exchange,
    preset::Preset,
    refusal::Refusal,
    route::Action,
    token::Publish,
    upstream::UpstreamError,
};

/// Members that list how the upstream encrypts for clients, or they for it: nothing of it could be looked into.
const NOT_SERVED: [&str; 12] = [
    "authorization_encryption_alg_values_supported",
    "authorization_encryption_enc_values_supported",
    "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_enc_values_supported",
    "introspection_encryption_alg_values_supported",
    "introspection_encryption_enc_values_supported",
    "id_token_encryption_alg_values_supported",
    "id_token_encryption_enc_values_supported",
    "request_object_encryption_alg_values_supported",
    "request_object_encryption_enc_values_supported",
    "backchannel_authentication_request_encryption_alg_values_supported",
    "backchannel_authentication_request_encryption_enc_values_supported",
];

/// Members that list what the upstream signs with for clients: we sign it again.
const SIGNED: [&str; 4] = [
    "id_token_signing_alg_values_supported",
    "authorization_signing_alg_values_supported",
    "userinfo_signing_alg_values_supported",
    "introspection_signing_alg_values_supported",
];

/// Lists in discovery, and the parameter whose rules say which of their items are refused.
const LISTS: [(&str, Action, &str); 3] = [
    ("response_types_supported", Action::Authorize, "response_type"),
    ("response_modes_supported", Action::Authorize, "response_mode"),
    ("grant_types_supported", Action::Tokens, "grant_type"),
];

/// Seconds that a discovery document may be kept.
const DISCOVERY_MAX_AGE: u64 = 300;

impl Gate {
    /// The JWKS (RFC 7517 §5): Tollgate's keys, the upstream's behind them if the operator wants that, and its encryption keys.
    pub(super) async fn jwks(&self, recognised: &Recognised) -> Result<Response<Body>, Refusal> {
        let mut jwks = self.reissuer.ring().jwks(self.clock.now());
        match self.issuers.of(&recognised.preset, &recognised.captures).await {
            Ok(issuer) => {
                if let Some(keys) = jwks.get_mut("keys").and_then(Value::as_array_mut) {
                    let theirs = issuer.keys();
                    if self.upstream_keys == Publish::Include {
                        keys.extend(theirs.verification_keys().cloned());
                    }
                    keys.extend(theirs.encryption_keys().iter().cloned());
                }
            }
            Err(UpstreamError::Status(status)) if status.is_client_error() => {
                return Err(Refusal::client(status, "there is no such issuer"));
            }
            // Our keys do not depend on the upstream: clients that start while it is away find them.
            Err(e) => tracing::warn!(error = %e, "the upstream's keys are left out of the key set: {e}"),
        }
        Ok(published(&jwks, self.key_set_max_age))
    }

    /// Discovery (OIDC Discovery §4, RFC 8414): the algorithms that we sign with, without what is refused.
    pub(super) async fn discovery(
        &self,
        exchange: &Exchange,
        recognised: &Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let document = self
            .issuers
            .document(exchange.target.path())
            .await
            .map_err(super::away)?;
        let Value::Object(mut members) = (*document).clone() else {
            return Err(Refusal::upstream(
                http::StatusCode::BAD_GATEWAY,
                "the discovery document is no JSON object",
            ));
        };
        self.correct(&mut members, &recognised.preset);
        Ok(published(&Value::Object(members), DISCOVERY_MAX_AGE))
    }

    /// A document that names one public key outside the JWKS: ours, whatever the JWKS has.
    pub(super) async fn public_key(
        &self,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let answer = self.call(exchange, recognised).await?;
        let Ok(Value::Object(mut members)) = crate::json::parse(answer.body()) else {
            return Ok(super::relayed(answer));
        };
        if members.contains_key("public_key") {
            let own = self.reissuer.ring().rsa_public_key_spki_base64(self.clock.now());
            members.insert("public_key".into(), own.map_or(Value::Null, Value::String));
        }
        Ok(super::with_json(answer, &Value::Object(members)))
    }

    fn correct(&self, members: &mut Map<String, Value>, preset: &Preset) {
        let own = self.reissuer.ring().algorithms();
        for member in SIGNED {
            let Some(Value::Array(names)) = members.get_mut(member) else {
                continue;
            };
            names.retain(|name| name.as_str().is_some_and(|name| own.contains(&name)));
            if names.is_empty() {
                names.extend(own.iter().map(|name| json!(name)));
            }
        }
        // A token that the provider pushes to a client by itself (CIBA Core §10.3.1) does not come by here.
        if let Some(Value::Array(modes)) = members.get_mut("backchannel_token_delivery_modes_supported") {
            modes.retain(|mode| mode != "push");
        }
        for member in NOT_SERVED {
            members.shift_remove(member);
        }
        for (member, action, parameter) in LISTS {
            let rules = preset
                .routes
                .iter()
                .filter(|route| route.does == action)
                .flat_map(|route| &route.refuse);
            let rules: Vec<_> = rules.filter(|rule| rule.parameter == parameter).collect();
            if let Some(Value::Array(values)) = members.get_mut(member) {
                values.retain(|value| {
                    value
                        .as_str()
                        .is_none_or(|value| !rules.iter().any(|rule| rule.refuses(value)))
                });
            }
        }
        let refused: Vec<String> = members
            .iter()
            .filter_map(|(name, value)| Some((name, path_of(value.as_str()?)?)))
            .filter(|(_, path)| {
                preset
                    .candidates("POST", path)
                    .first()
                    .is_some_and(|c| c.route.does == Action::Refuse)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in refused {
            members.shift_remove(&name);
        }
    }
}

/// The path of an endpoint's URL.
pub(super) fn path_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    uri.scheme()?;
    Some(uri.path().to_owned())
}

/// A document that any page may read and any cache may keep for so many seconds.
fn published(document: &Value, max_age: u64) -> Response<Body> {
    let mut response = Response::new(body::full(document.to_string()));
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Ok(caching) = HeaderValue::try_from(format!("public, max-age={max_age}")) {
        response.headers_mut().insert(CACHE_CONTROL, caching);
    }
    response
}
