//! PRE_SESSION_CREATION: roles and feature flags for the tokens, and customers who must log in elsewhere.

use serde_json::{Map, Value, json};

use super::{Answer, domain, text};

/// Adds `roles` and `feature_flags`; denies the people of companies that have single sign-on of their own.
pub(super) fn decide(event: &Value) -> Answer {
    // Identity comes from tokens that the proxy verified, never from what the request says.
    let email = text(event, "/data/user/email").unwrap_or_default();
    match domain(email).as_deref() {
        None => Answer::Deny("Your account has no e-mail address, so we cannot log you in.".into()),
        Some("bigcorp.example") => Answer::Deny("Your company signs in with SSO.".into()),
        Some(_) => {
            let mut claims = Map::new();
            claims.insert("roles".into(), roles(email));
            claims.insert(
                "feature_flags".into(),
                json!({"editor": true, "export": email == "ada@example.com"}),
            );
            Answer::Allow(claims)
        }
    }
}

/// Yours would ask the database that knows.
fn roles(email: &str) -> Value {
    match email {
        "ada@example.com" => json!(["admin", "billing"]),
        _ => json!(["member"]),
    }
}
