//! What the provider says of itself.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{answer::page, realm::Realm};

/// `GET /.well-known/openid-configuration` (OIDC Discovery §3, RFC 8414 §2).
pub(super) async fn discovery(State(realm): State<Arc<Realm>>) -> Json<Value> {
    let url = realm.public_url();
    let at = |path: &str| format!("{url}{path}");
    let all = |list: fn(&super::options::Client) -> &Vec<String>| {
        realm.clients.iter().flat_map(list).collect::<BTreeSet<_>>()
    };
    Json(json!({
        "issuer": url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "introspection_endpoint": at("/introspect"),
        "revocation_endpoint": at("/revoke"),
        "end_session_endpoint": at("/logout"),
        "device_authorization_endpoint": at("/device_authorization"),
        "scopes_supported": all(|client| &client.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": all(|client| &client.grants),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": realm.keys.algorithms(),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "name", "preferred_username", "email", "email_verified", "org_id"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// `GET /jwks`.
pub(super) async fn jwks(State(realm): State<Arc<Realm>>) -> Json<Value> {
    Json(realm.keys.jwks())
}

/// `GET /`.
pub(super) async fn home() -> Response {
    page(
        StatusCode::OK,
        "Demo provider",
        "<p>A small OpenID provider that keeps everything in memory.</p><ul>\
         <li><a href=\"/signup\">Create an account</a></li>\
         <li><a href=\"/api/users\">Who has an account</a></li>\
         <li><a href=\"/.well-known/openid-configuration\">Discovery</a></li></ul>",
    )
}
