//! Authorization requests (RFC 6749 §4.1.1, RFC 9101, RFC 9126), pushed or not.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Response;
use serde_json::Value;

use super::{
    Gate,
    recognise::{Recognised, refuse_by_rule},
};
use crate::{body::Body, exchange::Exchange, json, refusal::Refusal};

impl Gate {
    /// Forwards an authorization request whose rules hold for its parameters and for those of its request object.
    ///
    /// # Errors
    /// A response mode that is not served; a request object that cannot be read.
    pub(super) async fn authorize(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let object = recognised
            .parameters()
            .find(|(name, _)| *name == "request")
            .map(|(_, object)| object_parameters(object));
        if let Some(parameters) = object {
            let parameters = parameters?;
            refuse_by_rule(
                &recognised.route.refuse,
                parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            )?;
        }
        self.forward(exchange, recognised).await
    }
}

/// The parameters of a request object (RFC 9101 §4). Its signature is the upstream's to judge; an encrypted one would hide
/// from us what the upstream acts on.
fn object_parameters(object: &str) -> Result<Vec<(String, String)>, Refusal> {
    let refused = |why: &str| Refusal::rule("invalid_request_object", why);
    let parts: Vec<&str> = object.split('.').collect();
    let [_, payload, _] = parts.as_slice() else {
        return Err(refused(
            "an encrypted request object cannot be used through this proxy; send a signed one",
        ));
    };
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| refused("the request object is no JWT"))?;
    let claims = json::parse(&payload).map_err(|_| refused("the request object's payload cannot be read"))?;
    let Some(claims) = claims.as_object() else {
        return Err(refused("the request object's payload is no JSON object"));
    };
    // What is no text (`["token"]`) some servers take for its only element or its spelling: the rules see its spelling.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(claims.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}
