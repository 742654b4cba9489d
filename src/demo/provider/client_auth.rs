//! Who a client is (RFC 6749 §2.3).

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{answer::OAuthError, fields::Fields, options::Client, realm::Realm};

/// The client that authenticated itself by `client_secret_basic` or `client_secret_post`, or the public client that
/// named itself. Both ways at once are an error.
pub(super) fn client<'r>(realm: &'r Realm, headers: &HeaderMap, fields: &Fields) -> Result<&'r Client, OAuthError> {
    let basic = headers.get(header::AUTHORIZATION).map(|value| {
        let value = value.to_str().ok()?;
        let (scheme, credentials) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then(|| read_basic(credentials))?
    });
    let (id, secret) = match basic {
        Some(Some(_)) if fields.get("client_secret").is_some() => {
            return Err(OAuthError::invalid_request(
                "the client authenticates itself in two ways",
            ));
        }
        Some(Some((id, secret))) => (id, Some(secret)),
        Some(None) => return Err(OAuthError::invalid_client()),
        None => (
            fields
                .get("client_id")
                .ok_or_else(OAuthError::invalid_client)?
                .to_owned(),
            fields.get("client_secret").map(str::to_owned),
        ),
    };
    let client = realm.client(&id).ok_or_else(OAuthError::invalid_client)?;
    let authentic = match (&client.secret, secret) {
        (Some(known), Some(given)) => known.expose() == given.as_bytes(),
        (None, given) => given.is_none_or(|secret| secret.is_empty()),
        (Some(_), None) => false,
    };
    authentic.then_some(client).ok_or_else(OAuthError::invalid_client)
}

/// The bearer token of a request (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The scope that a request asks for: all of it must be allowed to the client. Nothing asked for is everything allowed.
pub(super) fn scope(client: &Client, asked: Option<&str>) -> Result<String, OAuthError> {
    let Some(asked) = asked else {
        return Ok(client.scopes.join(" "));
    };
    let unknown = asked.split(' ').find(|scope| !client.scopes.iter().any(|s| s == scope));
    match unknown {
        None => Ok(asked.to_owned()),
        Some(_) => Err(OAuthError::new(
            "invalid_scope",
            "the client may not ask for that scope",
        )),
    }
}

/// Both halves are urlencoded before they are joined (RFC 6749 §2.3.1).
fn read_basic(credentials: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |text: &str| {
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
    };
    Some((decode(id), decode(secret)))
}
