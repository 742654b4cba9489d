//! The tokens in an answer of the upstream, as they came and once verified.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    event::{Context, TokenClaims},
    json,
    refusal::Refusal,
    token::{self, Unissued, Verified},
};

/// RFC 8693 §3.
const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Likewise.
pub(super) const REFRESH_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:refresh_token";

/// Tokens as the upstream wrote them, whichever way they leave.
#[derive(Default)]
pub(super) struct Issued {
    /// `access_token`.
    pub(super) access_token: Option<String>,
    /// `id_token`, or an ID token in the field `access_token` (RFC 8693 §2.2.1).
    pub(super) id_token: Option<String>,
    /// `refresh_token`.
    pub(super) refresh_token: Option<String>,
    /// What the answer says of the access token.
    pub(super) about: About,
}

/// What an answer says of its access token (RFC 6749 §5.1).
#[derive(Default)]
pub(super) struct About {
    /// How it is presented, such as `Bearer`.
    pub(super) token_type: Option<String>,
    /// How long it counts, in seconds.
    pub(super) expires_in: Option<i64>,
    /// Its scope, where it is not just what was asked for.
    pub(super) scope: Option<String>,
}

/// A token response (RFC 6749 §5.1) as the upstream wrote it.
pub(super) struct TokenResponse {
    /// The whole document; the tokens are replaced in it, all else stays as it is.
    text: String,
    /// Its tokens.
    pub(super) issued: Issued,
    /// The member that the ID token stands in.
    id_member: &'static str,
    /// The member that the refresh token stands in.
    refresh_member: &'static str,
}

/// The tokens of an answer as the client gets them.
#[derive(Default)]
pub(super) struct Reissued {
    /// Signed anew, or wrapped.
    pub(super) access_token: Option<String>,
    /// Signed anew.
    pub(super) id_token: Option<String>,
    /// Wrapped, where something has to be remembered with it; else absent: it stays as it was.
    pub(super) refresh_token: Option<String>,
    /// RFC 6749 §5.1: a scope that is not the one that the upstream names.
    pub(super) scope: Option<String>,
}

/// The tokens of an answer, verified. An opaque access token is not among them.
pub(super) struct Tokens {
    pub(super) access: Option<Verified>,
    pub(super) id: Option<Verified>,
}

impl Issued {
    /// Whether there is no token at all.
    pub(super) fn is_empty(&self) -> bool {
        self.access_token.is_none() && self.id_token.is_none() && self.refresh_token.is_none()
    }
}

impl About {
    fn of(members: &Map<String, Value>) -> Self {
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            token_type: text("token_type"),
            expires_in: members.get("expires_in").and_then(Value::as_i64),
            scope: text("scope"),
        }
    }
}

impl TokenResponse {
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
        let mut issued = Issued {
            access_token: token("access_token")?,
            id_token: token("id_token")?,
            refresh_token: token("refresh_token")?,
            about: About::of(&members),
        };
        if issued.is_empty() {
            return if status.is_success() {
                Err(broken("has no token"))
            } else {
                Ok(None)
            };
        }
        // A token exchange hands out any token under that name.
        let exchanged = members.get("issued_token_type").and_then(Value::as_str);
        let is_id = |token: &String| exchanged == Some(ID_TOKEN_TYPE) || token::claims_to_be_id_token(token);
        let mut id_member = "id_token";
        if issued.access_token.as_ref().is_some_and(is_id) {
            if issued.id_token.is_some() {
                return Err(broken("has two ID tokens"));
            }
            issued.id_token = issued.access_token.take();
            id_member = "access_token";
        }
        let mut refresh_member = "refresh_token";
        let is_refresh = exchanged == Some(REFRESH_TOKEN_TYPE) && issued.refresh_token.is_none();
        if issued
            .access_token
            .as_ref()
            .is_some_and(|token| is_refresh && !token::is_jwt_shaped(token))
        {
            issued.refresh_token = issued.access_token.take();
            refresh_member = "access_token";
        }
        Ok(Some(Self {
            text: String::from_utf8_lossy(body).into_owned(),
            issued,
            id_member,
            refresh_member,
        }))
    }

    /// The document with the tokens that the client gets.
    pub(super) fn with(&self, reissued: Reissued) -> Result<String, Unissued> {
        let edits = [
            ("access_token", reissued.access_token),
            (self.id_member, reissued.id_token),
            (self.refresh_member, reissued.refresh_token),
            ("scope", reissued.scope),
        ];
        let edits = edits
            .into_iter()
            .filter_map(|(name, value)| Some((name, Value::String(value?))));
        let spliced = token::splice(&self.text, edits).map_err(|e| Unissued::Unreadable(e.to_string()))?;
        Ok(spliced.text)
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

/// Whose tokens they are.
pub(super) fn subject(claims: &TokenClaims) -> Option<&str> {
    let found = claims.id_token.get("sub").or_else(|| claims.access_token.get("sub"));
    found?.as_str()
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

/// Whether an answer has nothing that could be a token, at any depth: no JWT, and no text under a name that speaks of one.
pub(super) fn has_no_token(body: &[u8]) -> bool {
    fn has_none(value: &Value) -> bool {
        match value {
            Value::String(text) => !token::is_jwt_shaped(text),
            Value::Array(items) => items.iter().all(has_none),
            Value::Object(members) => members
                .iter()
                .all(|(name, value)| has_none(value) && !name.to_ascii_lowercase().contains("token")),
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }
    json::parse(body).is_ok_and(|document| has_none(&document))
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
