//! The operator's token: in a header, or typed into a page for a session.

use std::path::Path;

use axum::{
    Extension, Form,
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Role, Visitor,
    session::{OF_TOKEN, local, login_page},
};
use crate::{
    dashboard::console::Shared,
    misconfigured::Misconfigured,
    secret::{Secret, SecretSource},
};

/// Reads `admin.token`.
pub(super) fn read(source: &SecretSource, base: &Path) -> Result<Secret, Misconfigured> {
    let hint = "make one with `openssl rand -base64 32`";
    let wrong = |message: String| Misconfigured::new("admin.token", message).hint(hint);
    let secret = source.read(base).map_err(|error| wrong(error.to_string()))?;
    let is_sendable = secret.expose().iter().all(u8::is_ascii_graphic);
    if secret.expose().len() < SHORTEST || !is_sendable {
        return Err(wrong(format!(
            "the token in {source} must be {SHORTEST} or more ASCII characters without spaces"
        )));
    }
    Ok(secret)
}

#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// Begins a session for whoever knows the token.
pub(super) async fn log_in(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Form(typed): Form<Typed>,
) -> Response {
    let access = &console.access;
    let expected = access.token.as_ref().map_or(&[][..], Secret::expose);
    if expected.is_empty() || !access.seal.same(expected, typed.token.trim().as_bytes()) {
        tracing::warn!("somebody tried to log in to the dashboard with a wrong token");
        return login_page(&console, &visitor, &typed.next, true);
    }
    let until = console.clock.now() + OF_TOKEN.0;
    let cookie = access
        .sessions
        .begin(&access.seal, "bearer of the token", Role::Operator, until);
    let mut answer = Redirect::to(local(&typed.next)).into_response();
    if let Some(cookie) = cookie {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

const SHORTEST: usize = 16;
