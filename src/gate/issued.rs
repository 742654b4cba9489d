//! The tokens in an answer of the upstream, as they came and once verified.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    event::{Context, TokenClaims},
    json,
    refusal::Refusal,
    token::Verified,
};

/// A token response (RFC 6749 §5.1) as the upstream wrote it.
pub(super) struct Issued {
    /// The whole document; the tokens are replaced in it, all else stays as it is.
    pub(super) text: String,
    /// `access_token`.
    pub(super) access_token: Option<String>,
    /// `id_token`.
    pub(super) id_token: Option<String>,
    /// `refresh_token`.
    pub(super) refresh_token: Option<String>,
}

/// The tokens of an answer, verified. An opaque access token is not among them.
pub(super) struct Tokens {
    pub(super) access: Option<Verified>,
    pub(super) id: Option<Verified>,
}

impl Issued {
    /// Finds the tokens of an answer, whatever its status; `None` where there are none to hold back.
    ///
    /// # Errors
    /// A success that cannot be read, or a token that is no string: it might be read by a client all the same.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<Option<Self>, Refusal> {
        let members = match json::parse(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) | Err(_) if !status.is_success() && !mentions_a_token(body) => return Ok(None),
            Ok(_) => return Err(broken("is no JSON object")),
            Err(e) => return Err(broken(&format!("cannot be read: {e}"))),
        };
        let token = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(token)) => Ok(Some(token.clone())),
            Some(_) => Err(broken(&format!("has a `{name}` that is no string"))),
        };
        let (access_token, id_token, refresh_token) =
            (token("access_token")?, token("id_token")?, token("refresh_token")?);
        if access_token.is_none() && id_token.is_none() && refresh_token.is_none() {
            return if status.is_success() {
                Err(broken("has no token"))
            } else {
                Ok(None)
            };
        }
        let text = String::from_utf8_lossy(body).into_owned();
        Ok(Some(Self {
            text,
            access_token,
            id_token,
            refresh_token,
        }))
    }
}

impl Tokens {
    /// The claims as the event and the interceptors' rules have them.
    pub(super) fn claims(&self) -> TokenClaims {
        let of = |token: &Option<Verified>| {
            token
                .as_ref()
                .map(|verified| verified.claims().clone())
                .unwrap_or_default()
        };
        TokenClaims {
            access_token: of(&self.access),
            id_token: of(&self.id),
        }
    }
}

/// `m2m_token_claims` of the event of a machine token.
pub(super) fn machine_claims(context: &Context, claims: &TokenClaims) -> Value {
    let scope = claims
        .access_token
        .get("scope")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let scopes: Vec<&str> = scope.split_ascii_whitespace().collect();
    let mut described = Map::new();
    described.insert("custom_claims".into(), json!({}));
    if let Some(organization) = &context.organization_id {
        described.insert("oid".into(), json!(organization));
    }
    described.insert("scope".into(), json!(scope));
    described.insert("scopes".into(), json!(scopes));
    json!({ "client_id": context.client_id, "claims": described })
}

fn broken(what: &str) -> Refusal {
    Refusal::upstream(StatusCode::BAD_GATEWAY, format!("the upstream's token response {what}"))
}

/// Whether an error's body that is no JSON might carry a token after all.
fn mentions_a_token(body: &[u8]) -> bool {
    [&b"_token"[..], b"eyJ"]
        .iter()
        .any(|mark| body.windows(mark.len()).any(|part| part == *mark))
}
