//! The token endpoint (RFC 6749 §3.2): one function a grant.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{
    answer::{OAuthError, no_store},
    client_auth, device, exchange,
    fields::Fields,
    issue::{self, With},
    keys::code_challenge,
    options::{Client, DEVICE_CODE, TOKEN_EXCHANGE},
    realm::{Grant, Kind, Realm},
};

/// `POST /token`.
pub(super) async fn token(
    State(realm): State<Arc<Realm>>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, OAuthError> {
    let client = client_auth::client(&realm, &headers, &fields)?;
    let grant_type = fields.require("grant_type")?;
    let serve = match grant_type {
        "authorization_code" => authorization_code,
        "refresh_token" => refresh_token,
        "client_credentials" => client_credentials,
        "password" => password,
        DEVICE_CODE => device::redeem,
        TOKEN_EXCHANGE => exchange::exchange,
        _ => {
            return Err(OAuthError::new(
                "unsupported_grant_type",
                "this provider has no such grant",
            ));
        }
    };
    if !client.grants.iter().any(|grant| grant == grant_type) {
        return Err(OAuthError::new(
            "unauthorized_client",
            "the client may not use this grant",
        ));
    }
    let answer = serve(&realm, client, &fields)?;
    Ok((no_store(), Json(Value::Object(answer))).into_response())
}

fn authorization_code(realm: &Realm, client: &Client, fields: &Fields) -> Result<Map<String, Value>, OAuthError> {
    let raw = fields.require("code")?;
    let (id, scope) = {
        let mut books = realm.books();
        let unknown = || OAuthError::invalid_grant("the code is unknown, used or expired");
        let code = books.codes.get(raw).cloned().ok_or_else(unknown)?;
        let grant = books.grants.get(&code.grant).cloned().ok_or_else(unknown)?;
        if grant.client != client.id {
            return Err(unknown());
        }
        if code.used {
            // RFC 6749 §4.1.2: whoever replays a code may have stolen it, so what came of it ends.
            books.end_grant(code.grant);
            return Err(unknown());
        }
        if code.expires <= realm.now() || fields.get("redirect_uri") != Some(&code.redirect_uri) {
            return Err(unknown());
        }
        let verified = match (&code.challenge, fields.get("code_verifier")) {
            (None, None) => true,
            (Some(challenge), Some(verifier)) => *challenge == code_challenge(verifier),
            _ => false,
        };
        if !verified {
            return Err(OAuthError::invalid_grant(
                "the PKCE verifier does not fit the challenge",
            ));
        }
        if let Some(code) = books.codes.get_mut(raw) {
            code.used = true;
        }
        (code.grant, grant.scope)
    };
    issue::answer(realm, id, &scope, With::Everything)
}

fn refresh_token(realm: &Realm, client: &Client, fields: &Fields) -> Result<Map<String, Value>, OAuthError> {
    let raw = fields.require("refresh_token")?;
    let unknown = || OAuthError::invalid_grant("the refresh token is unknown, used, expired or revoked");
    let id = {
        let mut books = realm.books();
        let token = books.tokens.get(raw).cloned().ok_or_else(unknown)?;
        let grant = books.grants.get(&token.grant).cloned().ok_or_else(unknown)?;
        if token.kind != Kind::Refresh || grant.client != client.id || grant.revoked || token.expires <= realm.now() {
            return Err(unknown());
        }
        if token.revoked {
            // RFC 9700 §4.14.2: a refresh token that comes twice was copied, so the whole family ends.
            books.end_grant(token.grant);
            return Err(unknown());
        }
        if let Some(token) = books.tokens.get_mut(raw) {
            token.revoked = true;
        }
        token.grant
    };
    let granted = realm
        .books()
        .grants
        .get(&id)
        .map(|grant| grant.scope.clone())
        .unwrap_or_default();
    let scope = match fields.get("scope") {
        None => granted,
        Some(less) if less.split(' ').all(|scope| granted.split(' ').any(|g| g == scope)) => less.to_owned(),
        Some(_) => {
            return Err(OAuthError::new(
                "invalid_scope",
                "the scope is wider than what was granted",
            ));
        }
    };
    issue::answer(realm, id, &scope, With::Everything)
}

fn client_credentials(realm: &Realm, client: &Client, fields: &Fields) -> Result<Map<String, Value>, OAuthError> {
    if client.secret.is_none() {
        return Err(OAuthError::new(
            "unauthorized_client",
            "a public client has no credentials",
        ));
    }
    let scope = client_auth::scope(client, fields.get("scope"))?;
    let id = realm.books().grant(Grant {
        user: None,
        client: client.id.clone(),
        scope: scope.clone(),
        session: None,
        nonce: None,
        actor: None,
        audience: fields.get("audience").map(str::to_owned),
        revoked: false,
    });
    issue::answer(realm, id, &scope, With::Nothing)
}

fn password(realm: &Realm, client: &Client, fields: &Fields) -> Result<Map<String, Value>, OAuthError> {
    let scope = client_auth::scope(client, fields.get("scope"))?;
    let session = realm
        .log_in(fields.require("username")?, fields.require("password")?)
        .ok_or_else(|| OAuthError::invalid_grant("that user and password do not fit together"))?;
    let id = realm.books().grant(Grant::of(session, &client.id, scope.clone()));
    issue::answer(realm, id, &scope, With::Everything)
}
