//! Sessions: a sealed cookie says who somebody is, so that any replica can read it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header, request},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Role, Visitor, refusal, seal::Seal};
use crate::{
    clock::{Clock, Period},
    dashboard::{
        console::{Console, Shared},
        frame::{Frame, Section, show},
    },
};

/// Reads and writes the cookie.
pub(super) struct Sessions {
    https: bool,
    clock: Clock,
    ended: Ended,
}

/// Sessions that were logged out here before their time, by id. Clones share them, so that a reload brings none of them back.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<Mutex<HashMap<String, i64>>>);

/// What the cookie says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) name: String,
    operator: bool,
    /// Seconds since 1970.
    until: i64,
}

impl Session {
    pub(super) fn role(&self) -> Role {
        if self.operator { Role::Operator } else { Role::Viewer }
    }
}

impl Sessions {
    pub(super) fn new(https: bool, clock: Clock, ended: Ended) -> Self {
        Self { https, clock, ended }
    }

    /// The session of a request, unless it is over.
    pub(super) fn read(&self, seal: &Seal, headers: &HeaderMap) -> Option<Session> {
        let sealed = cookie(headers, self.name())?;
        let session: Session = serde_json::from_str(&seal.open(PURPOSE, sealed)?).ok()?;
        let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        (self.clock.now().as_second() < session.until && !ended.contains_key(&session.id)).then_some(session)
    }

    /// The cookie of a new session.
    pub(super) fn begin(&self, seal: &Seal, name: &str, role: Role, until: Timestamp) -> Option<HeaderValue> {
        let session = Session {
            id: seal.fresh()?,
            name: name.to_owned(),
            operator: role == Role::Operator,
            until: until.as_second(),
        };
        let seconds = session.until - self.clock.now().as_second();
        let sealed = seal.seal(PURPOSE, &serde_json::to_string(&session).ok()?)?;
        self.set_cookie(self.name(), &sealed, "Strict", seconds)
    }

    /// Ends a session here at once; elsewhere it ends since the browser forgets the cookie.
    fn end(&self, session: Session) -> Option<HeaderValue> {
        let now = self.clock.now().as_second();
        let mut ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, until| *until > now);
        ended.insert(session.id, session.until);
        drop(ended);
        self.set_cookie(self.name(), "", "Strict", 0)
    }

    pub(super) fn set_cookie(&self, name: &str, value: &str, same_site: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.https { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&text).ok()
    }

    /// Browsers take the prefix from a secure origin alone, and then from no other host.
    fn name(&self) -> &'static str {
        if self.https {
            "__Host-tollgate"
        } else {
            "tollgate-admin"
        }
    }
}

/// The value of a cookie.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    with_token: bool,
    with_provider: bool,
    next: String,
    wrong: bool,
}

/// In place of a page that somebody must log in for.
pub(super) fn ask_to_log_in(console: &Console, visitor: &Visitor, parts: &request::Parts) -> Response {
    let wants_page = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !wants_page.is_some_and(|accept| accept.contains("text/html")) || parts.headers.contains_key("hx-request") {
        let mut answer = refusal(StatusCode::UNAUTHORIZED, "Log in first.");
        let challenge = HeaderValue::from_static("Bearer realm=\"tollgate\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return answer;
    }
    let next = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    login_page(console, visitor, next, false)
}

pub(super) fn login_page(console: &Console, visitor: &Visitor, next: &str, wrong: bool) -> Response {
    let page = Login {
        frame: Frame::new(console, visitor, Section::Other, "Log in"),
        with_token: console.access.token.is_some(),
        with_provider: console.access.login.is_some(),
        next: local(next).to_owned(),
        wrong,
    };
    (StatusCode::UNAUTHORIZED, show(&page)).into_response()
}

/// Where to go after a login: a page of ours, whatever was asked for.
pub(super) fn local(next: &str) -> &str {
    let is_ours = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t']);
    if is_ours { next } else { "/" }
}

/// How long a session of the token's bearer counts.
pub(super) const OF_TOKEN: Period = Period::secs(8 * 3600);

pub(super) async fn log_out(State(console): State<Shared>, _: Extension<Visitor>, headers: HeaderMap) -> Response {
    let access = &console.access;
    let session = access.sessions.read(&access.seal, &headers);
    let cookie = session.and_then(|session| access.sessions.end(session));
    let mut answer = Redirect::to("/").into_response();
    if let Some(cookie) = cookie {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

const PURPOSE: &str = "session";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_back_to_a_page_of_ours_alone() {
        assert_eq!(local("/log?user=ada"), "/log?user=ada");
        for next in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "",
            "log",
            "/\t/evil",
        ] {
            assert_eq!(local(next), "/");
        }
    }
}
