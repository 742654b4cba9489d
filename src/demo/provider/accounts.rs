//! Accounts: signing up, and inviting others.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    answer::{Escaped, OAuthError, page},
    client_auth::bearer,
    fields::{Fields, content_type},
    keys::token,
    options::User,
    realm::Realm,
};
use crate::{json, secret::Secret};

/// `GET /signup`.
pub(super) async fn signup_page() -> Response {
    page(
        StatusCode::OK,
        "Create an account",
        "<form method=\"post\" action=\"/signup\"><label>Name <input name=\"name\"></label>\
         <label>E-mail <input name=\"email\" type=\"email\"></label>\
         <label>Password <input name=\"password\" type=\"password\"></label><button>Create account</button></form>",
    )
}

/// `POST /signup`: makes an account for whoever asks.
pub(super) async fn signup(State(realm): State<Arc<Realm>>, fields: Fields) -> Response {
    let refuse = |status, text: &str| page(status, "No account", &format!("<p class=\"wrong\">{text}</p>"));
    let (Some(email), Some(password)) = (fields.get("email"), fields.get("password")) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "An account needs an e-mail address and a password.",
        );
    };
    let Some(email) = plausible(email) else {
        return refuse(StatusCode::BAD_REQUEST, "That is no e-mail address.");
    };
    let user = new_user(email, fields.get("name"));
    let Some(user) = user.ok().and_then(|user| {
        realm.books().add_user(User {
            password: Some(Secret::new(password)),
            ..user
        })
    }) else {
        return refuse(StatusCode::CONFLICT, "There is an account with that address.");
    };
    let text = format!("<p>Welcome, {}.</p>", Escaped(&user.name));
    page(StatusCode::CREATED, "Account created", &text)
}

/// `POST /api/users`: makes an account for somebody else, in the caller's organization.
pub(super) async fn create(
    State(realm): State<Arc<Realm>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    invite(&realm, None, &headers, &body)
}

/// `POST /api/organizations/{id}/invitations`: invites somebody to an organization.
pub(super) async fn invite_to(
    State(realm): State<Arc<Realm>>,
    Path(organization): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    if !realm.organizations.iter().any(|known| known.id == organization) {
        return Err(OAuthError::new("not_found", "there is no such organization").status(StatusCode::NOT_FOUND));
    }
    invite(&realm, Some(organization), &headers, &body)
}

/// `GET /api/users?email=`: who has an account. Open to all, so that a curious reader can look behind the proxy.
pub(super) async fn list(State(realm): State<Arc<Realm>>, fields: Fields) -> Response {
    let books = realm.books();
    let asked = |user: &&User| {
        fields
            .get("email")
            .is_none_or(|email| user.email.eq_ignore_ascii_case(email))
    };
    let found: Vec<Value> = books.users.iter().filter(asked).map(shown).collect();
    Json(json!({"users": found})).into_response()
}

fn invite(
    realm: &Realm,
    organization: Option<String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, OAuthError> {
    let caller = bearer(headers).and_then(|raw| realm.access_token(raw));
    let caller = caller
        .and_then(|grant| grant.user)
        .ok_or_else(OAuthError::invalid_token)?;
    if content_type(headers).as_deref() != Some("application/json") {
        return Err(OAuthError::invalid_request("send application/json"));
    }
    let asked = json::parse(body).map_err(|error| OAuthError::invalid_request(format!("the body is {error}")))?;
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    let email = text("email")
        .and_then(plausible)
        .ok_or_else(|| OAuthError::invalid_request("`email` is missing or no e-mail address"))?;
    let user = User {
        organization: organization.or_else(|| own_organization(realm, &caller)),
        invited_by: Some(caller),
        ..new_user(email, text("name"))?
    };
    let user = realm.books().add_user(user).ok_or_else(|| {
        OAuthError::new("conflict", "there is an account with that address").status(StatusCode::CONFLICT)
    })?;
    let place = format!("{}/api/users?email={}", realm.public_url(), encoded(&user.email));
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(shown(&user))).into_response())
}

fn own_organization(realm: &Realm, id: &str) -> Option<String> {
    let books = realm.books();
    let user = books.users.iter().find(|user| user.id == id)?;
    user.organization.clone()
}

fn new_user(email: &str, name: Option<&str>) -> Result<User, OAuthError> {
    Ok(User {
        id: format!("u-{}", token(6)?),
        email: email.to_owned(),
        name: name.unwrap_or(email).to_owned(),
        password: None,
        roles: Vec::new(),
        organization: None,
        invited_by: None,
    })
}

fn plausible(email: &str) -> Option<&str> {
    let (name, domain) = email.rsplit_once('@')?;
    let odd = |c: char| c.is_control() || c.is_whitespace();
    (!name.is_empty() && domain.contains('.') && !email.contains(odd)).then_some(email)
}

fn shown(user: &User) -> Value {
    json!({
        "id": user.id, "email": user.email, "name": user.name, "organization": user.organization,
        "invited_by": user.invited_by, "can_log_in": user.password.is_some(),
    })
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
