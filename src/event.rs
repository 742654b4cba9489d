//! The JSON that is sent to an interceptor.

use std::{fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The moments of authentication at which interceptors are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Trigger {
    /// An account is about to be created by its owner.
    PreSignup,
    /// Tokens for a user are about to be handed out.
    PreSessionCreation,
    /// Somebody is about to create or invite an account for somebody else.
    PreUserInvitation,
    /// A token for a client itself is about to be handed out.
    #[serde(rename = "PRE_M2M_TOKEN_CREATION")]
    PreM2mTokenCreation,
    /// A client is about to register itself, or to change its registration (RFC 7591, RFC 7592).
    PreClientRegistration,
}

impl Trigger {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::PreSignup,
        Self::PreSessionCreation,
        Self::PreUserInvitation,
        Self::PreM2mTokenCreation,
        Self::PreClientRegistration,
    ];

    /// The name on the wire, such as `PRE_SIGNUP`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreSignup => "PRE_SIGNUP",
            Self::PreSessionCreation => "PRE_SESSION_CREATION",
            Self::PreUserInvitation => "PRE_USER_INVITATION",
            Self::PreM2mTokenCreation => "PRE_M2M_TOKEN_CREATION",
            Self::PreClientRegistration => "PRE_CLIENT_REGISTRATION",
        }
    }

    /// Whether an ALLOW may add claims: only where tokens are handed out.
    pub fn adds_claims(self) -> bool {
        matches!(self, Self::PreSessionCreation | Self::PreM2mTokenCreation)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|t| t.as_str() == text).ok_or_else(|| {
            format!(
                "`{text}` is no trigger; the triggers are {}",
                Self::ALL.map(Self::as_str).join(", ")
            )
        })
    }
}

/// What happened, as an interceptor is told. The interceptor's `display_name` is added when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Which trigger fired.
    #[serde(rename = "trigger_point")]
    pub trigger: Trigger,
    /// Who, from where, by which client.
    #[serde(rename = "interceptor_context")]
    pub context: Context,
    /// What the trigger is about: the user, the organization, the claims.
    pub data: Map<String, Value>,
}

impl Event {
    /// The event as it is serialised. What is JSON in it already is copied, and not built anew member by member.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let context = serde_json::to_value(&self.context).ok()?;
        let members = [
            ("trigger_point", self.trigger.as_str().into()),
            ("interceptor_context", context),
            ("data", Value::Object(self.data.clone())),
        ];
        Some(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

/// The circumstances of an event. A value that is not known is absent, never guessed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// `environment` in `proxy.toml`.
    pub environment_id: String,
    /// The name of the upstream, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The user's id at the upstream, from verified tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user's e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// The organization's id at the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// The client's `client_id` (RFC 6749 §2.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The identity providers that the user came through, where known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connection_details: Vec<Connection>,
    /// What the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_request: Option<AuthRequest>,
    /// `Desktop`, `Mobile`, `Tablet` or `Unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The client's address, from the connection or a trusted proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// The region of `ip_address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The city of `ip_address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// The `User-Agent` header (RFC 9110 §10.1.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When the request was received.
    pub triggered_at: Timestamp,
    /// Tollgate's id of the client's request; the same in the log, the audit and on error pages.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The trace id of `traceparent` (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span that consultations belong to, as `traceparent` has it; for our own headers and spans, not for the event.
    #[serde(skip)]
    pub traceparent: Option<String>,
    /// The upstream's realm, where it has realms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The upstream's tenant, where it has tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The `grant_type` of a token request (RFC 6749 §4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// The verified `iss` of the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The route that was recognised, such as `create-user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// True where the account is already there, and nobody was asked when it came into being.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// True in tests, shadow mode and replays: nobody obeys the answer.
    pub dry_run: bool,
}

/// An identity provider behind the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The upstream's alias of it.
    pub id: String,
    /// `OIDC`, `SAML`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `google`, `github`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// The parameters of a token request that say what was asked for; never a code, a password or an assertion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthRequest {
    /// RFC 6749 §4.
    pub grant_type: Option<String>,
    /// RFC 6749 §3.3.
    pub scope: Option<String>,
    /// RFC 6749 §3.1.2.
    pub redirect_uri: Option<String>,
    /// OIDC Core §3.1.2.1.
    pub acr_values: Option<String>,
}

/// The verified claims of the upstream's tokens, by the token they stand in; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenClaims {
    /// The access token's payload.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub access_token: Map<String, Value>,
    /// The ID token's payload.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub id_token: Map<String, Value>,
}

impl TokenClaims {
    /// The claims as they are serialised, copied likewise.
    pub(crate) fn to_json(&self) -> Value {
        let members = [("access_token", &self.access_token), ("id_token", &self.id_token)];
        let there = members.into_iter().filter(|(_, claims)| !claims.is_empty());
        there
            .map(|(name, claims)| (name.to_owned(), Value::Object(claims.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_copied_is_what_is_serialised() {
        let claims = json!({"sub": "u-1", "n": 1.50, "groups": [{"name": "a"}]});
        let claims = TokenClaims {
            access_token: claims.as_object().unwrap().clone(),
            id_token: Map::new(),
        };
        assert_eq!(claims.to_json(), serde_json::to_value(&claims).unwrap());
        for trigger in Trigger::ALL {
            let event = Event {
                trigger,
                context: Context {
                    request_id: "req-1".into(),
                    ..Context::default()
                },
                data: Map::from_iter([("claims".to_owned(), claims.to_json())]),
            };
            assert_eq!(event.to_json(), serde_json::to_value(&event).ok());
        }
    }
}
