//! The authorization endpoint and the login page (RFC 6749 §4.1, OIDC Core §3.1).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::SignedDuration;

use super::{
    answer::{Escaped, OAuthError, page},
    client_auth,
    fields::Fields,
    keys::token,
    realm::{Code, Grant, Realm, Session},
};

/// What a client asked for, while its user logs in.
#[derive(Clone)]
pub(super) struct Asked {
    client: String,
    redirect_uri: String,
    scope: String,
    state: Option<String>,
    nonce: Option<String>,
    challenge: Option<String>,
}

/// `GET` and `POST /authorize`. A POST may bring `login_hint` and `password`, for clients without a browser.
pub(super) async fn authorize(State(realm): State<Arc<Realm>>, headers: HeaderMap, fields: Fields) -> Response {
    let client = fields.get("client_id").and_then(|id| realm.client(id));
    let redirect_uri = fields.get("redirect_uri").unwrap_or_default();
    let Some(client) = client.filter(|client| client.redirect_uris.iter().any(|uri| uri == redirect_uri)) else {
        // RFC 6749 §4.1.2.1: never redirect to an address that is not registered.
        let text = "<p class=\"wrong\">The client or its redirect URI is not registered here.</p>";
        return page(StatusCode::BAD_REQUEST, "This link is broken", text);
    };
    let mut asked = Asked {
        client: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scope: String::new(),
        state: fields.get("state").map(str::to_owned),
        nonce: fields.get("nonce").map(str::to_owned),
        challenge: fields.get("code_challenge").map(str::to_owned),
    };
    match check(client, &fields).and_then(|()| client_auth::scope(client, fields.get("scope"))) {
        Ok(scope) => asked.scope = scope,
        Err(error) => return refuse(&realm, &asked, &error),
    }
    if let (Some(email), Some(password)) = (fields.get("login_hint"), fields.get("password")) {
        return match realm.log_in(email, password) {
            Some(session) => logged_in(&realm, asked, session),
            None => login_page(&realm, asked, email, Some(WRONG)),
        };
    }
    let session = cookie(&headers).and_then(|cookie| realm.books().sessions.get(&cookie).cloned());
    match (session, fields.get("prompt")) {
        (Some(session), prompt) if prompt != Some("login") => send_code(&realm, asked, session),
        (_, Some("none")) => refuse(
            &realm,
            &asked,
            &OAuthError::new("login_required", "nobody is logged in"),
        ),
        _ => login_page(&realm, asked, fields.get("login_hint").unwrap_or_default(), None),
    }
}

/// `POST /login`: the form of the login page.
pub(super) async fn login(State(realm): State<Arc<Realm>>, fields: Fields) -> Response {
    let asked = fields.get("request").and_then(|id| realm.books().logins.remove(id));
    let Some(asked) = asked else {
        let text = "<p class=\"wrong\">Go back to the application and log in again.</p>";
        return page(StatusCode::BAD_REQUEST, "This page has expired", text);
    };
    let email = fields.get("email").unwrap_or_default();
    match realm.log_in(email, fields.get("password").unwrap_or_default()) {
        Some(session) => logged_in(&realm, asked, session),
        None => login_page(&realm, asked, email, Some(WRONG)),
    }
}

/// The value of the session cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned))
}

fn check(client: &super::options::Client, fields: &Fields) -> Result<(), OAuthError> {
    if fields.get("response_type") != Some("code") {
        return Err(OAuthError::new("unsupported_response_type", "only `code` is served"));
    }
    if fields.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(OAuthError::invalid_request("only the response mode `query` is served"));
    }
    if !client.grants.iter().any(|grant| grant == "authorization_code") {
        return Err(OAuthError::new(
            "unauthorized_client",
            "the client may not use this flow",
        ));
    }
    match (fields.get("code_challenge"), fields.get("code_challenge_method")) {
        (Some(_), Some("S256")) => Ok(()),
        (Some(_), _) => Err(OAuthError::invalid_request("only the PKCE method `S256` is served")),
        (None, _) if client.secret.is_none() => Err(OAuthError::invalid_request(
            "a public client must send `code_challenge`",
        )),
        (None, _) => Ok(()),
    }
}

fn logged_in(realm: &Realm, asked: Asked, session: Session) -> Response {
    let Ok(secret) = token(24) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    realm.books().sessions.insert(secret.clone(), session.clone());
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], send_code(realm, asked, session)).into_response()
}

fn send_code(realm: &Realm, asked: Asked, session: Session) -> Response {
    let Ok(code) = token(24) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let expires = realm.now() + CODE_LIFETIME;
    let mut books = realm.books();
    let grant = books.grant(Grant {
        nonce: asked.nonce.clone(),
        ..Grant::of(session, &asked.client, asked.scope.clone())
    });
    let noted = Code {
        grant,
        redirect_uri: asked.redirect_uri.clone(),
        challenge: asked.challenge.clone(),
        expires,
        used: false,
    };
    books.codes.insert(code.clone(), noted);
    drop(books);
    redirect(realm, &asked, &[("code", &code)])
}

fn refuse(realm: &Realm, asked: &Asked, error: &OAuthError) -> Response {
    redirect(
        realm,
        asked,
        &[("error", error.code()), ("error_description", error.description())],
    )
}

fn redirect(realm: &Realm, asked: &Asked, parameters: &[(&str, &str)]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    if let Some(state) = &asked.state {
        query.append_pair("state", state);
    }
    // RFC 9207: the client sees who answers.
    query.append_pair("iss", &realm.public_url());
    let separator = if asked.redirect_uri.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{}{separator}{}", asked.redirect_uri, query.finish())).into_response()
}

fn login_page(realm: &Realm, asked: Asked, email: &str, wrong: Option<&str>) -> Response {
    let Ok(id) = token(18) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    realm.books().logins.insert(id.clone(), asked);
    let wrong = wrong
        .map(|text| format!("<p class=\"wrong\">{text}</p>"))
        .unwrap_or_default();
    let body = format!(
        "{wrong}<form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"request\" value=\"{id}\">\
         <label>E-mail <input name=\"email\" type=\"email\" value=\"{}\"></label>\
         <label>Password <input name=\"password\" type=\"password\"></label><button>Log in</button></form>\
         <p><a href=\"/signup\">Create an account</a></p>",
        Escaped(email)
    );
    page(StatusCode::OK, "Log in", &body)
}

const COOKIE: &str = "demo_session";
const WRONG: &str = "That e-mail and password do not fit together.";
const CODE_LIFETIME: SignedDuration = SignedDuration::from_secs(60);
