//! Who may use the dashboard, and which requests are made by them and not by another site in their name.

mod hosts;
mod login;
mod seal;
mod session;
mod token;

use std::path::Path;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub use self::session::Ended;
use self::{hosts::Hosts, login::Login, seal::Seal, session::Sessions};
use super::{
    console::{Parts, Shared},
    settings::Settings,
};
use crate::{misconfigured::Misconfigured, secret::Secret};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Log in.
    Nobody,
    /// Look at everything.
    Viewer,
    /// Act as well.
    Operator,
}

/// Who asks for a page.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// As people call them.
    pub(super) name: String,
    pub(super) role: Role,
    /// What every form of a page carries back.
    pub(super) csrf: String,
    /// Whether there is a session to end.
    pub(super) has_session: bool,
}

impl Visitor {
    pub(super) fn is_operator(&self) -> bool {
        self.role >= Role::Operator
    }
}

/// The rules of `[admin]`, with their secrets.
pub(super) struct Access {
    open: bool,
    hosts: Hosts,
    seal: Seal,
    sessions: Sessions,
    token: Option<Secret>,
    login: Option<Login>,
}

/// What `[admin]` says of names and logins.
struct Rules {
    hosts: Hosts,
    token: Option<Secret>,
    login: Option<Login>,
}

impl Rules {
    fn read(settings: &Settings, base: &Path) -> Result<Self, Vec<Misconfigured>> {
        let mut found = settings.findings();
        let mut keep = |finding| found.push(finding);
        let hosts = Hosts::new(settings).map_err(&mut keep).ok();
        let token = settings.token.as_ref().map(|source| token::read(source, base));
        let token = token.transpose().map_err(&mut keep).ok().flatten();
        let login = settings
            .login
            .as_ref()
            .map(|login| Login::read(login, settings.public_url.as_deref(), base));
        let login = login.transpose().map_err(&mut keep).ok().flatten();
        match hosts {
            Some(hosts) if found.is_empty() => Ok(Self { hosts, token, login }),
            _ => Err(found),
        }
    }
}

impl Settings {
    /// What is wrong with the section, with its secrets read; a relative file is looked up below `base`, the folder of `proxy.toml`.
    pub fn check(&self, base: &Path) -> Vec<Misconfigured> {
        Rules::read(self, base).err().unwrap_or_default()
    }

    /// Whether browsers use HTTPS, by TLS of our own or of what is in front.
    pub fn is_https(&self) -> bool {
        Hosts::new(self).is_ok_and(|hosts| hosts.is_https())
    }
}

impl Access {
    pub(super) fn build(settings: &Settings, parts: &Parts) -> Result<Self, Vec<Misconfigured>> {
        let Rules { hosts, token, login } = Rules::read(settings, &parts.base)?;
        Ok(Self {
            open: settings.is_open(),
            sessions: Sessions::new(hosts.is_https(), parts.clock.clone(), parts.ended.clone()),
            seal: Seal::new(&parts.secret).map_err(|finding| vec![finding])?,
            hosts,
            token,
            login,
        })
    }

    /// Who a request is from. `None` where that must be found out by logging in.
    fn visitor(&self, headers: &HeaderMap) -> Option<(Visitor, Credential)> {
        if self.open {
            let visitor = self.known("this machine".into(), Role::Operator, LOCAL);
            return Some((visitor, Credential::Ambient));
        }
        if let Some(presented) = bearer(headers) {
            let token = self.token.as_ref()?;
            let fits = self.seal.same(token.expose(), presented.as_bytes());
            let visitor = || self.known("bearer of the token".into(), Role::Operator, LOCAL);
            return fits.then(|| (visitor(), Credential::Explicit));
        }
        let session = self.sessions.read(&self.seal, headers)?;
        let visitor = Visitor {
            has_session: true,
            ..self.known(session.name.clone(), session.role(), &session.id)
        };
        Some((visitor, Credential::Ambient))
    }

    fn known(&self, name: String, role: Role, session: &str) -> Visitor {
        Visitor {
            name,
            role,
            csrf: self.seal.mark(CSRF, session),
            has_session: false,
        }
    }
}

/// How a request says who it is from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credential {
    /// By what a browser sends of its own accord: another site could make it send the request.
    Ambient,
    /// By a header that only the sender can have set.
    Explicit,
}

/// The pages for logging in and out.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/login/token", post(token::log_in))
        .route("/login/start", get(login::start))
        .route("/login/callback", get(login::callback))
        .route("/logout", post(session::log_out))
}

/// Stands in front of everything: no page without the right `Host`, origin, login and, where something is changed, token.
pub(super) async fn guard(State(console): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match admit(&console, request).await {
        Ok(request) => next.run(request).await,
        Err(refused) => refused,
    };
    harden(response.headers_mut());
    response
}

async fn admit(console: &Shared, request: Request) -> Result<Request, Response> {
    let access = &console.access;
    let (mut parts, body) = request.into_parts();
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let Some(host) = access.hosts.named(&parts.uri, &parts.headers) else {
        return Err(refusal(StatusCode::MISDIRECTED_REQUEST, WRONG_HOST));
    };
    if !hosts::is_own(&parts.headers, &host, is_read) {
        return Err(refusal(StatusCode::FORBIDDEN, FOREIGN));
    }
    let path = parts.uri.path();
    let nobody = || access.known(String::new(), Role::Nobody, ANONYMOUS);
    let is_for_all = is_read && (path.starts_with("/assets/") || matches!(path, "/healthz" | "/readyz"));
    let (visitor, credential) = match access.visitor(&parts.headers) {
        Some(known) => known,
        None if is_for_all || path.starts_with("/login/") => (nobody(), Credential::Ambient),
        None => return Err(session::ask_to_log_in(console, &nobody(), &parts)),
    };
    if !is_read && visitor.role < needed(path) {
        return Err(refusal(StatusCode::FORBIDDEN, ONLY_LOOKS));
    }
    let body = if is_read || credential == Credential::Explicit {
        body
    } else {
        let bytes = axum::body::to_bytes(body, MAX_BODY).await;
        let bytes = bytes.map_err(|_| refusal(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large."))?;
        if !access
            .seal
            .same(visitor.csrf.as_bytes(), csrf(&parts.headers, &bytes).as_bytes())
        {
            return Err(refusal(StatusCode::FORBIDDEN, NO_CSRF));
        }
        bytes.into()
    };
    parts.extensions.insert(visitor);
    Ok(Request::from_parts(parts, body))
}

/// Who may send a form: whoever acts is an operator, unless the form only asks.
fn needed(path: &str) -> Role {
    match path {
        "/login/token" => Role::Nobody,
        "/logout" | "/routes" => Role::Viewer,
        _ => Role::Operator,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The token that a form carried back, in a field or a header.
fn csrf(headers: &HeaderMap, body: &Bytes) -> String {
    if let Some(value) = headers.get("x-csrf-token").and_then(|value| value.to_str().ok()) {
        return value.to_owned();
    }
    let mut fields = form_urlencoded::parse(body);
    let field = fields.find(|(name, _)| name == "csrf");
    field.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn refusal(status: StatusCode, message: &'static str) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, text, format!("{message}\n")).into_response()
}

/// Nothing is kept, framed, guessed, or loaded from elsewhere.
fn harden(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    // Not `no-referrer`: with that, browsers send the `Origin` of our own forms as `null`.
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Bytes of a form.
const MAX_BODY: usize = 512 * 1024;
const CSRF: &str = "csrf";
const LOCAL: &str = "local";
const ANONYMOUS: &str = "anonymous";
const WRONG_HOST: &str =
    "This server is not known by that name. Open it by its address, or add the name to `names` in [admin].";
const ONLY_LOOKS: &str = "Your role may look at everything, and this acts. Ask for the role of an operator.";
const FOREIGN: &str = "This request comes from another site.";
const NO_CSRF: &str = "This form is out of date. Go back, load the page again and repeat what you did.";
