//! What can be asked and done with a token: userinfo, introspection, revocation.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    answer::{OAuthError, no_store},
    client_auth,
    fields::{Fields, content_type},
    issue::profile,
    realm::{Kind, Realm},
};

/// `GET` and `POST /userinfo` (OIDC Core §5.3).
pub(super) async fn userinfo(State(realm): State<Arc<Realm>>, request: Request) -> Result<Response, OAuthError> {
    let posted = request.method() == Method::POST && content_type(request.headers()).is_some();
    let raw = match client_auth::bearer(request.headers()) {
        Some(raw) => raw.to_owned(),
        None if posted => {
            use axum::extract::FromRequest;
            let fields = Fields::from_request(request, &()).await?;
            fields
                .get("access_token")
                .ok_or_else(OAuthError::invalid_token)?
                .to_owned()
        }
        None => return Err(OAuthError::invalid_token()),
    };
    let (token, grant) = realm
        .active(&raw)
        .filter(|(token, _)| token.kind == Kind::Access)
        .ok_or_else(OAuthError::invalid_token)?;
    if !token.scope.split(' ').any(|scope| scope == "openid") {
        return Err(
            OAuthError::new("insufficient_scope", "the token's scope has no `openid`").status(StatusCode::FORBIDDEN),
        );
    }
    let books = realm.books();
    let user = books.users.iter().find(|user| Some(&user.id) == grant.user.as_ref());
    let user = user.ok_or_else(OAuthError::invalid_token)?;
    let mut claims = profile(user, &token.scope);
    claims.insert("sub".into(), user.id.clone().into());
    Ok((no_store(), Json(Value::Object(claims))).into_response())
}

/// `POST /introspect` (RFC 7662). Every confidential client may ask about every token.
pub(super) async fn introspect(
    State(realm): State<Arc<Realm>>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, OAuthError> {
    let client = client_auth::client(&realm, &headers, &fields)?;
    if client.secret.is_none() {
        return Err(OAuthError::invalid_client());
    }
    let raw = fields.require("token")?;
    let answer = match realm.active(raw) {
        None => json!({"active": false}),
        Some((token, grant)) => {
            let mut claims = realm.keys.verify(raw).unwrap_or_default();
            claims.insert("active".into(), true.into());
            claims.insert("iss".into(), realm.public_url().into());
            claims.insert("client_id".into(), grant.client.clone().into());
            claims.insert("sub".into(), grant.user.unwrap_or(grant.client).into());
            claims.insert("scope".into(), token.scope.into());
            claims.insert("exp".into(), token.expires.as_second().into());
            if token.kind == Kind::Access {
                claims.insert("token_type".into(), "Bearer".into());
            }
            Value::Object(claims)
        }
    };
    Ok((no_store(), Json(answer)).into_response())
}

/// `POST /revoke` (RFC 7009): a refresh token ends with all that came of it, an access token alone. An unknown token
/// is no error (§2.2).
pub(super) async fn revoke(
    State(realm): State<Arc<Realm>>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<StatusCode, OAuthError> {
    let client = client_auth::client(&realm, &headers, &fields)?;
    let raw = fields.require("token")?;
    let Some((token, grant)) = realm.active(raw) else {
        return Ok(StatusCode::OK);
    };
    if grant.client != client.id {
        return Err(OAuthError::new("unauthorized_client", "the token is another client's"));
    }
    let mut books = realm.books();
    books.revoked.push(raw.to_owned());
    if token.kind == Kind::Refresh {
        books.end_grant(token.grant);
    } else if let Some(token) = books.tokens.get_mut(raw) {
        token.revoked = true;
    }
    Ok(StatusCode::OK)
}
