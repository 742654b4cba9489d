//! The front channel: until tokens in it can be re-signed, a request for one is refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Response, header::LOCATION};
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
    /// A response type or mode that hands out tokens in the front channel; a request object that cannot be read.
    pub(super) async fn authorize(
        &self,
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

/// Whether an answer sends a browser on with a token in the URL (OAuth 2.0 Multiple Response Types §2, JARM §2.3).
pub(super) fn redirects_with_tokens(headers: &HeaderMap) -> bool {
    let locations = headers.get_all(LOCATION).iter().filter_map(|value| value.to_str().ok());
    locations
        .flat_map(|url| url.split(['?', '#', '&']))
        .any(|part| match part.split_once('=') {
            Some(("access_token" | "id_token", value)) => !value.is_empty(),
            Some(("response", value)) => value.starts_with("eyJ"),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_with_a_token_is_told_from_one_with_a_code() {
        for (location, tokens) in [
            ("https://rp.example/cb#state=x&access_token=abc&token_type=Bearer", true),
            ("https://rp.example/cb#id_token=abc", true),
            ("https://rp.example/cb?id_token=abc", true),
            ("https://rp.example/cb#response=eyJhbGciOiJSUzI1NiJ9.e30.x", true),
            ("https://rp.example/cb?code=abc&state=access_token", false),
            (
                "https://rp.example/bye?id_token_hint=abc&response=ok&access_token=",
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            assert_eq!(redirects_with_tokens(&headers), tokens, "{location}");
        }
    }
}
