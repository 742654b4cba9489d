//! Introspection and userinfo: the upstream is asked about its own token, the caller sees the one it holds.

use http::{
    HeaderValue, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::Value;

use super::{
    Gate,
    recognise::{Recognised, accepts},
    restore::Bearer,
};
use crate::{body::Body, exchange::Exchange, json, refusal::Refusal};

const SIGNED: [&str; 2] = ["application/jwt", "application/token-introspection+jwt"];

impl Gate {
    /// RFC 7662, with the added claims merged into the answer. A native upstream token is not active here.
    ///
    /// # Errors
    /// A signed answer (RFC 9701) is refused: it would be under the upstream's key.
    pub(super) async fn introspect(
        &self,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
        bearer: Option<Bearer>,
    ) -> Result<Response<Body>, Refusal> {
        if SIGNED.iter().any(|media_type| accepts(&exchange.headers, media_type)) {
            return Err(Refusal::client(
                StatusCode::NOT_ACCEPTABLE,
                "signed introspection responses are not served through this proxy; ask for application/json",
            ));
        }
        exchange
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.call(exchange, recognised).await?;
        if !answer.status().is_success() {
            return Ok(super::relayed(answer));
        }
        let Ok(Value::Object(mut members)) = json::parse(answer.body()) else {
            return Err(Refusal::upstream(
                StatusCode::BAD_GATEWAY,
                "the introspection answer is no JSON object",
            ));
        };
        let native = matches!(bearer, Some(Bearer::Native)) && self.require_reissued;
        if native {
            members = [("active".to_owned(), Value::Bool(false))].into_iter().collect();
        }
        // The upstream's own signed form, which it adds for some clients, is under a key that nobody knows.
        members.shift_remove("jwt");
        if let Some(Bearer::Ours(restored)) = bearer
            && members.get("active") == Some(&Value::Bool(true))
        {
            members.extend(restored.added);
        }
        Ok(super::with_json(answer, &Value::Object(members)))
    }

    /// OIDC Core §5.3.
    ///
    /// # Errors
    /// A signed answer is refused, as above.
    pub(super) async fn userinfo(
        &self,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let answer = self.call(exchange, recognised).await?;
        let signed = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/jwt"));
        if signed {
            return Err(Refusal::unserved(
                "the provider signs userinfo for this client, which this proxy does not serve; ask for it unsigned",
            ));
        }
        Ok(super::relayed(answer))
    }
}
