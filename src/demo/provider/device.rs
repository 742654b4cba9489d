//! Logging a device in by another screen (RFC 8628).

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    answer::{Escaped, OAuthError, no_store, page},
    client_auth,
    fields::Fields,
    issue::{self, With},
    keys::token,
    options::Client,
    realm::{Grant, Realm, Session},
};

/// A device that waits for its user.
#[derive(Clone)]
pub(super) struct Pairing {
    user_code: String,
    client: String,
    scope: String,
    expires: Timestamp,
    session: Option<Session>,
}

/// `POST /device_authorization`: a device asks for a pair of codes (§3.1).
pub(super) async fn begin(
    State(realm): State<Arc<Realm>>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, OAuthError> {
    let client = client_auth::client(&realm, &headers, &fields)?;
    let (device_code, user_code) = (token(24)?, token(6)?);
    let pairing = Pairing {
        user_code: user_code.clone(),
        client: client.id.clone(),
        scope: client_auth::scope(client, fields.get("scope"))?,
        expires: realm.now() + LIFETIME,
        session: None,
    };
    realm.books().devices.insert(device_code.clone(), pairing);
    let page = format!("{}/device", realm.public_url());
    let body = json!({
        "device_code": device_code, "user_code": user_code, "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": LIFETIME.as_secs(), "interval": 1,
    });
    Ok((no_store(), Json(body)).into_response())
}

/// `GET /device`: the page on which the user types the code (§3.3).
pub(super) async fn form(fields: Fields) -> Response {
    let body = format!(
        "<form method=\"post\" action=\"/device\"><label>Code <input name=\"user_code\" value=\"{}\"></label>\
         <label>E-mail <input name=\"email\" type=\"email\"></label>\
         <label>Password <input name=\"password\" type=\"password\"></label><button>Connect</button></form>",
        Escaped(fields.get("user_code").unwrap_or_default())
    );
    page(StatusCode::OK, "Connect a device", &body)
}

/// `POST /device`: the user lets the device in.
pub(super) async fn confirm(State(realm): State<Arc<Realm>>, fields: Fields) -> Response {
    let refuse = |text: &str| {
        page(
            StatusCode::BAD_REQUEST,
            "Not connected",
            &format!("<p class=\"wrong\">{text}</p>"),
        )
    };
    let email = fields.get("email").unwrap_or_default();
    let Some(session) = realm.log_in(email, fields.get("password").unwrap_or_default()) else {
        return refuse("That e-mail and password do not fit together.");
    };
    let (now, typed) = (realm.now(), fields.get("user_code"));
    let mut books = realm.books();
    let waiting = books
        .devices
        .values_mut()
        .find(|device| Some(device.user_code.as_str()) == typed && device.expires > now && device.session.is_none());
    let Some(device) = waiting else {
        return refuse("No device waits with that code.");
    };
    device.session = Some(session);
    page(StatusCode::OK, "Connected", "<p>You can go back to your device.</p>")
}

/// The device asks whether its user was there (§3.4).
pub(super) fn redeem(realm: &Realm, client: &Client, fields: &Fields) -> Result<Map<String, Value>, OAuthError> {
    let raw = fields.require("device_code")?;
    let pairing = realm.books().devices.get(raw).cloned();
    let pairing = pairing
        .filter(|device| device.client == client.id)
        .ok_or_else(|| OAuthError::invalid_grant("the device code is unknown or used"))?;
    if pairing.expires <= realm.now() {
        return Err(OAuthError::new("expired_token", "the device code has expired"));
    }
    let Some(session) = pairing.session else {
        return Err(OAuthError::new(
            "authorization_pending",
            "the user has not been there yet",
        ));
    };
    let id = {
        let mut books = realm.books();
        books.devices.remove(raw);
        books.grant(Grant::of(session, &client.id, pairing.scope.clone()))
    };
    issue::answer(realm, id, &pairing.scope, With::Everything)
}

const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
