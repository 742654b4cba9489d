//! Events to try an interceptor with, as they come from a real upstream.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::event::{AuthRequest, Connection, Context, Event, TokenClaims, Trigger};

/// A realistic event of `trigger`, marked as a dry run, and the claims that the upstream's tokens would have (none
/// where no token is handed out).
pub fn sample(trigger: Trigger, triggered_at: Timestamp) -> (Event, TokenClaims) {
    let existing = match trigger {
        Trigger::PreSessionCreation => session_claims(triggered_at),
        Trigger::PreM2mTokenCreation => machine_claims(triggered_at),
        Trigger::PreSignup | Trigger::PreUserInvitation | Trigger::PreClientRegistration => TokenClaims::default(),
    };
    let event = Event {
        trigger,
        context: context(trigger, triggered_at),
        data: object(data(trigger, &existing)),
    };
    (event, existing)
}

fn context(trigger: Trigger, triggered_at: Timestamp) -> Context {
    let person = !matches!(trigger, Trigger::PreM2mTokenCreation | Trigger::PreClientRegistration);
    let grant_type = match trigger {
        Trigger::PreSessionCreation => Some("authorization_code"),
        Trigger::PreM2mTokenCreation => Some("client_credentials"),
        Trigger::PreSignup | Trigger::PreUserInvitation | Trigger::PreClientRegistration => None,
    };
    let session = trigger == Trigger::PreSessionCreation;
    let client = match trigger {
        Trigger::PreUserInvitation => Some("admin-console"),
        Trigger::PreM2mTokenCreation => Some("nightly-export"),
        Trigger::PreSignup | Trigger::PreSessionCreation => Some("web-app"),
        Trigger::PreClientRegistration => None,
    };
    let operation = match trigger {
        Trigger::PreSignup => "registration",
        Trigger::PreUserInvitation => "create-user",
        Trigger::PreSessionCreation | Trigger::PreM2mTokenCreation => "token",
        Trigger::PreClientRegistration => "register-client",
    };
    Context {
        environment_id: "sample".into(),
        user_id: session.then(|| USER_ID.into()),
        user_email: person.then(|| "ada@example.com".into()),
        organization_id: session.then(|| "org_7".into()),
        client_id: client.map(Into::into),
        connection_details: if session { vec![google()] } else { Vec::new() },
        auth_request: grant_type.map(|grant| AuthRequest {
            grant_type: Some(grant.into()),
            scope: Some(
                if session {
                    "openid profile email"
                } else {
                    "reports:read"
                }
                .into(),
            ),
            redirect_uri: session.then(|| "https://app.example.com/callback".into()),
            acr_values: None,
        }),
        device_type: Some(if person { "Desktop" } else { "Unknown" }.into()),
        ip_address: Some([203, 0, 113, 9].into()),
        user_agent: Some(if person { BROWSER } else { "python-httpx/0.28" }.into()),
        triggered_at,
        request_id: "sample-request".into(),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        realm: Some("customers".into()),
        grant_type: grant_type.map(Into::into),
        issuer: grant_type.map(|_| ISSUER.into()),
        operation: Some(operation.into()),
        dry_run: true,
        ..Context::default()
    }
}

fn google() -> Connection {
    Connection {
        id: "google".into(),
        kind: Some("OIDC".into()),
        provider: Some("google".into()),
    }
}

fn data(trigger: Trigger, existing: &TokenClaims) -> Value {
    let user = json!({"email": "ada@example.com", "username": "ada", "name": "Ada Lovelace", "given_name": "Ada",
        "family_name": "Lovelace"});
    match trigger {
        Trigger::PreSignup => {
            let mut user = object(user);
            user.insert("attributes".into(), json!({"locale": "en"}));
            json!({"user": user})
        }
        Trigger::PreSessionCreation => json!({
            "user": {"id": USER_ID, "email": "ada@example.com", "name": "Ada Lovelace", "username": "ada",
                "roles": ["member"], "memberships": []},
            "claims": existing,
        }),
        Trigger::PreUserInvitation => json!({
            "organization": {"id": "org_7", "name": "Analytical Engines"},
            "user": user,
            "inviter": {"id": "9e1b8c1e-6f0d-4f0e-9d0a-5b8f6c1a2d3e", "email": "charles@example.com"},
        }),
        Trigger::PreM2mTokenCreation => json!({
            "m2m_token_claims": {"client_id": "nightly-export", "claims": {
                "custom_claims": {}, "oid": "org_7", "scope": "reports:read", "scopes": ["reports:read"]}},
            "claims": existing,
        }),
        Trigger::PreClientRegistration => json!({
            "client": {"client_name": "Weather assistant", "redirect_uris": ["http://127.0.0.1:33418/callback"],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "token_endpoint_auth_method": "none", "client_uri": "https://assistant.example.com"},
        }),
    }
}

fn session_claims(now: Timestamp) -> TokenClaims {
    let iat = now.as_second();
    TokenClaims {
        access_token: object(json!({
            "exp": iat + 300, "iat": iat, "jti": "onrtac:7c1d1f0e", "iss": ISSUER, "aud": "account", "sub": USER_ID,
            "typ": "Bearer", "azp": "web-app", "sid": "f2a1c7b0", "scope": "openid profile email",
            "realm_access": {"roles": ["member"]}, "email": "ada@example.com",
        })),
        id_token: object(json!({
            "exp": iat + 300, "iat": iat, "auth_time": iat - 2, "jti": "9a3e5b71", "iss": ISSUER, "aud": "web-app",
            "sub": USER_ID, "typ": "ID", "azp": "web-app", "sid": "f2a1c7b0", "email": "ada@example.com",
        })),
    }
}

fn machine_claims(now: Timestamp) -> TokenClaims {
    let iat = now.as_second();
    TokenClaims {
        access_token: object(json!({
            "exp": iat + 300, "iat": iat, "jti": "trrtcc:1f0c9d2a", "iss": ISSUER, "aud": "account",
            "sub": "5b0a6c1d-2e3f-4a5b-8c7d-9e0f1a2b3c4d", "typ": "Bearer", "azp": "nightly-export",
            "scope": "reports:read", "client_id": "nightly-export",
        })),
        id_token: Map::new(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

const USER_ID: &str = "4f0c2a9e-3b1d-4c7e-8f5a-6d2b9c0e1f3a";
const ISSUER: &str = "https://id.example.com/realms/customers";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trigger_has_a_sample_that_reads_back() {
        for trigger in Trigger::ALL {
            let (event, existing) = sample(trigger, Timestamp::UNIX_EPOCH);
            assert_eq!(event.trigger, trigger);
            assert!(event.context.dry_run);
            assert_eq!(existing.access_token.is_empty(), !trigger.adds_claims());
            let text = serde_json::to_vec(&event).unwrap();
            assert_eq!(serde_json::from_slice::<Event>(&text).unwrap(), event);
        }
    }
}
