//! Logging in at the provider: the authorization code flow (OIDC Core §3.1) with PKCE (RFC 7636).

use std::path::Path;

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Role, Visitor,
    seal::challenge,
    session::{cookie, local},
};
use crate::{
    dashboard::{
        console::{Console, Shared},
        failure,
        frame::{Frame, Section, show},
        settings::LoginSettings,
    },
    form::Form,
    misconfigured::Misconfigured,
    secret::Secret,
    token::Kind,
};

/// `admin.login`, with its secret.
pub(super) struct Login {
    settings: LoginSettings,
    secret: Option<Secret>,
    /// `admin.public_url`.
    url: Option<String>,
}

/// What has to be known again when somebody comes back from the provider.
#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    next: String,
    /// Seconds since 1970.
    until: i64,
}

impl Login {
    pub(super) fn read(settings: &LoginSettings, url: Option<&str>, base: &Path) -> Result<Self, Misconfigured> {
        let secret = settings.client_secret.as_ref().map(|source| source.read(base));
        let secret = secret
            .transpose()
            .map_err(|error| Misconfigured::new("admin.login.client_secret", error.to_string()))?;
        Ok(Self {
            settings: settings.clone(),
            secret,
            url: url.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }

    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let claims = Value::Object(claims.clone());
        let mut roles: Vec<&str> = Vec::new();
        match claims.pointer(&self.settings.roles) {
            Some(Value::String(text)) => roles.extend(text.split_whitespace()),
            Some(Value::Array(list)) => roles.extend(list.iter().filter_map(Value::as_str)),
            _ => {}
        }
        let has_one_of = |wanted: &[String]| roles.iter().any(|role| wanted.iter().any(|known| known == role));
        if has_one_of(&self.settings.operators) {
            Some(Role::Operator)
        } else {
            has_one_of(&self.settings.viewers).then_some(Role::Viewer)
        }
    }

    /// RFC 6749 §2.3.1: both parts are form-encoded first.
    fn authorization(&self) -> Option<HeaderValue> {
        let encode = |bytes: &[u8]| form_urlencoded::byte_serialize(bytes).collect::<String>();
        let secret = self.secret.as_ref()?;
        let pair = format!(
            "{}:{}",
            encode(self.settings.client_id.as_bytes()),
            encode(secret.expose())
        );
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[derive(Deserialize)]
pub(super) struct Start {
    #[serde(default)]
    next: String,
}

/// Sends somebody to the provider.
pub(super) async fn start(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(start): Query<Start>,
    headers: HeaderMap,
) -> Response {
    let access = &console.access;
    let Some(login) = &access.login else {
        return failure::not_found(&console, &visitor, "Nobody logs in at the provider here.");
    };
    let behind = console.upstream(login.settings.upstream.as_deref().unwrap_or_default());
    let url = match behind.gate.provider(login.settings.realm.as_deref()).await {
        Ok(provider) => provider
            .authorization_url()
            .ok_or("its discovery document names no authorization_endpoint".into()),
        Err(why) => Err(why),
    };
    let url = match url {
        Ok(url) => url,
        Err(why) => return unusable(&console, &visitor, &why),
    };
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let scheme = if access.hosts.is_https() { "https" } else { "http" };
    let own = login.url.clone().unwrap_or_else(|| format!("{scheme}://{host}"));
    let seal = &access.seal;
    let (Some(state), Some(nonce), Some(verifier)) = (seal.fresh(), seal.fresh(), seal.fresh()) else {
        return unusable(&console, &visitor, "this machine has no random numbers");
    };
    let begun = Begun {
        state,
        nonce,
        verifier,
        redirect_uri: format!("{own}/login/callback"),
        next: local(&start.next).to_owned(),
        until: console.clock.now().as_second() + PATIENCE,
    };
    let mut query = Form::default();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", &login.settings.client_id),
        ("redirect_uri", &begun.redirect_uri),
        ("scope", &login.settings.scope),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("code_challenge", &challenge(&begun.verifier)),
        ("code_challenge_method", "S256"),
    ] {
        query.set(name, value);
    }
    let sealed = serde_json::to_string(&begun)
        .ok()
        .and_then(|text| seal.seal(PURPOSE, &text));
    // The provider sends people back from another site, so the cookie must come along on such a navigation.
    let cookie = sealed.and_then(|sealed| access.sessions.set_cookie(COOKIE, &sealed, "Lax", PATIENCE));
    let separator = if url.contains('?') { '&' } else { '?' };
    let mut answer = Redirect::to(&format!("{url}{separator}{}", query.to_urlencoded())).into_response();
    answer
        .headers_mut()
        .extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    answer
}

#[derive(Deserialize)]
pub(super) struct Callback {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    iss: Option<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    frame: Frame,
    next: String,
}

/// Somebody comes back.
pub(super) async fn callback(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Response {
    match finish(&console, &callback, &headers).await {
        Ok((cookie, next)) => {
            // A redirect would still count as coming from the provider's site, and the session's cookie would stay at home.
            let mut answer = show(&Welcome {
                frame: Frame::new(&console, &visitor, Section::Other, "Logged in"),
                next,
            });
            let forget = console.access.sessions.set_cookie(COOKIE, "", "Lax", 0);
            for cookie in [Some(cookie), forget].into_iter().flatten() {
                answer.headers_mut().append(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(Unfinished::Stale) => {
            let hint = "Go to the page that you want and log in again.";
            let message = "This login was begun in another browser, too long ago, or finished already.";
            failure::page(
                &console,
                &visitor,
                StatusCode::BAD_REQUEST,
                "Log in again",
                message,
                hint,
            )
        }
        Err(Unfinished::NoRole(name)) => {
            let hint = "Ask whoever runs this installation for one of the roles in `admin.login`.";
            let message = format!("You are logged in as {name}, and none of your roles opens this dashboard.");
            failure::page(&console, &visitor, StatusCode::FORBIDDEN, "No access", message, hint)
        }
        Err(Unfinished::Provider(why)) => unusable(&console, &visitor, &why),
    }
}

/// Why nobody is logged in.
enum Unfinished {
    Stale,
    NoRole(String),
    Provider(String),
}

async fn finish(
    console: &Console,
    callback: &Callback,
    headers: &HeaderMap,
) -> Result<(HeaderValue, String), Unfinished> {
    let access = &console.access;
    let login = access.login.as_ref().ok_or(Unfinished::Stale)?;
    let begun = cookie(headers, COOKIE).and_then(|sealed| access.seal.open(PURPOSE, sealed));
    let begun: Begun = begun
        .and_then(|text| serde_json::from_str(&text).ok())
        .ok_or(Unfinished::Stale)?;
    let now = console.clock.now();
    if now.as_second() >= begun.until || !access.seal.same(begun.state.as_bytes(), callback.state.as_bytes()) {
        return Err(Unfinished::Stale);
    }
    if let Some(error) = &callback.error {
        return Err(Unfinished::Provider(format!("it answers `{error}`")));
    }
    let behind = console.upstream(login.settings.upstream.as_deref().unwrap_or_default());
    let provider = behind.gate.provider(login.settings.realm.as_deref()).await;
    let provider = provider.map_err(Unfinished::Provider)?;
    // RFC 9207 §2.4.
    if callback.iss.as_deref().is_some_and(|iss| iss != provider.identifier()) {
        return Err(Unfinished::Provider("the answer is from another issuer".into()));
    }
    let mut form = Form::default();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", &callback.code),
        ("redirect_uri", &begun.redirect_uri),
        ("code_verifier", &begun.verifier),
    ] {
        form.set(name, value);
    }
    let client_id = login.settings.client_id.as_str();
    let authorization = login.authorization();
    if authorization.is_none() {
        form.set("client_id", client_id);
    }
    let answer = provider
        .redeem(&form, authorization)
        .await
        .map_err(Unfinished::Provider)?;
    let token = |name: &str| answer.get(name).and_then(Value::as_str);
    let refused = |error: crate::token::Unverified| Unfinished::Provider(error.to_string());
    let raw = token("id_token")
        .ok_or_else(|| Unfinished::Provider("its answer has no ID token; is `openid` in the scope?".into()))?;
    let kind = Kind::IdToken {
        client_id: Some(client_id),
        nonce: Some(&begun.nonce),
        access_token: token("access_token"),
        code: Some(&callback.code),
        state: None,
    };
    let claims = provider.verified(raw, kind).await.map_err(refused)?;
    let mut role = login.role(&claims);
    if let (None, Some(raw)) = (role, token("access_token")) {
        // Some providers put roles into the access token alone, unless they are told otherwise.
        let kind = Kind::AccessToken {
            client_id: Some(client_id),
        };
        role = provider
            .verified(raw, kind)
            .await
            .ok()
            .and_then(|claims| login.role(&claims));
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let name = text("email")
        .or(text("preferred_username"))
        .or(text("sub"))
        .unwrap_or("somebody");
    let role = role.ok_or_else(|| {
        tracing::warn!(
            user = name,
            "`{}` logged in to the dashboard without a role that opens it",
            name.escape_debug()
        );
        Unfinished::NoRole(name.to_owned())
    })?;
    // A role that is taken away ends with the token that named it.
    let longest = now + login.settings.session.0;
    let ends = claims
        .get("exp")
        .and_then(Value::as_i64)
        .and_then(|exp| jiff::Timestamp::from_second(exp).ok());
    let until = ends.map_or(longest, |ends| ends.min(longest));
    tracing::info!(
        user = name,
        operator = role == Role::Operator,
        "`{}` logged in to the dashboard",
        name.escape_debug()
    );
    let cookie = access.sessions.begin(&access.seal, name, role, until);
    let cookie = cookie.ok_or_else(|| Unfinished::Provider("this machine has no random numbers".into()))?;
    Ok((cookie, begun.next))
}

fn unusable(console: &Console, visitor: &Visitor, why: &str) -> Response {
    tracing::warn!("nobody can log in to the dashboard: {}", why.escape_debug());
    let hint = "The provider must be there, and know the client of `admin.login` with the redirect URI `/login/callback` below this address.";
    let message = format!("The provider could not be used for a login: {why}.");
    failure::page(
        console,
        visitor,
        StatusCode::BAD_GATEWAY,
        "Nobody can log in",
        message,
        hint,
    )
}

/// How long somebody may take at the provider, in seconds.
const PATIENCE: i64 = 600;
const COOKIE: &str = "tollgate-login";
const PURPOSE: &str = "login";
